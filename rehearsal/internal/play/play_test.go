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
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/internal/stage/stagetest"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// newPlay is a play of the dev stack on a stage of its own, before its first step. Nobody interrupts its commands.
func newPlay(t *testing.T) (*stage.Stage, *Play, *output) {
	return playWith(t, func(options *stage.Options) { options.SaveAtEnd = true })
}

func playWith(t *testing.T, set func(*stage.Options)) (*stage.Stage, *Play, *output) {
	options, out := stagetest.Options(t), &output{}
	options.Out = out
	set(&options)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(out.String())
		}
	})
	s := stagetest.New(t, options)
	return s, New(s, options.Stack), out
}

// output is what Pulumi has printed so far. It can be read while Pulumi writes.
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

// made returns what the program made in the account, without what AWS keeps by design.
func made(s *stage.Stage) []string {
	var out []string
	for _, item := range s.Model.Inventory() {
		if item.KeptByDesign == "" {
			out = append(out, item.Type+" "+item.ID)
		}
	}
	return out
}

// With wrong settings every command fails with an error that lists all of them, and makes nothing.
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
			"network.zones[0]", "cluster.nodeGroups.expense", "logging.domain.zoneCount", "workloads.images.nginx", "cluster.logRetentionDays",
			"network.cidr",
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
	intercept := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
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
	}
	s, play, _ := playWith(t, func(options *stage.Options) { options.Intercept = intercept })
	require.Error(t, s.Pulumi(ctx, "up", "--yes", "--skip-preview"), "an interrupted update is no success")
	require.NotEmpty(t, made(s))
	return s, play
}

// After Ctrl-C in the middle, the state has what AWS was making: `up --refresh` goes on, and `destroy` finds all of it.
func TestUpGoesOnAfterCtrlC(t *testing.T) {
	s, play := interrupted(t, "aws:eks/cluster:Cluster::expense-eksCluster")

	// As docs/recovery.md says: with a refresh, for what was cut off may be of a type that cannot be updated; and again, for a role
	// that was made just now may not be everywhere yet.
	var err error
	for range 3 {
		if err = s.Pulumi(t.Context(), "up", "--yes", "--skip-preview", "--refresh"); err == nil {
			break
		}
	}
	require.NoError(t, err)
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

// After Ctrl-C one can also destroy at once.
func TestDestroyAfterCtrlC(t *testing.T) {
	_, play := interrupted(t, "aws:eks/nodeGroup:NodeGroup::expense-use1-az1")
	require.NoError(t, play.Destroy(t.Context()))
}

// Changes of a stack that is up, one after the other.
func TestAStackThatIsUpChanges(t *testing.T) {
	s, play, out := newPlay(t)
	up := func(t *testing.T, settings ...string) {
		for _, setting := range settings {
			path, value, _ := strings.Cut(setting, "=")
			require.NoError(t, s.Pulumi(t.Context(), "config", "set", "--path", "expense:"+path, value))
		}
		require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"), settings)
	}
	up(t)
	t.Run("the search for drift tells it from a failure", func(t *testing.T) { searchForDrift(t, s) })

	// Dashboards are turned on, then audit logs on and off, and the domain is renamed. Each succeeds at the first try: no request to
	// OpenSearch names something that was made seconds before.
	for _, setting := range []string{"dashboards.enabled=true", "domain.auditLogs=true", "domain.auditLogs=false", "domain.name=renamed"} {
		up(t, "logging."+setting)
		if name, value, _ := strings.Cut(setting, "="); name == "domain.auditLogs" {
			assert.Equal(t, value, fmt.Sprint(auditLogs(t, s)))
			require.NoError(t, s.Pulumi(t.Context(), "preview", "--refresh", "--expect-no-changes"))
		}
	}
	assert.Contains(t, out.String(), "aws:opensearch:Domain expense created replacement")

	// A controller in the cluster makes the load balancer, so no state knows it. It must be gone before the network can go.
	const balancer, targetGroup, logGroup = "aws:lb/loadBalancer:LoadBalancer", "aws:lb/targetGroup:TargetGroup",
		"aws:cloudwatch/logGroup:LogGroup"
	up(t, "workloads.web.public=true")
	assert.Len(t, left(s, balancer), 1)
	assert.Len(t, left(s, targetGroup), 1, "one for each port")

	// The stack grows by a zone: the network is changed in place, the node groups are replaced by ones with the zone.
	up(t, "network.zones[2]=use1-az4")
	assert.Contains(t, out.String(), "aws:ec2:Subnet expense-private-use1-az4 created")
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview", "--expect-no-changes"))

	require.NoError(t, play.Destroy(t.Context()))
	for _, typ := range []string{balancer, targetGroup, logGroup} {
		assert.Empty(t, left(s, typ))
	}
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

// The check for leftovers can fail: it names what a destroy would have left.
func TestLeftoversAreFound(t *testing.T) {
	s, play, _ := newPlay(t)
	_, err := s.Model.CreateVolume("expense", "us-east-1a", 1, true, nil)
	require.NoError(t, err)
	_, err = play.Leftovers(t.Context())
	require.ErrorContains(t, err, "aws:ebs/volume:Volume vol-")
	failed := &Play{Steps: []Step{{Name: "held"}, {Name: "what went wrong", Err: err}}}
	assert.EqualError(t, failed.Failed(), "failed: what went wrong")
	assert.Regexp(t, `what went wrong +FAILED +0\.0 +.*aws:ebs/volume:Volume vol-`, failed.Text())
	html, err := failed.HTML()
	require.NoError(t, err)
	assert.Less(t, strings.Index(string(html), "FAILED: what went wrong"), strings.Index(string(html), "held"), "it comes first")
	require.Error(t, (&Play{}).Failed(), "nothing was played")
}
