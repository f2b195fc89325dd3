package awshttp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"
)

// balancerSuffix ends the ARN of every load balancer and target group.
const balancerSuffix = "0123456789abcdef"

// Type tokens of what is shown.
const (
	vpcs          = "aws:ec2/vpc:Vpc"
	subnets       = "aws:ec2/subnet:Subnet"
	gateways      = "aws:ec2/internetGateway:InternetGateway"
	addresses     = "aws:ec2/eip:Eip"
	nats          = "aws:ec2/natGateway:NatGateway"
	routeTables   = "aws:ec2/routeTable:RouteTable"
	associations  = "aws:ec2/routeTableAssociation:RouteTableAssociation"
	endpoints     = "aws:ec2/vpcEndpoint:VpcEndpoint"
	templates     = "aws:ec2/launchTemplate:LaunchTemplate"
	groups        = "aws:ec2/securityGroup:SecurityGroup"
	ingress       = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	egress        = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
	interfaces    = "aws:ec2/networkInterface:NetworkInterface"
	instances     = "aws:ec2/instance:Instance"
	volumes       = "aws:ebs/volume:Volume"
	snapshots     = "aws:ebs/snapshot:Snapshot"
	scalingGroups = "aws:autoscaling/group:Group"
	balancers     = "aws:lb/loadBalancer:LoadBalancer"
	targetGroups  = "aws:lb/targetGroup:TargetGroup"
	clusters      = "aws:eks/cluster:Cluster"
	nodeGroups    = "aws:eks/nodeGroup:NodeGroup"
	addons        = "aws:eks/addon:Addon"
	accessEntries = "aws:eks/accessEntry:AccessEntry"
	podIdentities = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
	roles         = "aws:iam/role:Role"
	serviceRoles  = "aws:iam/serviceLinkedRole:ServiceLinkedRole"
	rolePolicies  = "aws:iam/rolePolicy:RolePolicy"
	attachments   = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	profiles      = "aws:iam/instanceProfile:InstanceProfile"
	oidcProviders = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
	keys          = "aws:kms/key:Key"
	aliases       = "aws:kms/alias:Alias"
	logGroups     = "aws:cloudwatch/logGroup:LogGroup"
	logPolicies   = "aws:cloudwatch/logResourcePolicy:LogResourcePolicy"
	alarms        = "aws:cloudwatch/metricAlarm:MetricAlarm"
	topics        = "aws:sns/topic:Topic"
	domains       = "aws:opensearch/domain:Domain"
)

// show lists the things of a type.
func (c *call) show(typ string, each func(o awsmodel.Object) obj) list {
	out := list{}
	for _, o := range c.Model.Objects(typ) {
		if shown := each(o); shown != nil {
			out = append(out, shown)
		}
	}
	return out
}

// find gives one thing, or the service's error for none.
func (c *call) find(typ, id, code string) (awsmodel.Object, error) {
	for _, o := range c.Model.Objects(typ) {
		if o.ID == id {
			return o, nil
		}
	}
	return awsmodel.Object{}, refuse(code, "%s does not exist", id)
}

func refuse(code, format string, args ...any) error {
	return &awsmodel.APIError{Status: 400, Code: code, Message: fmt.Sprintf(format, args...)}
}

// delete takes a thing away by the model's rules, or without any where the model has none.
func (c *call) delete(typ, id, code string) (obj, error) {
	if _, err := c.find(typ, id, code); err != nil {
		return nil, err
	}
	if !slices.Contains(awsmodel.Types(), typ) {
		c.Model.Uproot(typ, id)
		return obj{}, nil
	}
	return obj{}, c.Model.Delete(context.Background(), typ, id)
}

// text is a property, "" if the thing has none of the name.
func text(o awsmodel.Object, name string) string {
	s, _ := o.Properties[name].(string)
	return s
}

// number is a property, 0 if the thing has none of the name.
func number(o awsmodel.Object, name string) float64 {
	n, _ := o.Properties[name].(float64)
	return n
}

// tagList writes tags as lists of keys and values, with the members' names that the service has for them.
func tagList(tags map[string]string, key, value string) list {
	out := list{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, obj{key: k, value: tags[k]})
	}
	return out
}

func tagSet(o awsmodel.Object) list { return tagList(o.Tags, "key", "value") }

// describe is a row that lists things of a type.
func describe(typ, set, ids string, each func(o awsmodel.Object) obj) operation {
	return operation{params: ids, list: set, run: func(c *call) (obj, error) {
		only := c.texts(ids)
		return obj{set: c.show(typ, func(o awsmodel.Object) obj {
			if len(only) > 0 && !slices.Contains(only, o.ID) {
				return nil
			}
			return each(o)
		})}, nil
	}}
}

// deletion is a row that takes a thing away.
func deletion(typ, param, code string) operation {
	return operation{params: param, run: func(c *call) (obj, error) { return c.delete(typ, c.text(param), code) }}
}

var ec2Operations = map[string]operation{
	"DescribeVpcs": describe(vpcs, "vpcSet", "VpcId", func(o awsmodel.Object) obj {
		return obj{"vpcId": o.ID, "cidrBlock": text(o, "cidrBlock"), "isDefault": false, "tagSet": tagSet(o)}
	}),
	"DescribeSubnets": describe(subnets, "subnetSet", "SubnetId", func(o awsmodel.Object) obj {
		return obj{"subnetId": o.ID, "vpcId": text(o, "vpcId"), "cidrBlock": text(o, "cidrBlock"), "availabilityZoneId": text(o, "availabilityZoneId"), "tagSet": tagSet(o)}
	}),
	"GetEbsDefaultKmsKeyId":         {run: func(c *call) (obj, error) { return obj{"kmsKeyId": c.Region.VolumeKey}, nil }},
	"DescribeInstanceTypes":         {params: "InstanceType", list: "instanceTypeSet", run: describeTypes},
	"DescribeInstanceTypeOfferings": {params: "LocationType Filter", list: "instanceTypeOfferingSet", run: describeOfferings},
	"DescribeAvailabilityZones":     {params: "Filter", run: describeZones},
	"DescribeVpcEndpointServices":   {params: "Filter", list: "serviceDetailSet", run: describeServices},
	"DescribeRouteTables":           {list: "routeTableSet", run: describeRouteTables},
	"DescribeInternetGateways": describe(gateways, "internetGatewaySet", "InternetGatewayId", func(o awsmodel.Object) obj {
		attached := list{}
		if vpc := text(o, "vpcId"); vpc != "" {
			attached = append(attached, obj{"vpcId": vpc, "state": "available"})
		}
		return obj{"internetGatewayId": o.ID, "attachmentSet": attached, "tagSet": tagSet(o)}
	}),
	"DescribeNatGateways": describe(nats, "natGatewaySet", "NatGatewayId", func(o awsmodel.Object) obj {
		state := text(o, "state")
		if state == "" {
			state = "available"
		}
		return obj{"natGatewayId": o.ID, "vpcId": text(o, "vpcId"), "subnetId": text(o, "subnetId"), "state": state, "tagSet": tagSet(o)}
	}),
	"DescribeAddresses": {run: func(c *call) (obj, error) {
		return obj{"addressesSet": c.show(addresses, func(o awsmodel.Object) obj {
			return obj{"allocationId": o.ID, "publicIp": text(o, "publicIp"), "domain": "vpc", "tagSet": tagSet(o)}
		})}, nil
	}},
	"DescribeVpcEndpoints": describe(endpoints, "vpcEndpointSet", "VpcEndpointId", func(o awsmodel.Object) obj {
		in := list{}
		for _, subnet := range texts(o, "subnetIds") {
			in = append(in, subnet)
		}
		return obj{"vpcEndpointId": o.ID, "vpcId": text(o, "vpcId"), "serviceName": text(o, "serviceName"), "state": "available",
			"vpcEndpointType": text(o, "vpcEndpointType"), "subnetIdSet": in, "tagSet": tagSet(o)}
	}),
	"DescribeSecurityGroups": describe(groups, "securityGroupInfo", "GroupId", func(o awsmodel.Object) obj {
		return obj{"groupId": o.ID, "groupName": text(o, "name"), "vpcId": text(o, "vpcId"), "tagSet": tagSet(o)}
	}),
	"DescribeSecurityGroupRules": {params: "Filter", list: "securityGroupRuleSet", run: describeRules},
	"DescribeNetworkInterfaces":  {list: "networkInterfaceSet", run: describeInterfaces},
	"DescribeInstances":          {params: "InstanceId", list: "reservationSet", run: describeInstances},
	"DescribeVolumes": describe(volumes, "volumeSet", "VolumeId", func(o awsmodel.Object) obj {
		return obj{"volumeId": o.ID, "size": number(o, "size"), "status": "available", "volumeType": "gp3", "tagSet": tagSet(o)}
	}),
	"DescribeSnapshots": {params: "Owner", list: "snapshotSet", run: func(c *call) (obj, error) {
		if !slices.Equal(c.texts("Owner"), []string{"self"}) {
			return nil, refuse("InvalidParameterValue", "the account has the snapshots of its own only: ask for Owner.1=self")
		}
		return obj{"snapshotSet": c.show(snapshots, func(o awsmodel.Object) obj {
			return obj{"snapshotId": o.ID, "volumeSize": number(o, "volumeSize"), "status": "completed", "tagSet": tagSet(o)}
		})}, nil
	}},
	"DescribeLaunchTemplates": describe(templates, "launchTemplates", "LaunchTemplateId", func(o awsmodel.Object) obj {
		tags := maps.Clone(o.Tags)
		// EKS tags the copy that it makes of a group's template.
		if cluster, group, owned := strings.Cut(text(o, "owner"), ":"); owned {
			maps.Copy(tags, map[string]string{"eks:cluster-name": cluster, "eks:nodegroup-name": group})
		}
		return obj{"launchTemplateId": o.ID, "launchTemplateName": text(o, "name"), "tagSet": tagList(tags, "key", "value")}
	}),

	"DeleteNetworkInterface": {params: "NetworkInterfaceId", run: func(c *call) (obj, error) {
		eni, err := c.find(interfaces, c.text("NetworkInterfaceId"), "InvalidNetworkInterfaceID.NotFound")
		if err == nil && text(eni, "owner") != "" {
			return nil, refuse("InvalidParameterValue", "Network interface '%s' is currently in use.", eni.ID)
		}
		return obj{"return": true}, withdraw(c, interfaces, eni.ID, err)
	}},
	"DeleteVolume":         deletion(volumes, "VolumeId", "InvalidVolume.NotFound"),
	"DeleteSnapshot":       deletion(snapshots, "SnapshotId", "InvalidSnapshot.NotFound"),
	"DeleteNatGateway":     deletion(nats, "NatGatewayId", "NatGatewayNotFound"),
	"ReleaseAddress":       deletion(addresses, "AllocationId", "InvalidAllocationID.NotFound"),
	"DeleteSubnet":         deletion(subnets, "SubnetId", "InvalidSubnetID.NotFound"),
	"DeleteVpc":            deletion(vpcs, "VpcId", "InvalidVpcID.NotFound"),
	"DeleteLaunchTemplate": deletion(templates, "LaunchTemplateId", "InvalidLaunchTemplateId.NotFound"),
	"DeleteVpcEndpoints": {params: "VpcEndpointId", run: func(c *call) (obj, error) {
		failed := list{}
		for _, id := range c.texts("VpcEndpointId") {
			if _, err := c.delete(endpoints, id, "InvalidVpcEndpoint.NotFound"); err != nil {
				failed = append(failed, obj{"resourceId": id, "error": obj{"code": awsmodel.Code(err), "message": err.Error()}})
			}
		}
		return obj{"unsuccessful": failed}, nil
	}},
	"DeleteSecurityGroup": {params: "GroupId", run: func(c *call) (obj, error) {
		answer, err := c.delete(groups, c.text("GroupId"), "InvalidGroup.NotFound")
		for _, typ := range []string{ingress, egress} {
			for _, rule := range c.Model.Objects(typ) {
				if err == nil && text(rule, "securityGroupId") == c.text("GroupId") {
					c.Model.Uproot(typ, rule.ID)
				}
			}
		}
		return answer, err
	}},
	"RevokeSecurityGroupIngress": {params: "GroupId SecurityGroupRuleId", run: func(c *call) (obj, error) { return c.revoke(ingress) }},
	"RevokeSecurityGroupEgress":  {params: "GroupId SecurityGroupRuleId", run: func(c *call) (obj, error) { return c.revoke(egress) }},
	"DisassociateRouteTable":     deletion(associations, "AssociationId", "InvalidAssociationID.NotFound"),
	"DeleteRouteTable": {params: "RouteTableId", run: func(c *call) (obj, error) {
		id := c.text("RouteTableId")
		for _, a := range c.Model.Objects(associations) {
			if text(a, "routeTableId") == id {
				return nil, refuse("DependencyViolation", "The routeTable '%s' has dependencies and cannot be deleted.", id)
			}
		}
		return c.delete(routeTables, id, "InvalidRouteTableID.NotFound")
	}},
	"DetachInternetGateway": {params: "InternetGatewayId VpcId", run: func(c *call) (obj, error) {
		id := c.text("InternetGatewayId")
		gateway, err := c.find(gateways, id, "InvalidInternetGatewayID.NotFound")
		if err != nil {
			return nil, err
		}
		if text(gateway, "vpcId") != c.text("VpcId") {
			return nil, refuse("Gateway.NotAttached", "resource %s is not attached to network %s", id, c.text("VpcId"))
		}
		// The model detaches and deletes at once; what is detached shows no VPC.
		if _, err := c.delete(gateways, id, ""); err != nil {
			return nil, err
		}
		c.Model.Plant(gateways, id, "", gateway.Origin, map[string]any{"tags": anyTags(gateway.Tags)})
		return obj{"return": true}, nil
	}},
	"DeleteInternetGateway": {params: "InternetGatewayId", run: func(c *call) (obj, error) {
		gateway, err := c.find(gateways, c.text("InternetGatewayId"), "InvalidInternetGatewayID.NotFound")
		if err == nil && text(gateway, "vpcId") != "" {
			return nil, refuse("DependencyViolation", "The internetGateway '%s' has dependencies and cannot be deleted.", gateway.ID)
		}
		return obj{"return": true}, withdraw(c, gateways, gateway.ID, err)
	}},
	"TerminateInstances": {params: "InstanceId", run: func(c *call) (obj, error) {
		for _, id := range c.texts("InstanceId") {
			if !c.Model.Set(instances, id, "state", "terminated") {
				return nil, refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
			}
			for _, eni := range c.Model.Objects(interfaces) {
				if text(eni, "owner") == id {
					c.Model.Uproot(interfaces, eni.ID)
				}
			}
		}
		return obj{}, nil
	}},
}

// withdraw takes a thing away unless there is an error already.
func withdraw(c *call, typ, id string, err error) error {
	if err == nil {
		c.Model.Uproot(typ, id)
	}
	return err
}

func texts(o awsmodel.Object, name string) []string {
	values, _ := o.Properties[name].([]any)
	var out []string
	for _, v := range values {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func anyTags(tags map[string]string) map[string]any {
	out := map[string]any{}
	for key, value := range tags {
		out[key] = value
	}
	return out
}

// revoke takes rules away that are the group's own.
func (c *call) revoke(typ string) (obj, error) {
	for _, id := range c.texts("SecurityGroupRuleId") {
		rule, err := c.find(typ, id, "InvalidSecurityGroupRuleId.NotFound")
		if err != nil {
			return nil, err
		}
		if text(rule, "securityGroupId") != c.text("GroupId") {
			return nil, refuse("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' is not of %s", id, c.text("GroupId"))
		}
		c.Model.Uproot(typ, id)
	}
	return obj{"return": true}, nil
}

// describeRouteTables shows, beside the program's tables, the main one that comes and goes with each VPC.
func describeRouteTables(c *call) (obj, error) {
	shown := c.show(vpcs, func(o awsmodel.Object) obj {
		main := text(o, "mainRouteTableId")
		if main == "" {
			return nil
		}
		return obj{"routeTableId": main, "vpcId": o.ID, "associationSet": list{obj{"routeTableAssociationId": "rtbassoc-main", "main": true}}, "tagSet": list{}}
	})
	return obj{"routeTableSet": append(shown, c.show(routeTables, func(o awsmodel.Object) obj {
		with := c.show(associations, func(a awsmodel.Object) obj {
			if text(a, "routeTableId") != o.ID {
				return nil
			}
			return obj{"routeTableAssociationId": a.ID, "subnetId": text(a, "subnetId"), "main": false}
		})
		return obj{"routeTableId": o.ID, "vpcId": text(o, "vpcId"), "associationSet": with, "tagSet": tagSet(o)}
	})...)}, nil
}

func describeRules(c *call) (obj, error) {
	if c.text("Filter.1.Name") != "group-id" || c.text("Filter.2.Name") != "" {
		return nil, refuse("InvalidParameterValue", "the endpoint filters rules by their groups")
	}
	of := c.texts("Filter.1.Value")
	var all list
	for _, typ := range []string{ingress, egress} {
		all = append(all, c.show(typ, func(o awsmodel.Object) obj {
			if !slices.Contains(of, text(o, "securityGroupId")) {
				return nil
			}
			out := obj{"securityGroupRuleId": o.ID, "groupId": text(o, "securityGroupId"), "isEgress": typ == egress, "tagSet": tagSet(o)}
			if peer := text(o, "referencedSecurityGroupId"); peer != "" {
				out["referencedGroupInfo"] = obj{"groupId": peer}
			}
			return out
		})...)
	}
	return obj{"securityGroupRuleSet": all}, nil
}

func describeInterfaces(c *call) (obj, error) {
	return obj{"networkInterfaceSet": c.show(interfaces, func(o awsmodel.Object) obj {
		in := list{}
		for _, group := range texts(o, "securityGroups") {
			in = append(in, obj{"groupId": group})
		}
		out := obj{"networkInterfaceId": o.ID, "vpcId": text(o, "vpcId"), "subnetId": text(o, "subnetId"), "description": text(o, "description"),
			"status": "available", "interfaceType": "interface", "requesterManaged": false, "groupSet": in, "tagSet": tagSet(o)}
		owner := text(o, "owner")
		switch {
		case strings.HasPrefix(owner, "i-"):
			out["attachment"] = obj{"attachmentId": "eni-attach-" + o.ID[4:], "instanceId": owner, "status": "attached"}
		case strings.HasPrefix(owner, "nat-"):
			out["interfaceType"] = "nat_gateway"
		case strings.HasPrefix(owner, "vpce-"):
			out["interfaceType"] = "vpc_endpoint"
		case strings.HasPrefix(owner, "lb/"):
			// The model leaves out what only Elastic Load Balancing needs: the last part of the balancer's ARN.
			out["interfaceType"], out["description"] = "network_load_balancer", text(o, "description")+"/"+balancerSuffix
		}
		if owner != "" {
			out["status"], out["requesterManaged"] = "in-use", !strings.HasPrefix(owner, "i-")
		}
		return out
	})}, nil
}

func describeInstances(c *call) (obj, error) {
	only := c.texts("InstanceId")
	return obj{"reservationSet": c.show(instances, func(o awsmodel.Object) obj {
		if len(only) > 0 && !slices.Contains(only, o.ID) {
			return nil
		}
		state := text(o, "state")
		if state == "" {
			state = "running"
		}
		tags := maps.Clone(o.Tags)
		// https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html
		if cluster, group, owned := strings.Cut(text(o, "owner"), ":"); owned {
			maps.Copy(tags, map[string]string{"eks:cluster-name": cluster, "eks:nodegroup-name": group, "kubernetes.io/cluster/" + cluster: "owned"})
		}
		return obj{"instancesSet": list{obj{"instanceId": o.ID, "instanceType": text(o, "instanceType"), "instanceState": obj{"name": state},
			"vpcId": text(o, "vpcId"), "tagSet": tagList(tags, "key", "value")}}}
	})}, nil
}
