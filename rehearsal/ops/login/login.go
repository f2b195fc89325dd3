// Package login signs in to the AWS account of a stack as the program does.
package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"expense/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

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
	if Code(err) == "AccessDenied" {
		return "the role has to be there, its trust policy has to allow the credentials, and they need sts:AssumeRole for it"
	}
	return "sign in with: " + account.SignIn()
}

// Code is AWS's error code, "" for an error that is no answer of AWS.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Missing tells that AWS has no such thing. Services differ in the code: NoSuchEntity, NotFoundException,
// ResourceNotFoundException, InvalidVolume.NotFound.
func Missing(err error) bool {
	code := Code(err)
	return strings.Contains(code, "NotFound") || strings.HasPrefix(code, "NoSuch")
}
