package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"

	"expense/rehearsal/ops/manifests"
)

// manifestsCommand writes Kubernetes manifests as apps of a stack's file. With secret it writes one value of a Secret to a pipe.
func manifestsCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("from-manifests", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack whose file gets the apps")
	file := flags.String("file", "", "manifest, or folder of manifests")
	asGo := flags.Bool("go", false, "print Go for what the words of an app do not have")
	secret := flags.String("secret", "", "NAME/KEY of a Secret: writes its value, and does nothing else")
	_ = flags.Parse(args) // ends the process
	if *secret != "" {
		if info, err := os.Stdout.Stat(); err != nil || info.Mode()&os.ModeCharDevice != 0 {
			return 1, errors.New("found a terminal to write a secret to; allowed: a pipe, as to pulumi config set --secret")
		}
	}
	options := manifests.Options{
		Project: project, Stack: *stack, Path: *file, Go: *asGo, Secret: *secret, Out: os.Stdout, Image: manifests.Docker,
	}
	if binary := filepath.Join(toolsOf(project), "kubernetes"); exists(binary) {
		options.Check = func(ctx context.Context, objects []manifests.Object) error {
			return dryRun(ctx, binary, objects)
		}
	}
	if err := manifests.Run(ctx, options); err != nil {
		return 1, err
	}
	return 0, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
