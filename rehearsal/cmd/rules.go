package main

import (
	"context"
	"flag"
	"path/filepath"

	"expense/rehearsal/internal/awsrules/renew"
)

// rulesCommand renews the table of AWS's rules from the models that AWS publishes.
func rulesCommand(_ context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("aws-rules", flag.ExitOnError)
	wheels := flags.String("wheels", "", "folder with the wheels of botocore and cfn-lint")
	_ = flags.Parse(args) // ends the process
	return 0, renew.Table(*wheels, filepath.Join(project, "rehearsal", "internal", "awsrules", "rules.yaml"))
}
