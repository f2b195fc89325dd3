package awsmodel

import (
	"fmt"
	"hash/crc32"
	"slices"
)

// targets are where a route can lead. The provider wants exactly one:
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/route
var targets = []string{
	"gatewayId", "natGatewayId", "carrierGatewayId", "coreNetworkArn", "egressOnlyGatewayId", "localGatewayId", "networkInterfaceId",
	"transitGatewayId", "vpcEndpointId", "vpcPeeringConnectionId",
}

func routeRows() rows {
	return of("EC2", rows{
		tRouteTable: {
			ops: "CreateRouteTable CreateRoute DeleteRouteTable", required: "vpcId", idPrefix: "rtb-", arn: "ec2|route-table/{id}",
			tagged: true, owned: true, refs: []ref{vpcRef}, times: instant,
		},
		tRoute: {
			ops: "CreateRoute ReplaceRoute DeleteRoute", required: "destinationCidrBlock routeTableId",
			id: func(m *Model, o *object) string {
				return fmt.Sprint("r-", o.in.str("routeTableId"), crc32.ChecksumIEEE([]byte(destination(o.in))))
			},
			blank: "instanceId instanceOwnerId origin state",
			refs: []ref{
				rtbRef("routeTableId"),
				{"gatewayId", tIGW, "id", "InvalidInternetGatewayID.NotFound", "The internetGateway ID '%s' does not exist"},
				{"natGatewayId", tNAT, "id", "InvalidNatGatewayID.NotFound", "The natGateway ID '%s' does not exist"},
			},
			takenCode: "RouteAlreadyExists", takenText: "The route identified by %s already exists.", times: instant,
			check: func(c *checker) { c.exactlyOne(targets...) },
		},
		tRouteAssoc: {
			ops: "AssociateRouteTable ReplaceRouteTableAssociation DisassociateRouteTable", required: "routeTableId subnetId",
			idPrefix: "rtbassoc-", refs: []ref{rtbRef("routeTableId"), subnetRef("subnetId")}, times: instant,
			create: createRouteAssoc,
		},
	})
}

func destination(p props) string {
	return p.str("destinationCidrBlock")
}

func createRouteAssoc(m *Model, o *object) error {
	subnet := m.objects[tSubnet][o.in.str("subnetId")]
	if len(m.where(tRouteAssoc, "subnetId", subnet.id)) > 0 {
		return refuse("Resource.AlreadyAssociated", "the specified association for route table %s conflicts with an existing association",
			o.in.str("routeTableId"))
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
	var out []props
	for _, r := range m.where(tRoute, "routeTableId", assoc.in.str("routeTableId")) {
		out = append(out, r.in)
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
