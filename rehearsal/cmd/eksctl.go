package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/preview"
	"expense/rehearsal/ops/eksctl"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
)

// eksctlCommand makes a stack's file from eksctl's file of a cluster. With the built tools it says what the stack costs and how long it
// takes.
func eksctlCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("from-eksctl", flag.ExitOnError)
	file := flags.String("file", "", "ClusterConfig to read")
	stack := flags.String("stack", "dev", "stack that gets a file")
	anyway := flags.Bool("anyway", false, "write the file without the fields that are not supported")
	_ = flags.Parse(args) // ends the process
	err = eksctl.Run(ctx, eksctl.Options{
		Project: project, Stack: *stack, File: *file, Anyway: *anyway, Out: os.Stdout, Today: time.Now(),
		SignIn: func(ctx context.Context, region string) (aws.Config, error) {
			return login.SignIn(ctx, config.Account{}, region, awsconfig.WithRegion(region))
		},
	})
	if err != nil {
		return 1, err
	}
	return 0, estimated(ctx, project, *stack)
}

// estimated prints what a stack that is not there yet costs, and how long it takes to come up.
func estimated(ctx context.Context, project, stack string) error {
	for _, tool := range []string{"pulumi", "pulumi-language-go", "kubernetes"} {
		if _, err := os.Stat(filepath.Join(toolsOf(project), tool)); err != nil {
			_, err := fmt.Printf("\nWhat it costs and how long it takes: make preview-diff STACK=%s\n", stack)
			return err
		}
	}
	fmt.Print("\nPreviews the stack in the rehearsal, to say what it costs and how long it takes.\n\n")
	nothing, err := os.MkdirTemp("", "from-eksctl-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(nothing)
	result, err := preview.Compare(ctx, preview.Options{Project: project, Base: nothing, Stacks: []string{stack}, Tools: toolsOf(project)})
	if err != nil {
		return err
	}
	estimate := *result.Stacks[0].Estimate
	estimate.Apply = nil // it is up of the whole stack
	page := estimate.Page()
	_, err = fmt.Print(page.Text())
	return err
}
