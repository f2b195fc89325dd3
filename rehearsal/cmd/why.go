package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"expense/rehearsal/ops/leftovers"
	"expense/rehearsal/ops/why"
)

// whyCommand says why the workloads of a stack are not up. It changes nothing. It ends with 0 if all are up, with 3 if one is not, and with
// 1 if it could not find out.
func whyCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("why", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to look at")
	_ = flags.Parse(args) // ends the process
	export, err := leftovers.Export(ctx, project, *stack)
	if err != nil {
		return 1, err
	}
	return explain(ctx, os.Stdout, export)
}

func explain(ctx context.Context, out io.Writer, export []byte) (code int, err error) {
	client, namespaces, err := why.Cluster(export)
	if err != nil {
		return 1, err
	}
	lines, err := why.Explain(ctx, client, namespaces)
	if err != nil {
		return 1, fmt.Errorf("%w; the credentials have to be the stack's, and this machine has to reach the cluster's API", err)
	}
	if len(lines) == 0 {
		_, err = fmt.Fprintln(out, "Every workload in the cluster is up. What `pulumi up` did not come to is not there.")
		return 0, err
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return 1, err
		}
	}
	return 3, nil
}
