// Package login signs in to the AWS account of a stack as the program does, and reads what AWS answers.
package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"expense/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// SignIn loads the SDK's configuration with the account's credentials. The account's profile wins over the environment's, as in the
// provider (https://github.com/hashicorp/aws-sdk-go-base/blob/v2.0.0-beta.65/credentials.go) and in the aws CLI of the kubeconfig. The
// role is assumed in region, which is "" if the stack's file has none; the configuration keeps the region of the environment or the
// profile. An error says what to do.
func SignIn(ctx context.Context, account config.Account, region string, options ...func(*awsconfig.LoadOptions) error) (aws.Config, error) {
	if account.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(account.Profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, options...)
	var absent awsconfig.SharedConfigProfileNotExistError
	if errors.As(err, &absent) {
		err = fmt.Errorf("aws:profile %s: this machine has no such profile; make it with: aws configure sso --profile %[1]s, "+
			"or aws configure --profile %[1]s", account.Profile)
	}
	if err == nil {
		// At once: a later failure of the network must not look like a lack of credentials.
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
		// At once: a refusal of the role must not look like one of the first call.
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			return aws.Config{}, fmt.Errorf("aws:assumeRole.roleArn %s: %w; %s", account.RoleARN, err, remedy(err, account))
		}
	}
	return cfg, nil
}

// remedy is what helps if the role is not assumed. For AccessDenied see https://repost.aws/knowledge-center/iam-assume-role-error; AWS
// answers the same if the role does not exist (HackTricks-wiki/hacktricks-cloud
// pentesting-cloud/aws-security/aws-unauthenticated-enum-access/aws-iam-and-sts-unauthenticated-enum.md).
func remedy(err error, account config.Account) string {
	if Code(err) == "AccessDenied" {
		return "the role has to be there, its trust policy has to allow the credentials, and they need sts:AssumeRole for it"
	}
	return "sign in with: " + account.SignIn()
}
