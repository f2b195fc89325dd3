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

func iamTags(tags []types.Tag) map[string]string {
	return tagMap(tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
}

// findRoles asks for the tags of roles whose name begins as all of the program's do, because a list of roles has none and an
// account may have thousands. A name alone counts nothing. IAM is global: another region's stack of the same name has the
// same tags, so roles whose stack lives elsewhere are told apart by the state only.
func findRoles(ctx context.Context, f *finder) (items []Item, err error) {
	var names []types.Role
	err = pages(ctx, iam.NewListRolesPaginator(f.iam, &iam.ListRolesInput{}), func(page *iam.ListRolesOutput) {
		for _, r := range page.Roles {
			path := aws.ToString(r.Path)
			service := strings.TrimSuffix(strings.TrimPrefix(path, "/aws-service-role/"), "/")
			switch {
			case slices.Contains(serviceRoles, service):
				items = append(items, Item{ID: aws.ToString(r.RoleName), ARN: aws.ToString(r.Arn), Why: "service-linked role of " + service,
					kept: "service-linked role: one per account and service, free of charge, shared by all stacks"})
			case strings.HasPrefix(aws.ToString(r.RoleName), Project+"-"):
				names = append(names, r)
			}
		}
	})
	if err != nil {
		return items, err
	}
	for _, r := range names {
		var tags []types.Tag
		err := pages(ctx, iam.NewListRoleTagsPaginator(f.iam, &iam.ListRoleTagsInput{RoleName: r.RoleName}), func(page *iam.ListRoleTagsOutput) {
			tags = append(tags, page.Tags...)
		})
		if login.Missing(err) {
			continue
		}
		if err != nil {
			return items, err
		}
		if i, ok := f.item(aws.ToString(r.RoleName), "", iamTags(tags), ""); ok {
			i.ARN = aws.ToString(r.Arn)
			items = append(items, i)
		}
	}
	return items, nil
}

// inRole gives the roles' policies and instance profiles, without which IAM wants a role before it goes
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html).
func inRole(ctx context.Context, f *finder, items []*Item) error {
	for _, i := range items {
		var attached, inline, profiles []string
		err := errors.Join(
			pages(ctx, iam.NewListAttachedRolePoliciesPaginator(f.iam, &iam.ListAttachedRolePoliciesInput{RoleName: &i.ID}), func(page *iam.ListAttachedRolePoliciesOutput) {
				for _, p := range page.AttachedPolicies {
					attached = append(attached, aws.ToString(p.PolicyArn))
				}
			}),
			pages(ctx, iam.NewListRolePoliciesPaginator(f.iam, &iam.ListRolePoliciesInput{RoleName: &i.ID}), func(page *iam.ListRolePoliciesOutput) {
				inline = append(inline, page.PolicyNames...)
			}),
			pages(ctx, iam.NewListInstanceProfilesForRolePaginator(f.iam, &iam.ListInstanceProfilesForRoleInput{RoleName: &i.ID}), func(page *iam.ListInstanceProfilesForRoleOutput) {
				for _, p := range page.InstanceProfiles {
					profiles = append(profiles, aws.ToString(p.InstanceProfileName))
				}
			}))
		if err != nil {
			return err
		}
		i.parts = [][]string{attached, inline, profiles, profiles}
	}
	return nil
}

// findOIDCProviders asks for the tags of the providers that are EKS's in the stack's region.
func findOIDCProviders(ctx context.Context, f *finder) (items []Item, err error) {
	answer, err := f.iam.ListOpenIDConnectProviders(ctx, &iam.ListOpenIDConnectProvidersInput{})
	if err != nil {
		return nil, err
	}
	for _, p := range answer.OpenIDConnectProviderList {
		arn := aws.ToString(p.Arn)
		if !strings.Contains(arn, ":oidc-provider/oidc.eks."+f.Stack.Region+".") {
			continue
		}
		var tags []types.Tag
		err := pages(ctx, iam.NewListOpenIDConnectProviderTagsPaginator(f.iam, &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: &arn}), func(page *iam.ListOpenIDConnectProviderTagsOutput) {
			tags = append(tags, page.Tags...)
		})
		if login.Missing(err) {
			continue
		}
		if err != nil {
			return items, err
		}
		if i, ok := f.item(arn, "", iamTags(tags), ""); ok {
			i.ARN = arn
			items = append(items, i)
		}
	}
	return items, nil
}
