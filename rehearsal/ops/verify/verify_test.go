package verify

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"expense/internal/config"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

// plain is a stack with a cluster that holds some objects.
func plain(objects ...runtime.Object) (*Stack, *fake.Clientset) {
	client := fake.NewClientset(objects...)
	settings := &config.Config{}
	settings.Workloads.Namespace = "project"
	return &Stack{
		Name: "dev", Target: "a test", Settings: settings, Kubernetes: client, Patience: time.Second, Pause: time.Millisecond,
		Lacks: map[Ability]string{Insights: "it has none"},
	}, client
}

// doing is a check that does something.
func doing(name string, level Level, run func(context.Context, *Stack, *Work) (string, error)) Check {
	return Check{Name: name, Level: level, Promise: "it holds", Run: run}
}

func answers(seen string, err error) func(context.Context, *Stack, *Work) (string, error) {
	return func(context.Context, *Stack, *Work) (string, error) { return seen, err }
}

func verdicts(r Report) map[string]Verdict {
	out := map[string]Verdict{}
	for _, result := range r.Results {
		out[result.Name] = result.Verdict
	}
	return out
}

func forbidden() error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "web", errors.New("no"))
}

func TestWhatIsNotSeenIsNoFailureAndNoSuccess(t *testing.T) {
	refused := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}
	for name, c := range map[string]struct {
		err  error
		want Verdict
	}{
		"right":                        {nil, OK},
		"wrong":                        {errors.New("wrong"), Failed},
		"AWS says no":                  {fmt.Errorf("DescribeCluster: %w", refused), Unseen},
		"the API server says no":       {fmt.Errorf("pods: %w", forbidden()), Unseen},
		"it says so":                   {notSeen("the dashboards are off"), Unseen},
		"two rights are missing":       {errors.Join(refused, forbidden()), Unseen},
		"wrong, and a right is absent": {errors.Join(refused, errors.New("wrong")), Failed},
		"no connection":                {&url.Error{Op: "Get", Err: errors.New("connection refused")}, Unseen},
		"too often":                    {&smithy.GenericAPIError{Code: "ThrottlingException"}, Unseen},
		"the API server is ill":        {apierrors.NewInternalError(errors.New("etcd")), Unseen},
		"a budget says no":             {failure(nil, "pod web: %w", apierrors.NewTooManyRequests("no", 1)), Failed},
		"another refusal of AWS":       {&smithy.GenericAPIError{Code: "ResourceNotFoundException"}, Failed},
	} {
		s, _ := plain()
		report := Run(t.Context(), s, []Check{doing("one", Reads, answers("seen", c.err))}, Options{})
		assert.Equal(t, c.want, report.Results[0].Verdict, name)
	}
}

func TestALevelThatIsNotAskedForIsSkipped(t *testing.T) {
	s, client := plain()
	lacking := doing("lacking", Reads, answers("", nil))
	lacking.Needs = []Ability{Insights}
	checks := []Check{
		doing("breaks", Breaks, answers("", nil)), doing("touches", Touches, answers("", nil)), doing("reads", Reads, answers("", nil)), lacking,
	}
	report := Run(t.Context(), s, checks, Options{})
	assert.Equal(t, map[string]Verdict{"reads": OK, "lacking": Unseen, "touches": Skipped, "breaks": Skipped}, verdicts(report))
	assert.Equal(t, 3, report.Code())
	assert.Empty(t, client.Actions(), "reading took a lease")
	report = Run(t.Context(), s, checks, Options{Level: Touches, Only: []string{"reads", "breaks", "touches"}})
	assert.Equal(t, map[string]Verdict{"reads": OK, "touches": OK, "breaks": Skipped}, verdicts(report))
	assert.Equal(t, 0, report.Code())
	assert.Equal(t, 3, Report{}.Code(), "nothing was checked")
}

func TestNothingIsTouchedAfterAFailure(t *testing.T) {
	s, _ := plain()
	checks := []Check{
		doing("touches", Touches, answers("", nil)), doing("wrong", Reads, answers("", errors.New("wrong"))),
		doing("right", Reads, answers("", nil)),
	}
	report := Run(t.Context(), s, checks, Options{Level: Breaks})
	assert.Equal(t, map[string]Verdict{"wrong": Failed, "right": OK, "touches": Skipped}, verdicts(report))
	assert.Equal(t, 1, report.Code())
}

func TestACheckAddsWhatItSeesWhenAllHaveEnded(t *testing.T) {
	s, _ := plain()
	ended := 0
	ends := func(context.Context, *Stack, *Work) (string, error) { ended++; return "seen", nil }
	adds := func(err error) func(context.Context, *Stack, *Work) (string, error) {
		return func(_ context.Context, _ *Stack, w *Work) (string, error) {
			w.atEnd = func(context.Context) string { return fmt.Sprintf("; %d ended", ended) }
			return "seen", err
		}
	}
	report := Run(t.Context(), s, []Check{
		doing("adds", Reads, adds(nil)), doing("wrong", Reads, adds(errors.New("wrong"))), doing("one", Reads, ends), doing("two", Reads, ends),
	}, Options{})
	var seen []string
	for _, r := range report.Results {
		seen = append(seen, r.Seen)
	}
	assert.Equal(t, []string{"seen; 2 ended", "wrong", "seen", "seen"}, seen)
}

// What a check makes goes in reverse order, whether the check ends well, badly or by Ctrl-C.

func TestWhatACheckMadeIsUndone(t *testing.T) {
	for name, end := range map[string]func(context.CancelFunc) error{
		"well":   func(context.CancelFunc) error { return nil },
		"badly":  func(context.CancelFunc) error { return errors.New("wrong") },
		"Ctrl-C": func(stop context.CancelFunc) error { stop(); return context.Canceled },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			s, client := plain()
			var order []int
			check := doing("touches", Touches, func(_ context.Context, _ *Stack, w *Work) (string, error) {
				for i := range 3 {
					w.later(fmt.Sprint(i), func(ctx context.Context) error { order = append(order, i); return ctx.Err() })
				}
				return "", end(stop)
			})
			report := Run(ctx, s, []Check{check, doing("next", Touches, answers("", nil))}, Options{Level: Touches})
			assert.Equal(t, []int{2, 1, 0}, order)
			want := map[string]Verdict{"well": OK, "badly": Failed, "Ctrl-C": Unseen}[name]
			assert.Equal(t, want, report.Results[0].Verdict, report.Results[0].Seen)
			leases, err := client.CoordinationV1().Leases("project").List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			assert.Empty(t, leases.Items)
		})
	}
}

func TestWhatCannotBeUndoneIsAFailure(t *testing.T) {
	s, _ := plain()
	undone := 0
	check := doing("touches", Touches, func(_ context.Context, _ *Stack, w *Work) (string, error) {
		w.later("the first", func(context.Context) error { undone++; return nil })
		w.later("pod verify-x", func(context.Context) error { return forbidden() })
		w.later("what is gone", func(context.Context) error { return apierrors.NewNotFound(schema.GroupResource{}, "x") })
		return "all right", nil
	})
	report := Run(t.Context(), s, []Check{check}, Options{Level: Touches})
	assert.Equal(t, Failed, report.Results[0].Verdict)
	assert.Contains(t, report.Results[0].Seen, "pod verify-x is not undone")
	assert.Equal(t, 1, undone, "the steps before it are undone too")
}

func lease(holder string, renewed time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: leaseName, Namespace: "project"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &holder, RenewTime: ptr.To(metav1.NewMicroTime(renewed)), LeaseDurationSeconds: ptr.To(int32(leaseTerm / time.Second)),
		},
	}
}

func TestOneRunAtATimeTouches(t *testing.T) {
	s, client := plain(lease("another", time.Now()))
	report := Run(t.Context(), s, []Check{doing("touches", Touches, answers("", nil))}, Options{Level: Touches})
	assert.Equal(t, Unseen, report.Results[0].Verdict)
	assert.Contains(t, report.Results[0].Seen, "kubectl delete lease expense-verify -n project")
	left, err := client.CoordinationV1().Leases("project").Get(t.Context(), leaseName, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "another", *left.Spec.HolderIdentity)
}

// secretive is a pod with a secret, and the events and lines about it.
func secretive() []runtime.Object {
	return []runtime.Object{
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "project"},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", EnvFrom: []corev1.EnvFromSource{{
				SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web"}},
			}}}}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "web", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			}}},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "project"}, Data: map[string][]byte{
			"TOKEN": []byte("fake logs"), // what the client of the test gives as a pod's lines
		}},
		&corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "project"}, Type: "Warning", Reason: "BackOff",
			Message:        "Back-off, key AKIAIOSFODNN7EXAMPLE",
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "web-1", Namespace: "project"},
		},
	}
}

func TestAFailureShowsEventsAndLinesWithoutSecrets(t *testing.T) {
	pod := []Object{{"Pod", "project", "web-1"}}
	wrong := doing("wrong", Reads, func(context.Context, *Stack, *Work) (string, error) {
		return "", errors.Join(notSeen("something else"), failure(pod, "pod web-1 has password=hunter2"))
	})
	s, _ := plain(secretive()...)
	r := Run(t.Context(), s, []Check{wrong}, Options{}).Results[0]
	assert.Contains(t, r.Seen, "password=[secret]")
	for _, want := range []string{
		"Pod project/web-1", "Warning BackOff: Back-off, key [secret]", "container web waits: CrashLoopBackOff", "web: [secret]",
	} {
		assert.Contains(t, r.Shown, want)
	}
	assert.NotContains(t, r.Shown+r.Seen, "fake logs")
	assert.NotContains(t, r.Shown+r.Seen, "hunter2")

	s, client := plain(secretive()...)
	client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, forbidden() })
	r = Run(t.Context(), s, []Check{wrong}, Options{}).Results[0]
	assert.Contains(t, r.Shown, "lines: not shown")
	assert.NotContains(t, r.Shown, "fake logs")
}

func TestSecretsAreCoveredInEachForm(t *testing.T) {
	s, _ := plain(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "project"}, Data: map[string][]byte{"TOKEN": []byte(`p@ss"word/1`)},
	})
	require.NoError(t, s.learn(t.Context(), secretive()[0].(*corev1.Pod)))
	for _, text := range []string{
		`p@ss"word/1`, `p@ss\"word/1`, `p%40ss%22word%2F1`, "cEBzcyJ3b3JkLzE=", "aws_secret_access_key = hunter2x", "passphrase=hunter2x",
		"pwd: hunter2x", "postgres://user:hunter2x@host/db", "ghp_0123456789abcdefghijhunter2x", `"password": "a hunter2x"`,
		"Authorization: Bearer hunter2x",
	} {
		covered := s.cover("before " + text + " after")
		assert.Contains(t, covered, "[secret]", text)
		assert.NotRegexp(t, `hunter2x|word/1|word%2F1|cEBz`, covered)
		assert.Regexp(t, `^before .* after$`, covered)
	}
	for _, text := range []string{"http://[fd00:ec2::254] gives a token", "OpenSearch_2.19, key none", "arn:aws:iam::111122223333:role/a"} {
		assert.Equal(t, text, s.cover(text))
	}
}

// A step back that fails for want of an answer is tried again.
func TestAnUndoIsTriedAgain(t *testing.T) {
	s, _ := plain()
	tried := 0
	check := doing("touches", Touches, func(_ context.Context, _ *Stack, w *Work) (string, error) {
		w.later("config map", func(context.Context) error {
			if tried++; tried == 1 {
				return apierrors.NewInternalError(errors.New("for now"))
			}
			return nil
		})
		return "", nil
	})
	report := Run(t.Context(), s, []Check{check}, Options{Level: Touches})
	assert.Equal(t, OK, report.Results[0].Verdict, report.Results[0].Seen)
	assert.Equal(t, 2, tried)
}

func TestTheReportsSayTheSame(t *testing.T) {
	s, _ := plain()
	lacking := doing("lacking", Reads, nil)
	lacking.Needs = []Ability{Insights}
	report := Run(t.Context(), s, []Check{
		doing("right", Reads, answers("3 nodes\x1b", nil)), doing("wrong", Reads, answers("", errors.New("1 node <is> missing"))), lacking,
		doing("touches", Touches, nil),
	}, Options{})
	assert.Equal(t, "1 ok, 1 failed, 1 not seen, 1 skipped.", report.Summary())
	data, err := report.JSON()
	require.NoError(t, err)
	var file struct {
		Checks []struct{ Name, Verdict, Seen string }
	}
	require.NoError(t, json.Unmarshal(data, &file))
	assert.Len(t, file.Checks, 4)
	assert.Equal(t, "1 node <is> missing", file.Checks[1].Seen)
	junit, err := report.JUnit()
	require.NoError(t, err)
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Failure *string `xml:"failure"`
			Skipped *string `xml:"skipped"`
		} `xml:"testcase"`
	}
	require.NoError(t, xml.Unmarshal(junit, &suite))
	assert.Equal(t, []int{4, 1, 2}, []int{suite.Tests, suite.Failures, suite.Skipped})
	assert.NotNil(t, suite.Cases[1].Failure)
	page := report.Page()
	html, err := page.HTML("x")
	require.NoError(t, err)
	assert.Contains(t, string(html), "1 node &lt;is&gt; missing")
	assert.Contains(t, page.Text(), report.Summary())
}

// Whoever chooses a check by its name, or reads what it needs, must find it.
func TestEveryCheckSaysWhatItIs(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Checks() {
		assert.Regexp(t, `^[a-z][a-z-]{1,24}$`, c.Name)
		assert.False(t, names[c.Name], "two checks have the name %s", c.Name)
		names[c.Name] = true
		assert.NotEmpty(t, c.Promise, c.Name)
		assert.NotEmpty(t, append(c.Actions, c.Access...), "%s needs no right", c.Name)
		assert.Positive(t, c.Takes, c.Name)
		if c.Level > Reads {
			assert.NotEmpty(t, c.Disturbs+c.Makes, "%s: what it does", c.Name)
		} else {
			assert.Empty(t, c.Disturbs+c.Makes, c.Name)
		}
		require.NoError(t, Known([]string{c.Name}))
	}
	assert.GreaterOrEqual(t, len(names), 20)
	assert.ErrorContains(t, Known([]string{"none"}), `found no check "none"; allowed: `)
	page := List(Checks())
	for name := range names {
		assert.Contains(t, page.Text(), name)
	}
}
