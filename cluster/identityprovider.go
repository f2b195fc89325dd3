package cluster

import (
	"fmt"

	"expense/internal/config"
	"expense/internal/tags"

	awseks "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	rbacv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/rbac/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// IdentityProviderArgs describe the OIDC provider of the cluster's people.
type IdentityProviderArgs struct {
	ClusterName string
	config.IdentityProvider
	// DependsOn is everything that EKS does for the cluster. The association is an update of the control plane: EKS refuses it during
	// another one (https://github.com/elastic/cloudbeat/issues/3093), the provider does not repeat it
	// (https://github.com/hashicorp/terraform-provider-aws/issues/44554), and a node group cannot be made during an update
	// (https://github.com/eksctl-io/eksctl/issues/2244).
	DependsOn []pulumi.Resource
}

// IdentityProvider is the association of the provider with the cluster, and what its groups may do in Kubernetes.
type IdentityProvider struct {
	pulumi.ResourceState
}

// NewIdentityProvider makes the association and the bindings of the groups. A change of the association replaces it.
func NewIdentityProvider(
	ctx *pulumi.Context, name string, args *IdentityProviderArgs, opts ...pulumi.ResourceOption,
) (*IdentityProvider, error) {
	if args == nil {
		return nil, fmt.Errorf("identity provider %q: no arguments", name)
	}
	p := &IdentityProvider{}
	if err := ctx.RegisterComponentResource(typeIdentityProvider, name, p, opts...); err != nil {
		return nil, err
	}
	if _, err := awseks.NewIdentityProviderConfig(ctx, name, &awseks.IdentityProviderConfigArgs{
		ClusterName: pulumi.String(args.ClusterName), Oidc: oidc(args.IdentityProvider), Tags: tags.Name(name),
	}, pulumi.Parent(p), pulumi.DependsOn(args.DependsOn),
		// EKS takes one for a cluster, so its successor cannot be made beside it.
		pulumi.DeleteBeforeReplace(true),
		// The provider's are 40 minutes (internal/service/eks/identity_provider_config.go). It was seen to take 25
		// (https://github.com/aws/containers-roadmap/issues/1438).
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "60m", Delete: "60m"})); err != nil {
		return nil, fmt.Errorf("association: %w", err)
	}
	if err := p.admins(ctx, name, args.IdentityProvider); err != nil {
		return nil, err
	}
	if err := p.readers(ctx, name, args.IdentityProvider); err != nil {
		return nil, err
	}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{})
}

// oidc leaves out what EKS has a default for.
func oidc(p config.IdentityProvider) *awseks.IdentityProviderConfigOidcArgs {
	out := &awseks.IdentityProviderConfigOidcArgs{
		IdentityProviderConfigName: pulumi.String(p.Name), IssuerUrl: pulumi.String(p.IssuerURL), ClientId: pulumi.String(p.ClientID),
	}
	if p.UsernameClaim != "" {
		out.UsernameClaim = pulumi.String(p.UsernameClaim)
	}
	if p.UsernamePrefix != "" {
		out.UsernamePrefix = pulumi.String(p.UsernamePrefix)
	}
	if p.GroupsClaim != "" {
		out.GroupsClaim, out.GroupsPrefix = pulumi.String(p.GroupsClaim), pulumi.String(p.GroupsPrefix)
	}
	if len(p.RequiredClaims) > 0 {
		out.RequiredClaims = pulumi.ToStringMap(p.RequiredClaims)
	}
	return out
}

// admins binds groups to cluster-admin, whose rules are those of AmazonEKSClusterAdminPolicy
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles, access-policy-permissions.html of EKS's guide).
func (p *IdentityProvider) admins(ctx *pulumi.Context, name string, args config.IdentityProvider) error {
	if len(args.Admins) == 0 {
		return nil
	}
	return p.bind(ctx, name+"-admins", args, args.Admins, pulumi.String("cluster-admin"))
}

// readers binds groups to a role with the rules of AmazonEKSAdminViewPolicy. Kubernetes' own view lacks Secrets, nodes and custom
// resources (pages as at admins).
func (p *IdentityProvider) readers(ctx *pulumi.Context, name string, args config.IdentityProvider) error {
	if len(args.Readers) == 0 {
		return nil
	}
	role, err := rbacv1.NewClusterRole(ctx, name+"-readers", &rbacv1.ClusterRoleArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(name + "-readers")},
		Rules: rbacv1.PolicyRuleArray{rbacv1.PolicyRuleArgs{
			ApiGroups: pulumi.ToStringArray([]string{"*"}), Resources: pulumi.ToStringArray([]string{"*"}),
			Verbs: pulumi.ToStringArray([]string{"get", "list", "watch"}),
		}},
	}, pulumi.Parent(p))
	if err != nil {
		return fmt.Errorf("role of readers: %w", err)
	}
	return p.bind(ctx, name+"-readers", args, args.Readers, role.Metadata.Name().Elem())
}

// bind gives groups of the provider a ClusterRole.
func (p *IdentityProvider) bind(
	ctx *pulumi.Context, name string, args config.IdentityProvider, groups []string, role pulumi.StringInput,
) error {
	const api = "rbac.authorization.k8s.io"
	var subjects rbacv1.SubjectArray
	for _, group := range groups {
		subjects = append(subjects, rbacv1.SubjectArgs{
			Kind: pulumi.String("Group"), ApiGroup: pulumi.String(api), Name: pulumi.String(args.GroupsPrefix + group),
		})
	}
	if _, err := rbacv1.NewClusterRoleBinding(ctx, name, &rbacv1.ClusterRoleBindingArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(name)},
		RoleRef:  rbacv1.RoleRefArgs{ApiGroup: pulumi.String(api), Kind: pulumi.String("ClusterRole"), Name: role},
		Subjects: subjects,
	}, pulumi.Parent(p)); err != nil {
		return fmt.Errorf("binding %s: %w", name, err)
	}
	return nil
}
