package program

import (
	"fmt"

	"expense/internal/config"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-eks/sdk/v3/go/eks"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// addProviders makes the providers that need no cluster. Default providers are disabled.
func (s *stack) addProviders() (err error) {
	if boundary := s.cfg.IAM.PermissionsBoundary; boundary != "" {
		// It does not reach the role inside the eks component: the control plane sets that one's boundary.
		if err := s.ctx.RegisterStackTransformation(bounded(boundary)); err != nil {
			return fmt.Errorf("permissions boundary: %w", err)
		}
	}
	if s.aws, err = aws.NewProvider(s.ctx, name, providerArgs(s.cfg, s.tags)); err != nil {
		return fmt.Errorf("aws: %w", err)
	}
	if s.eks, err = eks.NewProvider(s.ctx, name, &eks.ProviderArgs{}); err != nil {
		return fmt.Errorf("eks: %w", err)
	}
	return nil
}

// bounded gives each IAM role the boundary. A service-linked role is another type and takes none.
func bounded(boundary string) pulumi.ResourceTransformation {
	return func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
		role, ok := args.Props.(*iam.RoleArgs)
		if !ok {
			return nil
		}
		with := *role
		with.PermissionsBoundary = pulumi.String(boundary)
		return &pulumi.ResourceTransformationResult{Props: &with, Opts: args.Opts}
	}
}

// providerArgs omit what the stack does not set, so that no preview shows it.
func providerArgs(cfg *config.Config, tags map[string]string) *aws.ProviderArgs {
	args := &aws.ProviderArgs{
		Region:      pulumi.String(cfg.Region),
		DefaultTags: aws.ProviderDefaultTagsArgs{Tags: pulumi.ToStringMap(tags)},
	}
	if cfg.Account.Profile != "" {
		args.Profile = pulumi.String(cfg.Account.Profile)
	}
	if cfg.Account.RoleARN != "" {
		args.AssumeRole = aws.ProviderAssumeRoleArgs{RoleArn: pulumi.String(cfg.Account.RoleARN)}
	}
	if len(cfg.Account.AllowedIDs) > 0 {
		args.AllowedAccountIds = pulumi.ToStringArray(cfg.Account.AllowedIDs)
	}
	if len(cfg.Account.ForbiddenIDs) > 0 {
		args.ForbiddenAccountIds = pulumi.ToStringArray(cfg.Account.ForbiddenIDs)
	}
	return args
}
