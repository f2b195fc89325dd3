package verify_test

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/internal/stage/stagetest"
	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// world is a stack with everything that settings can turn on, up on a stage. The tests of the package share it: what one changes it
// changes back.
type world struct {
	*verify.Stack
	stage *stage.Stage
}

// mutation is something that is wrong in a stack, and the only check that must find it.
type mutation struct {
	check, what string
	// do makes it wrong, and gives what makes it right again.
	do func(t *testing.T, w *world) (undo func())
}

// mutations are those of all checks, by the files beside.
var mutations []mutation

var (
	shared *world
	bring  sync.Mutex
	stop   = func() {}
)

func TestMain(m *testing.M) {
	code := m.Run()
	stop()
	os.Exit(code)
}

// newWorld brings the stack up once.
func newWorld(t *testing.T) *world {
	bring.Lock()
	defer bring.Unlock()
	if shared == nil {
		shared = bringUp(t)
	}
	return shared
}

func bringUp(t *testing.T) *world {
	options := stagetest.Options(t)
	options.Stack, options.SaveAtEnd = "example", true
	s, err := stage.New(context.Background(), options) // it outlives the test
	require.NoError(t, err)
	stop = s.Stop
	run := func(args ...string) { require.NoError(t, s.Pulumi(t.Context(), args...)) }
	run("stack", "init", options.Stack)
	require.NoError(t, s.Configure(t.Context()))
	run("config", "set-all", "--path",
		"--plaintext", "expense:logging.dashboards.enabled=true",
		"--plaintext", "expense:logging.alarms.email=ops@example.com",
		"--plaintext", "expense:logging.domain.auditLogs=true",
		"--plaintext", "expense:workloads.web.public=true",
		"--plaintext", "expense:cluster.registry.cache=true",
		"--plaintext", "expense:cluster.registry.repositories[0]=worker",
		"--plaintext", "expense:workloads.apps.backend.iam[0].actions[0]=s3:GetObject",
		"--plaintext", "expense:workloads.apps.backend.iam[0].resources[0]=arn:aws:s3:::backend/*",
	)
	run("up", "--yes", "--skip-preview")
	target, err := play.Target(t.Context(), s)
	require.NoError(t, err)
	return &world{target, s}
}

// of are the checks of a name, or of a level and those before it.
func of(keep func(verify.Check) bool) []verify.Check {
	return slices.DeleteFunc(verify.Checks(), func(c verify.Check) bool { return !keep(c) })
}

// Each check has failed for its own reason, and no other check fails for that.
func TestEachCheckFindsWhatIsWrongAndNoOtherDoes(t *testing.T) {
	w := newWorld(t)
	patience := w.Patience
	tried := map[string]int{}
	for _, m := range mutations {
		t.Run(m.check+": "+m.what, func(t *testing.T) {
			i := slices.IndexFunc(verify.Checks(), func(c verify.Check) bool { return c.Name == m.check })
			require.GreaterOrEqual(t, i, 0, "no check has this name")
			tried[m.check]++
			mutated := verify.Checks()[i]
			undo := m.do(t, w)
			w.Patience = 2 * time.Second
			run := of(func(c verify.Check) bool {
				// What is wrong is drift too, nearly always.
				return c.Name == m.check || c.Level == verify.Reads && mutated.Level == verify.Reads && c.Name != "no-drift"
			})
			report := verify.Run(t.Context(), w.Stack, run, verify.Options{Level: mutated.Level})
			w.Patience = patience
			undo()
			for _, r := range report.Results {
				if r.Name == m.check {
					assert.Equal(t, verify.Failed, r.Verdict, r.Seen)
				} else {
					assert.NotEqual(t, verify.Failed, r.Verdict, "%s: %s", r.Name, r.Seen)
				}
			}
		})
	}
	for _, c := range verify.Checks() {
		if len(c.Needs) == 0 { // the others have tests with parts of their own
			assert.NotZero(t, tried[c.Name], "nothing makes %s fail", c.Name)
		}
	}
}

// The right stack passes, before and after what the tests did to it.
func TestTheRightStackPasses(t *testing.T) {
	w := newWorld(t)
	report := verify.Run(t.Context(), w.Stack, verify.Checks(), verify.Options{Level: verify.Breaks})
	for _, r := range report.Results {
		assert.NotEqual(t, verify.Failed, r.Verdict, "%s: %s\n%s", r.Name, r.Seen, r.Shown)
		if r.Verdict == verify.Unseen {
			assert.NotEmpty(t, r.Needs, "%s sees nothing in the rehearsal: %s", r.Name, r.Seen)
		}
	}
	t.Log("\n" + func() string { p := report.Page(); return p.Text() }())
	assert.GreaterOrEqual(t, len(report.Results), 20)
}
