package awsrules_test

import (
	"strings"
	"testing"

	"expense/rehearsal/internal/awsrules"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	securityGroup = "aws:ec2/securityGroup:SecurityGroup"
	cluster       = "aws:eks/cluster:Cluster"
	nodeGroup     = "aws:eks/nodeGroup:NodeGroup"
	domain        = "aws:opensearch/domain:Domain"
	logGroup      = "aws:cloudwatch/logGroup:LogGroup"
	vpc           = "aws:ec2/vpc:Vpc"
)

func inputs(values map[string]any) resource.PropertyMap {
	return resource.NewPropertyMapFromMap(values)
}

func at(path string, value any) map[string]any {
	steps := strings.Split(path, ".")
	for i := len(steps) - 1; i >= 0; i-- {
		value = map[string]any{steps[i]: value}
	}
	return value.(map[string]any)
}

// These pairs are written by hand, from AWS's and Kubernetes' words: what the table's own examples would not show if the
// reading of a rule were wrong.
func TestWhatIsTakenAndRefused(t *testing.T) {
	long := strings.Repeat("é", 256)
	for _, c := range []struct {
		typ, path string
		good, bad []any
	}{
		// "a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;{}!$*", at most 255: the published refusal was of an apostrophe.
		{securityGroup, "description", []any{"Managed by Pulumi", "a.b_c-d:e/(f)#g,h@i[j]+k=l&m;n{o}p!q$r*"},
			[]any{"the domain's nodes", "café", "a\nb", "a\n", strings.Repeat("a", 256)}},
		// "must begin with an alphanumeric character", at most 100; the end of a name is no line's.
		{cluster, "name", []any{"expense", "1-a_b"}, []any{"-a", "a b", "a\n", "", strings.Repeat("a", 101), "é"}},
		{cluster, "version", []any{"1.35"}, []any{"latest-1.35", "1.35.2", "1"}},
		// "within one of the following private IP address blocks", /24 to /12.
		{cluster, "kubernetesNetworkConfig.serviceIpv4Cidr", []any{"172.20.0.0/16", "10.100.0.0/16", "192.168.1.0/24"},
			[]any{"192.0.2.0/24", "172.20.0.1/16", "10.0.0.0", "fd00::/108"}},
		{nodeGroup, "amiType", []any{"AL2023_x86_64_STANDARD", "BOTTLEROCKET_ARM_64"}, []any{"al2023_x86_64_standard", "Ubuntu"}},
		{nodeGroup, "scalingConfig.maxSize", []any{80, "80"}, []any{"80Gi", "", "8.5", 0}},
		{logGroup, "retentionInDays", []any{1, 7, "14", 3653}, []any{2, 8, 3654, "7 days"}},
		{logGroup, "name", []any{"/aws/eks/expense/cluster", "a.b#c"}, []any{"a b", "a:b", strings.Repeat("a", 513)}},
		{vpc, "enableDnsHostnames", []any{true, false, "true"}, []any{"yes", 1, ""}},
		{domain, "domainName", []any{"expense", "a-1"}, []any{"Expense", "1ab", "ab", "a_b", strings.Repeat("a", 29)}},
		{domain, "engineVersion", []any{"OpenSearch_2.19", "Elasticsearch_7.10"}, []any{"2.19", "OpenSearch_2.19\n", "OpenSearch 2.19"}},
	} {
		for _, value := range c.good {
			assert.Empty(t, awsrules.Check(c.typ, inputs(at(c.path, value))), "%s %s: %v", c.typ, c.path, value)
		}
		for _, value := range c.bad {
			assert.NotEmpty(t, awsrules.Check(c.typ, inputs(at(c.path, value))), "%s %s: %v", c.typ, c.path, value)
		}
	}

	// A tag's length is in characters: 256 of them, whatever their bytes. A key may have dots and quotes.
	tags := func(key, value string) []awsrules.Failure {
		return awsrules.Check(securityGroup, inputs(map[string]any{"tags": map[string]any{key: value}}))
	}
	assert.Empty(t, tags("a.b/c", long))
	assert.NotEmpty(t, tags("a.b/c", long+"é"))
	assert.NotEmpty(t, tags(strings.Repeat("k", 129), "v"))
	failures := tags("a.b", strings.Repeat("a", 257))
	require.Len(t, failures, 1)
	assert.Equal(t, `tags["a.b"]`, failures[0].At)
}

// Labels: "must be 63 characters or less and begin and end with an alphanumeric character, with dashes, underscores, dots"; the
// prefix of a key is a DNS subdomain (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).
func TestLabelsAndTaints(t *testing.T) {
	label := func(key, value string) []awsrules.Failure {
		return awsrules.Check(nodeGroup, inputs(map[string]any{"labels": map[string]any{key: value}}))
	}
	taint := func(key, value string) []awsrules.Failure {
		return awsrules.Check(nodeGroup,
			inputs(map[string]any{"taints": []any{map[string]any{"key": key, "value": value, "effect": "NO_SCHEDULE"}}}))
	}
	for _, check := range []func(key, value string) []awsrules.Failure{label, taint} {
		for _, good := range [][2]string{
			{"team", "web"}, {"example.com/team", "a.b_c-d"}, {"a", strings.Repeat("a", 63)}, {strings.Repeat("k", 63), "a"},
		} {
			assert.Empty(t, check(good[0], good[1]), good)
		}
		for _, bad := range [][2]string{
			{"-team", "web"}, {"team", "web-"}, {"team", "a b"}, {"a..b/team", "x"}, {"team", strings.Repeat("a", 64)}, {"/team", "x"},
		} {
			assert.NotEmpty(t, check(bad[0], bad[1]), bad)
		}
	}
}

// What is not known before the deployment cannot be judged; a secret can, and a number sent as text is a number.
func TestKindsOfValues(t *testing.T) {
	group := func(v resource.PropertyValue) []awsrules.Failure {
		return awsrules.Check(securityGroup, resource.PropertyMap{"description": v})
	}
	bad := resource.NewStringProperty("it's")
	assert.NotEmpty(t, group(bad))
	assert.NotEmpty(t, group(resource.MakeSecret(bad)))
	assert.NotEmpty(t, group(resource.NewOutputProperty(resource.Output{Element: bad, Known: true})))
	assert.Empty(t, group(resource.NewOutputProperty(resource.Output{Element: bad})))
	assert.Empty(t, group(resource.MakeComputed(resource.NewStringProperty(""))))
	assert.Empty(t, group(resource.NewNullProperty()))
}

// min ≤ desired ≤ max, also where the middle is missing, and where a number is sent as text.
func TestOrder(t *testing.T) {
	sizes := func(values map[string]any) []awsrules.Failure {
		return awsrules.Check(nodeGroup, inputs(map[string]any{"scalingConfig": values}))
	}
	assert.Empty(t, sizes(map[string]any{"minSize": 1, "desiredSize": 1, "maxSize": 1}))
	assert.NotEmpty(t, sizes(map[string]any{"minSize": 2, "desiredSize": 1, "maxSize": 3}))
	assert.NotEmpty(t, sizes(map[string]any{"minSize": 4, "maxSize": 3}))
	assert.NotEmpty(t, sizes(map[string]any{"minSize": "10", "maxSize": "9"}))
	assert.Empty(t, sizes(map[string]any{"minSize": "9", "maxSize": "10"}))
}
