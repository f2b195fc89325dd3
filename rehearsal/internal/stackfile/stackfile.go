// Package stackfile reads a stack's file as the Pulumi CLI does, and signs in to AWS as the program does with what it says.
package stackfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"expense/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	pulumiconfig "github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Read gives the texts of all keys in Pulumi.STACK.yaml, and which of the keys are encrypted. What is encrypted stays so, and is
// blinded: the program's rules look at whether it is, not at what it says.
func Read(project, stack string) (values map[string]string, encrypted []string, err error) {
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
	texts, err := file.Config.Decrypt(pulumiconfig.NewBlindingDecrypter())
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

// Init is the command that makes an empty stack for a stack's file. Without being told the file's secrets provider, Pulumi puts
// a passphrase in its place, and the file's secrets cannot be read any more.
func Init(project, stack string) string {
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

// Account reads the aws: keys alone; region is "" where the file has none. What is wrong with the others is a config.Problems.
func Account(project, stack string) (account config.Account, region string, err error) {
	values, encrypted, err := Read(project, stack)
	if err != nil {
		return account, "", err
	}
	account, err = config.ReadAccount(values, encrypted)
	return account, values["aws:region"], err
}

// SignIn loads the SDK's configuration with the account's credentials: its profile wins over the environment's, as in the provider
// (https://github.com/hashicorp/aws-sdk-go-base/blob/v2.0.0-beta.65/credentials.go) and in the aws CLI of the kubeconfig. region
// is where the role is assumed, "" if the stack's file has none; the configuration's own region stays that of the environment or
// the profile. An error says what to do.
func SignIn(ctx context.Context, account config.Account, region string, options ...func(*awsconfig.LoadOptions) error) (aws.Config, error) {
	if account.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(account.Profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, options...)
	var absent awsconfig.SharedConfigProfileNotExistError
	if errors.As(err, &absent) {
		err = fmt.Errorf("aws:profile %s: this machine has no such profile; make it with: aws configure sso --profile %[1]s, or aws configure --profile %[1]s", account.Profile)
	}
	if err == nil {
		// Asked for at once, so that nobody takes what is wrong with the network later for a lack of credentials.
		if _, err = cfg.Credentials.Retrieve(ctx); err != nil {
			err = fmt.Errorf("found no credentials: %w; sign in with: %s", err, account.SignIn())
		}
	}
	if err != nil {
		return aws.Config{}, err
	}
	if account.RoleARN != "" {
		client := sts.NewFromConfig(cfg, func(o *sts.Options) { o.Region = cmp.Or(region, cfg.Region, "us-east-1") })
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, account.RoleARN))
		// Assumed at once, so that nobody takes a refusal of the role for one of the first call.
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			return aws.Config{}, fmt.Errorf("aws:assumeRole.roleArn %s: %w; %s", account.RoleARN, err, remedy(err, account))
		}
	}
	return cfg, nil
}

// remedy is what helps if the role is not assumed. For AccessDenied see https://repost.aws/knowledge-center/iam-assume-role-error;
// a role that is not there gets the same answer (HackTricks-wiki/hacktricks-cloud
// pentesting-cloud/aws-security/aws-unauthenticated-enum-access/aws-iam-and-sts-unauthenticated-enum.md).
func remedy(err error, account config.Account) string {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "AccessDenied" {
		return "the role has to be there, its trust policy has to allow the credentials, and they need sts:AssumeRole for it"
	}
	return "sign in with: " + account.SignIn()
}
