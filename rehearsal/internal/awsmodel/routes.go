package awsmodel

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

func routeRows() rows {
	return rows{
		tRouteTable: {
			service: "EC2", ops: operations{"CreateRouteTable", "CreateRoute", "DeleteRouteTable"}, required: []string{"vpcId"},
			idPrefix: "rtb-", arn: "ec2|route-table/{id}", tagged: true, owned: true, refs: []ref{vpcRef}, times: instant,
			create: createRouteTable, update: again(createRouteTable), remove: removeRouteTable,
		},
		tRoute: {
			service: "EC2", ops: operations{"CreateRoute", "ReplaceRoute", "DeleteRoute"}, required: []string{"routeTableId"},
			id: func(m *Model, o *object) string {
				return "r-" + o.in.str("routeTableId") + crc(destination(o.in))
			},
			defaults: map[string]any{"instanceId": "", "instanceOwnerId": "", "origin": "CreateRoute", "state": "active"},
			refs: []ref{
				rtbRef("routeTableId"),
				{"gatewayId", tIGW, "id", "InvalidInternetGatewayID.NotFound", "The internetGateway ID '%s' does not exist"},
				{"natGatewayId", tNAT, "id", "InvalidNatGatewayID.NotFound", "The natGateway ID '%s' does not exist"},
			},
			takenCode: "RouteAlreadyExists", takenText: "The route identified by %s already exists.", times: instant,
			check: checkRoute, create: createRoute,
			update: func(m *Model, o *object, _ props) error { return routeTarget(m, o.in) },
		},
		tRouteAssoc: {
			service: "EC2", ops: operations{"AssociateRouteTable", "ReplaceRouteTableAssociation", "DisassociateRouteTable"},
			required: []string{"routeTableId"}, idPrefix: "rtbassoc-", refs: []ref{rtbRef("routeTableId"), subnetRef("subnetId")},
			times: instant,
			check: func(c *checker) { c.exactlyOne("subnetId", "gatewayId") }, create: createRouteAssoc,
		},
	}
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
