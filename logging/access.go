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

// AccessArgs describe who may talk to the domain.
type AccessArgs struct {
	DomainName pulumi.StringInput
	DomainARN  pulumi.StringOutput
	// OIDCProviderARN and OIDCIssuer are the cluster's.
	OIDCProviderARN pulumi.StringOutput
	OIDCIssuer      pulumi.StringOutput
	// Namespace is where the sidecars run, and DashboardsNamespace where the dashboards' proxy does.
	Namespace           string
	DashboardsNamespace string
	// MasterRoleARN is the role that sets the domain up.
	MasterRoleARN pulumi.StringOutput
	// DataStream, AuditLogs and Dashboards decide which calls the set-up makes, see SetupInput.
	DataStream string
	AuditLogs  bool
	Dashboards bool
	// SlowResources take minutes to make and come after the cluster, as the roles do. The domain's policy waits for them, so
	// that OpenSearch knows the roles.
	SlowResources []pulumi.Resource
}

// Access is the IAM roles of those who talk to the domain, and the domain's policy that admits them and nobody else: the sidecars,
// which write, the dashboards' proxy, and the set-up. The proxy's role is there without a proxy too, and the roles are assumed by
// IRSA (docs/decisions/access-policy.md).
type Access struct {
	pulumi.ResourceState

	WriterRoleARN pulumi.StringOutput `pulumi:"writerRoleArn"`
	// ReaderRoleARN is the proxy's, with or without one.
	ReaderRoleARN pulumi.StringOutput `pulumi:"readerRoleArn"`

	// Policies admit the roles; a pod that starts before them is refused until it tries again.
	Policies []pulumi.Resource
}

// NewAccess makes the roles and the domain's access policy. The policy is a resource of its own because the roles need
// the cluster's OIDC provider, and the domain, the slowest of all, should not wait for the cluster.
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
	if a.WriterRoleARN, err = a.role(ctx, name+"-writer", args.Namespace, ServiceAccount, args, writes); err != nil {
		return nil, fmt.Errorf("writer: %w", err)
	}
	if a.ReaderRoleARN, err = a.role(ctx, name+"-reader", args.DashboardsNamespace, DashboardsName, args, reads); err != nil {
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

// permissions are what somebody may do with the domain; in a role's own policy the principal is empty.
type permissions func(principal iampolicy.Principal, domain string) []iampolicy.Statement

// role makes a role for one service account, with the same permissions as the domain's policy gives it: within one
// account either would do, and both together survive a mistake in one.
func (a *Access) role(
	ctx *pulumi.Context, name, namespace, serviceAccount string, args *AccessArgs, allow permissions,
) (pulumi.StringOutput, error) {
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		AssumeRolePolicy: pulumix.Cast[pulumi.StringOutput](pulumix.Apply2Err(args.OIDCProviderARN, args.OIDCIssuer,
			func(provider, issuer string) (string, error) {
				return iampolicy.ServiceAccountTrust(provider, issuer, namespace, serviceAccount)
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

// accessPolicy is the domain's.
func accessPolicy(domain string, setup SetupInput, master, writer, reader string) (string, error) {
	statements, err := setsUp(iampolicy.Principal{AWS: master}, domain, setup)
	if err != nil {
		return "", err
	}
	statements = append(statements, writes(iampolicy.Principal{AWS: writer}, domain)...)
	statements = append(statements, reads(iampolicy.Principal{AWS: reader}, domain)...)
	return iampolicy.Document(statements...)
}

// writes are the calls fluentd makes: one look at the version when it connects, and bulk requests. The bulk path is the
// only one that writes; which indices a request names in its body is beyond the grammar of IAM.
func writes(principal iampolicy.Principal, domain string) []iampolicy.Statement {
	return []iampolicy.Statement{
		{Sid: "Version", Principal: principal, Actions: []string{"es:ESHttpGet"}, Resources: []string{domain + "/"}},
		{Sid: "Write", Principal: principal, Actions: []string{"es:ESHttpPost"}, Resources: []string{domain + "/_bulk"}},
	}
}

// reads are the calls that a browser makes of OpenSearch Dashboards to look at something, all below one path: pages, and
// searches, which are POST requests. To save an object it would PUT.
func reads(principal iampolicy.Principal, domain string) []iampolicy.Statement {
	return []iampolicy.Statement{{
		Sid: "Dashboards", Principal: principal,
		Actions:   []string{"es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost"},
		Resources: []string{domain + "/_dashboards", domain + "/_dashboards/*"},
	}}
}
