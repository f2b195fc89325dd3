package awsmodel

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Rules of Amazon EC2. Error codes and sentences: "Error codes for the Amazon EC2 API",
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html

func checkVPC(c *checker) {
	if !c.has("cidrBlock") && !c.has("ipv4IpamPoolId") {
		c.fail("cidrBlock", "one of cidrBlock, ipv4IpamPoolId must be specified")
	}
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

func fillVPC(m *Model, o *object) {
	for key, prefix := range map[string]string{"defaultNetworkAclId": "acl-", "defaultSecurityGroupId": "sg-", "dhcpOptionsId": "dopt-", "mainRouteTableId": "rtb-"} {
		if !o.out.has(key) {
			o.out.set(key, m.newID(key, prefix))
		}
	}
	o.out.setDefault("defaultRouteTableId", o.out.str("mainRouteTableId"))
}

func removeVPC(m *Model, o *object) error {
	for _, typ := range []string{tSubnet, tIGW, tENI, tSG, tEndpoint, tRouteTable, tNAT, tLoadBalancer} {
		if len(m.where(typ, "vpcId", o.id)) > 0 {
			return refuse("DependencyViolation", "The vpc '%s' has dependencies and cannot be deleted.", o.id)
		}
	}
	return nil
}

func checkSubnet(c *checker) {
	if c.has("availabilityZone") && c.has("availabilityZoneId") {
		c.fail("availabilityZone", "\"availabilityZone\": conflicts with availabilityZoneId")
	}
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
	id, name := o.in.str("availabilityZoneId"), o.in.str("availabilityZone")
	given, parameter, ok := id, "availabilityZoneId", true
	switch {
	case id != "":
		name, ok = m.region.zoneName(m.opts.Region, id)
	case name != "":
		given, parameter = name, "availabilityZone"
		id, ok = m.region.zoneID(m.opts.Region, name)
	default:
		id = m.region.prefix + "-az1"
		name, _ = m.region.zoneName(m.opts.Region, id)
	}
	if !ok {
		return refuse("InvalidParameterValue", "Value (%s) for parameter %s is invalid. Subnets can currently only be created in the %d zones of %s.",
			given, parameter, m.region.zones, m.opts.Region)
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

func createIGW(m *Model, o *object) error {
	if vpc := o.in.str("vpcId"); vpc != "" && len(m.where(tIGW, "vpcId", vpc)) > 0 {
		return refuse("InvalidParameterValue", "Network %s already has an internet gateway attached", vpc)
	}
	return nil
}

func removeIGW(m *Model, o *object) error {
	vpc := o.in.str("vpcId")
	for _, eni := range m.where(tENI, "vpcId", vpc) {
		if vpc != "" && eni.out.str("publicIp") != "" {
			return refuse("DependencyViolation", "Network %s has some mapped public address(es). Please unmap those public address(es) before detaching the gateway.", vpc)
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
		// 198.51.100.0/24 is reserved for documentation (RFC 5737), so the address is nobody's.
		o.out.set("publicIp", fmt.Sprintf("198.51.100.%d", 1+m.seq%250))
	}
	ip := o.out.str("publicIp")
	o.out.set("allocationId", o.id)
	o.out.setDefault("domain", "vpc")
	o.out.setDefault("networkBorderGroup", m.opts.Region)
	o.out.setDefault("publicIpv4Pool", "amazon")
	o.out.setDefault("publicDns", "ec2-"+strings.ReplaceAll(ip, ".", "-")+".compute-1.amazonaws.com")
	for _, k := range []string{"associationId", "carrierIp", "customerOwnedIp", "privateDns", "privateIp", "ptrRecord"} {
		o.out.setDefault(k, "")
	}
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
	public := o.in.str("connectivityType") != "private"
	if public && alloc == "" {
		return refuse("MissingParameter", "The request must contain the parameter AllocationId")
	}
	if alloc != "" && len(m.where(tNAT, "allocationId", alloc)) > 0 {
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
	if o.in.str("connectivityType") != "private" && len(m.where(tIGW, "vpcId", vpc)) == 0 {
		return fmt.Errorf("unexpected state 'failed', wanted target 'available'. last error: Gateway.NotAttached: Network %s has no Internet gateway attached", vpc)
	}
	// PublicIp and AssociationId are of an address that is associated (EC2's API model, NatGatewayAddress), which for a
	// gateway that failed it is not: four of its six failure codes say why (NatGateway, FailureCode).
	if alloc := o.in.str("allocationId"); alloc != "" {
		ip := m.objects[tEIP][alloc].out.str("publicIp")
		m.first(tENI, "owner", o.id).out.set("publicIp", ip)
		o.out.set("publicIp", ip)
		o.out.set("associationId", m.newID("assoc", "eipassoc-"))
	}
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

func createRouteTable(m *Model, o *object) error {
	seen := map[string]bool{}
	for _, r := range o.in.objs("routes") {
		if d := r.str("cidrBlock"); seen[d] {
			return refuse("RouteAlreadyExists", "The route identified by %s already exists.", d)
		} else {
			seen[d] = true
		}
		if err := routeTarget(m, r); err != nil {
			return err
		}
	}
	return nil
}

func removeRouteTable(m *Model, o *object) error {
	// The provider takes associations away first (terraform-provider-aws, internal/service/ec2/vpc_route_table.go).
	for _, a := range m.where(tRouteAssoc, "routeTableId", o.id) {
		m.drop(a)
	}
	return nil
}

func destination(p props) string {
	return orElse(p.str("destinationCidrBlock"), orElse(p.str("destinationIpv6CidrBlock"), p.str("destinationPrefixListId")))
}

func checkRoute(c *checker) {
	c.exactlyOne("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
	c.exactlyOne("gatewayId", "natGatewayId", "carrierGatewayId", "coreNetworkArn", "egressOnlyGatewayId", "localGatewayId",
		"networkInterfaceId", "transitGatewayId", "vpcEndpointId", "vpcPeeringConnectionId")
}

func createRoute(m *Model, o *object) error {
	table := m.objects[tRouteTable][o.in.str("routeTableId")]
	for _, r := range table.in.objs("routes") {
		if r.str("cidrBlock") == destination(o.in) {
			return refuse("RouteAlreadyExists", "The route identified by %s already exists.", destination(o.in))
		}
	}
	return routeTarget(m, o.in)
}

func routeTarget(m *Model, r props) error {
	if id := r.str("gatewayId"); id != "" && id != "local" {
		gw := m.objects[tIGW][id]
		if gw == nil {
			return refuse("InvalidInternetGatewayID.NotFound", "The internetGateway ID '%s' does not exist", id)
		}
		if t := m.objects[tRouteTable][r.str("routeTableId")]; t != nil && t.in.str("vpcId") != gw.in.str("vpcId") {
			return refuse("InvalidParameterValue", "route table %s and network gateway %s belong to different networks", t.id, id)
		}
	}
	if id := r.str("natGatewayId"); id != "" && m.objects[tNAT][id] == nil {
		return refuse("InvalidNatGatewayID.NotFound", "The natGateway ID '%s' does not exist", id)
	}
	return nil
}

func createRouteAssoc(m *Model, o *object) error {
	subnet := m.objects[tSubnet][o.in.str("subnetId")]
	if subnet == nil {
		return nil // a gateway's association
	}
	table := m.objects[tRouteTable][o.in.str("routeTableId")]
	if subnet.in.str("vpcId") != table.in.str("vpcId") {
		return refuse("InvalidParameterValue", "Route table %s and subnet %s belong to different networks", table.id, subnet.id)
	}
	if len(m.where(tRouteAssoc, "subnetId", subnet.id)) > 0 {
		return refuse("Resource.AlreadyAssociated", "the specified association for route table %s conflicts with an existing association", table.id)
	}
	return nil
}

func createEndpoint(m *Model, o *object) error {
	service := m.endpointService(o.in.str("serviceName"))
	_, inZones, ok := m.EndpointService(o.in.str("serviceName"))
	if !ok {
		return refuse("InvalidServiceName", "The Vpc Endpoint Service '%s' does not exist", o.in.str("serviceName"))
	}
	vpc := m.objects[tVPC][o.in.str("vpcId")]
	kind := orElse(o.in.str("vpcEndpointType"), "Gateway")
	o.id = m.newID(tEndpoint, "vpce-")
	if kind == "Gateway" {
		list, ok := gatewayServices[service]
		if !ok {
			return refuse("InvalidParameter", "Endpoint type (Gateway) does not match available service types ([Interface]).")
		}
		for _, id := range o.in.strs("routeTableIds") {
			if m.objects[tRouteTable][id].in.str("vpcId") != vpc.id {
				return refuse("InvalidRouteTableId.NotFound", "The routeTable ID '%s' does not exist in the VPC %s", id, vpc.id)
			}
			for _, other := range m.where(tEndpoint, "serviceName", o.in.str("serviceName")) {
				if slices.Contains(other.in.strs("routeTableIds"), id) {
					return refuse("RouteAlreadyExists", "route table %s already has a route with destination-prefix-list-id %s", id, list)
				}
			}
		}
		return nil
	}
	if o.in.flag("privateDnsEnabled", false) && !(vpc.in.flag("enableDnsSupport", true) && vpc.in.flag("enableDnsHostnames", false)) {
		return refuse("InvalidParameter", "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for %s", vpc.id)
	}
	zones := map[string]bool{}
	for _, id := range o.in.strs("subnetIds") {
		zone := m.objects[tSubnet][id].out.str("availabilityZoneId")
		if zones[zone] {
			return refuse("DuplicateSubnetsInSameZone", "Found another VPC endpoint subnet in the availability zone of %s", id)
		}
		if !slices.Contains(inZones, zone) {
			// terraform-aws-modules/terraform-aws-vpc#785
			return refuse("InvalidParameter", "The VPC endpoint service %s does not support the availability zone of the subnet: %s.", o.in.str("serviceName"), id)
		}
		zones[zone] = true
	}
	for _, id := range o.in.strs("subnetIds") {
		m.addENI(m.objects[tSubnet][id], o.id, "VPC Endpoint Interface "+o.id, o.in.strs("securityGroupIds"))
	}
	return nil
}

func checkEndpoint(c *checker) { c.policyDocument("policy", resourcePolicy, 0) }

func fillEndpoint(m *Model, o *object) {
	ids := []any{}
	for _, eni := range m.where(tENI, "owner", o.id) {
		ids = append(ids, eni.id)
	}
	o.out.set("networkInterfaceIds", ids)
	if o.out.str("prefixListId") == "" {
		o.out.set("prefixListId", gatewayServices[m.endpointService(o.in.str("serviceName"))])
	}
	o.out.setDefault("policy", `{"Version":"2008-10-17","Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}`)
}

func createTemplate(m *Model, o *object) error {
	if len(m.where(tTemplate, "name", o.name())) > 0 {
		return refuse("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	for _, d := range o.in.objs("blockDeviceMappings") {
		if key := d.str("ebs.kmsKeyId"); key != "" && m.usableKey(key) == nil {
			return refuse("InvalidParameterValue", "Invalid KMS key ID: %s", key)
		}
	}
	return nil
}

func fillTemplate(_ *Model, o *object) {
	o.out.setDefault("latestVersion", 1)
	o.out.setDefault("defaultVersion", 1)
}

// updateTemplate makes a version, but not for tags of the template itself (CreateLaunchTemplateVersion has none), though
// a preview says that the number is not known yet.
func updateTemplate(_ *Model, o *object, before props) error {
	if !slices.ContainsFunc(diff(before, o.in), func(c Change) bool { return !strings.HasPrefix(c.Path, "tags") }) {
		return nil
	}
	o.out.set("latestVersion", o.out.num("latestVersion")+1)
	if o.in.flag("updateDefaultVersion", false) {
		o.out.set("defaultVersion", o.out.num("latestVersion"))
	}
	return nil
}

func checkSG(c *checker) {
	for _, side := range []string{"ingress", "egress"} {
		for i, r := range c.objs(side) {
			checkPorts(c, side+"["+itoa(i)+"].", r, "protocol")
		}
	}
}

func createSG(m *Model, o *object) error {
	for _, other := range m.where(tSG, "name", o.name()) {
		if other.out.str("vpcId") == o.in.str("vpcId") {
			return refuse("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", o.name(), o.in.str("vpcId"))
		}
	}
	for _, side := range []string{"ingress", "egress"} {
		for _, r := range o.in.objs(side) {
			for _, g := range r.strs("securityGroups") {
				if m.objects[tSG][g] == nil {
					return refuse("InvalidGroup.NotFound", "The security group '%s' does not exist", g)
				}
			}
		}
	}
	return nil
}

func removeSG(m *Model, o *object) error { return m.groupInUse(o.id) }

func (m *Model) groupInUse(id string) error {
	inUse := refuse("DependencyViolation", "resource %s has a dependent object", id)
	for _, eni := range m.all(tENI) {
		if slices.Contains(eni.out.strs("securityGroups"), id) {
			return inUse
		}
	}
	for _, typ := range []string{tIngress, tEgress} {
		for _, r := range m.where(typ, "referencedSecurityGroupId", id) {
			if r.in.str("securityGroupId") != id {
				return inUse
			}
		}
	}
	for _, g := range m.all(tSG) {
		for _, side := range []string{"ingress", "egress"} {
			for _, r := range g.in.objs(side) {
				if g.id != id && slices.Contains(r.strs("securityGroups"), id) {
					return inUse
				}
			}
		}
	}
	return nil
}

func checkPorts(c *checker, prefix string, r props, protocol string) {
	p := r.str(protocol)
	if p == "" || r.unknown("fromPort") || r.unknown("toPort") {
		return
	}
	if !slices.Contains([]string{"tcp", "udp", "icmp", "icmpv6", "-1", "all", "6", "17", "1", "58"}, p) {
		c.fail(prefix+protocol, "invalid protocol %q: tcp, udp, icmp, icmpv6, a number or -1", p)
	}
	from, to := r.num("fromPort"), r.num("toPort")
	if p != "-1" && (from < -1 || to > 65535 || from > to) {
		c.fail(prefix+"fromPort", "invalid port range %v-%v: -1 to 65535, from not above to", from, to)
	}
	if (p == "tcp" || p == "udp") && (!r.has("fromPort") || !r.has("toPort")) {
		c.fail(prefix+"fromPort", "fromPort and toPort are required for %s", p)
	}
}

func checkRule(c *checker) {
	c.exactlyOne("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
	checkPorts(c, "", c.props, "ipProtocol")
}

// otherKindOfPeer: ModifySecurityGroupRules changes a range to another range and not to a group
// (terraform-provider-aws, internal/service/ec2/vpc_security_group_ingress_rule.go, ModifyPlan).
func otherKindOfPeer(olds, news props) (changed []string) {
	for _, kind := range []string{"cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"} {
		if olds.has(kind) != news.has(kind) {
			changed = append(changed, kind)
		}
	}
	return changed
}

func createRule(m *Model, o *object) error {
	peer := func(p props) string {
		return orElse(p.str("cidrIpv4"), orElse(p.str("cidrIpv6"), orElse(p.str("prefixListId"), p.str("referencedSecurityGroupId"))))
	}
	ports := func(p props) resource.PropertyMap {
		return resource.PropertyMap{"f": p.value("fromPort"), "t": p.value("toPort"), "p": p.value("ipProtocol")}
	}
	for _, other := range m.where(o.typ, "securityGroupId", o.in.str("securityGroupId")) {
		if other.id != o.id && peer(other.in) == peer(o.in) && ports(other.in).DeepEquals(ports(o.in)) {
			return refuse("InvalidPermission.Duplicate", `the specified rule "peer: %s, %s, from port: %v, to port: %v, ALLOW" already exists`,
				peer(o.in), strings.ToUpper(o.in.str("ipProtocol")), o.in.num("fromPort"), o.in.num("toPort"))
		}
	}
	return nil
}

// routes lists all routes of the table that a subnet uses; a subnet without an association uses the VPC's main table,
// which has none.
func (m *Model) routes(subnet string) []props {
	assoc := m.first(tRouteAssoc, "subnetId", subnet)
	if assoc == nil {
		return nil
	}
	id := assoc.in.str("routeTableId")
	var out []props
	for _, r := range m.where(tRoute, "routeTableId", id) {
		out = append(out, r.in)
	}
	if t := m.objects[tRouteTable][id]; t != nil {
		for _, r := range t.in.objs("routes") {
			out = append(out, props{resource.PropertyMap{"destinationCidrBlock": r.value("cidrBlock"), "gatewayId": r.value("gatewayId"), "natGatewayId": r.value("natGatewayId")}})
		}
	}
	return out
}

// egress tells how a subnet reaches the internet: "igw", "nat" with the address that the world sees, or "". A NAT
// gateway works only in a subnet that itself has a route to an internet gateway.
func (m *Model) egress(subnet string) (kind, address string) {
	for _, r := range m.routes(subnet) {
		if destination(r) != "0.0.0.0/0" {
			continue
		}
		if m.toInternetGateway(r) {
			return "igw", ""
		}
		nat := m.objects[tNAT][r.str("natGatewayId")]
		if nat != nil && nat.status == active && slices.ContainsFunc(m.routes(nat.in.str("subnetId")), m.toInternetGateway) {
			return "nat", nat.out.str("publicIp")
		}
	}
	return "", ""
}

func (m *Model) toInternetGateway(route props) bool {
	igw := m.objects[tIGW][route.str("gatewayId")]
	return igw != nil && igw.in.str("vpcId") != ""
}

// endpointTakes: apply logs show 6 s for a gateway endpoint and 1m53s for an interface endpoint, "private_ec2" in the README
// of ibm-cloud-architecture/terraform-openshift4-aws.
func endpointTakes(in props) time.Duration {
	if in.str("vpcEndpointType") == "Interface" {
		return 110 * seconds
	}
	return 6 * seconds
}
