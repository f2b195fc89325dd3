package config

import (
	"fmt"
	"testing"

	"expense/internal/published"

	"github.com/stretchr/testify/assert"
)

// AWS's own list says which regions there are, and publishes how their zones' IDs start.
func TestEachCommercialAndGovCloudRegionIsAllowedAndNoOther(t *testing.T) {
	rows := published.Regions()
	count := map[string]int{}
	for _, row := range rows {
		region, partition, prefix := row[0], row[1], row[2]
		count[partition]++
		// Which zones there are the region does not say; none of these is one that EKS refuses.
		got := problems(t, settings(t, edit{"aws:region", region}, edit{"network/zones", fmt.Sprintf(`["%s-az1", "%[1]s-az9"]`, prefix)}))
		switch {
		case partition == "aws" || partition == "aws-us-gov":
			found, known := zonePrefix(region)
			assert.True(t, known, region)
			assert.Equal(t, prefix, found, region)
			assert.Empty(t, got, region)
		default:
			assert.Contains(t, fmt.Sprint(got), "VPC endpoints", region)
		}
	}
	assert.GreaterOrEqual(t, count["aws"], 34)
	assert.GreaterOrEqual(t, count["aws-us-gov"], 2)
	assert.GreaterOrEqual(t, len(rows), count["aws"]+count["aws-us-gov"]+10)
}
