package leftovers

import (
	"context"
	"errors"
	"slices"
	"strings"

	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// serviceRoles are the services for which AWS makes a role when the stack first uses them.
var serviceRoles = []string{
	"autoscaling.amazonaws.com", "eks.amazonaws.com", "eks-nodegroup.amazonaws.com", "elasticloadbalancing.amazonaws.com",
	"opensearchservice.amazonaws.com", "spot.amazonaws.com",
}

// findRoles asks for the tags of roles whose name begins as all of the program's do: a list of roles has no tags, and an account may have
// thousands of roles. A name alone counts nothing. IAM is global, and another region's stack of the same name has the same tags: only the
// state tells their roles apart.
func findRoles(ctx context.Context, f *finder) (items []Item, err error) {
	roles, err := login.All(ctx, iam.NewListRolesPaginator(f.iam, nil), func(p *iam.ListRolesOutput) []types.Role { return p.Roles })
	for _, r := range roles {
		service := strings.TrimSuffix(strings.TrimPrefix(aws.ToString(r.Path), "/aws-service-role/"), "/")
		if slices.Contains(serviceRoles, service) {
			items = append(items, Item{
				ID: aws.ToString(r.RoleName), ARN: aws.ToString(r.Arn), Why: "service-linked role of " + service,
				kept: "service-linked role: one per account and service, free of charge, shared by all stacks",
			})
		}
	}
	if err != nil {
		return items, err
	}
	for _, r := range roles {
		if !strings.HasPrefix(aws.ToString(r.RoleName), Project+"-") {
			continue
		}
		tags, err := login.All(ctx, iam.NewListRoleTagsPaginator(f.iam, &iam.ListRoleTagsInput{RoleName: r.RoleName}),
			func(p *iam.ListRoleTagsOutput) []types.Tag { return p.Tags })
		if login.Missing(err) {
			continue
		}
		if err != nil {
			return items, err
		}
		if i := f.item(r.RoleName, "", login.Tags(tags), nil).at(r.Arn); i != nil {
			items = append(items, *i)
		}
	}
	return items, nil
}

// inRole gives the roles' policies and instance profiles, which have to go before IAM deletes a role
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html).
func inRole(ctx context.Context, f *finder, items []*Item) error {
	for _, i := range items {
		attached, notAttached := login.All(ctx,
			iam.NewListAttachedRolePoliciesPaginator(f.iam, &iam.ListAttachedRolePoliciesInput{RoleName: &i.ID}),
			func(p *iam.ListAttachedRolePoliciesOutput) (arns []string) {
				for _, policy := range p.AttachedPolicies {
					arns = append(arns, aws.ToString(policy.PolicyArn))
				}
				return arns
			})
		inline, notInline := login.All(ctx, iam.NewListRolePoliciesPaginator(f.iam, &iam.ListRolePoliciesInput{RoleName: &i.ID}),
			func(p *iam.ListRolePoliciesOutput) []string { return p.PolicyNames })
		profiles, notProfiles := login.All(ctx,
			iam.NewListInstanceProfilesForRolePaginator(f.iam, &iam.ListInstanceProfilesForRoleInput{RoleName: &i.ID}),
			func(p *iam.ListInstanceProfilesForRoleOutput) (names []string) {
				for _, profile := range p.InstanceProfiles {
					names = append(names, aws.ToString(profile.InstanceProfileName))
				}
				return names
			})
		if err := errors.Join(notAttached, notInline, notProfiles); err != nil {
			return err
		}
		i.parts = [][]string{attached, inline, profiles, profiles}
	}
	return nil
}

// findOIDCProviders asks for the tags of EKS's providers in the stack's region.
func findOIDCProviders(ctx context.Context, f *finder) (items []Item, err error) {
	answer, err := f.iam.ListOpenIDConnectProviders(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, p := range answer.OpenIDConnectProviderList {
		if !strings.Contains(aws.ToString(p.Arn), ":oidc-provider/oidc.eks."+f.Stack.Region+".") {
			continue
		}
		question := &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: p.Arn}
		tags, err := login.All(ctx, iam.NewListOpenIDConnectProviderTagsPaginator(f.iam, question),
			func(p *iam.ListOpenIDConnectProviderTagsOutput) []types.Tag { return p.Tags })
		if login.Missing(err) {
			continue
		}
		if err != nil {
			return items, err
		}
		if i := f.item(p.Arn, "", login.Tags(tags), nil).at(p.Arn); i != nil {
			items = append(items, *i)
		}
	}
	return items, nil
}
