// Command stack plays and previews this repository's stacks on this machine, and looks at them in an AWS account. It is run in the
// repository's root; make has a target for each of its commands.
//
//	stack COMMAND [flags]
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"expense/rehearsal/ops/login"

	"k8s.io/klog/v2"
)

// written is the folder, in the project's, for all that the commands write. Each has a folder of its own in it.
const written = ".out"

// commands take the project's folder and the words after their name, and give the exit code. An error is printed, and the code is then 1
// at least.
var commands = map[string]func(ctx context.Context, project string, args []string) (code int, err error){
	"rehearse":       rehearseCommand,
	"preview-diff":   previewCommand,
	"faults":         faultsCommand,
	"doctor":         doctorCommand,
	"verify":         verifyCommand,
	"why":            whyCommand,
	"record":         recordCommand,
	"image":          imageCommand,
	"from-eksctl":    eksctlCommand,
	"from-manifests": manifestsCommand,
	"leftovers":      leftoversCommand,
	"estimate":       estimateCommand,
	"fresh":          freshCommand,
	"aws-rules":      rulesCommand,
	"bench":          benchCommand,
}

// accounts signs in to AWS. Tests have the model there.
var accounts = login.SignIn

func main() {
	// The Kubernetes libraries' own log is of no interest here.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	run, known := commands[name]
	if !known {
		fmt.Fprintf(os.Stderr, "stack: no command %q: one of %s\n", name, strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
		os.Exit(1)
	}
	project, err := os.Getwd()
	code := 0
	if err == nil {
		code, err = run(ctx, project, os.Args[2:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// toolsOf is the folder with the built tools.
func toolsOf(project string) string { return filepath.Join(project, ".tools", "bin") }
