package play

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/internal/stage/stagetest"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// newPlay is a play of the dev stack on a stage of its own, before its first step.
func newPlay(t *testing.T) (*stage.Stage, *Play, *output) { return interceptedPlay(t, nil) }

func interceptedPlay(t *testing.T, intercept grpc.UnaryServerInterceptor) (*stage.Stage, *Play, *output) {
	options, out := stagetest.Options(t), &output{}
	options.Out, options.Intercept = out, intercept
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(out.String())
		}
	})
	s := stagetest.New(t, options)
	return s, New(s, options.Stack), out
}

// output is what Pulumi printed so far, for whoever waits for a line of it.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// made is what the program made in the account, apart from what AWS keeps by design.
func made(s *stage.Stage) []string {
	var out []string
	for _, item := range s.Model.Inventory() {
		if item.KeptByDesign == "" {
			out = append(out, item.Type+" "+item.ID)
		}
	}
	return out
}

// A wrong setting ends every command with an error that lists all that is wrong, and nothing has been made.
func TestBadSettingsMakeNothing(t *testing.T) {
	s, _, _ := newPlay(t)
	for path, value := range map[string]string{
		"expense:network.zones[0]": "use1-az3", "expense:cluster.nodeGroups.expense.minSize": "9", "expense:logging.domain.zoneCount": "4",
		"expense:workloads.images.nginx": "nginx", "expense:cluster.logRetentionDays": "8", "expense:network.cidr": "10.0.0.0/8",
	} {
		require.NoError(t, s.Pulumi(t.Context(), "config", "set", "--path", path, value))
	}
	for _, command := range [][]string{{"preview"}, {"up", "--yes", "--skip-preview"}} {
		err := s.Pulumi(t.Context(), command...)
		var failure *stage.PulumiError
		require.ErrorAs(t, err, &failure)
		for _, path := range []string{
			"network.zones[0]", "cluster.nodeGroups.expense", "logging.domain.zoneCount", "workloads.images.nginx", "cluster.logRetentionDays", "network.cidr",
		} {
			assert.Contains(t, failure.Output, path)
		}
	}
	assert.Empty(t, s.Model.Inventory())
}

// interrupted is a play whose `up` ends with Ctrl-C while a resource is being made. Its URN ends so.
func interrupted(t *testing.T, urn string) (*stage.Stage, *Play) {
	ctx, interrupt := context.WithCancel(t.Context())
	cancelled := make(chan struct{})
	end := sync.OnceFunc(func() { close(cancelled) })
	s, play, _ := interceptedPlay(t, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if strings.HasSuffix(info.FullMethod, "/Cancel") {
			defer end()
		}
		if r, ok := req.(*pulumirpc.CreateRequest); ok && strings.HasSuffix(r.GetUrn(), urn) {
			interrupt()
			select {
			case <-cancelled: // the engine has passed the key on
			case <-time.After(patience):
			}
		}
		return handle(ctx, req)
	})
	require.Error(t, s.Pulumi(ctx, "up", "--yes", "--skip-preview"), "an interrupted update is no success")
	require.NotEmpty(t, made(s))
	return s, play
}

// Ctrl-C in the middle: what AWS was making is in the state, so that `up` goes on and `destroy` finds all of it.
func TestUpGoesOnAfterCtrlC(t *testing.T) {
	s, play := interrupted(t, "aws:eks/cluster:Cluster::expense-eksCluster")

	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview", "--expect-no-changes"))
	clusters := 0
	for _, item := range s.Model.Inventory() {
		if item.Type == "aws:eks/cluster:Cluster" && item.Origin == awsmodel.Program {
			clusters++
		}
	}
	assert.Equal(t, 1, clusters, "nothing was made twice")
	require.NoError(t, play.Destroy(t.Context()))
}

// And whoever has seen enough after Ctrl-C can destroy at once.
func TestDestroyAfterCtrlC(t *testing.T) {
	_, play := interrupted(t, "aws:eks/nodeGroup:NodeGroup::expense-use1-az1")
	require.NoError(t, play.Destroy(t.Context()))
}

// What a controller in the cluster made, no state knows of: the load balancer must be gone before the network can go.
func TestThePublicLoadBalancerGoesWithItsService(t *testing.T) {
	s, play, _ := newPlay(t)
	const balancer, targetGroup, logGroup = "aws:lb/loadBalancer:LoadBalancer", "aws:lb/targetGroup:TargetGroup", "aws:cloudwatch/logGroup:LogGroup"
	for path, value := range map[string]string{"expense:workloads.web.public": "true", "expense:logging.dashboards.enabled": "true"} {
		require.NoError(t, s.Pulumi(t.Context(), "config", "set", "--path", path, value))
	}
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
	assert.Len(t, left(s, balancer), 1)
	assert.Len(t, left(s, targetGroup), 2, "one for each port")
	require.NoError(t, play.Destroy(t.Context()))
	for _, typ := range []string{balancer, targetGroup, logGroup} {
		assert.Empty(t, left(s, typ))
	}
}

// A stack grows by a zone: the network in place, the nodes by a successor that has the zone too.
func TestAZoneCanBeAppended(t *testing.T) {
	s, play, out := newPlay(t)
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
	require.NoError(t, s.Pulumi(t.Context(), "config", "set", "--path", "expense:network.zones[2]", "use1-az4"))
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
	assert.Contains(t, out.String(), "aws:ec2:Subnet expense-private-use1-az4 created")
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview", "--expect-no-changes"))
	require.NoError(t, play.Destroy(t.Context()))
}

// A stack that is up turns its dashboards on, then audit logs, on and off, and then renames its domain, each at the first try: nothing new
// is named by what OpenSearch is asked seconds later.
func TestTheDomainChangesAtTheFirstTry(t *testing.T) {
	s, _, out := newPlay(t)
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
	for _, setting := range [][2]string{{"dashboards.enabled", "true"}, {"domain.auditLogs", "true"}, {"domain.auditLogs", "false"}, {"domain.name", "renamed"}} {
		require.NoError(t, s.Pulumi(t.Context(), "config", "set", "--path", "expense:logging."+setting[0], setting[1]))
		require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"), setting[0])
		if setting[0] == "domain.auditLogs" {
			assert.Equal(t, setting[1], fmt.Sprint(auditLogs(t, s)))
			require.NoError(t, s.Pulumi(t.Context(), "preview", "--refresh", "--expect-no-changes"))
		}
	}
	assert.Contains(t, out.String(), "aws:opensearch:Domain expense created replacement")
}

// auditLogs tells whether the domain publishes them in AWS.
func auditLogs(t *testing.T, s *stage.Stage) bool {
	_, domain, found := s.Model.Read("aws:opensearch/domain:Domain", "arn:aws:es:us-east-1:"+s.Model.Account()+":domain/expense")
	require.True(t, found)
	for _, option := range domain["logPublishingOptions"].ArrayValue() {
		if o := option.ObjectValue(); o["logType"].StringValue() == "AUDIT_LOGS" {
			return o["enabled"].BoolValue()
		}
	}
	return false
}

// A check that cannot fail is worth nothing: what a destroy would have left is found, by name.
func TestLeftoversAreFound(t *testing.T) {
	s, play, _ := newPlay(t)
	_, err := s.Model.CreateVolume("expense", "us-east-1a", 1, true, nil)
	require.NoError(t, err)
	_, err = play.Leftovers(t.Context())
	require.ErrorContains(t, err, "aws:ebs/volume:Volume vol-")
	failed := &Play{Steps: []Step{{Name: "held"}, {Name: "what went wrong", Err: err}}}
	assert.EqualError(t, failed.Failed(), "failed: what went wrong")
	assert.Regexp(t, `what went wrong +FAILED +0\.0 +.*aws:ebs/volume:Volume vol-`, failed.Page(estimate.Comparison.Page).Text())
	require.Error(t, (&Play{}).Failed(), "nothing was played")
}
