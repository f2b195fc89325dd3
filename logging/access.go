package logging

import (
	"fmt"

	"expense/internal/iampolicy"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/opensearch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumix"
)

// WriterArgs describe who writes.
type WriterArgs struct {
	DomainName pulumi.StringInput
	DomainARN  pulumi.StringOutput
	// OIDCProviderARN and OIDCIssuer are the cluster's.
	OIDCProviderARN pulumi.StringOutput
	OIDCIssuer      pulumi.StringOutput
	// Namespace is where the sidecars run; their service account is ServiceAccount.
	Namespace string
	// IndexPrefix starts the names of the indices that may be written.
	IndexPrefix string
}

// Writer is the IAM role of the sidecars, and the domain's policy that admits it and nobody else.
//
// The role is assumed with the service account's token (IRSA) and not through EKS Pod Identity: the OpenSearch plugin of
// fluentd, 1.1.6, builds its credentials by hand and never asks the pod identity agent.
type Writer struct {
	pulumi.ResourceState

	RoleARN pulumi.StringOutput `pulumi:"roleArn"`

	// Policies admit the writer; a sidecar that starts before them is refused until it tries again.
	Policies []pulumi.Resource
}

// NewWriter makes the role and the domain's access policy. The policy is a resource of its own because the role needs
// the cluster's OIDC provider, and the domain, the slowest of all, should not wait for the cluster.
func NewWriter(ctx *pulumi.Context, name string, args *WriterArgs, opts ...pulumi.ResourceOption) (*Writer, error) {
	if args == nil {
		return nil, fmt.Errorf("log writer %q: no arguments", name)
	}
	w := &Writer{}
	if err := ctx.RegisterComponentResource(typeWriter, name, w, opts...); err != nil {
		return nil, err
	}
	trust := pulumix.Cast[pulumi.StringOutput](pulumix.Apply2Err(args.OIDCProviderARN, args.OIDCIssuer, func(provider, issuer string) (string, error) {
		return iampolicy.ServiceAccountTrust(provider, issuer, args.Namespace, ServiceAccount)
	}))
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{AssumeRolePolicy: trust, Tags: pulumi.StringMap{"Name": pulumi.String(name)}}, pulumi.Parent(w))
	if err != nil {
		return nil, fmt.Errorf("role: %w", err)
	}
	rolePolicy, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Role: role.Name,
		Policy: args.DomainARN.ApplyT(func(domain string) (string, error) {
			return iampolicy.Document(writes(iampolicy.Principal{}, domain, args.IndexPrefix)...)
		}).(pulumi.StringOutput),
	}, pulumi.Parent(w))
	if err != nil {
		return nil, fmt.Errorf("role policy: %w", err)
	}
	access, err := opensearch.NewDomainPolicy(ctx, name, &opensearch.DomainPolicyArgs{
		DomainName: args.DomainName,
		AccessPolicies: pulumix.Cast[pulumi.StringOutput](pulumix.Apply2Err(args.DomainARN, role.Arn, func(domain, role string) (string, error) {
			return iampolicy.Document(writes(iampolicy.Principal{AWS: role}, domain, args.IndexPrefix)...)
		})),
	}, pulumi.Parent(w))
	if err != nil {
		return nil, fmt.Errorf("domain access policy: %w", err)
	}
	w.RoleARN, w.Policies = role.Arn, []pulumi.Resource{rolePolicy, access}
	return w, ctx.RegisterResourceOutputs(w, pulumi.Map{"roleArn": w.RoleARN})
}

// writes are the calls fluentd makes: one look at the version when it connects, and bulk requests. The bulk path is the
// only one that writes; which indices a request to /_bulk names in its body is beyond the grammar of IAM.
func writes(principal iampolicy.Principal, domain, indexPrefix string) []iampolicy.Statement {
	return []iampolicy.Statement{
		{Sid: "Version", Principal: principal, Actions: []string{"es:ESHttpGet"}, Resources: []string{domain + "/"}},
		{Sid: "Write", Principal: principal, Actions: []string{"es:ESHttpPost"}, Resources: []string{
			domain + "/_bulk", fmt.Sprintf("%s/%s-*/_bulk", domain, indexPrefix),
		}},
	}
}
