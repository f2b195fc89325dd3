package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ostypes "github.com/aws/aws-sdk-go-v2/service/opensearch/types"
)

// zones compares the network's zones with the account's, which may lack one
// (https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html, "Constrained Availability
// Zones"), and then looks for the services of the VPC endpoints in them.
func (e *examination) zones(ctx context.Context) {
	const check = "availability zones"
	answer, err := e.ec2.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{
		Filters: []ec2types.Filter{{Name: aws.String("zone-type"), Values: []string{"availability-zone"}}},
	})
	if err != nil {
		e.unchecked(check, err)
		return
	}
	ids := zoneIDs{}
	for _, zone := range answer.AvailabilityZones {
		ids[aws.ToString(zone.ZoneName)] = aws.ToString(zone.ZoneId)
	}
	have := slices.Sorted(maps.Values(ids))
	if lacking := without(e.Settings.Network.Zones, have); len(lacking) > 0 {
		e.problem(check, "the account has no %s, but %s: %s", strings.Join(lacking, ", "), strings.Join(have, ", "), e.otherZone(lacking[0]))
		return
	}
	e.ok(check, "%s", strings.Join(e.Settings.Network.Zones, ", "))
	e.zoneIDs = ids
	e.endpointServices(ctx)
}

// zoneIDs are the IDs of the account's zones by their names.
type zoneIDs map[string]string

// of translates names to IDs, and keeps IDs.
func (z zoneIDs) of(names []string) []string {
	var ids []string
	for _, name := range names {
		if id := z[name]; id != "" {
			name = id
		}
		ids = append(ids, name)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func without(list, taken []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(taken, s) })
}

// otherZone is the command that replaces a zone.
func (e *examination) otherZone(zone string) string {
	return fmt.Sprintf("pulumi config set --path 'expense:network.zones[%d]' ZONE --stack %s", slices.Index(e.Settings.Network.Zones, zone),
		e.Stack)
}

// endpointServices looks for the services of the VPC endpoints. A region may lack one, and so may a zone
// (https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html). cluster/network.go sets a policy on each endpoint.
// AWS has no list of the services that take one, but tells it for each.
func (e *examination) endpointServices(ctx context.Context) {
	network, prefix := e.Settings.Network, "com.amazonaws."+e.Settings.Region+"."
	gateway := prefix + "s3"
	names := []string{gateway}
	for _, service := range network.EndpointServices() {
		names = append(names, prefix+service)
	}
	there, closable, zones := map[string]bool{}, map[string]bool{}, map[string][]string{}
	ask := &ec2.DescribeVpcEndpointServicesInput{Filters: []ec2types.Filter{{Name: aws.String("service-name"), Values: names}}}
	for {
		page, err := e.ec2.DescribeVpcEndpointServices(ctx, ask)
		if err != nil {
			e.unchecked("VPC endpoint services", err)
			return
		}
		for _, s := range page.ServiceDetails {
			there[aws.ToString(s.ServiceName)] = true
			closable[aws.ToString(s.ServiceName)] = aws.ToBool(s.VpcEndpointPolicySupported)
			zones[aws.ToString(s.ServiceName)] = e.zoneIDs.of(s.AvailabilityZones)
		}
		if ask.NextToken = page.NextToken; aws.ToString(ask.NextToken) == "" {
			break
		}
	}
	for _, name := range names {
		check := "VPC endpoint service " + name
		lacking := without(network.EndpointZones(), zones[name])
		switch {
		case !there[name] && slices.Contains([]string{gateway, prefix + "sts"}, name):
			e.problem(check, "not in %s, and every stack has such an endpoint: pulumi config set aws:region REGION --stack %s", e.Settings.Region,
				e.Stack)
		case !there[name]:
			e.problem(check, "not in %s; without NAT the network needs it: pulumi config set --path expense:network.nat single --stack %s",
				e.Settings.Region, e.Stack)
		case name != gateway && len(lacking) > 0:
			e.problem(check, "not in %s, but in %s: %s", strings.Join(lacking, ", "), strings.Join(zones[name], ", "), e.otherZone(lacking[0]))
		case name != gateway && !closable[name]:
			e.problem(check, "AWS takes no policy for it, and the network sets one; do without it where that is possible: pulumi config set "+
				"--path expense:network.nat single --stack %s", e.Stack)
		default:
			e.ok(check, "available")
		}
	}
}

// domainZones checks that the zones of the domain have the data nodes' type. The documentation does not say whether AWS gives names or IDs.
func (e *examination) domainZones(details []ostypes.InstanceTypeDetails) {
	domain := e.Settings.Logging.Domain
	for _, d := range details {
		if string(d.InstanceType) != domain.InstanceType || e.zoneIDs == nil {
			continue
		}
		check, have := "zones of "+domain.InstanceType, e.zoneIDs.of(d.AvailabilityZones)
		if lacking := without(e.Settings.Network.Zones[:domain.ZoneCount], have); len(lacking) > 0 {
			e.problem(check, "not in %s, but in %s; the domain is in the first %d of network.zones: pulumi config set --path "+
				"expense:logging.domain.instanceType TYPE --stack %s, or before the first up %s",
				strings.Join(lacking, ", "), strings.Join(have, ", "), domain.ZoneCount, e.Stack, e.otherZone(lacking[0]))
			return
		}
		e.ok(check, "%s", strings.Join(have, ", "))
	}
}
