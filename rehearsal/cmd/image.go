package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"expense/internal/config"
	"expense/rehearsal/ops/image"
	"expense/rehearsal/ops/login"
)

// imageCommand builds the image of an app for a stack's nodes, tries it, pushes it, and writes it into the stack's file. It ends with 0,
// with 3 if an app of all has to wait for its repository, and with 1 if it failed.
func imageCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("image", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to build for")
	name := flags.String("name", "", "app whose image is built, or capture")
	all := flags.Bool("all", false, "each app with build and without image, as the workflows do")
	mode := flags.String("mode", string(image.Push),
		"push; try: builds and tries only; take: writes what the registry has; fill: fills the caches")
	_ = flags.Parse(args) // ends the process
	if known := []image.Mode{image.Push, image.Try, image.Take, image.Fill}; !slices.Contains(known, image.Mode(*mode)) {
		return 1, fmt.Errorf("found the mode %q; allowed: %v", *mode, known)
	}
	if (*name == "") != (*all || image.Mode(*mode) == image.Fill) {
		return 1, errors.New("found no app: name one, as in make image NAME=backend STACK=dev")
	}
	again, err := image.Run(ctx, image.Options{
		Project: project, Stack: *stack, Name: *name, Mode: image.Mode(*mode), Out: os.Stdout, Progress: os.Stderr,
		SignIn: func(ctx context.Context) ([]string, error) { return environment(ctx, project, *stack) }, Pause: pause,
	})
	if again {
		code = 3
	}
	return code, err
}

// environment has the credentials that the stack's file names.
func environment(ctx context.Context, project, stack string) ([]string, error) {
	account, region, err := config.FileAccount(project, stack)
	if err != nil {
		return nil, err
	}
	cfg, err := login.SignIn(ctx, account, region)
	if err != nil {
		return nil, err
	}
	return login.Environment(ctx, cfg)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
