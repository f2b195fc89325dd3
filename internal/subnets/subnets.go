// Package subnets plans the ranges of a VPC's subnets.
package subnets

import (
	"encoding/binary"
	"net/netip"
)

const (
	// MaxZones is how many zones a plan has room for.
	MaxZones = 6
	// Largest and Smallest are the bits of the VPCs that can be planned: AWS has none above a /16
	// (https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html), and below a /22 six zones' subnets have not the 16
	// addresses that EKS advises (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
	Largest, Smallest = 16, 22
	// wideZones is how many zones get the large subnets. Three pairs of /19 fill six eighths of a /16, and three zones are
	// what a highly available cluster uses; the last two eighths hold smaller subnets for three zones more.
	wideZones = 3
)

// Zone has the ranges of one zone.
type Zone struct {
	Public, Private netip.Prefix
}

// Plan derives the ranges of up to MaxZones zones from a VPC's, which has Largest to Smallest bits; config has checked both. The
// first three zones get one public and one private range of an eighth of the VPC each (/19 of a /16), zones four to six a
// quarter of that (/21 of a /16). A zone's ranges depend on its position alone, so a zone that is appended moves nothing.
func Plan(vpc netip.Prefix, zones int) []Zone {
	wide, narrow := vpc.Bits()+3, vpc.Bits()+5
	out := make([]Zone, zones)
	for i := range out {
		if i < wideZones {
			out[i] = Zone{Public: block(vpc, wide, 2*i), Private: block(vpc, wide, 2*i+1)}
			continue
		}
		// The narrow ranges start where the wide ones end; four of them fit in a wide one.
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
