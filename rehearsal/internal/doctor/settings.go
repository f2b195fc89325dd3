package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"expense/internal/config"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumiconfig "github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// accessPath is the one setting that nobody can choose for the user; anyAddress stands in for it, so that all else can be
// looked at before it is set. It is an address for documentation (RFC 5737).
const (
	accessPath = "cluster.publicAccessCidrs"
	anyAddress = "203.0.113.7/32"
)

// Settings reads a stack's file as the CLI does and checks it with the program's own rules. Settings are nil if more is wrong
// with them than that nobody may reach the cluster; problems are all that is wrong.
func Settings(project, stack string) (settings *config.Config, problems config.Problems, err error) {
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
	// What is encrypted stays so, and is blinded: the rules look at whether it is, not at what it says.
	values, err := file.Config.Decrypt(pulumiconfig.NewBlindingDecrypter())
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	texts, secrets := map[string]string{}, []string{}
	for key, value := range values {
		texts[key.String()] = value
	}
	for key, value := range file.Config {
		if value.Secure() {
			secrets = append(secrets, key.String())
		}
	}
	settings, problems, err = load(stack, texts, secrets)
	if err == nil && len(problems) == 1 && problems[0].Path == accessPath {
		if texts["expense:cluster"], err = admit(texts["expense:cluster"]); err == nil {
			settings, _, err = load(stack, texts, secrets)
		}
	}
	return settings, problems, err
}

// load has the program's own reader read settings. It wants a program that runs, and gets one that registers nothing.
func load(stack string, values map[string]string, secrets []string) (settings *config.Config, problems config.Problems, err error) {
	err = pulumi.RunErr(func(ctx *pulumi.Context) (err error) {
		settings, err = config.Load(ctx)
		return err
	}, pulumi.WithMocks("expense", stack, nothing{}), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys = values, secrets
	})
	if errors.As(err, &problems) {
		return nil, problems, nil
	}
	return settings, nil, err
}

// admit adds an address that may reach the cluster.
func admit(cluster string) (string, error) {
	var section map[string]any
	d := json.NewDecoder(strings.NewReader(cluster))
	d.UseNumber()
	if err := d.Decode(&section); err != nil {
		return "", err
	}
	section["publicAccessCidrs"] = []string{anyAddress}
	data, err := json.Marshal(section)
	return string(data), err
}

// nothing refuses every resource and every call.
type nothing struct{}

func (nothing) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	return "", nil, fmt.Errorf("settings register nothing, found %s", args.TypeToken)
}

func (nothing) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("settings call nothing, found %s", args.Token)
}
