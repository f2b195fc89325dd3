package leftovers

import (
	"encoding/json"
	"fmt"

	"expense/internal/config"
)

// Stack is what a stack's file says of where its things are.
type Stack struct {
	// Name is the stack's, Region its AWS region; Cluster and Domain are the names of its EKS cluster and its domain.
	Name, Region, Cluster, Domain string
	// Protected tells that the file protects the domain: no command that deletes it is written.
	Protected bool
	// Account says with which credentials to look, and in which account.
	Account config.Account
}

// Settings reads a stack's file, Pulumi.STACK.yaml. The names have the program's defaults. An error in the aws: keys is an error here. The
// program checks the rest: a stack must be found even if it can no longer come up.
func Settings(project, stack string) (Stack, error) {
	values, encrypted, err := config.File(project, stack)
	if err != nil {
		return Stack{}, err
	}
	out := Stack{Name: stack, Region: values["aws:region"]}
	if out.Account, err = config.ReadAccount(values, encrypted); err != nil {
		return Stack{}, err
	}
	name := "Pulumi." + stack + ".yaml"
	if out.Region == "" {
		return Stack{}, fmt.Errorf("%s: found no aws:region; set it with: pulumi config set aws:region us-east-1 --stack %s", name, stack)
	}
	var file struct {
		Cluster struct{ Name string }
		Logging struct {
			Domain struct {
				Name    string
				Protect bool
			}
		}
	}
	defaults := config.Defaults()
	file.Cluster.Name, file.Logging.Domain.Name = defaults.Cluster.Name, defaults.Logging.Domain.Name
	for key, into := range map[string]any{"expense:cluster": &file.Cluster, "expense:logging": &file.Logging} {
		if text, set := values[key]; set {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return Stack{}, fmt.Errorf("%s: %s: %w", name, key, err)
			}
		}
	}
	out.Cluster, out.Domain, out.Protected = file.Cluster.Name, file.Logging.Domain.Name, file.Logging.Domain.Protect
	return out, nil
}
