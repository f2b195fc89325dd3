package leftovers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Stack is what a stack's file says of where its things are.
type Stack struct {
	// Name is the stack's, Region its AWS region; Cluster and Domain are the names of its EKS cluster and its domain.
	Name, Region, Cluster, Domain string
}

// Settings reads a stack's file, Pulumi.STACK.yaml. The names have the program's defaults; all else in the file is left to
// the program to check, because a stack must be found that can no longer come up.
func Settings(project, stack string) (Stack, error) {
	name := "Pulumi." + stack + ".yaml"
	data, err := os.ReadFile(filepath.Join(project, name))
	if errors.Is(err, os.ErrNotExist) {
		return Stack{}, fmt.Errorf("found no file %s: STACK names a stack with such a file", name)
	}
	if err != nil {
		return Stack{}, err
	}
	var file struct {
		Config struct {
			Region  string `yaml:"aws:region"`
			Cluster struct {
				Name string `yaml:"name"`
			} `yaml:"expense:cluster"`
			Logging struct {
				Domain struct {
					Name string `yaml:"name"`
				} `yaml:"domain"`
			} `yaml:"expense:logging"`
		} `yaml:"config"`
	}
	file.Config.Cluster.Name, file.Config.Logging.Domain.Name = "expense", "expense"
	if err := yaml.Unmarshal(data, &file); err != nil {
		return Stack{}, fmt.Errorf("%s: %w", name, err)
	}
	if file.Config.Region == "" {
		return Stack{}, fmt.Errorf("%s: found no aws:region; set it with: pulumi config set aws:region us-east-1 --stack %s", name, stack)
	}
	return Stack{Name: stack, Region: file.Config.Region, Cluster: file.Config.Cluster.Name, Domain: file.Config.Logging.Domain.Name}, nil
}
