package logging

import (
	"fmt"

	"expense/internal/iampolicy"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/opensearch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumix"
)

// AccessArgs describe the access to the domain.
type AccessArgs struct {
	DomainName pulumi.StringInput
	DomainARN  pulumi.StringOutput
	// OIDCProviderARN and OIDCIssuer are the cluster's.
	OIDCProviderARN pulumi.StringOutput
	OIDCIssuer      pulumi.StringOutput
	// Namespace is the namespace of the sidecars, and DashboardsNamespace that of the dashboards' proxy. Accounts is the pattern of the
	// service accounts of sidecars beside ServiceAccount. Empty is none.
	Namespace           string
	Accounts            string
	DashboardsNamespace string
	// MasterRoleARN is the role that sets the domain up.
	MasterRoleARN pulumi.StringOutput
	// DataStream, AuditLogs and Dashboards decide the calls of the set-up, see SetupInput.
	DataStream string
	AuditLogs  bool
	Dashboards bool
	// SlowResources take minutes to make, after the cluster. The domain's policy waits for them, so that OpenSearch knows the roles by
	// then.
	SlowResources []pulumi.Resource
}

// Access has the IAM roles of the sidecars and the dashboards' proxy, and the domain's policy, which admits only them and the set-up.
// The proxy's role exists without a proxy too. Both roles are assumed by IRSA (docs/decisions/access-policy.md).
type Access struct {
	pulumi.ResourceState

	WriterRoleARN pulumi.StringOutput `pulumi:"writerRoleArn"`
	// ReaderRoleARN is the role of the dashboards' proxy.
	ReaderRoleARN pulumi.StringOutput `pulumi:"readerRoleArn"`

	// Policies admit the roles. The domain refuses a pod that starts before them.
	Policies []pulumi.Resource
}

// NewAccess makes the roles and the domain's access policy. The policy is a separate resource: the roles need the cluster's OIDC
// provider, and the domain, the slowest resource, should not wait for the cluster.
func NewAccess(ctx *pulumi.Context, name string, args *AccessArgs, opts ...pulumi.ResourceOption) (*Access, error) {
	if args == nil {
		return nil, fmt.Errorf("access %q: no arguments", name)
	}
	a := &Access{}
	if err := ctx.RegisterComponentResource(typeAccess, name, a, opts...); err != nil {
		return nil, err
	}
	setup := SetupInput{DataStream: args.DataStream, AuditLogs: args.AuditLogs, Dashboards: args.Dashboards}
	var err error
	if a.WriterRoleARN, err = a.role(ctx, name+"-writer", args, accounts{args.Namespace, ServiceAccount, args.Accounts}, writes); err != nil {
		return nil, fmt.Errorf("writer: %w", err)
	}
	if a.ReaderRoleARN, err = a.role(ctx, name+"-reader", args, accounts{args.DashboardsNamespace, DashboardsName, ""}, reads); err != nil {
		return nil, fmt.Errorf("reader: %w", err)
	}
	policy, err := opensearch.NewDomainPolicy(ctx, name, &opensearch.DomainPolicyArgs{
		DomainName: args.DomainName,
		AccessPolicies: pulumix.Cast[pulumi.StringOutput](pulumix.Apply4Err(args.DomainARN, args.MasterRoleARN, a.WriterRoleARN, a.ReaderRoleARN,
			func(domain, master, writer, reader string) (string, error) {
				return accessPolicy(domain, setup, master, writer, reader)
			})),
	}, pulumi.Parent(a), pulumi.DependsOn(args.SlowResources))
	if err != nil {
		return nil, fmt.Errorf("domain access policy: %w", err)
	}
	a.Policies = append(a.Policies, policy)
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{"writerRoleArn": a.WriterRoleARN, "readerRoleArn": a.ReaderRoleARN})
}

// permissions are what a principal may do with the domain. In a role's own policy the principal is empty.
type permissions func(principal iampolicy.Principal, domain string) []iampolicy.Statement

// accounts are the service accounts of a namespace that a role trusts: one, and those of a pattern.
type accounts struct{ namespace, name, pattern string }

// role makes a role for service accounts, with the permissions that the domain's policy gives it. Within one account one of the two
// suffices. Both together survive a mistake in one.
func (a *Access) role(
	ctx *pulumi.Context, name string, args *AccessArgs, trusted accounts, allow permissions,
) (pulumi.StringOutput, error) {
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		AssumeRolePolicy: pulumix.Cast[pulumi.StringOutput](pulumix.Apply2Err(args.OIDCProviderARN, args.OIDCIssuer,
			func(provider, issuer string) (string, error) {
				return iampolicy.ServiceAccountTrust(provider, issuer, trusted.namespace, trusted.name, trusted.pattern)
			})),
		Tags: tags.Name(name),
	}, pulumi.Parent(a))
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("role: %w", err)
	}
	policy, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Role: role.Name,
		Policy: args.DomainARN.ApplyT(func(domain string) (string, error) {
			return iampolicy.Document(allow(iampolicy.Principal{}, domain)...)
		}).(pulumi.StringOutput),
	}, pulumi.Parent(a))
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("role policy: %w", err)
	}
	a.Policies = append(a.Policies, policy)
	return role.Arn, nil
}

// accessPolicy is the domain's access policy.
func accessPolicy(domain string, setup SetupInput, master, writer, reader string) (string, error) {
	statements, err := setsUp(iampolicy.Principal{AWS: master}, domain, setup)
	if err != nil {
		return "", err
	}
	statements = append(statements, writes(iampolicy.Principal{AWS: writer}, domain)...)
	statements = append(statements, reads(iampolicy.Principal{AWS: reader}, domain)...)
	return iampolicy.Document(statements...)
}

// writes are fluentd's calls: one for the version when it connects, and bulk requests. IAM cannot restrict the indices that a bulk
// request names in its body.
func writes(principal iampolicy.Principal, domain string) []iampolicy.Statement {
	return []iampolicy.Statement{
		{Sid: "Version", Principal: principal, Actions: []string{"es:ESHttpGet"}, Resources: []string{domain + "/"}},
		{Sid: "Write", Principal: principal, Actions: []string{"es:ESHttpPost"}, Resources: []string{domain + "/_bulk"}},
	}
}

// reads are a browser's calls to OpenSearch Dashboards, all below one path: pages, and searches, which are POST requests. Saving an
// object would be a PUT.
func reads(principal iampolicy.Principal, domain string) []iampolicy.Statement {
	return []iampolicy.Statement{{
		Sid: "Dashboards", Principal: principal,
		Actions:   []string{"es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost"},
		Resources: []string{domain + "/_dashboards", domain + "/_dashboards/*"},
	}}
}
