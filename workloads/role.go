package workloads

import (
	"fmt"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/namespace"
	"expense/internal/pod"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RoleArgs describe an app's role.
type RoleArgs struct {
	// App is the app's name.
	App         string
	ClusterName string
	Region      string
	// Namespace is the app's namespace.
	Namespace string
	// Statements are what the role allows.
	Statements []config.Statement
	// DependsOn are what the cluster's existence follows from.
	DependsOn []pulumi.Resource
}

// Role is an app's own IAM role, which its pods get from EKS Pod Identity. Their volume and variables are in their specification, so
// a pod that is made before EKS knows of the association is refused and tries again. EKS's webhook would let it through without
// credentials for good (https://github.com/aws/eks-pod-identity-agent/issues/52).
type Role struct {
	pulumi.ResourceState

	// Ready are to be made before the app.
	Ready []pulumi.Resource

	region string
}

// NewRole makes the role. The options need the AWS provider.
func NewRole(ctx *pulumi.Context, name string, args *RoleArgs, opts ...pulumi.ResourceOption) (*Role, error) {
	if args == nil {
		return nil, fmt.Errorf("role %q: no arguments", name)
	}
	r := &Role{region: args.Region}
	if err := ctx.RegisterComponentResource(typeRole, name, r, opts...); err != nil {
		return nil, err
	}
	account := AppAccount(args.App)
	trust, err := iampolicy.PodIdentityTrust(args.ClusterName, args.Namespace, account)
	if err != nil {
		return nil, err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{AssumeRolePolicy: pulumi.String(trust), Tags: tags.Name(name)}, pulumi.Parent(r))
	if err != nil {
		return nil, fmt.Errorf("role: %w", err)
	}
	var statements []iampolicy.Statement
	for i, s := range args.Statements {
		statements = append(statements, iampolicy.Statement{Sid: fmt.Sprintf("App%d", i), Actions: s.Actions, Resources: s.Resources})
	}
	document, err := iampolicy.Document(statements...)
	if err != nil {
		return nil, err
	}
	policy, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{Role: role.Name, Policy: pulumi.String(document)}, pulumi.Parent(r))
	if err != nil {
		return nil, fmt.Errorf("role policy: %w", err)
	}
	association, err := eks.NewPodIdentityAssociation(ctx, name, &eks.PodIdentityAssociationArgs{
		ClusterName:    pulumi.String(args.ClusterName),
		Namespace:      pulumi.String(args.Namespace),
		ServiceAccount: pulumi.String(account),
		RoleArn:        role.Arn,
		Tags:           tags.Name(name),
	}, pulumi.Parent(r), pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("pod identity: %w", err)
	}
	r.Ready = []pulumi.Resource{policy, association}
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{})
}

// RoleOpening lets apps with a role ask their node's pod identity agent for credentials.
func RoleOpening(apps ...string) namespace.Opening {
	return namespace.Opening{
		Name: "allow-pod-identity", Workloads: apps, To: []namespace.Peer{{CIDR: pod.IdentityAgent + "/32"}}, Ports: namespace.TCP(80),
	}
}
