package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"expense/rehearsal/internal/bench"
	"expense/rehearsal/internal/stage"
)

// benchCommand measures the program with more and more apps. It needs no account and no network.
func benchCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	apps := flags.String("apps", "1,10,100,1000", "numbers of apps")
	_ = flags.Parse(args) // ends the process
	options := bench.Options{Project: project, Tools: toolsOf(project), Out: os.Stdout}
	for _, text := range strings.Split(*apps, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 1, fmt.Errorf("APPS: found %q; allowed: numbers of apps with commas between, as 1,10,100", *apps)
		}
		options.Apps = append(options.Apps, n)
	}
	runs, err := bench.Measure(ctx, options)
	table := bench.Table(runs)
	fmt.Print("\n", table.Text())
	if failure := (*stage.PulumiError)(nil); errors.As(err, &failure) {
		return 1, fmt.Errorf("%w\n%s", err, failure.Output)
	}
	return 0, err
}
