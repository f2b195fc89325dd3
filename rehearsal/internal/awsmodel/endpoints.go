package awsmodel

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
)

// gatewayServices are the services that have gateway endpoints, with their prefix lists in us-east-1.
// Source: https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
var gatewayServices = map[string]string{"s3": "pl-63a5400a", "dynamodb": "pl-02cd2c6b"}

//go:embed endpoint-services.txt
var endpointServices string

// withoutService are the regions that lack an endpoint service. Not complete: AWS publishes few of these gaps.
var withoutService = map[string][]string{
	// The regions that AWS opened since 2024 (https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html).
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
