package leftovers

import (
	"context"
	"errors"
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

func removeVPC(ctx context.Context, f *finder, i Item) error {
	_, err := f.ec2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: &i.ID})
	return err
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

func removeSubnet(ctx context.Context, f *finder, i Item) error {
	_, err := f.ec2.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: &i.ID})
	return err
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
			if i.detail = strings.Join(associations, " "); ok && !main {
				items = append(items, i)
			}
		}
	})
	return items, err
}

func removeRouteTable(ctx context.Context, f *finder, i Item) error {
	for association := range strings.FieldsSeq(i.detail) {
		if _, err := f.ec2.DisassociateRouteTable(ctx, &ec2.DisassociateRouteTableInput{AssociationId: &association}); err != nil && !missing(err) {
			return err
		}
	}
	_, err := f.ec2.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: &i.ID})
	return err
}

func findGateways(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeInternetGatewaysPaginator(f.ec2, &ec2.DescribeInternetGatewaysInput{}), func(page *ec2.DescribeInternetGatewaysOutput) {
		for _, g := range page.InternetGateways {
			vpc := ""
			for _, a := range g.Attachments {
				vpc = aws.ToString(a.VpcId)
			}
			i, ok := f.item(aws.ToString(g.InternetGatewayId), "", ec2Tags(g.Tags), vpc)
			if i.detail = vpc; ok {
				items = append(items, i)
			}
		}
	})
	return items, err
}

func removeGateway(ctx context.Context, f *finder, i Item) error {
	if i.detail != "" {
		if _, err := f.ec2.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: &i.ID, VpcId: &i.detail}); err != nil && code(err) != "Gateway.NotAttached" {
			return err
		}
	}
	_, err := f.ec2.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: &i.ID})
	return err
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

func removeNAT(ctx context.Context, f *finder, i Item) error {
	_, err := f.ec2.DeleteNatGateway(ctx, &ec2.DeleteNatGatewayInput{NatGatewayId: &i.ID})
	return err
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

func removeAddress(ctx context.Context, f *finder, i Item) error {
	_, err := f.ec2.ReleaseAddress(ctx, &ec2.ReleaseAddressInput{AllocationId: &i.ID})
	return err
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

func removeEndpoint(ctx context.Context, f *finder, i Item) error {
	answer, err := f.ec2.DeleteVpcEndpoints(ctx, &ec2.DeleteVpcEndpointsInput{VpcEndpointIds: []string{i.ID}})
	if err != nil {
		return err
	}
	for _, failure := range answer.Unsuccessful {
		if failure.Error != nil {
			return refusal(aws.ToString(failure.Error.Code) + ": " + aws.ToString(failure.Error.Message))
		}
	}
	return nil
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

// disentangle takes away the rules by which groups that are to be removed refer to each other: EC2 deletes no group that a
// rule of another one names (https://docs.aws.amazon.com/vpc/latest/userguide/deleting-security-groups.html).
func disentangle(ctx context.Context, f *finder, items []Item) error {
	var groups []string
	for _, i := range items {
		groups = append(groups, i.ID)
	}
	if len(groups) == 0 {
		return nil
	}
	inbound, outbound := map[string][]string{}, map[string][]string{}
	list := ec2.NewDescribeSecurityGroupRulesPaginator(f.ec2, &ec2.DescribeSecurityGroupRulesInput{Filters: []types.Filter{{Name: aws.String("group-id"), Values: groups}}})
	err := pages(ctx, list, func(page *ec2.DescribeSecurityGroupRulesOutput) {
		for _, r := range page.SecurityGroupRules {
			group, rules := aws.ToString(r.GroupId), inbound
			if aws.ToBool(r.IsEgress) {
				rules = outbound
			}
			if r.ReferencedGroupInfo != nil && slices.Contains(groups, aws.ToString(r.ReferencedGroupInfo.GroupId)) {
				rules[group] = append(rules[group], aws.ToString(r.SecurityGroupRuleId))
			}
		}
	})
	if err != nil {
		return err
	}
	var all []error
	for group, rules := range inbound {
		_, err := f.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, SecurityGroupRuleIds: rules})
		all = append(all, err)
	}
	for group, rules := range outbound {
		_, err := f.ec2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &group, SecurityGroupRuleIds: rules})
		all = append(all, err)
	}
	return errors.Join(all...)
}

func removeGroup(ctx context.Context, f *finder, i Item) error {
	_, err := f.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &i.ID})
	return err
}

func findInterfaces(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeNetworkInterfacesPaginator(f.ec2, &ec2.DescribeNetworkInterfacesInput{}), func(page *ec2.DescribeNetworkInterfacesOutput) {
		for _, n := range page.NetworkInterfaces {
			i, ok := f.item(aws.ToString(n.NetworkInterfaceId), strings.TrimSpace(aws.ToString(n.Description)+" "+string(n.Status)), ec2Tags(n.TagSet), aws.ToString(n.VpcId))
			if !ok {
				continue
			}
			if n.Status != types.NetworkInterfaceStatusAvailable {
				i.detail = "in use"
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

// removeInterface leaves an interface in use to whoever uses it, who is removed before.
func removeInterface(ctx context.Context, f *finder, i Item) error {
	if i.detail == "in use" {
		return errInUse
	}
	_, err := f.ec2.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &i.ID})
	return err
}
