package awsmodel

import (
	"cmp"
	_ "embed"
	"maps"
	"slices"
	"strings"
	"time"
)

func endpointRows() rows {
	return of("EC2", rows{
		tEndpoint: {
			ops: "CreateVpcEndpoint ModifyVpcEndpoint DeleteVpcEndpoints", required: "vpcId", keeps: "policy privateDnsEnabled",
			idPrefix: "vpce-", arn: "ec2|vpc-endpoint/{id}", tagged: true, owned: true,
			defaults: map[string]any{
				"vpcEndpointType": "Gateway", "state": "available", "requesterManaged": false, "cidrBlocks": []any{},
				"dnsEntries": []any{}, "networkInterfaceIds": []any{}, "prefixListId": "", "privateDnsEnabled": false,
			},
			refs:  []ref{vpcRef, rtbRef("routeTableIds"), subnetRef("subnetIds"), sgRef("securityGroupIds")},
			times: took(6*seconds, 6*seconds, 7*seconds), takes: endpointTakes,
			check: policyDocument("policy", resourcePolicy, 0), create: createEndpoint, fill: fillEndpoint, gone: dropENIs,
		},
	})
}

// gatewayServices are the services that have gateway endpoints, with their prefix lists in us-east-1.
// Source: https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
var gatewayServices = map[string]string{"s3": "pl-63a5400a", "dynamodb": "pl-02cd2c6b"}

//go:embed endpoint-services.txt
var endpointServices string

// withoutService are the regions that lack an endpoint service. Not complete: AWS publishes few of these gaps.
var withoutService = map[string][]string{
	// The regions that AWS opened since 2024
	// (https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html).
	"ec2messages": {"ap-east-2", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "mx-central-1"},
	// https://docs.aws.amazon.com/eks/latest/userguide/vpc-interface-endpoints.html, "Regional Availability"
	"eks": {"ap-east-2", "ap-southeast-5", "ap-southeast-7", "mx-central-1"},
}

// endpointService gives "s3" for com.amazonaws.us-east-1.s3, "" for another form or region.
func (m *Model) endpointService(name string) string {
	service, ok := strings.CutPrefix(name, "com.amazonaws."+m.opts.Region+".")
	if !ok {
		return ""
	}
	return service
}

// EndpointService tells of what types (Gateway, Interface) the endpoints of a service are and in which zones, by ID, it is;
// not ok for a service that the region does not have.
func (m *Model) EndpointService(name string) (types, zones []string, ok bool) {
	service := m.endpointService(name)
	known := slices.Contains(strings.Split(endpointServices, "\n"), service) && service != "" && !strings.HasPrefix(service, "#")
	zones, limited := m.opts.EndpointZones[service]
	if !known || slices.Contains(withoutService[service], m.opts.Region) || limited && len(zones) == 0 {
		return nil, nil, false
	}
	if !limited {
		zones = slices.Sorted(maps.Keys(m.Zones()))
	}
	if gatewayServices[service] != "" {
		types = append(types, "Gateway")
	}
	return append(types, "Interface"), zones, true
}

func createEndpoint(m *Model, o *object) error {
	service := m.endpointService(o.in.str("serviceName"))
	_, inZones, ok := m.EndpointService(o.in.str("serviceName"))
	if !ok {
		return refuse("InvalidServiceName", "The Vpc Endpoint Service '%s' does not exist", o.in.str("serviceName"))
	}
	vpc := m.objects[tVPC][o.in.str("vpcId")]
	kind := cmp.Or(o.in.str("vpcEndpointType"), "Gateway")
	o.id = m.newID(tEndpoint, "vpce-")
	if kind == "Gateway" {
		if gatewayServices[service] == "" {
			return refuse("InvalidParameter", "Endpoint type (Gateway) does not match available service types ([Interface]).")
		}
		return nil
	}
	if o.in.flag("privateDnsEnabled", false) && !(vpc.in.flag("enableDnsSupport", true) && vpc.in.flag("enableDnsHostnames", false)) {
		return refuse("InvalidParameter",
			"Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for %s", vpc.id)
	}
	zones := map[string]bool{}
	for _, id := range o.in.strs("subnetIds") {
		zone := m.objects[tSubnet][id].out.str("availabilityZoneId")
		if zones[zone] {
			return refuse("DuplicateSubnetsInSameZone", "Found another VPC endpoint subnet in the availability zone of %s", id)
		}
		if !slices.Contains(inZones, zone) {
			// terraform-aws-modules/terraform-aws-vpc#785
			return refuse("InvalidParameter", "The VPC endpoint service %s does not support the availability zone of the subnet: %s.",
				o.in.str("serviceName"), id)
		}
		zones[zone] = true
	}
	for _, id := range o.in.strs("subnetIds") {
		m.addENI(m.objects[tSubnet][id], o.id, "VPC Endpoint Interface "+o.id, o.in.strs("securityGroupIds"))
	}
	return nil
}

func fillEndpoint(m *Model, o *object) {
	ids := []any{}
	for _, eni := range m.where(tENI, "owner", o.id) {
		ids = append(ids, eni.id)
	}
	o.out.set("networkInterfaceIds", ids)
	if o.out.str("prefixListId") == "" {
		o.out.set("prefixListId", gatewayServices[m.endpointService(o.in.str("serviceName"))])
	}
}

// endpointTakes: apply logs show 6 s for a gateway endpoint and 1m53s for an interface endpoint, "private_ec2" in the README
// of ibm-cloud-architecture/terraform-openshift4-aws.
func endpointTakes(in props) time.Duration {
	if in.str("vpcEndpointType") == "Interface" {
		return 110 * seconds
	}
	return 6 * seconds
}
