package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"expense/internal/config"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var nodeChecks = []Check{
	{
		Name:    "node-groups",
		Promise: "Each node group is active and healthy, with the sizes, instances, subnets, labels and taints of the settings.",
		Actions: []string{"eks:DescribeNodegroup"}, Takes: 3 * time.Second, Run: checkNodeGroups,
	},
	{
		Name:    "instances",
		Promise: "Each node's instance requires IMDSv2, keeps pods from its metadata, and is in a private subnet without a public address.",
		Actions: []string{"ec2:DescribeInstances"}, Takes: 3 * time.Second, Run: checkInstances,
	},
	{
		Name:    "volumes",
		Promise: "Each volume of a node or a claim is encrypted and of type gp3.",
		Actions: []string{"ec2:DescribeInstances", "ec2:DescribeVolumes"}, Access: []string{"list persistentvolumes"},
		Takes: 3 * time.Second, Run: checkVolumes,
	},
}

func checkNodeGroups(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, client, nodes := findings{}, eks.NewFromConfig(s.AWS), 0
	made := s.resources("aws:eks/nodeGroup:NodeGroup")
	for _, set := range s.Settings.Groups() {
		thing := "node group " + set.Name
		r, has := made[set.Name]
		if !has {
			f.problem("%s: the settings have it, and the state does not: run pulumi up", thing)
			continue
		}
		name := output(r, "nodeGroupName")
		answer, err := client.DescribeNodegroup(ctx, &eks.DescribeNodegroupInput{ClusterName: s.cluster(), NodegroupName: &name})
		if !f.asked(thing, err) {
			continue
		}
		g := answer.Nodegroup
		want := func(what string, found, wanted any) { f.want(thing, what, found, wanted) }
		want("status", g.Status, types.NodegroupStatusActive)
		for _, issue := range value(g.Health).Issues {
			f.problem("%s: %s", thing, issued(issue.Code, issue.Message, issue.ResourceIds))
		}
		want("version", g.Version, s.Settings.Cluster.Version)
		want("capacity type", g.CapacityType, string(set.CapacityType))
		// AWS may say nothing of these two beside a template (https://docs.aws.amazon.com/eks/latest/APIReference/API_Nodegroup.html).
		if len(g.InstanceTypes) > 0 {
			want("instance types", g.InstanceTypes, set.InstanceTypes)
		}
		if g.AmiType != "" {
			want("AMI type", g.AmiType, set.AMIType)
		}
		want("subnets", g.Subnets, s.subnetsIn(set.Zones))
		want("role", g.NodeRole, output(r, "nodeRoleArn"))
		want("labels", g.Labels, set.Labels)
		want("taints", taintsOf(g.Taints), settingsTaints(set.Taints))
		size := value(g.ScalingConfig)
		want("smallest size", size.MinSize, set.MinSize)
		want("largest size", size.MaxSize, set.MaxSize)
		desired := int(aws.ToInt32(size.DesiredSize))
		switch {
		case !s.Settings.Cluster.Autoscaler.Enabled:
			want("desired size", desired, set.DesiredSize)
		case desired < set.MinSize || desired > set.MaxSize:
			f.problem("%s: desired size is %d, the autoscaler keeps it between %d and %d", thing, desired, set.MinSize, set.MaxSize)
		}
		nodes += desired
		want("percentage that an update may take down", value(g.UpdateConfig).MaxUnavailablePercentage, set.MaxUnavailablePercentage)
		want("node repair", aws.ToBool(value(g.NodeRepairConfig).Enabled), set.NodeRepair)
		want("launch template", value(g.LaunchTemplate).Id, output(r, "launchTemplate", "id"))
		want("version of the launch template", value(g.LaunchTemplate).Version, output(r, "launchTemplate", "version"))
	}
	f.visit(len(s.Settings.Groups()), "node group")
	f.note("%s wanted", plural(nodes, "node"))
	return f.result()
}

func taintsOf(taints []types.Taint) (out []string) {
	for _, t := range taints {
		out = append(out, fmt.Sprintf("%s=%s:%s", aws.ToString(t.Key), aws.ToString(t.Value), t.Effect))
	}
	return out
}

func settingsTaints(taints []config.Taint) (out []string) {
	for _, t := range taints {
		out = append(out, fmt.Sprintf("%s=%s:%s", t.Key, t.Value, t.Effect))
	}
	return out
}

// nodeInstances are the cluster's running instances. EKS tags those of its node groups
// (https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html).
func (s *Stack) nodeInstances(ctx context.Context) (all []ec2types.Instance, err error) {
	list := ec2.NewDescribeInstancesPaginator(ec2.NewFromConfig(s.AWS), &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{
		{Name: aws.String("tag:aws:eks:cluster-name"), Values: []string{s.Settings.Cluster.Name}},
		{Name: aws.String("instance-state-name"), Values: []string{"running"}},
	}})
	reservations, err := login.All(ctx, list, func(p *ec2.DescribeInstancesOutput) []ec2types.Reservation { return p.Reservations })
	for _, r := range reservations {
		all = append(all, r.Instances...)
	}
	return all, err
}

// checkInstances looks at the machines that run, because a launch template changes none that is up.
func checkInstances(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f := findings{}
	all, err := s.nodeInstances(ctx)
	if !f.asked("instances", err) {
		return f.result()
	}
	var private []string
	for _, id := range s.privateSubnets() {
		private = append(private, id)
	}
	for _, i := range all {
		thing := "instance " + aws.ToString(i.InstanceId)
		// One hop ends on the node (https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html).
		f.want(thing, "metadata tokens", value(i.MetadataOptions).HttpTokens, ec2types.HttpTokensStateRequired)
		f.want(thing, "metadata hop limit", value(i.MetadataOptions).HttpPutResponseHopLimit, 1)
		if ip := aws.ToString(i.PublicIpAddress); ip != "" {
			f.problem("%s: it has the public address %s", thing, ip)
		}
		if !slices.Contains(private, aws.ToString(i.SubnetId)) {
			f.problem("%s: subnet %s is no private one of the stack", thing, aws.ToString(i.SubnetId))
		}
	}
	if len(all) == 0 && !s.wantsNodes() {
		return "", notSeen("no instance runs, and the settings ask for none")
	}
	if len(all) == 0 {
		f.problem("no instance runs for cluster %s", s.Settings.Cluster.Name)
	}
	f.visit(len(all), "instance")
	return f.result()
}

// wantsNodes tells whether the settings ask for a node at all times.
func (s *Stack) wantsNodes() bool {
	return slices.ContainsFunc(s.Settings.Groups(), func(g config.Group) bool { return g.MinSize > 0 })
}

// checkVolumes asks for the volumes of instances and those of claims, whose pods may not run now.
func checkVolumes(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, client := findings{}, ec2.NewFromConfig(s.AWS)
	var found []ec2types.Volume
	ask := func(what string, input *ec2.DescribeVolumesInput) {
		list := ec2.NewDescribeVolumesPaginator(client, input)
		some, err := login.All(ctx, list, func(p *ec2.DescribeVolumesOutput) []ec2types.Volume { return p.Volumes })
		if f.asked(what, err) {
			found = append(found, some...)
		}
	}
	nodes, err := s.nodeInstances(ctx)
	f.asked("instances", err)
	var ids []string
	for _, i := range nodes {
		ids = append(ids, aws.ToString(i.InstanceId))
	}
	// A filter takes 200 values (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html).
	for some := range slices.Chunk(ids, 200) {
		ask("volumes of nodes", &ec2.DescribeVolumesInput{Filters: []ec2types.Filter{
			{Name: aws.String("attachment.instance-id"), Values: some},
		}})
	}
	ofNodes := len(found)
	if ofNodes < len(nodes) && len(f.unseen) == 0 {
		f.problem("%s for %s, each has one at least", plural(ofNodes, "volume"), plural(len(nodes), "instance"))
	}
	claims, err := s.Kubernetes.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		f.unseen = append(f.unseen, notSeen("persistent volumes: could not look: %v", err))
		claims.Items = nil
	}
	ofClaims := 0
	for _, v := range claims.Items {
		if v.Spec.CSI != nil && v.Spec.CSI.Driver == "ebs.csi.aws.com" {
			ofClaims++
			of := ""
			if v.Spec.ClaimRef != nil {
				of = " of claim " + v.Spec.ClaimRef.Namespace + "/" + v.Spec.ClaimRef.Name
			}
			ask("volume "+v.Spec.CSI.VolumeHandle+of, &ec2.DescribeVolumesInput{VolumeIds: []string{v.Spec.CSI.VolumeHandle}})
		}
	}
	for _, v := range found {
		thing := "volume " + aws.ToString(v.VolumeId)
		f.want(thing, "encrypted", aws.ToBool(v.Encrypted), true)
		f.want(thing, "type", v.VolumeType, ec2types.VolumeTypeGp3)
	}
	f.visit(ofNodes, "node volume")
	f.visit(ofClaims, "claim volume")
	if len(found) == 0 && len(f.problems) == 0 {
		f.unseen = append(f.unseen, notSeen("neither a node nor a claim has a volume"))
	}
	return f.result()
}
