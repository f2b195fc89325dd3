package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"expense/internal/subnets"
)

// compass has the directions in a region's name, as they appear in zone IDs.
var compass = map[string]string{
	"central": "c", "north": "n", "south": "s", "east": "e", "west": "w",
	"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
}

// The regions of AWS's partitions, after regionRegex in botocore's data/partitions.json (PyPI). regionName matches the commercial ones
// and GovCloud, otherPartition those of China, the European Sovereign Cloud and the isolated partitions.
var (
	regionName     = regexp.MustCompile(`^(us-gov|us|eu|ap|sa|ca|me|af|il|mx)-([a-z]+)-([1-9])$`)
	otherPartition = regexp.MustCompile(`^(cn|eusc|[a-z]{2}-iso[a-z]?)-`)
)

// zonePrefix is the start of a region's zone IDs: use1 for us-east-1, usgw1 for us-gov-west-1
// (https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html).
func zonePrefix(region string) (prefix string, ok bool) {
	m := regionName.FindStringSubmatch(region)
	if m == nil || compass[m[2]] == "" {
		return "", false
	}
	return strings.Replace(m[1], "-gov", "g", 1) + compass[m[2]] + m[3], true
}

// region checks the region and returns the start of its zone IDs. In other partitions some endpoint services have other names, and in
// most of them EC2's principal (eksctl-io/eksctl pkg/apis/eksctl.io/v1alpha5/partitions.go and endpoint_service.go,
// aws/aws-cdk packages/aws-cdk-lib/aws-ec2/lib/vpc-endpoint.ts). The default images' registries may be out of reach there.
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

// EndpointServices are the AWS services with interface endpoints in the private subnets, as in com.amazonaws.REGION.SERVICE. STS always
// has one: pods get their roles' credentials there, so they need no address outside of the VPC. Without NAT, nodes and pods also need ec2
// to join and for volumes, ecr.* for images, eks-auth for pod roles, autoscaling for the autoscaler, and eks for the labels of a group
// without nodes.
//
// https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html lists what a cluster may need. The program does not run what
// needs the others: the AWS Load Balancer Controller (elasticloadbalancing), agents (logs, xray) and Session Manager (ssm).
func (n Network) EndpointServices() []string {
	if n.NAT != NATNone {
		return []string{"sts"}
	}
	return []string{"autoscaling", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "sts"}
}

// EndpointZones are the zones with interface endpoints: all zones, or only the first one if that has the single NAT gateway. Like the
// gateway, the endpoints then cost less and depend on one zone.
func (n Network) EndpointZones() []string {
	if n.NAT == NATSingle {
		return n.Zones[:1]
	}
	return n.Zones
}

// withoutEKSEndpoint are the regions without an interface endpoint for the EKS API
// (https://docs.aws.amazon.com/eks/latest/userguide/vpc-interface-endpoints.html, "Regional Availability").
var withoutEKSEndpoint = []string{"ap-east-2", "ap-southeast-5", "ap-southeast-7", "mx-central-1"}

// refusedZones cannot hold the control plane's network interfaces
// (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html#network-requirements-subnets).
var refusedZones = []string{"use1-az3", "usw1-az2", "cac1-az3"}

var zoneID = regexp.MustCompile(`^[a-z]+[1-9]-az[1-9][0-9]?$`)

// The ranges of RFC 1918, and the one of RFC 6598 for carrier-grade NAT. A VPC may have either
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

	// EKS requires subnets in two zones at least (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
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

// cidr notes what is wrong with an IPv4 network. Its size must be from largest to smallest. Unless within is empty, the network must be
// inside one of those.
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

// insideAny says whether one of the networks contains all of inner.
func insideAny(networks []netip.Prefix, inner netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Bits() <= inner.Bits() && n.Contains(inner.Addr()) })
}
