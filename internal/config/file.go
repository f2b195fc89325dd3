package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// File reads Pulumi.STACK.yaml in the project's folder as the CLI does. It returns the texts of all keys, and the keys with an
// encrypted part. Encrypted texts are blinded: the rules do not look at them.
func File(project, stack string) (values map[string]string, encrypted []string, err error) {
	name := "Pulumi." + stack + ".yaml"
	if _, err := os.Stat(filepath.Join(project, name)); errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("found no file %s: STACK names a stack with such a file", name)
	}
	program, err := workspace.LoadProject(filepath.Join(project, "Pulumi.yaml"))
	if err != nil {
		return nil, nil, err
	}
	file, err := workspace.LoadProjectStack(nil, program, filepath.Join(project, name))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	texts, err := file.Config.Decrypt(config.NewBlindingDecrypter())
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	values = map[string]string{}
	for key, value := range texts {
		values[key.String()] = value
	}
	for key, value := range file.Config {
		if value.Secure() {
			encrypted = append(encrypted, key.String())
		}
	}
	return values, encrypted, nil
}

// FileAccount reads only the aws: keys. region is "" if the file has none. An error in the other keys is a Problems.
func FileAccount(project, stack string) (account Account, region string, err error) {
	values, encrypted, err := File(project, stack)
	if err != nil {
		return account, "", err
	}
	account, err = ReadAccount(values, encrypted)
	return account, values[keyRegion], err
}
