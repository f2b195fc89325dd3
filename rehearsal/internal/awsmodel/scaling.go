package awsmodel

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// ScalingGroup is the Auto Scaling group of a node group.
type ScalingGroup struct {
	Name string
	Tags map[string]string
	// Desired is how many instances it shall have, and Max how many it may.
	Desired, Max int
	// Instances are the IDs of those that it has.
	Instances []string
	// Template is what it launches: the first of its types in the first of its zones.
	Template Instance
}

// scalingTags are what EKS puts on the Auto Scaling group of a node group, so that the Cluster Autoscaler finds it
// (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html, "Managed node groups concepts").
func scalingTags(cluster, group string) map[string]any {
	return map[string]any{
		"eks:cluster-name": cluster, "eks:nodegroup-name": group,
		"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/" + cluster: "owned",
	}
}

// ScalingGroups describes the account's Auto Scaling groups to a role that may ask, in the order of their names.
func (m *Model) ScalingGroups(role string) ([]ScalingGroup, error) {
	if _, err := m.Allowed(Call{Role: role, Action: "autoscaling:DescribeAutoScalingGroups", Resource: "*"}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []ScalingGroup
	for _, asg := range m.all(tASG) {
		group := m.objects[tNodeGroup][asg.out.str("owner")]
		if group == nil || len(group.in.strs("subnetIds")) == 0 {
			continue // one that a test planted
		}
		out = append(out, ScalingGroup{
			Name: asg.id, Tags: asg.out.strMap("tags"), Desired: int(group.in.num("scalingConfig.desiredSize")),
			Max: int(group.in.num("scalingConfig.maxSize")), Instances: instanceIDs(m.instances(group.id)), Template: m.machine(group,
				m.types(group)[0], m.objects[tSubnet][group.in.strs("subnetIds")[0]]),
		})
	}
	slices.SortFunc(out, func(a, b ScalingGroup) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// SetDesiredCapacity changes how many instances an Auto Scaling group shall have, for a role that may, and returns when those
// that EC2 has to give are nodes.
func (m *Model) SetDesiredCapacity(ctx context.Context, role, name string, size int) error {
	m.mu.Lock()
	asg := m.objects[tASG][name]
	call := Call{Role: role, Action: "autoscaling:SetDesiredCapacity", Keys: map[string]string{},
		Resource: fmt.Sprintf("arn:%s:autoscaling:%s:%s:autoScalingGroup:%s:autoScalingGroupName/%s", m.Partition(), m.opts.Region,
			m.opts.Account, "00000000-0000-4000-8000-000000000000", name)}
	for key, value := range asg.out.strMap("tags") {
		call.Keys["aws:ResourceTag/"+key] = value
	}
	group := m.objects[tNodeGroup][asg.out.str("owner")]
	m.mu.Unlock()
	if _, err := m.Allowed(call); err != nil {
		return err
	}
	m.mu.Lock()
	for _, p := range []props{group.in, group.out} {
		scaling := p.value("scalingConfig").ObjectValue().Copy()
		scaling["desiredSize"] = resource.NewNumberProperty(float64(size))
		p.m["scalingConfig"] = resource.NewObjectProperty(scaling)
	}
	m.resize(group)
	m.mu.Unlock()
	return syncNodes(ctx, m, group)
}
