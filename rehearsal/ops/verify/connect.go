package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/state"
	"expense/rehearsal/ops/why"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"k8s.io/client-go/kubernetes"
)

// Connect gives a stack in an account. cfg has the credentials that the stack's file names, export is what `pulumi stack export` prints.
// Other credentials than the file allows are an error, and so are settings that the program refuses.
func Connect(ctx context.Context, project, stack string, cfg aws.Config, export []byte, out io.Writer) (*Stack, error) {
	values, encrypted, err := config.File(project, stack)
	if err != nil {
		return nil, err
	}
	settings, err := config.ReadIn(project, values, encrypted)
	if err != nil {
		return nil, err
	}
	deployment, err := state.Read(export)
	if err != nil {
		return nil, err
	}
	access, _, err := why.Access(export)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig in the stack's state: %w", err)
	}
	if _, err := client.Discovery().ServerVersion(); err != nil {
		return nil, fmt.Errorf("the cluster's API does not answer: %w; the credentials have to be the stack's, and this machine's address among "+
			"expense:cluster.publicAccessCidrs", err)
	}
	cfg.Region = settings.Region
	caller, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, fmt.Errorf("%w; sign in with: %s", err, settings.Account.SignIn())
	}
	if err := settings.Account.Check(aws.ToString(caller.Account), stack); err != nil {
		return nil, err
	}
	return &Stack{
		Name: stack, Target: "account " + aws.ToString(caller.Account), Settings: settings, State: deployment, AWS: cfg,
		Kubernetes: client, REST: access, Pulumi: cli(project, stack), Patience: 10 * time.Minute, Pause: 3 * time.Second, Out: out,
	}, nil
}

// cli runs the pulumi on PATH on a stack.
func cli(project, stack string) func(context.Context, ...string) ([]byte, error) {
	return func(ctx context.Context, args ...string) ([]byte, error) {
		command := exec.CommandContext(ctx, "pulumi", append(args, "--stack", stack, "--non-interactive")...)
		command.Dir = project
		// A group of its own: the terminal's Ctrl-C reaches it through Cancel, and not at all while lost pods are made again.
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
		command.WaitDelay = time.Minute
		var stderr bytes.Buffer
		command.Stderr = &stderr
		data, err := command.Output()
		if err != nil {
			err = fmt.Errorf("pulumi %s: %w: %s%s", strings.Join(args, " "), err, data, stderr.String())
		}
		return data, err
	}
}
