package tests

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"expense/internal/published"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A name that a region does not know fails on AWS only, as InvalidServiceName. Settings refuse nat none where AWS says that a
// service is missing.
func TestEndpointsAreOfServicesThatAWSHas(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../rehearsal/internal/awsmodel/endpoint-services.txt")
	require.NoError(t, err)
	services := strings.Split(string(text), "\n")
	services = slices.DeleteFunc(services, func(s string) bool { return strings.HasPrefix(s, "#") })

	regions, endpoints, refused := 0, 0, 0
	for _, row := range published.Regions() {
		region, prefix := row[0], row[2]
		if prefix == "" {
			continue
		}
		regions++
		for _, edits := range []map[string]any{nil, withoutNAT(region)} {
			settings := stackFile(t, "dev")
			settings["aws:region"] = region
			set(t, settings, "expense:network.zones", []string{prefix + "-az1", prefix + "-az9"})
			for path, value := range edits {
				set(t, settings, path, value)
			}
			all, err := run(t, "dev", settings)
			if err != nil {
				assert.ErrorContains(t, err, "network.nat", region)
				refused++
				continue
			}
			for _, r := range all {
				if r.Type != "aws:ec2/vpcEndpoint:VpcEndpoint" {
					continue
				}
				endpoints++
				name := r.Inputs["serviceName"].(string)
				assert.Regexp(t, `^com\.amazonaws\.`+regexp.QuoteMeta(region)+`\.[a-z0-9.-]+$`, name)
				assert.Contains(t, services, strings.TrimPrefix(name, "com.amazonaws."+region+"."))
				// Beside a NAT gateway a policy would keep nobody from the buckets of other regions.
				gateway := strings.HasSuffix(name, ".s3")
				assert.Equal(t, !gateway || edits != nil, r.Inputs["policy"] != nil, "%s: a policy of %s", region, name)
			}
		}
	}
	assert.GreaterOrEqual(t, regions, 36)
	assert.Equal(t, 4, refused, "the regions without an endpoint for EKS")
	assert.Equal(t, regions*2+(regions-refused)*8, endpoints)
}
