package awsmodel

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Rules of Amazon EC2. Error codes and sentences: "Error codes for the Amazon EC2 API",
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html

func networkRows() rows {
	return of("EC2", rows{
		tVPC: {
			ops: "CreateVpc ModifyVpcAttribute DeleteVpc", required: "cidrBlock", keeps: "cidrBlock enableDnsHostnames", idPrefix: "vpc-",
			arn: "ec2|vpc/{id}", tagged: true, owned: true,
			defaults: map[string]any{"enableDnsSupport": true, "enableDnsHostnames": false},
			blank:    "defaultNetworkAclId defaultRouteTableId defaultSecurityGroupId dhcpOptionsId ipv6AssociationId",
			times:    took(11*seconds, 2*seconds, 1*seconds),
			create:   createVPC, remove: removeVPC,
			fill: func(m *Model, o *object) { o.out.setDefault("mainRouteTableId", m.newID(o.typ, "rtb-")) },
		},
		tSubnet: {
			ops: "CreateSubnet ModifySubnetAttribute DeleteSubnet", required: "vpcId", keeps: "availabilityZoneId", idPrefix: "subnet-",
			arn: "ec2|subnet/{id}", tagged: true, owned: true,
			defaults: map[string]any{"mapPublicIpOnLaunch": false}, blank: "ipv6CidrBlockAssociationId", refs: []ref{vpcRef},
			times:  took(1*seconds, 10*seconds, 1*seconds),
			create: createSubnet, remove: removeSubnet,
		},
		tIGW: {
			ops: "AttachInternetGateway AttachInternetGateway DetachInternetGateway", keeps: "vpcId", idPrefix: "igw-",
			arn: "ec2|internet-gateway/{id}", tagged: true, owned: true, refs: []ref{vpcRef}, times: instant,
			remove: removeIGW,
		},
		tEIP: {
			ops: "AllocateAddress AssociateAddress ReleaseAddress", keeps: "domain", idPrefix: "eipalloc-", arn: "ec2|elastic-ip/{id}",
			tagged: true, times: instant,
			blank:  "associationId carrierIp customerOwnedIp privateDns privateIp ptrRecord publicDns",
			create: createEIP, fill: fillEIP, remove: removeEIP,
		},
		tNAT: {
			ops: "CreateNatGateway AssignPrivateNatGatewayAddress DeleteNatGateway", required: "allocationId subnetId",
			idPrefix: "nat-", tagged: true,
			refs: []ref{
				subnetRef("subnetId"),
				{"allocationId", tEIP, "id", "InvalidAllocationID.NotFound", "The allocation ID '%s' does not exist"},
			},
			times:  took(105*seconds, 2*seconds, 75*seconds),
			create: createNAT, settle: settleNAT, gone: dropENIs,
		},
		tTemplate: {
			ops: "CreateLaunchTemplate CreateLaunchTemplateVersion DeleteLaunchTemplate", keeps: "metadataOptions", name: named,
			idPrefix: "lt-", arn: "ec2|launch-template/{id}", tagged: true, refs: []ref{sgRef("vpcSecurityGroupIds")}, times: instant,
			create: createTemplate, fill: fillTemplate, update: updateTemplate,
		},
	})
}

func createVPC(m *Model, o *object) error {
	// A VPC is a /16 to a /28: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
	p := netip.MustParsePrefix(o.in.str("cidrBlock"))
	if p.Bits() < 16 || p.Bits() > 28 {
		return refuse("InvalidVpc.Range", "The CIDR '%s' is invalid.", p)
	}
	if len(m.all(tVPC)) >= m.opts.Quotas.VPCs {
		return refuse("VpcLimitExceeded", "The maximum number of VPCs has been reached.")
	}
	return nil
}

func removeVPC(m *Model, o *object) error {
	for _, typ := range []string{tSubnet, tIGW, tENI, tSG, tEndpoint, tRouteTable, tNAT, tLoadBalancer} {
		if len(m.where(typ, "vpcId", o.id)) > 0 {
			return refuse("DependencyViolation", "The vpc '%s' has dependencies and cannot be deleted.", o.id)
		}
	}
	return nil
}

func createSubnet(m *Model, o *object) error {
	p, err := netip.ParsePrefix(o.in.str("cidrBlock"))
	vpc := netip.MustParsePrefix(m.objects[tVPC][o.in.str("vpcId")].in.str("cidrBlock"))
	if err != nil || p.Bits() < max(16, vpc.Bits()) || p.Bits() > 28 || !vpc.Contains(p.Addr()) {
		return refuse("InvalidSubnet.Range", "The CIDR '%s' is invalid.", o.in.str("cidrBlock"))
	}
	for _, other := range m.where(tSubnet, "vpcId", o.in.str("vpcId")) {
		if q, err := netip.ParsePrefix(other.in.str("cidrBlock")); err == nil && p.Overlaps(q) {
			return refuse("InvalidSubnet.Conflict", "The CIDR '%s' conflicts with another subnet", p)
		}
	}
	id := cmp.Or(o.in.str("availabilityZoneId"), slices.Min(slices.Collect(maps.Keys(m.Zones()))))
	name, ok := m.Zones()[id]
	if !ok {
		return refuse("InvalidParameterValue",
			"Value (%s) for parameter availabilityZoneId is invalid. Subnets can currently only be created in the %d zones of %s.",
			id, len(m.Zones()), m.opts.Region)
	}
	o.out.set("availabilityZone", name)
	o.out.set("availabilityZoneId", id)
	return nil
}

func removeSubnet(m *Model, o *object) error {
	if len(m.where(tENI, "subnetId", o.id)) > 0 {
		return refuse("DependencyViolation", "The subnet '%s' has dependencies and cannot be deleted.", o.id)
	}
	return nil
}

func removeIGW(m *Model, o *object) error {
	vpc := o.in.str("vpcId")
	for _, eni := range m.where(tENI, "vpcId", vpc) {
		if vpc != "" && eni.out.str("publicIp") != "" {
			return refuse("DependencyViolation",
				"Network %s has some mapped public address(es). Please unmap those public address(es) before detaching the gateway.", vpc)
		}
	}
	return nil
}

func createEIP(m *Model, _ *object) error {
	if len(m.all(tEIP)) >= m.opts.Quotas.EIPs {
		return refuse("AddressLimitExceeded", "The maximum number of addresses has been reached.")
	}
	return nil
}

func fillEIP(m *Model, o *object) {
	if !o.out.has("publicIp") {
		// 198.51.100.0/24 is reserved for documentation (RFC 5737).
		o.out.set("publicIp", fmt.Sprintf("198.51.100.%d", 1+m.seq%250))
	}
	o.out.set("allocationId", o.id)
}

func removeEIP(m *Model, o *object) error {
	if len(m.where(tNAT, "allocationId", o.id)) > 0 {
		return refuse("InvalidIPAddress.InUse", "Address %s is in use.", o.out.str("publicIp"))
	}
	return nil
}

func createNAT(m *Model, o *object) error {
	subnet := m.objects[tSubnet][o.in.str("subnetId")]
	alloc := o.in.str("allocationId")
	if len(m.where(tNAT, "allocationId", alloc)) > 0 {
		return refuse("Resource.AlreadyAssociated", "Elastic IP address [%s] is already associated", alloc)
	}
	o.id = m.newID(tNAT, "nat-")
	eni := m.addENI(subnet, o.id, "Interface for NAT Gateway "+o.id, nil)
	o.out.set("networkInterfaceId", eni.id)
	o.out.setDefault("privateIp", eni.out.str("privateIp"))
	o.out.set("vpcId", subnet.in.str("vpcId"))
	return nil
}

func settleNAT(m *Model, o *object) error {
	vpc := o.out.str("vpcId")
	if len(m.where(tIGW, "vpcId", vpc)) == 0 {
		return fmt.Errorf("unexpected state 'failed', wanted target 'available'. last error: "+
			"Gateway.NotAttached: Network %s has no Internet gateway attached", vpc)
	}
	// Only an associated address has PublicIp and AssociationId (EC2's API model, NatGatewayAddress). That of a failed gateway is not
	// associated: four of the six failure codes say why (NatGateway, FailureCode).
	ip := m.objects[tEIP][o.in.str("allocationId")].out.str("publicIp")
	m.first(tENI, "owner", o.id).out.set("publicIp", ip)
	o.out.set("publicIp", ip)
	o.out.set("associationId", m.newID("assoc", "eipassoc-"))
	return nil
}

// addENI enters a network interface; owner is the ID of what it belongs to, or "" for one that has been left behind.
func (m *Model) addENI(subnet *object, owner, description string, groups []string) *object {
	eni := m.made(tENI, m.newID(owner, "eni-"), AWS, map[string]any{
		"vpcId": subnet.in.str("vpcId"), "subnetId": subnet.id, "owner": owner, "description": description,
	})
	list := []any{}
	for _, g := range groups {
		list = append(list, g)
	}
	eni.out.set("securityGroups", list)
	if p, err := netip.ParsePrefix(subnet.in.str("cidrBlock")); err == nil {
		// AWS keeps the first four addresses of a subnet.
		addr := p.Addr().As4()
		n := 4 + m.seq%((1<<(32-p.Bits()))-5)
		v := uint32(addr[0])<<24 | uint32(addr[1])<<16 | uint32(addr[2])<<8 | uint32(addr[3]) + uint32(n)
		eni.out.set("privateIp", netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String())
	}
	return eni
}

func dropENIs(m *Model, o *object) bool {
	for _, eni := range m.where(tENI, "owner", o.id) {
		m.drop(eni)
	}
	return false
}

func createTemplate(m *Model, o *object) error {
	if len(m.where(tTemplate, "name", o.name())) > 0 {
		return refuse("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	return nil
}

func fillTemplate(_ *Model, o *object) {
	o.out.setDefault("latestVersion", 1)
}

// updateTemplate makes a version, but not for tags of the template itself (CreateLaunchTemplateVersion has none), though
// a preview says that the number is not known yet.
func updateTemplate(_ *Model, o *object, before props) error {
	was, is := before.m.Copy(), o.in.m.Copy()
	delete(was, "tags")
	delete(is, "tags")
	if is.DeepEquals(was) {
		return nil
	}
	o.out.set("latestVersion", o.out.num("latestVersion")+1)
	return nil
}
