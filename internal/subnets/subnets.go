// Package subnets plans the ranges of a VPC's subnets.
package subnets

import (
	"encoding/binary"
	"net/netip"
)

const (
	// MaxZones is the number of zones that fit into a plan.
	MaxZones = 6
	// Largest and Smallest are the prefix lengths of VPCs that can be planned. AWS takes none larger than a /16
	// (https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html). In a VPC smaller than a /22, subnets in six zones would
	// have fewer than the 16 addresses that EKS advises (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
	Largest, Smallest = 16, 22
	// wideZones is the number of zones with large subnets. Three zones suffice for a highly available cluster. Their pairs of /19 fill
	// six eighths of a /16. The last two eighths hold smaller subnets for three more zones.
	wideZones = 3
)

// Zone has the ranges of one zone.
type Zone struct {
	Public, Private netip.Prefix
}

// Plan divides a VPC of Largest to Smallest bits into the ranges of up to MaxZones zones. The settings have checked
// that it is an IPv4 network of that size, and the number of zones. Each of the
// first three zones gets a public and a private range of an eighth of the VPC (/19 of a /16), zones four to six a quarter of that
// (/21). A zone's ranges depend only on its position, so an appended zone moves nothing.
func Plan(vpc netip.Prefix, zones int) []Zone {
	wide, narrow := vpc.Bits()+3, vpc.Bits()+5
	out := make([]Zone, zones)
	for i := range out {
		if i < wideZones {
			out[i] = Zone{Public: block(vpc, wide, 2*i), Private: block(vpc, wide, 2*i+1)}
			continue
		}
		// The narrow ranges start where the wide ones end. Four of them fit into a wide one.
		first := 2 * wideZones * 4
		out[i] = Zone{Public: block(vpc, narrow, first+2*(i-wideZones)), Private: block(vpc, narrow, first+2*(i-wideZones)+1)}
	}
	return out
}

// block is the n-th range of the given size in prefix.
func block(prefix netip.Prefix, bits, n int) netip.Prefix {
	base := prefix.Addr().As4()
	address := binary.BigEndian.Uint32(base[:]) + uint32(n)<<(32-bits)
	var out [4]byte
	binary.BigEndian.PutUint32(out[:], address)
	return netip.PrefixFrom(netip.AddrFrom4(out), bits)
}
