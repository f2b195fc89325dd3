package awsapi

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

var ec2Rows = []row{
	on((*ec2.Client).DescribeVpcs, describe(vpcs, "VpcId", nil)),
	on((*ec2.Client).DescribeSubnets, describe(subnets, "SubnetId", showSubnet)),
	on((*ec2.Client).DescribeInternetGateways, describe(gateways, "InternetGatewayId", func(o awsmodel.Object) obj {
		if text(o, "vpcId") == "" {
			return obj{}
		}
		return obj{"Attachments": list{obj{"VpcId": text(o, "vpcId")}}}
	})),
	on((*ec2.Client).DescribeNatGateways, describe(nats, "NatGatewayId", showNAT)),
	on((*ec2.Client).DescribeAddresses, describe(addresses, "AllocationId", nil)),
	on((*ec2.Client).DescribeVpcEndpoints, describe(endpoints, "VpcEndpointId", showEndpoint)),
	on((*ec2.Client).DescribeSecurityGroups, func(c *call) (obj, error) {
		filters, err := c.filtered("vpc-id")
		return c.show(groups, "GroupId", func(o awsmodel.Object) obj {
			if !passes(filters, "vpc-id", text(o, "vpcId")) {
				return nil
			}
			return obj{"GroupName": text(o, "name")}
		}), err
	}),
	on((*ec2.Client).DescribeSecurityGroupRules, describeRules),
	on((*ec2.Client).DescribeRouteTables, describeRouteTables),
	on((*ec2.Client).DescribeNetworkInterfaces, describe(interfaces, "NetworkInterfaceId", showInterface)),
	on((*ec2.Client).DescribeInstances, describeInstances),
	on((*ec2.Client).DescribeVolumes, describeVolumes),
	on((*ec2.Client).DescribeSnapshots, func(c *call) (obj, error) {
		if !slices.Equal(c.texts("OwnerIds"), []string{"self"}) {
			return nil, refuse("InvalidParameterValue", "the model has the account's own snapshots only: ask for the owner self")
		}
		return c.show(snapshots, "SnapshotId", nil), nil
	}),
	on((*ec2.Client).DescribeLaunchTemplates, describe(templates, "LaunchTemplateId", func(o awsmodel.Object) obj {
		ofGroup(o) // EKS makes a copy of a group's template
		return obj{"LaunchTemplateName": text(o, "name")}
	})),

	on((*ec2.Client).DeleteVolume, deletion(volumes, "VolumeId", "InvalidVolume.NotFound")),
	on((*ec2.Client).DeleteSnapshot, deletion(snapshots, "SnapshotId", "InvalidSnapshot.NotFound")),
	on((*ec2.Client).DeleteNatGateway, deletion(nats, "NatGatewayId", "NatGatewayNotFound")),
	on((*ec2.Client).ReleaseAddress, deletion(addresses, "AllocationId", "InvalidAllocationID.NotFound")),
	on((*ec2.Client).DeleteSubnet, deletion(subnets, "SubnetId", "InvalidSubnetID.NotFound")),
	on((*ec2.Client).DeleteVpc, deletion(vpcs, "VpcId", "InvalidVpcID.NotFound")),
	on((*ec2.Client).DeleteLaunchTemplate, deletion(templates, "LaunchTemplateId", "InvalidLaunchTemplateId.NotFound")),
	on((*ec2.Client).DeleteVpcEndpoints, deletion(endpoints, "VpcEndpointIds", "InvalidVpcEndpoint.NotFound")),
	on((*ec2.Client).DisassociateRouteTable, deletion(associations, "AssociationId", "InvalidAssociationID.NotFound")),
	on((*ec2.Client).DeleteNetworkInterface, deleteInterface),
	on((*ec2.Client).DeleteSecurityGroup, deleteGroup),
	on((*ec2.Client).RevokeSecurityGroupIngress, func(c *call) (obj, error) { return c.revoke(ingress) }),
	on((*ec2.Client).RevokeSecurityGroupEgress, func(c *call) (obj, error) { return c.revoke(egress) }),
	on((*ec2.Client).DeleteRouteTable, func(c *call) (obj, error) {
		id := c.text("RouteTableId")
		if _, err := c.findBy(associations, "routeTableId", id, ""); err == nil {
			return nil, refuse("DependencyViolation", "The routeTable '%s' has dependencies and cannot be deleted.", id)
		}
		return obj{}, c.delete(routeTables, id, "InvalidRouteTableID.NotFound")
	}),
	on((*ec2.Client).DetachInternetGateway, detachGateway),
	on((*ec2.Client).DeleteInternetGateway, func(c *call) (obj, error) {
		gateway, err := c.find(gateways, c.text("InternetGatewayId"), "InvalidInternetGatewayID.NotFound")
		if text(gateway, "vpcId") != "" {
			return nil, refuse("DependencyViolation", "The internetGateway '%s' has dependencies and cannot be deleted.", gateway.ID)
		}
		c.Model.Uproot(gateways, gateway.ID)
		return obj{}, err
	}),
	on((*ec2.Client).TerminateInstances, func(c *call) (obj, error) {
		id := c.text("InstanceIds")
		if !c.Model.Set(instances, id, "state", "terminated") {
			return nil, refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
		for _, eni := range c.Model.Objects(interfaces) {
			if text(eni, "owner") == id {
				c.Model.Uproot(interfaces, eni.ID)
			}
		}
		return obj{}, nil
	}),

	// It starts a successor unless the group is to be smaller
	// (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html). AWS does so after the answer.
	on((*autoscaling.Client).TerminateInstanceInAutoScalingGroup, func(c *call) (obj, error) {
		id := c.text("InstanceId")
		if c.text("ShouldDecrementDesiredCapacity") != "false" {
			return nil, refuse("ValidationError", "the model replaces an instance and makes no group smaller")
		}
		if _, err := c.find(instances, id, "ValidationError"); err != nil {
			return nil, err
		}
		if err := c.Model.Lose(context.Background(), id); err != nil {
			return nil, err
		}
		return obj{}, c.Model.Refill(context.Background())
	}),
	on((*autoscaling.Client).DescribeAutoScalingGroups, describe(scalingGroups, "AutoScalingGroupName", nil)),
	on((*autoscaling.Client).DeleteAutoScalingGroup, func(c *call) (obj, error) {
		name := c.text("AutoScalingGroupName")
		if c.text("ForceDelete") != "true" {
			return nil, refuse("ResourceInUse",
				"You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
		}
		return obj{}, c.delete(scalingGroups, name, "ValidationError")
	}),
}

// describeRouteTables shows the main table too, which comes and goes with its VPC.
func describeRouteTables(c *call) (obj, error) {
	shown := c.show(vpcs, "RouteTableId", func(o awsmodel.Object) obj {
		if text(o, "mainRouteTableId") == "" {
			return nil
		}
		return obj{"RouteTableId": text(o, "mainRouteTableId"), "VpcId": o.ID, "Tags": nil, "Associations": list{obj{"Main": true}}}
	})
	others := c.show(routeTables, "RouteTableId", func(o awsmodel.Object) obj {
		with := list{}
		for _, a := range c.Model.Objects(associations) {
			if text(a, "routeTableId") == o.ID {
				with = append(with, obj{"RouteTableAssociationId": a.ID, "SubnetId": text(a, "subnetId")})
			}
		}
		return obj{"Associations": with, "Routes": c.routesOf(o.ID)}
	})
	return join(shown, others), nil
}

// join joins the lists of two answers.
func join(a, b obj) obj {
	for name := range a {
		a[name] = append(a[name].(list), b[name].(list)...)
	}
	return a
}

func describeRules(c *call) (obj, error) {
	of, err := c.filter("group-id")
	rules := func(typ string) obj {
		return c.show(typ, "SecurityGroupRuleId", func(o awsmodel.Object) obj {
			if !slices.Contains(of, text(o, "securityGroupId")) {
				return nil
			}
			out := obj{"GroupId": text(o, "securityGroupId"), "IsEgress": typ == egress}
			if peer := text(o, "referencedSecurityGroupId"); peer != "" {
				out["ReferencedGroupInfo"] = obj{"GroupId": peer}
			}
			return out
		})
	}
	return join(rules(ingress), rules(egress)), err
}

func showInterface(o awsmodel.Object) obj {
	owner := text(o, "owner")
	switch {
	case owner == "":
		return obj{"Status": "available"}
	case strings.HasPrefix(owner, "i-"):
		return obj{"Status": "in-use", "Attachment": obj{"InstanceId": owner}}
	case strings.HasPrefix(owner, "lb/"):
		// The model leaves out the last part of the balancer's ARN, which only Elastic Load Balancing needs.
		return obj{"Status": "in-use", "Description": text(o, "description") + "/" + balancerSuffix}
	}
	return obj{"Status": "in-use"}
}

// describeVolumes shows the volumes of claims. Asked for the volumes of instances, it shows their root volumes, of which the model has
// what the launch template says
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchTemplateEbsBlockDeviceRequest.html).
func describeVolumes(c *call) (obj, error) {
	ids := c.texts("VolumeIds")
	filters, err := c.filtered("attachment.instance-id")
	if of, asked := filters["attachment.instance-id"]; asked {
		return c.rootVolumes(of), err
	}
	for _, id := range ids {
		if _, err := c.find(volumes, id, "InvalidVolume.NotFound"); err != nil {
			return nil, err
		}
	}
	return c.show(volumes, "VolumeId", func(o awsmodel.Object) obj {
		if len(ids) > 0 && !slices.Contains(ids, o.ID) {
			return nil
		}
		return obj{"State": "available", "VolumeType": cmp.Or(text(o, "volumeType"), "gp3"), "Encrypted": o.Properties["encrypted"]}
	}), err
}

func (c *call) rootVolumes(of []string) obj {
	out := list{}
	for _, i := range c.Model.Objects(instances) {
		mappings, _ := c.template(i).Properties["blockDeviceMappings"].([]any)
		if !slices.Contains(of, i.ID) || len(mappings) == 0 {
			continue
		}
		ebs, _ := mappings[0].(obj)["ebs"].(obj)
		out = append(out, obj{
			"VolumeId": "vol-" + strings.TrimPrefix(i.ID, "i-"), "State": "in-use", "Attachments": list{obj{"InstanceId": i.ID}},
			"VolumeType": ebs["volumeType"], "Size": ebs["volumeSize"], "Encrypted": ebs["encrypted"] == "true",
		})
	}
	return obj{"Volumes": out}
}

// template is the launch template of an instance's node group.
func (c *call) template(instance awsmodel.Object) awsmodel.Object {
	group, _ := c.find(nodeGroups, text(instance, "owner"), "")
	id, _ := part(group, "launchTemplate")["id"].(string)
	template, _ := c.find(templates, id, "")
	return template
}

// describeInstances puts each instance into a reservation of its own. It has the metadata options of its launch template
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchTemplateInstanceMetadataOptionsRequest.html) unless they were changed.
func describeInstances(c *call) (obj, error) {
	filters, err := c.filtered("tag:aws:eks:cluster-name", "instance-state-name")
	return c.show(instances, "ReservationId", func(o awsmodel.Object) obj {
		cluster, state := ofGroup(o), cmp.Or(text(o, "state"), "running")
		if cluster != "" {
			o.Tags["kubernetes.io/cluster/"+cluster], o.Tags["aws:eks:cluster-name"] = "owned", cluster
		}
		if !passes(filters, "tag:aws:eks:cluster-name", cluster) || !passes(filters, "instance-state-name", state) {
			return nil
		}
		one := same(reflect.TypeFor[types.Instance](), o)
		one["InstanceId"], one["State"] = o.ID, obj{"Name": state}
		options := o
		if len(part(o, "metadataOptions")) == 0 {
			options = c.template(o)
		}
		one["MetadataOptions"] = formed[types.InstanceMetadataOptionsResponse](options, "metadataOptions")
		for _, eni := range c.Model.Objects(interfaces) {
			if text(eni, "owner") == o.ID && text(eni, "publicIp") != "" {
				one["PublicIpAddress"] = text(eni, "publicIp")
			}
		}
		return obj{"Instances": list{one}}
	}), err
}

// ofGroup adds the tags that EKS gives to what it makes for a node group, and gives the group's cluster
// (https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html).
func ofGroup(o awsmodel.Object) (cluster string) {
	cluster, group, owned := strings.Cut(text(o, "owner"), ":")
	if !owned {
		return ""
	}
	maps.Copy(o.Tags, map[string]string{"eks:cluster-name": cluster, "eks:nodegroup-name": group})
	return cluster
}

func deleteInterface(c *call) (obj, error) {
	eni, err := c.find(interfaces, c.text("NetworkInterfaceId"), "InvalidNetworkInterfaceID.NotFound")
	if text(eni, "owner") != "" {
		return nil, refuse("InvalidParameterValue", "Network interface '%s' is currently in use.", eni.ID)
	}
	c.Model.Uproot(interfaces, eni.ID)
	return obj{}, err
}

func deleteGroup(c *call) (obj, error) {
	id := c.text("GroupId")
	if err := c.delete(groups, id, "InvalidGroup.NotFound"); err != nil {
		return nil, err
	}
	for _, typ := range []string{ingress, egress} {
		for _, rule := range c.Model.Objects(typ) {
			if text(rule, "securityGroupId") == id {
				c.Model.Uproot(typ, rule.ID)
			}
		}
	}
	return obj{}, nil
}

// revoke takes away a rule that is the group's own.
func (c *call) revoke(typ string) (obj, error) {
	id, group := c.text("SecurityGroupRuleIds"), c.text("GroupId")
	rule, err := c.find(typ, id, "InvalidSecurityGroupRuleId.NotFound")
	if err == nil && text(rule, "securityGroupId") != group {
		return nil, refuse("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' is not of %s", id, group)
	}
	c.Model.Uproot(typ, id)
	return obj{}, err
}

// detachGateway plants the gateway again without its VPC: the model detaches and deletes at once.
func detachGateway(c *call) (obj, error) {
	id, vpc := c.text("InternetGatewayId"), c.text("VpcId")
	gateway, err := c.find(gateways, id, "InvalidInternetGatewayID.NotFound")
	if err == nil && text(gateway, "vpcId") != vpc {
		err = refuse("Gateway.NotAttached", "resource %s is not attached to network %s", id, vpc)
	}
	if err == nil {
		err = c.delete(gateways, id, "")
	}
	if err != nil {
		return nil, err
	}
	tags := map[string]any{}
	for key, value := range gateway.Tags {
		tags[key] = value
	}
	c.Model.Plant(gateways, id, "", gateway.Origin, map[string]any{"tags": tags})
	return obj{}, nil
}
