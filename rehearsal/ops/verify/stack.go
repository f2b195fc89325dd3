package verify

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/state"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Stack is a stack that is up, and the ways to it.
type Stack struct {
	// Name is the stack's, Target what it runs on: "the rehearsal" or "account 111122223333".
	Name, Target string
	Settings     *config.Config
	// State is Pulumi's, with its secrets encrypted.
	State apitype.DeploymentV3
	// AWS has the stack's credentials and region.
	AWS aws.Config
	// Kubernetes and REST reach the cluster.
	Kubernetes kubernetes.Interface
	REST       *rest.Config
	// Pulumi runs one command of the CLI on the stack, and gives what it prints.
	Pulumi func(ctx context.Context, args ...string) ([]byte, error)
	// Log, Load and Forward are what a target does in a way of its own. nil is the cluster's.
	//
	// Log reads the log of a pod. Load puts load on web until it is stopped. Forward gives the address on this machine of a pod's port.
	Log     func(ctx context.Context, pod *corev1.Pod, options *corev1.PodLogOptions) ([]byte, error)
	Load    func(ctx context.Context) (stop func(context.Context) error, err error)
	Forward func(ctx context.Context, pod *corev1.Pod, port int) (address string, stop func(), err error)
	// Lacks are the abilities that the target does not have, each with the reason.
	Lacks map[Ability]string
	// Patience is how long a check waits for what controllers do. Pause is how long it waits between two looks.
	Patience, Pause time.Duration
	// Out is for what a check tells beside its verdict.
	Out io.Writer

	// secrets are values that no report shows.
	secrets []string
}

func (s *Stack) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// missing is why the target shows nothing to a check with such needs, "" if it does.
func (s *Stack) missing(needs []Ability) string {
	for _, a := range needs {
		if why, lacks := s.Lacks[a]; lacks {
			return fmt.Sprintf("%s has no %q: %s", s.Target, a, why)
		}
	}
	return ""
}

// resources are those of a type that the state has, by their name in the program.
func (s *Stack) resources(typ string) map[string]apitype.ResourceV3 {
	out := map[string]apitype.ResourceV3{}
	for _, r := range s.State.Resources {
		if string(r.Type) == typ && !r.Delete {
			out[r.URN.Name()] = r
		}
	}
	return out
}

// output is a text among a resource's outputs.
func output(r apitype.ResourceV3, path ...any) string {
	text, _ := state.At(r.Outputs, path...).(string)
	return text
}

// outage is how long an API may not answer before a check gives up.
const outage = time.Minute

// until looks again and again until a condition holds. The error is the last one of the condition.
func (s *Stack) until(ctx context.Context, condition func(context.Context) error) error {
	var last error
	var since time.Time // when the API was last reached
	err := wait.PollUntilContextTimeout(ctx, s.Pause, s.Patience, true, func(ctx context.Context) (bool, error) {
		// An answer that time ran out on says less than the one before.
		if now := condition(ctx); now == nil || last == nil || ctx.Err() == nil {
			last = now
		}
		if since.IsZero() || last == nil || !unreached(last) {
			since = time.Now()
		}
		return last == nil || unseen(last) && (!unreached(last) || time.Since(since) >= outage), nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if last != nil {
		return last
	}
	return err
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
