package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"expense/internal/subnets"
)

// compass are the directions in a region's name as they appear in the IDs of its zones.
var compass = map[string]string{
	"central": "c", "north": "n", "south": "s", "east": "e", "west": "w",
	"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
}

// The regions of AWS's partitions, after regionRegex in botocore's data/partitions.json (PyPI): the commercial ones and
// GovCloud; and China, the European Sovereign Cloud and the isolated ones.
var (
	regionName     = regexp.MustCompile(`^(us-gov|us|eu|ap|sa|ca|me|af|il|mx)-([a-z]+)-([1-9])$`)
	otherPartition = regexp.MustCompile(`^(cn|eusc|[a-z]{2}-iso[a-z]?)-`)
)

// zonePrefix derives how the zone IDs of a region start: us-east-1 is use1, us-gov-west-1 is usgw1
// (https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html).
func zonePrefix(region string) (prefix string, ok bool) {
	m := regionName.FindStringSubmatch(region)
	if m == nil || compass[m[2]] == "" {
		return "", false
	}
	return strings.Replace(m[1], "-gov", "g", 1) + compass[m[2]] + m[3], true
}

// region checks the region and gives the start of its zone IDs. In the other partitions some endpoint services have other
// names, and in most the principal of EC2 (eksctl-io/eksctl pkg/apis/eksctl.io/v1alpha5/partitions.go and endpoint_service.go,
// aws/aws-cdk packages/aws-cdk-lib/aws-ec2/lib/vpc-endpoint.ts), and the default images' registries may be out of reach.
func (r *report) region(region string) (prefix string) {
	const allowed = "a commercial or GovCloud region such as us-east-1"
	prefix, known := zonePrefix(region)
	switch {
	case otherPartition.MatchString(region):
		r.add(keyRegion, quote(region)+", where VPC endpoints and service principals have other names and public.ecr.aws, docker.io and "+
			"registry.k8s.io may be out of reach", allowed, "")
	case !known:
		r.add(keyRegion, quote(region), allowed, "")
	}
	return prefix
}

// EndpointServices are the AWS services that the private subnets reach through interface endpoints, as in
// com.amazonaws.REGION.SERVICE. STS always: pods fetch their roles' credentials there, and may then be forbidden to talk to
// anything outside. Without NAT also what nodes and pods call: joining and volumes (ec2), images (ecr.*), pod roles
// (eks-auth), the node autoscaler (autoscaling, and eks for a group's labels when it has no node).
//
// https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html lists what a cluster may need. Of that,
// elasticloadbalancing is for the AWS Load Balancer Controller, logs and xray for agents, ssm and its messages for Session
// Manager, none of which the program runs.
func (n Network) EndpointServices() []string {
	if n.NAT != NATNone {
		return []string{"sts"}
	}
	return []string{"autoscaling", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "sts"}
}

// EndpointZones are the zones that have interface endpoints: all, or with one NAT gateway only its own, which costs as
// little as the gateway does and is as much bound to the zone.
func (n Network) EndpointZones() []string {
	if n.NAT == NATSingle {
		return n.Zones[:1]
	}
	return n.Zones
}

// withoutEKSEndpoint are the regions in which the EKS API has no interface endpoint
// (https://docs.aws.amazon.com/eks/latest/userguide/vpc-interface-endpoints.html, "Regional Availability").
var withoutEKSEndpoint = []string{"ap-east-2", "ap-southeast-5", "ap-southeast-7", "mx-central-1"}

// refusedZones cannot hold the control plane's network interfaces
// (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html#network-requirements-subnets).
var refusedZones = []string{"use1-az3", "usw1-az2", "cac1-az3"}

var zoneID = regexp.MustCompile(`^[a-z]+[1-9]-az[1-9][0-9]?$`)

// The ranges of RFC 1918, and RFC 6598's for carrier-grade NAT, which a VPC may have too
// (https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html).
var (
	private = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16")}
	shared = netip.MustParsePrefix("100.64.0.0/10")
	forVPC = slices.Concat(private, []netip.Prefix{shared})
)

func (r *report) network(c *Config, prefix string) {
	n := c.Network
	r.cidr("network.cidr", n.CIDR, subnets.Largest, subnets.Smallest, forVPC, "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10")
	oneOf(r, "network.nat", n.NAT, []NAT{NATSingle, NATPerZone, NATNone})
	if n.NAT == NATNone && slices.Contains(withoutEKSEndpoint, c.Region) {
		r.add("network.nat", quote(string(n.NAT))+" in "+c.Region+", where AWS has no VPC endpoint for the EKS API", "single, perZone", "")
	}

	// EKS wants subnets in two zones at least (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
	zones := fmt.Sprintf("2 to %d zone IDs such as use1-az1, in one region", subnets.MaxZones)
	if !r.require("network.zones", zones,
		"list them with: aws ec2 describe-availability-zones --query 'AvailabilityZones[].ZoneId' --region "+c.regionOr()) {
		return
	}
	for i, zone := range n.Zones {
		path := fmt.Sprintf("network.zones[%d]", i)
		switch {
		case r.ok(keyRegion) && strings.TrimRight(zone, "abcdef") == c.Region:
			r.add(path, quote(zone)+", a zone's name", "a zone ID such as "+prefix+"-az1",
				"names differ between accounts; find the ID with: aws ec2 describe-availability-zones --zone-names "+zone+" --region "+c.regionOr())
		case !zoneID.MatchString(zone):
			r.add(path, quote(zone), "a zone ID such as use1-az1", "")
		case slices.Contains(refusedZones, zone):
			r.add(path, quote(zone), "a zone in which EKS places control planes", "choose another zone of the region")
		case r.ok(keyRegion) && !strings.HasPrefix(zone, prefix+"-"):
			r.add(path, quote(zone), "a zone of "+c.Region+", "+prefix+"-az...", "")
		}
	}
	r.unique("network.zones", n.Zones)
	if len(n.Zones) < 2 || len(n.Zones) > subnets.MaxZones {
		r.add("network.zones", fmt.Sprintf("a list of %d", len(n.Zones)), zones, "")
	}
}

// cidr notes what is wrong with an IPv4 network whose size, and place unless within is empty, have limits.
func (r *report) cidr(path, text string, largest, smallest int, within []netip.Prefix, where string) (netip.Prefix, bool) {
	allowed := "an IPv4 network such as 203.0.113.7/32"
	if len(within) > 0 {
		allowed = fmt.Sprintf("an IPv4 network of size /%d to /%d inside %s", largest, smallest, where)
	}
	prefix, err := netip.ParsePrefix(text)
	address, notAddress := netip.ParseAddr(text)
	switch {
	case notAddress == nil && address.Is4() && smallest == 32:
		r.add(path, quote(text)+", an address", allowed, "did you mean "+text+"/32?")
	case err != nil || !prefix.Addr().Is4():
		r.add(path, quote(text), allowed, "")
	case prefix != prefix.Masked():
		r.add(path, quote(text)+", an address inside a network", allowed, "did you mean "+prefix.Masked().String()+"?")
	case prefix.Bits() < largest || prefix.Bits() > smallest || len(within) > 0 && !insideAny(within, prefix):
		r.add(path, quote(text), allowed, "")
	default:
		return prefix, true
	}
	return netip.Prefix{}, false
}

// insideAny says whether one of the networks holds all of inner.
func insideAny(networks []netip.Prefix, inner netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Bits() <= inner.Bits() && n.Contains(inner.Addr()) })
}
