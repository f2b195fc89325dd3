package cluster

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// MaxZones is how many zones Subnets has room for.
const MaxZones = 6

// wideZones is how many zones get the large subnets. Three pairs of /19 fill six eighths of a /16, and three zones are
// what a highly available cluster uses; the last two eighths hold smaller subnets for three zones more.
const wideZones = 3

// ZoneSubnets are the ranges of one zone.
type ZoneSubnets struct {
	Public, Private netip.Prefix
}

// Subnets derives the ranges of count zones from the VPC's CIDR. The first three zones get one public and one private
// range of an eighth of the VPC each (/19 of a /16), zones four to six a quarter of that (/21 of a /16). A zone's
// ranges depend on its position alone, so a zone that is appended moves nothing.
//
// It fails for a CIDR that is not an IPv4 network, leaves subnets outside of AWS's /16 to /28, or a count beyond MaxZones.
func Subnets(vpc string, count int) ([]ZoneSubnets, error) {
	prefix, err := netip.ParsePrefix(vpc)
	if err != nil || !prefix.Addr().Is4() || prefix != prefix.Masked() {
		return nil, fmt.Errorf("VPC CIDR %q: expected an IPv4 network such as 192.168.0.0/16", vpc)
	}
	if prefix.Bits() < 16 || prefix.Bits() > 22 {
		return nil, fmt.Errorf("VPC CIDR %q: expected a size from /16 (AWS's largest) to /22 (six zones of subnets that EKS accepts)", vpc)
	}
	if count < 1 || count > MaxZones {
		return nil, fmt.Errorf("VPC CIDR %q: found %d zones, expected 1 to %d", vpc, count, MaxZones)
	}
	wide, narrow := prefix.Bits()+3, prefix.Bits()+5
	zones := make([]ZoneSubnets, count)
	for i := range zones {
		if i < wideZones {
			zones[i] = ZoneSubnets{Public: block(prefix, wide, 2*i), Private: block(prefix, wide, 2*i+1)}
			continue
		}
		// The narrow ranges start where the wide ones end; four of them fit in a wide one.
		first := 2 * wideZones * 4
		zones[i] = ZoneSubnets{Public: block(prefix, narrow, first+2*(i-wideZones)), Private: block(prefix, narrow, first+2*(i-wideZones)+1)}
	}
	return zones, nil
}

// block is the n-th range of the given size in prefix.
func block(prefix netip.Prefix, bits, n int) netip.Prefix {
	base := prefix.Addr().As4()
	address := binary.BigEndian.Uint32(base[:]) + uint32(n)<<(32-bits)
	var out [4]byte
	binary.BigEndian.PutUint32(out[:], address)
	return netip.PrefixFrom(netip.AddrFrom4(out), bits)
}
