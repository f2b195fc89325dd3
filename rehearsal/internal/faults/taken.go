package faults

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// Taken: somebody has made a Kubernetes object by hand before the engine does.
const Taken Kind = "taken"

// twice does an operation for somebody else, then for the engine.
func (i *injector) twice(ctx context.Context, operation Operation, req any, handle grpc.UnaryHandler) (any, error) {
	if _, err := i.do(ctx, operation, req, handle); err != nil {
		return nil, err
	}
	return i.do(ctx, operation, req, handle)
}

// exists is what a command prints of a Kubernetes object that exists already.
var exists = regexp.MustCompile(`resource "(urn:[^"]+)" was not successfully created by the Kubernetes API server: ` +
	`(\S+) "(\S+)" already exists`)

// repeat runs a command as long as it ends with an error after which docs/recovery.md says to repeat it.
func (s *Stage) repeat(run func() error) error {
	var err error
	for range 5 { // enough for anything that spreads
		if err = run(); err == nil {
			return nil
		}
		said := failure(err).Error()
		if !slices.ContainsFunc(s.page.repeat, func(word string) bool { return strings.Contains(said, word) }) {
			break
		}
	}
	return err
}

// again runs a command of docs/recovery.md until it ends without an error. It removes objects that exist already as the page says, each
// once.
func (s *Stage) again(ctx context.Context, command string) error {
	kubeconfig, err := s.stage.ControlPlane.Kubeconfig("somebody")
	if err != nil {
		return err
	}
	file := filepath.Join(s.stage.Dir, "kubeconfig")
	if err := os.WriteFile(file, kubeconfig, 0o600); err != nil {
		return err
	}
	for removed := map[string]bool{}; ; {
		err := s.repeat(func() error {
			return s.stage.PulumiWith(ctx, writtenOnce, append(strings.Fields(command)[1:], "--yes", "--skip-preview")...)
		})
		if err == nil {
			return nil
		}
		before := len(removed)
		for _, object := range exists.FindAllStringSubmatch(failure(err).Error(), -1) {
			names := strings.NewReplacer("RESOURCE", object[2], "NAMESPACE", s.injector.namespaceOf(object[1]), "NAME", object[3])
			remove := names.Replace(s.page.room)
			if removed[remove] {
				return err
			}
			removed[remove] = true
			if _, err := s.stage.Shell(ctx, remove, "KUBECONFIG="+file); err != nil {
				return fmt.Errorf("%s: %w", remove, err)
			}
		}
		if len(removed) == before {
			return err
		}
	}
}

// namespaceOf is the namespace of the object that the engine wanted for a URN. For an object without one it does not matter.
func (i *injector) namespaceOf(urn string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	metadata := i.wanted[urn].GetProperties().GetFields()["metadata"].GetStructValue().GetFields()
	return cmp.Or(metadata["namespace"].GetStringValue(), "default")
}

// want notes what the engine wants to have made.
func (i *injector) want(req any) {
	if r, ok := req.(*pulumirpc.CreateRequest); ok {
		i.mu.Lock()
		i.wanted[r.GetUrn()] = r
		i.mu.Unlock()
	}
}
