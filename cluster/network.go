package cluster

import (
	"fmt"

	"expense/internal/config"
	"expense/internal/iampolicy"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/vpc"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NetworkArgs describe the network.
type NetworkArgs struct {
	// Region names the services' endpoints.
	Region string
	config.Network
}

// Network is a VPC with one public and one private subnet in each zone. Nodes, the control plane's network interfaces
// and the OpenSearch domain live in the private subnets; the public ones hold NAT gateways and public load balancers.
type Network struct {
	pulumi.ResourceState

	VpcID pulumi.IDOutput `pulumi:"vpcId"`
	// PrivateSubnetIDs are in the order of the zones.
	PrivateSubnetIDs pulumi.StringArrayOutput `pulumi:"privateSubnetIds"`

	// PrivateSubnets are the same by zone. Each is known without the others, so a zone that is appended changes none.
	PrivateSubnets map[string]pulumi.StringOutput

	// Egress is what private subnets need to reach AWS and, with NAT, the internet. What boots in a private subnet
	// depends on it: a node that comes up before its route fails to join. On destroy it goes after them.
	Egress []pulumi.Resource
}

// NewNetwork makes the network. The subnets carry their zone ID in their names, so a zone that is appended to the list
// adds resources and changes none.
func NewNetwork(ctx *pulumi.Context, name string, args *NetworkArgs, opts ...pulumi.ResourceOption) (*Network, error) {
	if args == nil {
		return nil, fmt.Errorf("network %q: no arguments", name)
	}
	ranges, err := Subnets(args.CIDR, len(args.Zones))
	if err != nil {
		return nil, err
	}
	n := &Network{PrivateSubnets: map[string]pulumi.StringOutput{}}
	if err := ctx.RegisterComponentResource(typeNetwork, name, n, opts...); err != nil {
		return nil, err
	}
	child := pulumi.Parent(n)

	network, err := ec2.NewVpc(ctx, name, &ec2.VpcArgs{
		CidrBlock: pulumi.String(args.CIDR),
		// EKS's private endpoint and the domain's endpoint are names that resolve inside the VPC only.
		EnableDnsSupport:   pulumi.Bool(true),
		EnableDnsHostnames: pulumi.Bool(true),
		Tags:               nameTag(name),
	}, child)
	if err != nil {
		return nil, fmt.Errorf("vpc: %w", err)
	}
	gateway, err := ec2.NewInternetGateway(ctx, name, &ec2.InternetGatewayArgs{VpcId: network.ID(), Tags: nameTag(name)}, child)
	if err != nil {
		return nil, fmt.Errorf("internet gateway: %w", err)
	}
	public, err := ec2.NewRouteTable(ctx, name+"-public", &ec2.RouteTableArgs{VpcId: network.ID(), Tags: nameTag(name + "-public")}, child)
	if err != nil {
		return nil, fmt.Errorf("public route table: %w", err)
	}
	internet, err := ec2.NewRoute(ctx, name+"-public-internet", &ec2.RouteArgs{
		RouteTableId:         public.ID(),
		DestinationCidrBlock: pulumi.String("0.0.0.0/0"),
		GatewayId:            gateway.ID(),
	}, child)
	if err != nil {
		return nil, fmt.Errorf("public route: %w", err)
	}

	var privateIDs, privateTables pulumi.StringArray
	var natID pulumi.StringOutput
	for i, zone := range args.Zones {
		publicSubnet, err := n.subnet(ctx, name+"-public-"+zone, network, zone, ranges[i].Public.String(), "kubernetes.io/role/elb")
		if err != nil {
			return nil, err
		}
		association, err := ec2.NewRouteTableAssociation(ctx, name+"-public-"+zone, &ec2.RouteTableAssociationArgs{
			SubnetId: publicSubnet.ID(), RouteTableId: public.ID(),
		}, child)
		if err != nil {
			return nil, fmt.Errorf("public route table association %s: %w", zone, err)
		}
		if args.NAT == config.NATPerZone || args.NAT == config.NATSingle && i == 0 {
			// A NAT gateway is of use once its own subnet reaches the internet, so it waits for that route and association.
			if natID, err = n.nat(ctx, name+"-"+zone, publicSubnet, gateway, internet, association); err != nil {
				return nil, err
			}
		}

		privateSubnet, err := n.subnet(ctx, name+"-private-"+zone, network, zone, ranges[i].Private.String(), "kubernetes.io/role/internal-elb")
		if err != nil {
			return nil, err
		}
		private, err := ec2.NewRouteTable(ctx, name+"-private-"+zone, &ec2.RouteTableArgs{
			VpcId: network.ID(), Tags: nameTag(name + "-private-" + zone),
		}, child)
		if err != nil {
			return nil, fmt.Errorf("private route table %s: %w", zone, err)
		}
		privateAssociation, err := ec2.NewRouteTableAssociation(ctx, name+"-private-"+zone, &ec2.RouteTableAssociationArgs{
			SubnetId: privateSubnet.ID(), RouteTableId: private.ID(),
		}, child)
		if err != nil {
			return nil, fmt.Errorf("private route table association %s: %w", zone, err)
		}
		n.Egress = append(n.Egress, privateAssociation)
		if args.NAT != config.NATNone {
			route, err := ec2.NewRoute(ctx, name+"-private-"+zone+"-nat", &ec2.RouteArgs{
				RouteTableId:         private.ID(),
				DestinationCidrBlock: pulumi.String("0.0.0.0/0"),
				NatGatewayId:         natID,
			}, child)
			if err != nil {
				return nil, fmt.Errorf("private route %s: %w", zone, err)
			}
			n.Egress = append(n.Egress, route)
		}
		n.PrivateSubnets[zone] = privateSubnet.ID().ToStringOutput()
		privateIDs = append(privateIDs, n.PrivateSubnets[zone])
		privateTables = append(privateTables, private.ID().ToStringOutput())
	}
	n.VpcID = network.ID()
	n.PrivateSubnetIDs = privateIDs.ToStringArrayOutput()

	// ECR keeps image layers in S3: through the gateway they cost no NAT traffic, and come without NAT too.
	gatewayArgs := &ec2.VpcEndpointArgs{
		VpcId:           network.ID(),
		ServiceName:     pulumi.String("com.amazonaws." + args.Region + ".s3"),
		VpcEndpointType: pulumi.String("Gateway"),
		RouteTableIds:   privateTables,
		Tags:            nameTag(name + "-s3"),
	}
	if args.NAT == config.NATNone {
		// Only where there is no other way out: beside a NAT gateway the buckets of every other region stay open, and a policy would
		// cut off the images of public registries that keep their layers in the region's S3, as registry.k8s.io does
		// (https://github.com/kubernetes/registry.k8s.io, cmd/archeio/internal/app/buckets.go).
		gatewayArgs.Policy = endpointPolicy(network, args.Region, "s3")
	}
	s3, err := ec2.NewVpcEndpoint(ctx, name+"-s3", gatewayArgs, child)
	if err != nil {
		return nil, fmt.Errorf("S3 endpoint: %w", err)
	}
	n.Egress = append(n.Egress, s3)
	if err := n.interfaceEndpoints(ctx, name, args, network, privateIDs[:len(args.EndpointZones())]); err != nil {
		return nil, err
	}

	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{"vpcId": n.VpcID, "privateSubnetIds": n.PrivateSubnetIDs})
}

// subnet makes one subnet with the tag by which Kubernetes' load balancers find it
// (https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html). No subnet hands out public addresses:
// NAT gateways bring their own, and load balancers ask for theirs.
func (n *Network) subnet(ctx *pulumi.Context, name string, network *ec2.Vpc, zone, cidr, roleTag string) (*ec2.Subnet, error) {
	tags := nameTag(name)
	tags[roleTag] = pulumi.String("1")
	subnet, err := ec2.NewSubnet(ctx, name, &ec2.SubnetArgs{
		VpcId:              network.ID(),
		AvailabilityZoneId: pulumi.String(zone),
		CidrBlock:          pulumi.String(cidr),
		Tags:               tags,
	}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("subnet %s: %w", name, err)
	}
	return subnet, nil
}

// nat makes a NAT gateway and gives its ID.
func (n *Network) nat(ctx *pulumi.Context, name string, subnet *ec2.Subnet, after ...pulumi.Resource) (id pulumi.StringOutput, err error) {
	// An address is released only while its gateway still exists, so it waits for the same resources as the NAT gateway
	// (https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html).
	address, err := ec2.NewEip(ctx, name+"-nat", &ec2.EipArgs{
		Domain: pulumi.String("vpc"), Tags: nameTag(name + "-nat"),
	}, pulumi.Parent(n), pulumi.DependsOn(after))
	if err != nil {
		return id, fmt.Errorf("NAT address %s: %w", name, err)
	}
	gateway, err := ec2.NewNatGateway(ctx, name, &ec2.NatGatewayArgs{
		SubnetId: subnet.ID(), AllocationId: address.ID(), Tags: nameTag(name),
	}, pulumi.Parent(n), pulumi.DependsOn(after),
		// An address belongs to one gateway at a time.
		pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return id, fmt.Errorf("NAT gateway %s: %w", name, err)
	}
	// The provider has no output for the state. The public address is that of an association
	// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NatGatewayAddress.html); that a gateway which failed has none
	// is concluded from that, and was seen nowhere.
	return unlessFailed("NAT gateway "+name, gateway.URN(), gateway.ID().ToStringOutput(), gateway.PublicIp, func(ip string) string {
		if ip == "" {
			return "has no public address"
		}
		return ""
	}), nil
}

// interfaceEndpoints give services addresses in the VPC, under the services' own names.
func (n *Network) interfaceEndpoints(ctx *pulumi.Context, name string, args *NetworkArgs, network *ec2.Vpc, subnetIDs pulumi.StringArray) error {
	group, err := ec2.NewSecurityGroup(ctx, name+"-endpoints", &ec2.SecurityGroupArgs{
		VpcId:       n.VpcID,
		Description: pulumi.String("Interface endpoints: HTTPS from the VPC"),
		Tags:        nameTag(name + "-endpoints"),
	}, pulumi.Parent(n))
	if err != nil {
		return fmt.Errorf("endpoints' security group: %w", err)
	}
	rule, err := vpc.NewSecurityGroupIngressRule(ctx, name+"-endpoints-https", &vpc.SecurityGroupIngressRuleArgs{
		SecurityGroupId: group.ID(),
		CidrIpv4:        pulumi.String(args.CIDR),
		IpProtocol:      pulumi.String("tcp"),
		FromPort:        pulumi.Int(443),
		ToPort:          pulumi.Int(443),
		Description:     pulumi.String("HTTPS from the VPC"),
		Tags:            nameTag(name + "-endpoints-https"),
	}, pulumi.Parent(n))
	if err != nil {
		return fmt.Errorf("endpoints' ingress rule: %w", err)
	}
	n.Egress = append(n.Egress, rule)
	for _, service := range args.EndpointServices() {
		endpoint, err := ec2.NewVpcEndpoint(ctx, name+"-"+service, &ec2.VpcEndpointArgs{
			VpcId:             n.VpcID,
			ServiceName:       pulumi.String("com.amazonaws." + args.Region + "." + service),
			VpcEndpointType:   pulumi.String("Interface"),
			SubnetIds:         subnetIDs,
			SecurityGroupIds:  pulumi.StringArray{group.ID()},
			PrivateDnsEnabled: pulumi.Bool(true),
			Policy:            endpointPolicy(network, args.Region, service),
			Tags:              nameTag(name + "-" + service),
		}, pulumi.Parent(n))
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", service, err)
		}
		n.Egress = append(n.Egress, endpoint)
	}
	return nil
}

// endpointPolicy lets the account's own principals through an endpoint, with the rights that they have, so that nobody carries
// data out with credentials of another account. The account is read off the VPC, because the program asks AWS nothing.
func endpointPolicy(network *ec2.Vpc, region, service string) pulumi.StringOutput {
	return network.Arn.ApplyT(func(vpc string) (string, error) {
		account, err := iampolicy.Account(vpc)
		if err != nil {
			return "", err
		}
		return iampolicy.Document(endpointStatements(account, region, service)...)
	}).(pulumi.StringOutput)
}

func endpointStatements(account, region, service string) []iampolicy.Statement {
	statements := []iampolicy.Statement{{
		Sid: "OwnAccount", Principal: iampolicy.Principal{Anyone: true}, Actions: []string{"*"}, Resources: []string{"*"},
		Conditions: map[string]map[string]string{"StringEquals": {"aws:PrincipalAccount": account}},
	}}
	switch service {
	case "sts":
		// A request with an identity provider's token has no principal yet, and so none of its keys, but the account of the role
		// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sts_vpc_endpoint_policies.html). AssumeRole is not among these:
		// with credentials of his own account a stranger would have what it carries in his own trail, whether it succeeds or not.
		statements = append(statements, iampolicy.Statement{
			Sid: "OwnRoles", Principal: iampolicy.Principal{Anyone: true}, Resources: []string{"*"},
			Actions:    []string{"sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"},
			Conditions: map[string]map[string]string{"StringEquals": {"aws:ResourceAccount": account}},
		})
	case "s3":
		// Layers come by URLs that ECR signs, from a bucket of its own in each region
		// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html, "Minimum Amazon S3 Bucket Permissions").
		statements = append(statements, iampolicy.Statement{
			Sid: "ImageLayers", Principal: iampolicy.Principal{Anyone: true}, Actions: []string{"s3:GetObject"},
			Resources: []string{fmt.Sprintf("arn:%s:s3:::prod-%s-starport-layer-bucket/*", iampolicy.Partition(region), region)},
		})
	}
	return statements
}

func nameTag(name string) pulumi.StringMap {
	return pulumi.StringMap{"Name": pulumi.String(name)}
}
