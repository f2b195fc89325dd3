package cluster

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSubnetsOfTheDefaultNetwork(t *testing.T) {
	zones, err := Subnets("192.168.0.0/16", 3)
	require.NoError(t, err)
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
			zones, err := Subnets(vpc, count)
			require.NoError(t, err, vpc)
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

// A subnet whose range changes is replaced, and everything in it with it.
func TestAppendingAZoneMovesNoSubnet(t *testing.T) {
	all, err := Subnets("192.168.0.0/16", MaxZones)
	require.NoError(t, err)
	for count := 1; count < MaxZones; count++ {
		zones, err := Subnets("192.168.0.0/16", count)
		require.NoError(t, err)
		assert.Equal(t, all[:count], zones)
	}
}

func TestSubnetsRefusesWhatAWSWould(t *testing.T) {
	for _, bad := range []struct {
		vpc   string
		count int
		want  string
	}{
		{"", 2, "expected an IPv4 network"},
		{"192.168.0.0", 2, "expected an IPv4 network"},
		{"192.168.1.0/16", 2, "expected an IPv4 network"},
		{"fd00::/16", 2, "expected an IPv4 network"},
		{"10.0.0.0/8", 2, "/16 (AWS's largest) to /22"},
		{"10.0.0.0/23", 2, "/16 (AWS's largest) to /22"},
		{"10.0.0.0/16", 0, "found 0 zones, expected 1 to 6"},
		{"10.0.0.0/16", 7, "found 7 zones, expected 1 to 6"},
	} {
		_, err := Subnets(bad.vpc, bad.count)
		assert.ErrorContains(t, err, bad.want, "%s %d", bad.vpc, bad.count)
	}
}
