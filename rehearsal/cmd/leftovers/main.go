// Command leftovers lists what a stack has in an AWS account, and marks what was left behind. With -delete it removes that.
//
//	leftovers -project DIR [-stack dev|prod] [-delete [-yes]]
//
// It ends with 0 if nothing is left over, with 3 if something is, and with 1 if that could not be found out.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/leftovers"
	"expense/rehearsal/internal/stackfile"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/term"
)

// attempts are made of a call that AWS answers with "too often", or not at all.
const attempts = 8

func main() {
	c := command{out: os.Stdout, in: os.Stdin, terminal: term.IsTerminal(int(os.Stdin.Fd()))}
	flag.StringVar(&c.project, "project", ".", "folder with Pulumi.yaml")
	flag.StringVar(&c.stack, "stack", "dev", "stack to look for")
	flag.BoolVar(&c.remove, "delete", false, "remove what is left over, after asking")
	flag.BoolVar(&c.yes, "yes", false, "do not ask")
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
	remove, yes    bool
	out            io.Writer
	in             io.Reader
	terminal       bool
	// signIn gives the credentials that the stack's file names; default those of the machine.
	signIn func(ctx context.Context, stack leftovers.Stack) (aws.Config, error)
	// state gives the stack's state; default `pulumi stack export`.
	state func(ctx context.Context, project, stack string) (*leftovers.State, error)
}

// run gives the exit code.
func (c *command) run(ctx context.Context) (int, error) {
	if c.remove && !c.yes && !c.terminal {
		return 1, fmt.Errorf("-delete asks before it removes anything, and standard input is no terminal: run it in one, or with -yes")
	}
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
	options := leftovers.Options{Config: cfg, Stack: stack, Region: cfg.Region, Say: func(line string) { fmt.Fprintln(c.out, line) }}
	options.Price = func(key string) (float64, bool) {
		price, ok := estimate.PriceOf(key)
		return price.Monthly(), ok
	}
	options.State = c.export(ctx)
	report, err := leftovers.Find(ctx, options)
	if err != nil {
		return 1, err
	}
	if err := report.Text(c.out); err != nil {
		return 1, err
	}
	if !c.remove || len(report.Of(leftovers.Leftover)) == 0 {
		return report.Code(), nil
	}
	if !c.yes && !c.agreed() {
		fmt.Fprintln(c.out, "Nothing is removed.")
		return report.Code(), nil
	}
	// Somebody may have run Pulumi meanwhile.
	options.State = c.export(ctx)
	if report, err = leftovers.Remove(ctx, options, report); err != nil {
		return 1, err
	}
	fmt.Fprintln(c.out)
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

// agreed asks for the stack's name.
func (c *command) agreed() bool {
	fmt.Fprintf(c.out, "This removes everything marked %s for good. Type the stack's name to go on: ", leftovers.Leftover)
	line, _ := bufio.NewReader(c.in).ReadString('\n')
	return strings.TrimSpace(line) == c.stack
}
