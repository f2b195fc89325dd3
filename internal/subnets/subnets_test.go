package subnets

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSubnetsOfTheDefaultNetwork(t *testing.T) {
	zones := Plan(netip.MustParsePrefix("192.168.0.0/16"), 3)
	var got []string
	for _, z := range zones {
		got = append(got, z.Public.String(), z.Private.String())
	}
	assert.Equal(t, []string{
		"192.168.0.0/19", "192.168.32.0/19", "192.168.64.0/19", "192.168.96.0/19", "192.168.128.0/19", "192.168.160.0/19",
	}, got)
}

// AWS refuses overlapping subnets and subnets outside of the VPC, and EKS wants sixteen free addresses in each.
func TestSubnetsLieInTheVPCWithoutOverlap(t *testing.T) {
	checked := 0
	for _, vpc := range []string{"192.168.0.0/16", "10.7.0.0/16", "172.31.128.0/17", "10.0.64.0/20", "10.1.4.0/22", "10.255.252.0/22"} {
		for count := 1; count <= MaxZones; count++ {
			zones := Plan(netip.MustParsePrefix(vpc), count)
			require.Len(t, zones, count)
			var all []netip.Prefix
			for _, z := range zones {
				all = append(all, z.Public, z.Private)
			}
			for i, subnet := range all {
				assert.True(t, netip.MustParsePrefix(vpc).Contains(subnet.Addr()) && subnet.Bits() <= 28, "%s in %s", subnet, vpc)
				for _, other := range all[i+1:] {
					assert.False(t, subnet.Overlaps(other), "%s and %s in %s", subnet, other, vpc)
				}
				checked++
			}
		}
	}
	assert.Equal(t, 6*2*(1+2+3+4+5+6), checked)
}

// A change of its range replaces a subnet and everything in it.
func TestAppendingAZoneMovesNoSubnet(t *testing.T) {
	vpc := netip.MustParsePrefix("192.168.0.0/16")
	all := Plan(vpc, MaxZones)
	for count := 1; count < MaxZones; count++ {
		assert.Equal(t, all[:count], Plan(vpc, count))
	}
}
