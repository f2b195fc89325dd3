package leftovers

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func ec2Tags(tags []types.Tag) map[string]string {
	return tagMap(tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
}

// Everything below of EC2 is listed without a filter: filters are all of them or none, and a thing is counted by its tags or
// its VPC.

func findVPCs(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeVpcsPaginator(f.ec2, &ec2.DescribeVpcsInput{}), func(page *ec2.DescribeVpcsOutput) {
		for _, v := range page.Vpcs {
			if i, ok := f.item(aws.ToString(v.VpcId), aws.ToString(v.CidrBlock), ec2Tags(v.Tags), ""); ok {
				items = append(items, i)
			}
		}
	})
	return items, err
}

func findSubnets(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeSubnetsPaginator(f.ec2, &ec2.DescribeSubnetsInput{}), func(page *ec2.DescribeSubnetsOutput) {
		for _, s := range page.Subnets {
			if i, ok := f.item(aws.ToString(s.SubnetId), aws.ToString(s.CidrBlock), ec2Tags(s.Tags), aws.ToString(s.VpcId)); ok {
				items = append(items, i)
			}
		}
	})
	return items, err
}

// findRouteTables leaves main tables out: each goes with its VPC.
func findRouteTables(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeRouteTablesPaginator(f.ec2, &ec2.DescribeRouteTablesInput{}), func(page *ec2.DescribeRouteTablesOutput) {
		for _, t := range page.RouteTables {
			main := false
			var associations []string
			for _, a := range t.Associations {
				main = main || aws.ToBool(a.Main)
				associations = append(associations, aws.ToString(a.RouteTableAssociationId))
			}
			i, ok := f.item(aws.ToString(t.RouteTableId), "", ec2Tags(t.Tags), aws.ToString(t.VpcId))
			if i.parts = [][]string{associations}; ok && !main {
				items = append(items, i)
			}
		}
	})
	return items, err
}

func findGateways(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeInternetGatewaysPaginator(f.ec2, &ec2.DescribeInternetGatewaysInput{}), func(page *ec2.DescribeInternetGatewaysOutput) {
		for _, g := range page.InternetGateways {
			vpc, attached := "", []string(nil)
			for _, a := range g.Attachments {
				vpc = aws.ToString(a.VpcId)
				attached = append(attached, vpc)
			}
			i, ok := f.item(aws.ToString(g.InternetGatewayId), "", ec2Tags(g.Tags), vpc)
			if i.parts = [][]string{attached}; ok {
				items = append(items, i)
			}
		}
	})
	return items, err
}

// findNATs leaves out gateways that are gone: EC2 shows them for about an hour
// (https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-working-with.html).
func findNATs(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeNatGatewaysPaginator(f.ec2, &ec2.DescribeNatGatewaysInput{}), func(page *ec2.DescribeNatGatewaysOutput) {
		for _, n := range page.NatGateways {
			i, ok := f.item(aws.ToString(n.NatGatewayId), string(n.State), ec2Tags(n.Tags), aws.ToString(n.VpcId))
			if f.cost(&i, "ec2.nat", 1); ok && n.State != types.NatGatewayStateDeleted {
				items = append(items, i)
			}
		}
	})
	return items, err
}

func findAddresses(ctx context.Context, f *finder) (items []Item, err error) {
	answer, err := f.ec2.DescribeAddresses(ctx, &ec2.DescribeAddressesInput{})
	if err != nil {
		return nil, err
	}
	for _, a := range answer.Addresses {
		if i, ok := f.item(aws.ToString(a.AllocationId), aws.ToString(a.PublicIp), ec2Tags(a.Tags), ""); ok {
			f.cost(&i, "ec2.address", 1)
			items = append(items, i)
		}
	}
	return items, nil
}

func findEndpoints(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeVpcEndpointsPaginator(f.ec2, &ec2.DescribeVpcEndpointsInput{}), func(page *ec2.DescribeVpcEndpointsOutput) {
		for _, e := range page.VpcEndpoints {
			i, ok := f.item(aws.ToString(e.VpcEndpointId), aws.ToString(e.ServiceName), ec2Tags(e.Tags), aws.ToString(e.VpcId))
			if e.VpcEndpointType == types.VpcEndpointTypeInterface {
				f.cost(&i, "ec2.endpoint", float64(len(e.SubnetIds)))
			}
			if ok && !strings.EqualFold(string(e.State), "deleted") {
				items = append(items, i)
			}
		}
	})
	return items, err
}

// findGroups leaves the groups named default out: each goes with its VPC.
func findGroups(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeSecurityGroupsPaginator(f.ec2, &ec2.DescribeSecurityGroupsInput{}), func(page *ec2.DescribeSecurityGroupsOutput) {
		for _, g := range page.SecurityGroups {
			name := aws.ToString(g.GroupName)
			if i, ok := f.item(aws.ToString(g.GroupId), name, ec2Tags(g.Tags), aws.ToString(g.VpcId)); ok && name != "default" {
				items = append(items, i)
			}
		}
	})
	return items, err
}

// rulesBetween gives the rules by which groups that are left over refer to each other: EC2 deletes no group that a rule of
// another one names (https://docs.aws.amazon.com/vpc/latest/userguide/deleting-security-groups.html).
func rulesBetween(ctx context.Context, f *finder, items []*Item) error {
	var groups []string
	for _, i := range items {
		i.parts = make([][]string, 2) // inbound, outbound
		groups = append(groups, i.ID)
	}
	list := ec2.NewDescribeSecurityGroupRulesPaginator(f.ec2, &ec2.DescribeSecurityGroupRulesInput{Filters: []types.Filter{{Name: aws.String("group-id"), Values: groups}}})
	return pages(ctx, list, func(page *ec2.DescribeSecurityGroupRulesOutput) {
		for _, r := range page.SecurityGroupRules {
			at := slices.Index(groups, aws.ToString(r.GroupId))
			if at < 0 || r.ReferencedGroupInfo == nil || !slices.Contains(groups, aws.ToString(r.ReferencedGroupInfo.GroupId)) {
				continue
			}
			way := 0
			if aws.ToBool(r.IsEgress) {
				way = 1
			}
			items[at].parts[way] = append(items[at].parts[way], aws.ToString(r.SecurityGroupRuleId))
		}
	})
}

func findInterfaces(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeNetworkInterfacesPaginator(f.ec2, &ec2.DescribeNetworkInterfacesInput{}), func(page *ec2.DescribeNetworkInterfacesOutput) {
		for _, n := range page.NetworkInterfaces {
			i, ok := f.item(aws.ToString(n.NetworkInterfaceId), strings.TrimSpace(aws.ToString(n.Description)+" "+string(n.Status)), ec2Tags(n.TagSet), aws.ToString(n.VpcId))
			if !ok {
				continue
			}
			if n.Status != types.NetworkInterfaceStatusAvailable {
				i.stays = "it is in use, and goes with what uses it"
			}
			i.with = append(i.with, f.user(n)...)
			items = append(items, i)
		}
	})
	return items, err
}

// user gives what an interface belongs to. Services name themselves in the descriptions of the interfaces that they make
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html).
func (f *finder) user(n types.NetworkInterface) []string {
	if n.Attachment != nil && n.Attachment.InstanceId != nil {
		return []string{*n.Attachment.InstanceId}
	}
	description := aws.ToString(n.Description)
	for prefix, name := range map[string]string{
		"Interface for NAT Gateway ": "", "VPC Endpoint Interface ": "", "ELB ": "ELB ",
	} {
		if rest, found := strings.CutPrefix(description, prefix); found {
			return []string{name + rest}
		}
	}
	switch description {
	case "ES " + f.Stack.Domain:
		return []string{f.domain}
	case "Amazon EKS " + f.Stack.Cluster:
		return []string{f.cluster}
	}
	return nil
}
