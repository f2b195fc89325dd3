package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"time"

	"expense/internal/config"
	"expense/rehearsal/ops/doctor"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
)

// doctorCommand looks at this machine, an AWS account and a stack's settings before the first `pulumi up`, and says what would stop it and
// what helps. It changes nothing. It ends with 0 if nothing is wrong, with 3 if something is, and with 1 if nothing can be said, as without
// credentials.
func doctorCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("doctor", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to look at")
	_ = flags.Parse(args) // ends the process
	return diagnose(ctx, os.Stdout, project, *stack)
}

func diagnose(ctx context.Context, out io.Writer, project, stack string) (code int, err error) {
	settings, problems, err := doctor.Settings(project, stack)
	if err != nil {
		return 1, err
	}
	account, region, err := config.FileAccount(project, stack)
	var cfg aws.Config
	if err != nil {
		err = errors.New("the credentials of the environment may be of another account: nothing is asked of AWS until the aws: keys are right")
	} else {
		cfg, err = accounts(ctx, account, region, awsconfig.WithRetryMode(aws.RetryModeAdaptive))
	}
	findings := doctor.Examine(ctx, doctor.Options{
		Config: cfg, SignedOut: err, Account: account, Stack: stack, Region: region, Settings: settings, Problems: problems,
		Run: doctor.Exec, HTTP: &http.Client{Timeout: 15 * time.Second},
	})
	return doctor.Code(findings), doctor.Text(out, findings)
}
