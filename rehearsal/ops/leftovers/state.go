package leftovers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"expense/rehearsal/internal/state"

	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// State is what Pulumi has of a stack.
type State struct {
	refs map[string]bool
	vpcs []string
	arns []string
}

// ParseState reads what `pulumi stack export` prints.
func ParseState(data []byte) (*State, error) {
	deployment, err := state.Read(data)
	if err != nil {
		return nil, err
	}
	s := &State{refs: map[string]bool{}}
	for _, r := range deployment.Resources {
		typ, id := string(r.Type), string(r.ID)
		if !r.Custom || !strings.HasPrefix(typ, "aws:") {
			continue
		}
		arn, _ := r.Outputs["arn"].(string)
		for _, ref := range []string{id, arn, typ + " " + id} {
			s.refs[ref] = true
		}
		if typ == "aws:ec2/vpc:Vpc" {
			s.vpcs = append(s.vpcs, id)
		}
		if strings.HasPrefix(arn, "arn:") {
			s.arns = append(s.arns, arn)
		}
	}
	delete(s.refs, "")
	return s, nil
}

// ExportState asks the pulumi on PATH for a stack's state.
func ExportState(ctx context.Context, project, stack string) (*State, error) {
	data, err := Export(ctx, project, stack)
	if err != nil {
		return nil, err
	}
	return ParseState(data)
}

// Export is what `pulumi stack export` prints. Secrets in it stay encrypted.
func Export(ctx context.Context, project, stack string) ([]byte, error) {
	command := exec.CommandContext(ctx, "pulumi", "stack", "export", "--stack", stack, "--non-interactive")
	command.Dir = project
	var stderr bytes.Buffer
	command.Stderr = &stderr
	data, err := command.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("found no pulumi on PATH, which has the state: install it, see https://www.pulumi.com/docs/install/")
	}
	if err != nil {
		return nil, fmt.Errorf("pulumi stack export --stack %s: %w: %s; sign in with: pulumi login; if the stack was removed, make an empty "+
			"one: %s",
			stack, err, strings.TrimSpace(stderr.String()), initCommand(project, stack))
	}
	return data, nil
}

// initCommand is the command that makes an empty stack for a stack's file. Without the file's secrets provider Pulumi would write a
// passphrase in its place, and could no longer read the file's secrets.
func initCommand(project, stack string) string {
	command := "pulumi stack init " + stack
	program, err := workspace.LoadProject(filepath.Join(project, "Pulumi.yaml"))
	if err != nil {
		return command
	}
	file, err := workspace.LoadProjectStack(nil, program, filepath.Join(project, "Pulumi."+stack+".yaml"))
	if err != nil || file.SecretsProvider == "" || file.SecretsProvider == "passphrase" {
		return command
	}
	return command + " --secrets-provider '" + file.SecretsProvider + "'"
}

// has tells whether the state has a thing of an ID, an ARN, or of a type and a name.
func (s *State) has(ref string) bool { return s != nil && ref != "" && s.refs[ref] }

// elsewhere is an error if the state is of another account or region.
func (s *State) elsewhere(account string, stack Stack) error {
	for _, arn := range s.arns {
		parts := strings.SplitN(arn, ":", 6)
		if len(parts) < 6 {
			continue
		}
		if parts[4] != "" && parts[4] != "aws" && parts[4] != account {
			return fmt.Errorf("the credentials are of account %s, and stack %s has %s: sign in to account %s, for example with: %s", account,
				stack.Name, arn, parts[4], stack.Account.Remedy(stack.Name))
		}
		if parts[3] != "" && parts[3] != stack.Region {
			return fmt.Errorf("aws:region is %s, and stack %s has %s: set it back with: pulumi config set aws:region %s --stack %s", stack.Region,
				stack.Name, arn, parts[3], stack.Name)
		}
	}
	return nil
}
