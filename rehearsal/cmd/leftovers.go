package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/ops/leftovers"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// attempts is how often a call is made that AWS answers with "too often", or not at all.
const attempts = 8

// leftoversCommand lists what a stack has in an AWS account, marks what was left behind, and writes the commands that remove it. It changes
// nothing. It ends with 0 if nothing is left over, with 3 if something is, and with 1 if it could not find out.
func leftoversCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("leftovers", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to look for")
	lost := flags.Bool("lost", false, "the stack's state is lost for good: what runs outside the one at hand is left over")
	script := flags.String("script", "", "file for the commands that remove what is left over, for a shell")
	_ = flags.Parse(args) // ends the process
	s := search{project, *stack, *lost, *script, os.Stdout, signIn, leftovers.ExportState}
	return s.run(ctx)
}

// search is one search for leftovers.
type search struct {
	project, stack string
	lost           bool
	// script is the file for the commands, "" for none.
	script string
	out    io.Writer
	// signIn gives the credentials that the stack's file names, state the stack's state.
	signIn func(ctx context.Context, stack leftovers.Stack) (aws.Config, error)
	state  func(ctx context.Context, project, stack string) (*leftovers.State, error)
}

// run gives the exit code.
func (s *search) run(ctx context.Context) (int, error) {
	stack, err := leftovers.Settings(s.project, s.stack)
	if err != nil {
		return 1, err
	}
	cfg, err := s.signIn(ctx, stack)
	if err != nil {
		return 1, err
	}
	state, err := s.state(ctx, s.project, s.stack)
	if err != nil {
		fmt.Fprintf(s.out, "No state: %v\n", err)
	}
	options := leftovers.Options{Config: cfg, Stack: stack, Lost: s.lost, Region: cfg.Region, State: state}
	options.Price = func(key string) (float64, bool) {
		price, ok := estimate.PriceOf(key)
		return price.Monthly(), ok
	}
	report, err := leftovers.Find(ctx, options)
	if err != nil {
		return 1, err
	}
	if s.script != "" {
		if err := os.WriteFile(s.script, []byte(report.Script()), 0o600); err != nil {
			return 1, err
		}
	}
	return report.Code(), report.Text(s.out)
}

func signIn(ctx context.Context, stack leftovers.Stack) (aws.Config, error) {
	return accounts(ctx, stack.Account, stack.Region, config.WithRetryMode(aws.RetryModeAdaptive), config.WithRetryMaxAttempts(attempts))
}
