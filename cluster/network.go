package cluster

import (
	"fmt"
	"net/netip"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/subnets"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/vpc"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NetworkArgs describe the network.
type NetworkArgs struct {
	// Region is part of the names of the services' endpoints.
	Region string
	config.Network
}

// Network is a VPC with one public and one private subnet in each zone. Nodes, the control plane's network interfaces and the
// OpenSearch domain are in the private subnets. NAT gateways and public load balancers are in the public ones.
type Network struct {
	pulumi.ResourceState

	VpcID pulumi.IDOutput `pulumi:"vpcId"`
	// PrivateSubnetIDs are in the order of the zones.
	PrivateSubnetIDs pulumi.StringArrayOutput `pulumi:"privateSubnetIds"`

	// PrivateCIDRs are the private ranges of the plan, those of zones without subnets too. So an appended zone changes no network policy:
	// its endpoints may be used before Kubernetes objects are updated.
	PrivateCIDRs []string

	// PrivateSubnets are the private subnets' IDs by zone. Each is an output of its own, so an appended zone changes none.
	PrivateSubnets map[string]pulumi.StringOutput

	// Egress is what private subnets need to reach AWS and, with NAT, the internet. Nodes and the domain wait for it, and it is deleted
	// after them. A node without a route fails to join.
	Egress []pulumi.Resource

	args NetworkArgs
	vpc  *ec2.Vpc
}

// NewNetwork makes the network. Subnets have their zone's ID in their names, so an appended zone adds resources and changes none.
func NewNetwork(ctx *pulumi.Context, name string, args *NetworkArgs, opts ...pulumi.ResourceOption) (*Network, error) {
	if args == nil {
		return nil, fmt.Errorf("network %q: no arguments", name)
	}
	vpcRange, err := netip.ParsePrefix(args.CIDR)
	if err != nil {
		return nil, fmt.Errorf("network %q: %w", name, err)
	}
	n := &Network{PrivateSubnets: map[string]pulumi.StringOutput{}, args: *args}
	if err := ctx.RegisterComponentResource(typeNetwork, name, n, opts...); err != nil {
		return nil, err
	}
	n.vpc, err = ec2.NewVpc(ctx, name, &ec2.VpcArgs{
		CidrBlock: pulumi.String(args.CIDR),
		// The names of EKS's private endpoint and of the domain resolve only inside the VPC.
		EnableDnsSupport:   pulumi.Bool(true),
		EnableDnsHostnames: pulumi.Bool(true),
		Tags:               tags.Name(name),
	}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("vpc: %w", err)
	}
	n.VpcID = n.vpc.ID()
	internet, err := n.internet(ctx, name)
	if err != nil {
		return nil, err
	}

	for _, zone := range subnets.Plan(vpcRange, subnets.MaxZones) {
		n.PrivateCIDRs = append(n.PrivateCIDRs, zone.Private.String())
	}
	var privateIDs, privateTables pulumi.StringArray
	var natID pulumi.StringOutput
	for i, zone := range subnets.Plan(vpcRange, len(args.Zones)) {
		id := args.Zones[i]
		public, err := n.publicSubnet(ctx, name+"-public-"+id, id, zone.Public, internet)
		if err != nil {
			return nil, err
		}
		if args.NAT == config.NATPerZone || args.NAT == config.NATSingle && i == 0 {
			if natID, err = n.nat(ctx, name+"-"+id, public); err != nil {
				return nil, err
			}
		}
		table, err := n.privateSubnet(ctx, name+"-private-"+id, id, zone.Private, natID)
		if err != nil {
			return nil, err
		}
		privateIDs = append(privateIDs, n.PrivateSubnets[id])
		privateTables = append(privateTables, table.ID().ToStringOutput())
	}
	n.PrivateSubnetIDs = privateIDs.ToStringArrayOutput()

	if err := n.s3Endpoint(ctx, name+"-s3", privateTables); err != nil {
		return nil, err
	}
	if err := n.interfaceEndpoints(ctx, name, privateIDs[:len(args.EndpointZones())]); err != nil {
		return nil, err
	}
	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{"vpcId": n.VpcID, "privateSubnetIds": n.PrivateSubnetIDs})
}

// internet is the way of public subnets to the internet.
type internet struct {
	gateway *ec2.InternetGateway
	table   *ec2.RouteTable
	route   *ec2.Route
}

func (n *Network) internet(ctx *pulumi.Context, name string) (out internet, err error) {
	out.gateway, err = ec2.NewInternetGateway(ctx, name, &ec2.InternetGatewayArgs{VpcId: n.VpcID, Tags: tags.Name(name)}, pulumi.Parent(n))
	if err != nil {
		return out, fmt.Errorf("internet gateway: %w", err)
	}
	out.table, err = ec2.NewRouteTable(ctx, name+"-public", &ec2.RouteTableArgs{VpcId: n.VpcID, Tags: tags.Name(name + "-public")},
		pulumi.Parent(n))
	if err != nil {
		return out, fmt.Errorf("public route table: %w", err)
	}
	out.route, err = ec2.NewRoute(ctx, name+"-public-internet", &ec2.RouteArgs{
		RouteTableId:         out.table.ID(),
		DestinationCidrBlock: pulumi.String("0.0.0.0/0"),
		GatewayId:            out.gateway.ID(),
	}, pulumi.Parent(n))
	if err != nil {
		return out, fmt.Errorf("public route: %w", err)
	}
	return out, nil
}

// public is a public subnet and what it needs to reach the internet.
type public struct {
	subnet *ec2.Subnet
	ready  []pulumi.Resource
}

func (n *Network) publicSubnet(ctx *pulumi.Context, name, zone string, cidr netip.Prefix, internet internet) (out public, err error) {
	if out.subnet, err = n.subnet(ctx, name, zone, cidr, "kubernetes.io/role/elb"); err != nil {
		return out, err
	}
	association, err := ec2.NewRouteTableAssociation(ctx, name, &ec2.RouteTableAssociationArgs{
		SubnetId: out.subnet.ID(), RouteTableId: internet.table.ID(),
	}, pulumi.Parent(n))
	if err != nil {
		return out, fmt.Errorf("route table association %s: %w", name, err)
	}
	out.ready = []pulumi.Resource{internet.gateway, internet.route, association}
	return out, nil
}

// privateSubnet makes a private subnet with its route table. Without NAT it does not use natID.
func (n *Network) privateSubnet(
	ctx *pulumi.Context, name, zone string, cidr netip.Prefix, natID pulumi.StringOutput,
) (*ec2.RouteTable, error) {
	subnet, err := n.subnet(ctx, name, zone, cidr, "kubernetes.io/role/internal-elb")
	if err != nil {
		return nil, err
	}
	n.PrivateSubnets[zone] = subnet.ID().ToStringOutput()
	table, err := ec2.NewRouteTable(ctx, name, &ec2.RouteTableArgs{VpcId: n.VpcID, Tags: tags.Name(name)}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("route table %s: %w", name, err)
	}
	association, err := ec2.NewRouteTableAssociation(ctx, name, &ec2.RouteTableAssociationArgs{
		SubnetId: subnet.ID(), RouteTableId: table.ID(),
	}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("route table association %s: %w", name, err)
	}
	n.Egress = append(n.Egress, association)
	if n.args.NAT == config.NATNone {
		return table, nil
	}
	route, err := ec2.NewRoute(ctx, name+"-nat", &ec2.RouteArgs{
		RouteTableId:         table.ID(),
		DestinationCidrBlock: pulumi.String("0.0.0.0/0"),
		NatGatewayId:         natID,
	}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("route %s: %w", name, err)
	}
	n.Egress = append(n.Egress, route)
	return table, nil
}

// subnet makes one subnet with the tag by which Kubernetes' load balancers find it
// (https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html). No subnet assigns public addresses: NAT gateways
// and load balancers get their own.
func (n *Network) subnet(ctx *pulumi.Context, name, zone string, cidr netip.Prefix, roleTag string) (*ec2.Subnet, error) {
	all := tags.Name(name)
	all[roleTag] = pulumi.String("1")
	subnet, err := ec2.NewSubnet(ctx, name, &ec2.SubnetArgs{
		VpcId:              n.VpcID,
		AvailabilityZoneId: pulumi.String(zone),
		CidrBlock:          pulumi.String(cidr.String()),
		Tags:               all,
	}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("subnet %s: %w", name, err)
	}
	return subnet, nil
}

// nat makes a NAT gateway, after its subnet reaches the internet, and returns its ID.
func (n *Network) nat(ctx *pulumi.Context, name string, in public) (id pulumi.StringOutput, err error) {
	// An address can be released only while the internet gateway exists, so it has the NAT gateway's dependencies
	// (https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html).
	address, err := ec2.NewEip(ctx, name+"-nat", &ec2.EipArgs{
		Domain: pulumi.String("vpc"), Tags: tags.Name(name + "-nat"),
	}, pulumi.Parent(n), pulumi.DependsOn(in.ready))
	if err != nil {
		return id, fmt.Errorf("NAT address %s: %w", name, err)
	}
	gateway, err := ec2.NewNatGateway(ctx, name, &ec2.NatGatewayArgs{
		SubnetId: in.subnet.ID(), AllocationId: address.ID(), Tags: tags.Name(name),
	}, pulumi.Parent(n), pulumi.DependsOn(in.ready),
		// An address belongs to one gateway at a time.
		pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return id, fmt.Errorf("NAT gateway %s: %w", name, err)
	}
	// The provider has no output for the state. The public address belongs to an association
	// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NatGatewayAddress.html), so a failed gateway should have none. Nobody
	// has seen it.
	return unlessFailed("NAT gateway "+name, gateway.URN(), gateway.ID().ToStringOutput(), gateway.PublicIp, func(ip string) string {
		if ip == "" {
			return "has no public address"
		}
		return ""
	}), nil
}

// s3Endpoint makes the gateway endpoint of S3, where ECR keeps image layers. They cost no NAT traffic through it, and need no NAT.
func (n *Network) s3Endpoint(ctx *pulumi.Context, name string, tables pulumi.StringArray) error {
	args := &ec2.VpcEndpointArgs{
		VpcId:           n.VpcID,
		ServiceName:     pulumi.String("com.amazonaws." + n.args.Region + ".s3"),
		VpcEndpointType: pulumi.String("Gateway"),
		RouteTableIds:   tables,
		Tags:            tags.Name(name),
	}
	if n.args.NAT == config.NATNone {
		// Only without NAT. With NAT a policy would close little, because the buckets of other regions stay reachable, and it would
		// block public registries that keep their layers in the region's S3, such as registry.k8s.io
		// (https://github.com/kubernetes/registry.k8s.io, cmd/archeio/internal/app/buckets.go).
		args.Policy = n.endpointPolicy("s3")
	}
	endpoint, err := ec2.NewVpcEndpoint(ctx, name, args, pulumi.Parent(n))
	if err != nil {
		return fmt.Errorf("S3 endpoint: %w", err)
	}
	n.Egress = append(n.Egress, endpoint)
	return nil
}

// interfaceEndpoints give AWS services addresses in the VPC, under their own names.
func (n *Network) interfaceEndpoints(ctx *pulumi.Context, name string, subnetIDs pulumi.StringArray) error {
	group, err := ec2.NewSecurityGroup(ctx, name+"-endpoints", &ec2.SecurityGroupArgs{
		VpcId:       n.VpcID,
		Description: pulumi.String("Interface endpoints: HTTPS from the VPC"),
		Tags:        tags.Name(name + "-endpoints"),
	}, pulumi.Parent(n))
	if err != nil {
		return fmt.Errorf("endpoints' security group: %w", err)
	}
	rule, err := vpc.NewSecurityGroupIngressRule(ctx, name+"-endpoints-https", &vpc.SecurityGroupIngressRuleArgs{
		SecurityGroupId: group.ID(),
		CidrIpv4:        pulumi.String(n.args.CIDR),
		IpProtocol:      pulumi.String("tcp"),
		FromPort:        pulumi.Int(443),
		ToPort:          pulumi.Int(443),
		Description:     pulumi.String("HTTPS from the VPC"),
		Tags:            tags.Name(name + "-endpoints-https"),
	}, pulumi.Parent(n))
	if err != nil {
		return fmt.Errorf("endpoints' ingress rule: %w", err)
	}
	n.Egress = append(n.Egress, rule)
	for _, service := range n.args.EndpointServices() {
		endpoint, err := ec2.NewVpcEndpoint(ctx, name+"-"+service, &ec2.VpcEndpointArgs{
			VpcId:             n.VpcID,
			ServiceName:       pulumi.String("com.amazonaws." + n.args.Region + "." + service),
			VpcEndpointType:   pulumi.String("Interface"),
			SubnetIds:         subnetIDs,
			SecurityGroupIds:  pulumi.StringArray{group.ID()},
			PrivateDnsEnabled: pulumi.Bool(true),
			Policy:            n.endpointPolicy(service),
			Tags:              tags.Name(name + "-" + service),
		}, pulumi.Parent(n))
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", service, err)
		}
		n.Egress = append(n.Egress, endpoint)
	}
	return nil
}

// endpointPolicy admits only the account's own principals to an endpoint, so that nobody carries data out with credentials of another
// account. The account comes from the VPC's ARN, because the program asks AWS nothing.
func (n *Network) endpointPolicy(service string) pulumi.StringOutput {
	return n.vpc.Arn.ApplyT(func(vpc string) (string, error) {
		account, err := iampolicy.Account(vpc)
		if err != nil {
			return "", err
		}
		return iampolicy.Document(endpointStatements(account, n.args.Region, service)...)
	}).(pulumi.StringOutput)
}

func endpointStatements(account, region, service string) []iampolicy.Statement {
	statements := []iampolicy.Statement{{
		Sid: "OwnAccount", Principal: iampolicy.Principal{Anyone: true}, Actions: []string{"*"}, Resources: []string{"*"},
		Conditions: map[string]map[string]string{"StringEquals": {"aws:PrincipalAccount": account}},
	}}
	switch service {
	case "sts":
		// A request with an identity provider's token has no principal and none of its keys. It has the account of the role
		// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sts_vpc_endpoint_policies.html). AssumeRole is not included: with
		// another account's credentials, its parameters would appear in that account's trail even if the call fails.
		statements = append(statements, iampolicy.Statement{
			Sid: "OwnRoles", Principal: iampolicy.Principal{Anyone: true}, Resources: []string{"*"},
			Actions:    []string{"sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"},
			Conditions: map[string]map[string]string{"StringEquals": {"aws:ResourceAccount": account}},
		})
	case "s3":
		// ECR signs URLs of layers in a bucket of its own in each region
		// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html, "Minimum Amazon S3 Bucket Permissions").
		statements = append(statements, iampolicy.Statement{
			Sid: "ImageLayers", Principal: iampolicy.Principal{Anyone: true}, Actions: []string{"s3:GetObject"},
			Resources: []string{fmt.Sprintf("arn:%s:s3:::prod-%s-starport-layer-bucket/*", iampolicy.Partition(region), region)},
		})
	}
	return statements
}
