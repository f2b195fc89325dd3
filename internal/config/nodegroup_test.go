package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An entry is one group in each zone with its share of the sizes, or one over all zones with all of them.
func TestTheZonesShareTheSizes(t *testing.T) {
	for zones := 2; zones <= 6; zones++ {
		for max := zones; max <= 15; max++ {
			for desired := range max + 1 {
				min := desired / 2
				c := &Config{Cluster: Cluster{NodeGroups: map[string]NodeGroup{
					"a": {PerZone: true, MinSize: min, DesiredSize: desired, MaxSize: max}, "b": {MinSize: min, DesiredSize: desired, MaxSize: max},
				}}}
				for i := range zones {
					c.Network.Zones = append(c.Network.Zones, fmt.Sprintf("use1-az%d", i+1))
				}
				groups := c.Groups()
				require.Len(t, groups, zones+1)
				var sum, grow Group
				for i, g := range groups[:zones] {
					zone := c.Network.Zones[i]
					assert.Equal(t, "a-"+zone, g.Name)
					assert.Equal(t, []string{zone}, g.Zones)
					assert.True(t, 0 <= g.MinSize && g.MinSize <= g.DesiredSize && g.DesiredSize <= g.MaxSize && g.MaxSize >= 1, "%+v", g)
					assert.LessOrEqual(t, groups[0].MaxSize-g.MaxSize, 1, "%+v", groups)
					sum.MinSize, sum.DesiredSize, sum.MaxSize = sum.MinSize+g.MinSize, sum.DesiredSize+g.DesiredSize, sum.MaxSize+g.MaxSize
					if g.MaxSize > g.DesiredSize {
						grow.MaxSize++
					}
				}
				all := groups[zones]
				assert.Equal(t, []int{all.MinSize, all.DesiredSize, all.MaxSize}, []int{sum.MinSize, sum.DesiredSize, sum.MaxSize})
				assert.Equal(t, "b", all.Name)
				assert.Equal(t, c.Network.Zones, all.Zones)
				if room := max - desired; room > 0 {
					assert.Equal(t, room < zones, grow.MaxSize < zones, "%+v: what the warning says", groups)
				}
			}
		}
	}
}

// EKS takes 63 characters (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html).
func TestTheLongestNameFitsWithItsZoneAndSuffix(t *testing.T) {
	longest := 0
	for _, region := range []string{"us-gov-west-1", "ap-northeast-1", "us-east-1"} {
		prefix, ok := zonePrefix(region)
		require.True(t, ok)
		longest = max(longest, len(prefix+"-az10"))
	}
	name := strings.Repeat("x", zoneGroupNameLimit) + "-" + strings.Repeat("z", longest) + "-" + strings.Repeat("0", 26)
	assert.Len(t, name, 63)
}
