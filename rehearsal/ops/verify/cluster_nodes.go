package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"expense/internal/config"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The labels of EKS's nodes (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html), and the one of AWS's controller
// with the zone's ID (https://github.com/kubernetes/cloud-provider-aws/issues/300).
const (
	groupLabel    = "eks.amazonaws.com/nodegroup"
	CapacityLabel = "eks.amazonaws.com/capacityType" // SPOT or ON_DEMAND
	ZoneIDLabel   = "topology.k8s.aws/zone-id"
)

var readyChecks = []Check{{
	Name: "nodes",
	Promise: "Each node group has the nodes that the settings ask for, of their types and in their zones, with room for as many pods, all " +
		"healthy.",
	Access: []string{"list nodes"},
	Takes:  5 * time.Second,
	Run:    nodes,
}}

// nodes: with the autoscaler, a group's size is between its limits.
func nodes(ctx context.Context, s *Stack, _ *Work) (seen string, err error) {
	groups, named := map[string]config.Group{}, s.resources(typeNodeGroup)
	for _, g := range s.Settings.Groups() {
		if r, ok := named[g.Name]; ok {
			groups[output(r, "nodeGroupName")] = g
		} else {
			return "", fmt.Errorf("node group %s of the settings is not in the state: run `pulumi up`", g.Name)
		}
	}
	return seen, s.until(ctx, func(ctx context.Context) error {
		list, err := s.Kubernetes.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var f findings
		count, zones, cordoned := map[string]int{}, map[string]bool{}, 0
		for _, n := range list.Items {
			o := Object{Kind: "Node", Name: n.Name}
			zones[n.Labels[corev1.LabelTopologyZone]] = true
			if n.Spec.Unschedulable {
				cordoned++
			}
			for _, problem := range unhealthy(n) {
				f.add(o, "%s", problem)
			}
			name := n.Labels[groupLabel]
			group, ours := groups[name]
			if !ours {
				f.add(o, "its node group is %q, expected one of %v", name, slices.Sorted(maps.Keys(groups)))
				continue
			}
			count[name]++
			if got := n.Labels[CapacityLabel]; got != string(group.CapacityType) {
				f.add(o, "its capacity type is %q, and the settings say %s", got, group.CapacityType)
			}
			if got := n.Labels[corev1.LabelInstanceTypeStable]; !slices.Contains(group.InstanceTypes, got) {
				f.add(o, "its instance type is %q, and the settings say %v", got, group.InstanceTypes)
			}
			if got := n.Status.Capacity.Pods().Value(); group.MaxPods > 0 && got != int64(group.MaxPods) {
				f.add(o, "it holds %s, and the settings say %d", plural(int(got), "pod"), group.MaxPods)
			}
			if got := n.Labels[ZoneIDLabel]; !slices.Contains(group.Zones, got) {
				f.add(o, "its zone is %q, and the settings say %v", got, group.Zones)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(groups)) {
			least, most := groups[name].DesiredSize, groups[name].DesiredSize
			if s.Settings.Cluster.Autoscaler.Enabled {
				least, most = groups[name].MinSize, groups[name].MaxSize
			}
			if count[name] < least || count[name] > most {
				f.add(Object{Kind: "Node group", Name: name}, "it has %s, expected %d to %d", plural(count[name], "node"), least, most)
			}
		}
		seen = fmt.Sprintf("%s in %s", plural(len(list.Items), "node"), plural(len(zones), "zone"))
		if cordoned > 0 {
			seen += fmt.Sprintf(", %d of them take no pods (cordoned)", cordoned)
		}
		return f.err()
	})
}

// unhealthy are the conditions of a node that are not as they should be: Ready and those of EKS's monitoring agent, which end so
// (https://github.com/aws/eks-node-monitoring-agent), and the kubelet's
// (https://kubernetes.io/docs/reference/node/node-status/#condition).
func unhealthy(n corev1.Node) (problems []string) {
	ready := false
	for _, c := range n.Status.Conditions {
		bad := false
		switch kind := string(c.Type); {
		case c.Type == corev1.NodeReady:
			ready = c.Status == corev1.ConditionTrue
			bad = !ready
		case strings.HasSuffix(kind, "Ready"):
			bad = c.Status == corev1.ConditionFalse
		case strings.HasSuffix(kind, "Pressure") || c.Type == corev1.NodeNetworkUnavailable:
			bad = c.Status == corev1.ConditionTrue
		}
		if bad {
			problems = append(problems, strings.TrimSpace(fmt.Sprintf("its condition %s is %s: %s %s", c.Type, c.Status, c.Reason, c.Message)))
		}
	}
	if !ready && len(problems) == 0 {
		problems = append(problems, "it has never been Ready")
	}
	return problems
}
