package leftovers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// What EC2 has is listed without filters: a thing must meet all filters of a call, and is counted here by its tags or its VPC.

func findVPCs(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeVpcsPaginator(f.ec2, nil), func(p *ec2.DescribeVpcsOutput) []types.Vpc { return p.Vpcs },
		func(v types.Vpc) *Item { return f.item(v.VpcId, aws.ToString(v.CidrBlock), login.Tags(v.Tags), nil) })
}

func findSubnets(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeSubnetsPaginator(f.ec2, nil), func(p *ec2.DescribeSubnetsOutput) []types.Subnet { return p.Subnets },
		func(s types.Subnet) *Item {
			return f.item(s.SubnetId, aws.ToString(s.CidrBlock), login.Tags(s.Tags), s.VpcId)
		})
}

// findRouteTables omits main tables: each goes with its VPC.
func findRouteTables(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeRouteTablesPaginator(f.ec2, nil),
		func(p *ec2.DescribeRouteTablesOutput) []types.RouteTable { return p.RouteTables },
		func(t types.RouteTable) *Item {
			i := f.item(t.RouteTableId, "", login.Tags(t.Tags), t.VpcId)
			for _, a := range t.Associations {
				if i == nil || aws.ToBool(a.Main) {
					return nil
				}
				i.part(0, aws.ToString(a.RouteTableAssociationId))
			}
			return i
		})
}

func findGateways(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeInternetGatewaysPaginator(f.ec2, nil),
		func(p *ec2.DescribeInternetGatewaysOutput) []types.InternetGateway { return p.InternetGateways },
		func(g types.InternetGateway) *Item {
			var vpc *string
			for _, a := range g.Attachments { // one at most
				vpc = a.VpcId
			}
			i := f.item(g.InternetGatewayId, "", login.Tags(g.Tags), vpc)
			if i != nil && vpc != nil {
				i.part(0, *vpc)
			}
			return i
		})
}

// findNATs omits deleted gateways, which EC2 shows for about an hour
// (https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-working-with.html).
func findNATs(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeNatGatewaysPaginator(f.ec2, nil),
		func(p *ec2.DescribeNatGatewaysOutput) []types.NatGateway { return p.NatGateways },
		func(n types.NatGateway) *Item {
			if n.State == types.NatGatewayStateDeleted {
				return nil
			}
			return f.cost(f.item(n.NatGatewayId, string(n.State), login.Tags(n.Tags), n.VpcId), "ec2.nat", 1)
		})
}

func findAddresses(ctx context.Context, f *finder) (items []Item, err error) {
	answer, err := f.ec2.DescribeAddresses(ctx, nil)
	if err != nil {
		return nil, err
	}
	return counted(answer.Addresses, func(a types.Address) *Item {
		return f.cost(f.item(a.AllocationId, aws.ToString(a.PublicIp), login.Tags(a.Tags), nil), "ec2.address", 1)
	}), nil
}

func findEndpoints(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeVpcEndpointsPaginator(f.ec2, nil),
		func(p *ec2.DescribeVpcEndpointsOutput) []types.VpcEndpoint { return p.VpcEndpoints },
		func(e types.VpcEndpoint) *Item {
			if strings.EqualFold(string(e.State), "deleted") {
				return nil
			}
			i := f.item(e.VpcEndpointId, aws.ToString(e.ServiceName), login.Tags(e.Tags), e.VpcId)
			if e.VpcEndpointType == types.VpcEndpointTypeInterface {
				f.cost(i, "ec2.endpoint", float64(len(e.SubnetIds)))
			}
			return i
		})
}

// findGroups omits the groups named default: each goes with its VPC.
func findGroups(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeSecurityGroupsPaginator(f.ec2, nil),
		func(p *ec2.DescribeSecurityGroupsOutput) []types.SecurityGroup { return p.SecurityGroups },
		func(g types.SecurityGroup) *Item {
			if aws.ToString(g.GroupName) == "default" {
				return nil
			}
			return f.item(g.GroupId, aws.ToString(g.GroupName), login.Tags(g.Tags), g.VpcId)
		})
}

// rulesBetween gives the rules by which leftover groups refer to each other: EC2 refuses to delete a group that a rule of another one
// names (https://docs.aws.amazon.com/vpc/latest/userguide/deleting-security-groups.html).
func rulesBetween(ctx context.Context, f *finder, items []*Item) error {
	var groups []string
	for _, i := range items {
		groups = append(groups, i.ID)
	}
	filters := []types.Filter{{Name: aws.String("group-id"), Values: groups}}
	rules, err := login.All(ctx, ec2.NewDescribeSecurityGroupRulesPaginator(f.ec2, &ec2.DescribeSecurityGroupRulesInput{Filters: filters}),
		func(p *ec2.DescribeSecurityGroupRulesOutput) []types.SecurityGroupRule { return p.SecurityGroupRules })
	for _, r := range rules {
		at := slices.Index(groups, aws.ToString(r.GroupId))
		if at < 0 || r.ReferencedGroupInfo == nil || !slices.Contains(groups, aws.ToString(r.ReferencedGroupInfo.GroupId)) {
			continue
		}
		way := 0
		if aws.ToBool(r.IsEgress) {
			way = 1
		}
		items[at].part(way, aws.ToString(r.SecurityGroupRuleId))
	}
	return err
}

func findInterfaces(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeNetworkInterfacesPaginator(f.ec2, nil),
		func(p *ec2.DescribeNetworkInterfacesOutput) []types.NetworkInterface { return p.NetworkInterfaces },
		func(n types.NetworkInterface) *Item {
			name := strings.TrimSpace(aws.ToString(n.Description) + " " + string(n.Status))
			i := f.item(n.NetworkInterfaceId, name, login.Tags(n.TagSet), n.VpcId)
			if i == nil {
				return nil
			}
			if n.Status != types.NetworkInterfaceStatusAvailable {
				i.stays = "it is in use, and goes with what uses it"
			}
			if user := f.user(n); user != "" {
				i.with = append(i.with, user)
			}
			return i
		})
}

// user gives what an interface belongs to. Services name themselves in the descriptions of the interfaces that they make
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html).
func (f *finder) user(n types.NetworkInterface) string {
	if n.Attachment != nil && n.Attachment.InstanceId != nil {
		return *n.Attachment.InstanceId
	}
	description := aws.ToString(n.Description)
	for _, prefix := range []string{"Interface for NAT Gateway ", "VPC Endpoint Interface "} {
		if id, found := strings.CutPrefix(description, prefix); found {
			return id
		}
	}
	switch {
	case strings.HasPrefix(description, "ELB "):
		return description
	case description == "ES "+f.Stack.Domain:
		return f.domain
	case description == "Amazon EKS "+f.Stack.Cluster:
		return f.cluster
	}
	return ""
}

// findInstances omits terminated instances, which EC2 shows for about an hour
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html).
func findInstances(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeInstancesPaginator(f.ec2, nil),
		func(p *ec2.DescribeInstancesOutput) (all []types.Instance) {
			for _, r := range p.Reservations {
				all = append(all, r.Instances...)
			}
			return all
		},
		func(n types.Instance) *Item {
			if n.State != nil && n.State.Name == types.InstanceStateNameTerminated {
				return nil
			}
			return f.cost(f.item(n.InstanceId, string(n.InstanceType), login.Tags(n.Tags), n.VpcId), "ec2."+string(n.InstanceType), 1)
		})
}

func findScalingGroups(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, autoscaling.NewDescribeAutoScalingGroupsPaginator(f.autoscaling, nil),
		func(p *autoscaling.DescribeAutoScalingGroupsOutput) []asgtypes.AutoScalingGroup {
			return p.AutoScalingGroups
		},
		func(g asgtypes.AutoScalingGroup) *Item {
			return f.item(g.AutoScalingGroupName, "", login.Tags(g.Tags), nil)
		})
}

func findTemplates(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeLaunchTemplatesPaginator(f.ec2, nil),
		func(p *ec2.DescribeLaunchTemplatesOutput) []types.LaunchTemplate { return p.LaunchTemplates },
		func(t types.LaunchTemplate) *Item {
			return f.item(t.LaunchTemplateId, aws.ToString(t.LaunchTemplateName), login.Tags(t.Tags), nil)
		})
}

// findVolumes gives a volume to the instance that it is attached to.
func findVolumes(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeVolumesPaginator(f.ec2, nil), func(p *ec2.DescribeVolumesOutput) []types.Volume { return p.Volumes },
		func(v types.Volume) *Item {
			i := f.item(v.VolumeId, string(v.State), login.Tags(v.Tags), nil)
			if i == nil || v.State == types.VolumeStateDeleted {
				return nil
			}
			for _, a := range v.Attachments {
				i.with = append(i.with, aws.ToString(a.InstanceId))
			}
			if v.VolumeType == types.VolumeTypeGp3 {
				f.cost(i, "ebs.gp3", float64(aws.ToInt32(v.Size)))
			}
			return i
		})
}

func findSnapshots(ctx context.Context, f *finder) ([]Item, error) {
	return each(ctx, ec2.NewDescribeSnapshotsPaginator(f.ec2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}}),
		func(p *ec2.DescribeSnapshotsOutput) []types.Snapshot { return p.Snapshots },
		func(s types.Snapshot) *Item {
			size := aws.ToInt32(s.VolumeSize)
			i := f.item(s.SnapshotId, fmt.Sprintf("at most %d GiB", size), login.Tags(s.Tags), nil)
			return f.cost(i, "ebs.snapshot", float64(size))
		})
}
