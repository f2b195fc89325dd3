package verify_test

import (
	"maps"
	"slices"
	"testing"

	"expense/internal/published"
	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// measured is the world with what only an account has: insights, metrics and images, until the test ends. It has an API of its own.
func measured(t *testing.T) (*verify.Stack, *awsapi.API) {
	w := newWorld(t)
	put := func(typ, id string, properties map[string]any) {
		w.stage.Model.Plant(typ, id, "", awsmodel.AWS, properties)
		t.Cleanup(func() { w.stage.Model.Uproot(typ, id) })
	}
	put(tInsight, "insight", map[string]any{
		"clusterName": w.Settings.Cluster.Name, "name": "Wrong settings", "category": "MISCONFIGURATION",
		"insightStatus":   map[string]any{"status": "PASSING"},
		"lastRefreshTime": "2026-11-26T03:00:00Z",
	})
	for name, value := range map[string]float64{
		"ClusterStatus.red": 0, "ClusterStatus.yellow": 0, "ClusterIndexWritesBlocked": 0, "FreeStorageSpace": 1 << 30,
		"AutomatedSnapshotFailure": 0,
	} {
		put(tMetric, name, map[string]any{"value": value})
	}
	api := &awsapi.API{Model: w.stage.Model, Region: awsapi.Region{Kubernetes: published.KubernetesVersions()}}
	for image, digest := range map[string]string{"backend": backendDigest, "capture": captureDigest} {
		api.Push(w.Settings.Cluster.Repository(image), digest, "{}")
		t.Cleanup(func() { w.stage.Model.Uproot(tImage, digest) })
	}
	stack := *w.Stack
	stack.AWS, stack.Lacks = api.Config(), nil
	return &stack, api
}

const (
	backendDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	captureDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func run(t *testing.T, s *verify.Stack, name string) verify.Result {
	report := verify.Run(t.Context(), s, verify.Checks(), verify.Options{Only: []string{name}})
	require.Len(t, report.Results, 1, name)
	return report.Results[0]
}

// asking are the checks that ask AWS and change nothing.
func asking() []verify.Check {
	return of(func(c verify.Check) bool { return c.Level == verify.Reads && len(c.Actions) > 0 })
}

// Who has just the rights that a check names can run it, and a right that is missing is neither a failure nor a success.
func TestEachCheckNamesTheRightsThatItUses(t *testing.T) {
	s, api := measured(t)
	for _, c := range asking() {
		before := api.Calls()
		r := run(t, s, c.Name)
		assert.Equal(t, verify.OK, r.Verdict, "%s: %s", c.Name, r.Seen)
		var used []string
		for action, calls := range api.Calls() {
			if calls > before[action] {
				used = append(used, action)
			}
		}
		assert.ElementsMatch(t, c.Actions, used, c.Name)
		for _, action := range c.Actions {
			denied := *s
			other := &awsapi.API{Model: api.Model, Region: api.Region}
			other.Inject(action, awsapi.Denied)
			denied.AWS = other.Config()
			r := run(t, &denied, c.Name)
			assert.Equal(t, verify.Unseen, r.Verdict, "%s without %s: %s", c.Name, action, r.Seen)
		}
	}
	assert.GreaterOrEqual(t, len(asking()), 15)
}

// A failure weighs more than what was not seen.
func TestAFailureIsOneAlsoWithoutAllRights(t *testing.T) {
	s, api := measured(t)
	w := newWorld(t)
	defer set(tRole, "name", "expense-node", "permissionsBoundary", "arn:aws:iam::111122223333:policy/less")(t, w)()
	api.Inject("iam:ListRolePolicies", awsapi.Denied)
	r := run(t, s, "roles")
	assert.Equal(t, verify.Failed, r.Verdict)
	assert.Contains(t, r.Seen, "boundary is arn:aws:iam::111122223333:policy/less, the stack says none")
	assert.Contains(t, r.Seen, "could not look")
}

// An answer in pages is read to its end.
func TestTheLastPageCounts(t *testing.T) {
	s, api := measured(t)
	api.PageSize = 1
	for _, c := range asking() {
		if r := run(t, s, c.Name); c.Name != "domain-health" {
			assert.Equal(t, verify.OK, r.Verdict, "%s: %s", c.Name, r.Seen)
		}
	}
	w := newWorld(t)
	defer openRule("cidrIpv4", "0.0.0.0/0")(t, w)()
	assert.Equal(t, verify.Failed, run(t, s, "nothing-public").Verdict)
}

// What the controller opens for a public load balancer is right, and the same for another port is not.
func TestTheRulesOfAPublicLoadBalancerAreRight(t *testing.T) {
	w := newWorld(t)
	service, err := w.Kubernetes.CoreV1().Services("project").Get(t.Context(), "web-public-plain", metav1.GetOptions{})
	require.NoError(t, err)
	port := int(service.Spec.Ports[0].NodePort)
	require.NotZero(t, port)
	for _, rule := range []struct {
		protocol string
		from, to int
		verdict  verify.Verdict
	}{{"tcp", port, port, verify.OK}, {"icmp", 3, 4, verify.OK}, {"tcp", port, port + 1, verify.Failed}, {"-1", -1, -1, verify.Failed}} {
		undo := plant(tIngress, "sgr-balancer", func(t *testing.T, w *world) map[string]any {
			return map[string]any{
				"securityGroupId": w.object(t, tGroup, "", "").ID, "cidrIpv4": "0.0.0.0/0", "ipProtocol": rule.protocol, "fromPort": rule.from,
				"toPort": rule.to,
			}
		})(t, w)
		r := run(t, w.Stack, "nothing-public")
		undo()
		assert.Equal(t, rule.verdict, r.Verdict, "%v: %s", rule, r.Seen)
	}
}

// The creator of the cluster is not in the settings.
func TestOneOtherAdminMayHaveMadeTheCluster(t *testing.T) {
	w := newWorld(t)
	defer asAdmin(t, w, "creator")()
	r := run(t, w.Stack, "access-entries")
	assert.Equal(t, verify.OK, r.Verdict, r.Seen)
	assert.Contains(t, r.Seen, "not of the settings: arn:aws:iam::111122223333:role/creator with [AmazonEKSClusterAdminPolicy for a cluster]")
}

// What AWS says for another reason is no verdict.
func TestAThrottledCallSaysNothing(t *testing.T) {
	s, api := measured(t)
	api.Inject("eks:DescribeNodegroup", awsapi.Throttled)
	assert.Equal(t, verify.Unseen, run(t, s, "node-groups").Verdict)
}

func TestInsightsMetricsAndImagesAreRead(t *testing.T) {
	for name, change := range map[string]struct {
		typ, id string
		to      map[string]any
		check   string
		verdict verify.Verdict
		says    string
	}{
		"an error": {tInsight, "insight", map[string]any{"insightStatus": map[string]any{
			"status": "ERROR", "reason": "two calls"}}, "insights", verify.Failed, "two calls, as of 2026-11-26 03:00:00"},
		"an error of the next version": {tInsight, "insight", map[string]any{
			"category": "UPGRADE_READINESS", "insightStatus": map[string]any{"status": "ERROR"}}, "insights", verify.OK, "UPGRADE_READINESS"},
		"a warning": {tInsight, "insight", map[string]any{"insightStatus": map[string]any{"status": "WARNING"}},
			"insights", verify.OK, "WARNING"},
		"none": {tInsight, "insight", map[string]any{"clusterName": "other"}, "insights", verify.Unseen, "yet"},
		"red":  {tMetric, "ClusterStatus.red", map[string]any{"value": 1.0}, "domain-health", verify.Failed, "an index has lost a shard"},
		"full": {tMetric, "FreeStorageSpace", map[string]any{"value": 100.0}, "domain-health", verify.Failed,
			"raise expense:logging.gibPerDay"},
		"blocked": {tMetric, "ClusterIndexWritesBlocked", map[string]any{"value": 1.0}, "domain-health", verify.Failed,
			"takes no writes"},
		"a snapshot": {tMetric, "AutomatedSnapshotFailure", map[string]any{"value": 1.0}, "domain-health",
			verify.Failed, "snapshot"},
		"an image of another repository": {tImage, backendDigest, map[string]any{"repository": "other"}, "images",
			verify.Failed, "workloads.apps.backend.image"},
	} {
		t.Run(name, func(t *testing.T) {
			s, api := measured(t)
			for property, to := range change.to {
				require.True(t, api.Model.Set(change.typ, change.id, property, to))
			}
			r := run(t, s, change.check)
			assert.Equal(t, change.verdict, r.Verdict, r.Seen)
			assert.Contains(t, r.Seen, change.says)
		})
	}
	s, api := measured(t)
	api.Model.Uproot(tMetric, "FreeStorageSpace")
	r := run(t, s, "domain-health")
	assert.Equal(t, verify.Unseen, r.Verdict, r.Seen)
	assert.Contains(t, r.Seen, "CloudWatch has no FreeStorageSpace")
	assert.ElementsMatch(t, slices.Collect(maps.Keys(api.Calls())), []string{"cloudwatch:GetMetricData"})
}

// A preview's values may be secrets: only names are shown. A preview that fails says nothing.
func TestDriftIsNamedWithoutValues(t *testing.T) {
	w := newWorld(t)
	undo := set("aws:ec2/vpc:Vpc", "", "", "enableDnsHostnames", false)(t, w)
	r := run(t, w.Stack, "no-drift")
	undo()
	assert.Equal(t, verify.Failed, r.Verdict)
	assert.Regexp(t, `an update would update \S+Vpc expense enableDnsHostnames\n`, r.Seen)
	broken := *w.Stack
	broken.Pulumi = w.stage.Output
	require.NoError(t, w.stage.Pulumi(t.Context(), "config", "set", "--path", "expense:cluster.version", "none"))
	r = run(t, &broken, "no-drift")
	require.NoError(t, w.stage.Pulumi(t.Context(), "config", "set", "--path", "--type", "string", "expense:cluster.version",
		w.Settings.Cluster.Version))
	assert.Equal(t, verify.Unseen, r.Verdict, r.Seen)
}
