// Command leftovers lists what a stack has in an AWS account, marks what was left behind, and writes the commands that remove
// that. It changes nothing.
//
//	leftovers -project DIR [-stack dev|prod] [-lost]
//
// It ends with 0 if nothing is left over, with 3 if something is, and with 1 if that could not be found out.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/stackfile"
	"expense/rehearsal/ops/leftovers"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// attempts are made of a call that AWS answers with "too often", or not at all.
const attempts = 8

func main() {
	c := command{out: os.Stdout}
	flag.StringVar(&c.project, "project", ".", "folder with Pulumi.yaml")
	flag.StringVar(&c.stack, "stack", "dev", "stack to look for")
	flag.BoolVar(&c.lost, "lost", false, "the stack's state is lost for good: what runs outside the one at hand is left over")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := c.run(ctx)
	if err == nil {
		os.Exit(code)
	}
	fmt.Fprintf(os.Stderr, "leftovers: %v\n", err)
	os.Exit(1)
}

// command is one run.
type command struct {
	project, stack string
	lost           bool
	out            io.Writer
	// signIn gives the credentials that the stack's file names; default those of the machine.
	signIn func(ctx context.Context, stack leftovers.Stack) (aws.Config, error)
	// state gives the stack's state; default `pulumi stack export`.
	state func(ctx context.Context, project, stack string) (*leftovers.State, error)
}

// run gives the exit code.
func (c *command) run(ctx context.Context) (int, error) {
	stack, err := leftovers.Settings(c.project, c.stack)
	if err != nil {
		return 1, err
	}
	signIn := c.signIn
	if signIn == nil {
		signIn = machine
	}
	cfg, err := signIn(ctx, stack)
	if err != nil {
		return 1, err
	}
	options := leftovers.Options{Config: cfg, Stack: stack, Lost: c.lost, Region: cfg.Region}
	options.Price = func(key string) (float64, bool) {
		price, ok := estimate.PriceOf(key)
		return price.Monthly(), ok
	}
	options.State = c.export(ctx)
	report, err := leftovers.Find(ctx, options)
	if err != nil {
		return 1, err
	}
	return report.Code(), report.Text(c.out)
}

func machine(ctx context.Context, stack leftovers.Stack) (aws.Config, error) {
	return stackfile.SignIn(ctx, stack.Account, stack.Region, config.WithRetryMode(aws.RetryModeAdaptive), config.WithRetryMaxAttempts(attempts))
}

// export gets the stack's state, or says why there is none.
func (c *command) export(ctx context.Context) *leftovers.State {
	export := c.state
	if export == nil {
		export = leftovers.ExportState
	}
	state, err := export(ctx, c.project, c.stack)
	if err != nil {
		fmt.Fprintf(c.out, "No state: %v\n", err)
	}
	return state
}
