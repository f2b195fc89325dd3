package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"expense/internal/published"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quiet is a day on which no Kubernetes version of the committed stacks is near its end: what the other warnings are must not
// depend on the day of the test.
var quiet = time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)

// unusual are the warnings without the two that every stack gets which names no account and pins no image.
func unusual(c *Config, today time.Time) []string {
	var out []string
	for _, warning := range c.Warnings(today) {
		if !strings.HasPrefix(warning, "the settings name no account") && !strings.Contains(warning, ": without a digest ") {
			out = append(out, warning)
		}
	}
	return out
}

// A refresh with another account's credentials makes the state forget the stack.
func TestAStackThatNamesNoAccountIsWarnedOf(t *testing.T) {
	for _, c := range []struct {
		edits []edit
		want  bool
	}{
		{nil, true},
		{[]edit{{"aws:forbiddenAccountIds", `["111122223333"]`}}, true},
		{[]edit{{"aws:profile", "work"}}, true},
		{[]edit{{"aws:allowedAccountIds", `["111122223333"]`}}, false},
		{[]edit{{"aws:assumeRole", `{"roleArn": "arn:aws:iam::111122223333:role/a"}`}}, false},
	} {
		stack, err := parse(settings(t, c.edits...))
		require.NoError(t, err)
		assert.Equal(t, c.want, strings.HasPrefix(stack.Warnings(quiet)[0], "the settings name no account"), "%v", c.edits)
	}
}

// What runs as the domain's master may not change without anybody's doing.
func TestAnImageWithoutADigestIsWarnedOf(t *testing.T) {
	warning := func(edits ...edit) string {
		stack, err := parse(settings(t, append(edits, edit{"aws:allowedAccountIds", `["111122223333"]`})...))
		require.NoError(t, err)
		for _, w := range stack.Warnings(quiet) {
			if before, _, found := strings.Cut(w, ": without a digest "); found {
				return before
			}
		}
		return ""
	}
	pinned := `"example.com/a:1@sha256:` + strings.Repeat("a", 64) + `"`
	assert.Equal(t, "cluster.autoscaler.image, logging.image, workloads.images.alma, workloads.images.nginx", warning())
	assert.Equal(t, "logging.dashboards.image, logging.image, workloads.images.alma", warning(edit{"logging/dashboards/enabled", "true"},
		edit{"cluster/autoscaler/enabled", "false"}, edit{"workloads/images/nginx", pinned}))
	assert.Empty(t, warning(edit{"cluster/autoscaler/image", pinned}, edit{"logging/image", pinned}, edit{"workloads/images/nginx", pinned},
		edit{"workloads/images/alma", pinned}))
}

// A prefix that is a digit short lets in a continent.
func TestMoreAddressesThanASlash16AreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		cidrs string
		want  string
	}{
		{`["203.0.113.7/32", "198.51.100.0/24"]`, ""},
		{`["8.8.0.0/16"]`, ""},
		{`["8.8.0.0/16", "8.8.4.0/24", "8.8.4.4/32"]`, ""}, // in the first
		{`["8.8.0.0/16", "203.0.113.7/32"]`, "65537"},
		{`["8.8.0.0/17", "8.9.0.0/17", "8.10.0.0/17"]`, "98304"},
		{`["203.0.0.0/8"]`, "16777216"},
		{`["0.0.0.0/0", "203.0.113.7/32"]`, "4294967296"},
	} {
		stack, err := parse(settings(t, edit{"cluster/publicAccessCidrs", c.cidrs}))
		require.NoError(t, err, c.cidrs)
		got := ""
		for _, w := range stack.Warnings(quiet) {
			if after, found := strings.CutPrefix(w, "cluster.publicAccessCidrs holds "); found {
				got, _, _ = strings.Cut(after, " ")
			}
		}
		assert.Equal(t, c.want, got, c.cidrs)
	}
}

// EKS announces an end 60 days before at the latest.
func TestAKubernetesVersionIsWarnedOfWhenItsSupportEnds(t *testing.T) {
	versions := published.KubernetesVersions()
	assert.GreaterOrEqual(t, len(versions), 6)
	assert.True(t, slices.IsSortedFunc(versions, func(a, b published.KubernetesVersion) int { return a.StandardEnds.Compare(b.StandardEnds) }))
	for _, v := range versions {
		assert.Regexp(t, kubernetesVersion, v.Version)
		assert.Equal(t, v.StandardEnds.AddDate(1, 0, 0), v.ExtendedEnds, "%s: extended support is a year", v.Version)
		c := &Config{Cluster: Cluster{Version: v.Version, PublicAccess: true}}
		for days, want := range map[int]string{-61: "", -60: "ends", -1: "ends", 0: "ended", 400: "ended"} {
			got := unusual(c, v.StandardEnds.AddDate(0, 0, days))
			if want == "" {
				assert.Empty(t, got, v.Version)
				continue
			}
			require.Len(t, got, 1, "%s, day %d", v.Version, days)
			assert.Contains(t, got[0], `cluster.version "`+v.Version+`": its standard support `+want+" on "+v.StandardEnds.Format("2006-01-02")+". ")
			assert.Contains(t, got[0], "EKS upgrades the control plane")
			assert.Contains(t, got[0], "docs/changes.md")
		}
	}
	newer := &Config{Cluster: Cluster{Version: "1.99", PublicAccess: true}}
	assert.Empty(t, unusual(newer, quiet.AddDate(9, 0, 0)), "nobody has published its days")
}

// A spot group with one type gets no nodes when EC2 runs out of that type.
func TestASpotGroupOfOneTypeIsToldSimilarOnes(t *testing.T) {
	for instance, want := range map[string]string{
		"m5.large":   "add similar ones: m5a.large, m5d.large, m5n.large, m6i.large, m6a.large",
		"m6i.xlarge": "add similar ones: m5.xlarge, m5a.xlarge, m5d.xlarge, m5n.xlarge, m6a.xlarge",
		"m7a.large":  "add similar ones: m5.large, m5a.large, m5d.large, m5n.large, m6i.large",
		"c5.2xlarge": "add similar ones: c5a.2xlarge, c5d.2xlarge, c6i.2xlarge, c6a.2xlarge, c7i.2xlarge",
		"r5.large":   "add similar ones: r5a.large, r5d.large, r5n.large, r6i.large, r6a.large",
		"m7g.large":  "add similar ones: m6g.large, m6gd.large, m7gd.large, m8g.large",
		"t3.large":   "add types of the same vCPUs, memory and architecture",
		"m5.metal":   "add types of the same vCPUs, memory and architecture",
	} {
		c := &Config{Cluster: Cluster{PublicAccess: true, NodeGroups: map[string]NodeGroup{
			"a.b":    {CapacityType: Spot, InstanceTypes: []string{instance}},
			"steady": {CapacityType: OnDemand, InstanceTypes: []string{instance}},
		}}}
		assert.Equal(t, []string{
			`cluster.nodeGroups["a.b"].instanceTypes has one type: when EC2 has no spare ` + instance + `, this spot group gets no nodes; ` + want,
		}, unusual(c, quiet))
	}
}

// The types that a warning recommends must fit the group that it is about.
func TestSimilarTypesAreOfOneArchitectureAndShape(t *testing.T) {
	checked := 0
	for _, families := range alike {
		for _, family := range families {
			for _, size := range alikeSizes {
				checked++
				a, b := family+"."+size, families[0]+"."+size
				require.Regexp(t, instanceType, a)
				assert.Equal(t, isARM(b), isARM(a), a)
				assert.Equal(t, sizeOf(b), sizeOf(a), a)
			}
		}
	}
	assert.Greater(t, checked, 100)
}

func TestWhatOpensTheStackOrStarvesItIsWarnedOf(t *testing.T) {
	c, err := parse(settings(t,
		edit{"cluster/publicAccessCidrs", `["203.0.113.7/32", "0.0.0.0/0"]`}, edit{"workloads/web/public", "true"},
		edit{"cluster/nodeGroups/expense/maxSize", "6"},
		edit{"cluster/nodeGroups/expense/instanceTypes", `["m5.large", "t3.large", "m5.xlarge", "c5.large"]`},
		edit{"cluster/nodeGroups/beta",
			`{"capacityType": "SPOT", "instanceTypes": ["m5.large", "c5.large"], "minSize": 0, "desiredSize": 0, "maxSize": 3}`}))
	require.NoError(t, err)
	want := []string{
		"cluster.publicAccessCidrs holds 4294967296 addresses, more than a /16 (65536): each of them may try to sign in to the Kubernetes " +
			"API; list what you use, as /32 or a network of your own",
		"cluster.nodeGroups.beta.instanceTypes mixes sizes (m5.large has 2 vCPUs and 8 GiB, c5.large has 2 vCPUs and 4 GiB): autoscaling " +
			"counts on nodes of one size; use types of the same vCPUs and memory",
		"cluster.nodeGroups.expense.instanceTypes mixes sizes (m5.large has 2 vCPUs and 8 GiB, m5.xlarge has 4 vCPUs and 16 GiB): autoscaling " +
			"counts on nodes of one size; use types of the same vCPUs and memory",
		"workloads.web.public is true: the web workload answers everyone on the internet, over HTTP",
	}
	for range 20 {
		assert.Equal(t, want, unusual(c, quiet))
	}

	// eksctl's own list: three sizes under one word.
	mixed, err := parse(settings(t, edit{"cluster/nodeGroups/expense/maxSize", "6"},
		edit{"cluster/nodeGroups/expense/instanceTypes", `["c3.large", "c4.large", "c5.large", "c5d.large", "c5n.large", "c99z.large"]`}))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"cluster.nodeGroups.expense.instanceTypes[5]: c99z.large is not in the list of EC2's types of October 2026: its vCPUs, memory and " +
			"pods are not checked; ask EC2 with: aws ec2 describe-instance-types --instance-types c99z.large --region us-east-1",
		"cluster.nodeGroups.expense.instanceTypes mixes sizes (c3.large has 2 vCPUs and 3.75 GiB, c5.large has 2 vCPUs and 4 GiB): " +
			"autoscaling counts on nodes of one size; use types of the same vCPUs and memory",
	}, unusual(mixed, quiet))

	private, err := parse(settings(t, edit{"cluster/publicAccess", "false"}, edit{"cluster/publicAccessCidrs", ""},
		edit{"cluster/nodeGroups/expense/maxSize", "6"}, edit{"cluster/nodeGroups/expense/instanceTypes", `["m5.large", "m5a.large"]`}))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"cluster.publicAccess is false: run pulumi from where the VPC's addresses can be reached, or nothing inside the cluster can be created",
	}, unusual(private, quiet))
}

// The zones share a group's sizes. A zone with a full share gets no more nodes for pods with a volume there.
func TestAZoneThatCannotGrowIsWarnedOf(t *testing.T) {
	warnings := func(edits ...edit) []string {
		c, err := parse(settings(t, append(edits, edit{"cluster/nodeGroups/expense/instanceTypes", `["m5.large", "m5a.large"]`})...))
		require.NoError(t, err)
		for _, g := range c.Groups() {
			if len(g.Zones) == 1 && g.MaxSize == g.DesiredSize {
				assert.Less(t, c.Cluster.NodeGroups["expense"].MaxSize, 6)
			}
		}
		return unusual(c, quiet)
	}
	assert.Equal(t, []string{
		"cluster.nodeGroups.expense.maxSize is 5, which lets the group grow in 2 of 3 zones: a pod whose volume is in another one gets no new " +
			"node; set 6 or more",
	}, warnings())
	assert.Empty(t, warnings(edit{"cluster/nodeGroups/expense/maxSize", "6"}))
	assert.Empty(t, warnings(edit{"cluster/nodeGroups/expense/maxSize", "3"}), "a size that never changes is meant")
	assert.Empty(t, warnings(edit{"cluster/nodeGroups/expense/perZone", "false"}))
	assert.Empty(t, warnings(edit{"cluster/autoscaler/enabled", "false"}))
}

// The rules that read a type's name agree with EC2's list.
func TestNamesOfInstanceTypesTellTheArchitecture(t *testing.T) {
	require.Greater(t, len(published.InstanceTypes()), 1300)
	for name, known := range published.InstanceTypes() {
		assert.Regexp(t, instanceType, name)
		assert.Equal(t, known.Arch == "arm64", isARM(name), name)
	}
}
