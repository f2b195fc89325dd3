// Command doctor looks at this machine, an AWS account and a stack's settings before the first `pulumi up`, and says what
// would stop it and what mends it. It changes nothing.
//
//	doctor -project DIR [-stack dev|prod]
//
// It ends with 0 if nothing is wrong, with 3 if something is, and with 1 if nothing can be said, as without credentials.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"expense/rehearsal/internal/stackfile"
	"expense/rehearsal/ops/doctor"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	project := flag.String("project", ".", "folder with Pulumi.yaml")
	stack := flag.String("stack", "dev", "stack to look at")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Stdout, *project, *stack)
	if err != nil {
		fmt.Fprintf(os.Stderr, "doctor: %v\n", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, out io.Writer, project, stack string) (code int, err error) {
	settings, problems, err := doctor.Settings(project, stack)
	if err != nil {
		return 1, err
	}
	account, region, err := stackfile.Account(project, stack)
	var cfg aws.Config
	if err != nil {
		err = errors.New("the credentials of the environment may be of another account: nothing is asked of AWS until the aws: keys are right")
	} else {
		cfg, err = stackfile.SignIn(ctx, account, region, config.WithRetryMode(aws.RetryModeAdaptive))
	}
	findings := doctor.Examine(ctx, doctor.Options{
		Config: cfg, SignedOut: err, Account: account, Stack: stack, Region: region, Settings: settings, Problems: problems,
		Run: doctor.Exec, HTTP: &http.Client{Timeout: 15 * time.Second},
	})
	return doctor.Code(findings), doctor.Text(out, findings)
}
