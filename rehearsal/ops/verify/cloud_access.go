package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/state"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	classictypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	balancertypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var accessChecks = []Check{
	{
		Name:    "roles",
		Promise: "Each role of the stack has exactly its trust, its policies and its boundary.",
		Actions: []string{"iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"},
		Takes:   15 * time.Second, Run: checkRoles,
	},
	{
		Name:    "access-entries",
		Promise: "The settings' admins and readers have their access to the cluster, and besides them its creator alone.",
		Actions: []string{"eks:DescribeAccessEntry", "eks:ListAccessEntries", "eks:ListAssociatedAccessPolicies"},
		Takes:   5 * time.Second, Run: checkAccessEntries,
	},
	{
		Name:    "nothing-public",
		Promise: "The internet reaches nothing of the VPC but the load balancers that the settings make public.",
		Actions: []string{
			"ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups", "elasticloadbalancing:DescribeLoadBalancers",
		},
		Access: []string{"list services"}, Takes: 5 * time.Second, Run: checkNothingPublic,
	},
}

func checkRoles(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, client := findings{}, iam.NewFromConfig(s.AWS)
	made := s.resources("aws:iam/role:Role")
	for _, key := range slices.Sorted(maps.Keys(made)) {
		s.checkRole(ctx, &f, client, made[key])
	}
	if len(made) == 0 {
		f.problem("the state has no role: is the stack up whole?")
	}
	f.visit(len(made), "role")
	return f.result()
}

func (s *Stack) checkRole(ctx context.Context, f *findings, client *iam.Client, made apitype.ResourceV3) {
	name := output(made, "name")
	thing := "role " + name
	answer, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if !f.asked(thing, err) {
		return
	}
	f.document(thing, "trust policy", answer.Role.AssumeRolePolicyDocument, output(made, "assumeRolePolicy"))
	f.want(thing, "boundary", value(answer.Role.PermissionsBoundary).PermissionsBoundaryArn, s.Settings.IAM.PermissionsBoundary)

	inline, attached := map[string]string{}, []string{}
	for _, r := range s.resources("aws:iam/rolePolicy:RolePolicy") {
		if output(r, "role") == name {
			inline[output(r, "name")] = output(r, "policy")
		}
	}
	for _, r := range s.resources("aws:iam/rolePolicyAttachment:RolePolicyAttachment") {
		if output(r, "role") == name {
			attached = append(attached, output(r, "policyArn"))
		}
	}
	found, err := login.All(ctx, iam.NewListRolePoliciesPaginator(client, &iam.ListRolePoliciesInput{RoleName: &name}),
		func(p *iam.ListRolePoliciesOutput) []string { return p.PolicyNames })
	if f.asked(thing+": inline policies", err) {
		f.want(thing, "inline policies", found, slices.Collect(maps.Keys(inline)))
		for _, policy := range found {
			if wanted, ours := inline[policy]; ours {
				answer, err := client.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &name, PolicyName: &policy})
				if f.asked(thing+": policy "+policy, err) {
					f.document(thing, "policy "+policy, answer.PolicyDocument, wanted)
				}
			}
		}
	}
	policies, err := login.All(ctx, iam.NewListAttachedRolePoliciesPaginator(client, &iam.ListAttachedRolePoliciesInput{RoleName: &name}),
		func(p *iam.ListAttachedRolePoliciesOutput) []types.AttachedPolicy { return p.AttachedPolicies })
	if f.asked(thing+": attached policies", err) {
		var arns []string
		for _, p := range policies {
			arns = append(arns, aws.ToString(p.PolicyArn))
		}
		f.want(thing, "attached policies", arns, attached)
	}
}

// document compares a policy document, which IAM answers URL-encoded by RFC 3986
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html).
func (f *findings) document(thing, what string, found *string, wanted string) {
	plain, err := url.PathUnescape(aws.ToString(found))
	if err != nil {
		f.problem("%s: %s: %v", thing, what, err)
		return
	}
	if wanted == state.Secret || wanted == state.Unknown {
		f.unseen = append(f.unseen, notSeen("%s: %s is %s in the state", thing, what, wanted))
		return
	}
	f.want(thing, what, canonical(plain), canonical(wanted))
}

// canonical is a JSON text in one form for all that mean the same in a policy: one text is a list of one, and the order of a list of texts
// counts for nothing (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html). What is no JSON stays.
func canonical(text string) string {
	var document any
	if json.Unmarshal([]byte(text), &document) != nil {
		return text
	}
	data, err := json.Marshal(ordered(document))
	if err != nil {
		return text
	}
	return string(data)
}

func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			out[key] = ordered(member)
		}
		return out
	case []any:
		if len(v) == 1 {
			return ordered(v[0])
		}
		out := []any{}
		for _, item := range v {
			out = append(out, ordered(item))
		}
		slices.SortStableFunc(out, func(a, b any) int {
			x, textual := a.(string)
			y, both := b.(string)
			if !textual || !both {
				return 0
			}
			return strings.Compare(x, y)
		})
		return out
	}
	return v
}

// number is a number among a resource's outputs.
func number(r apitype.ResourceV3, path ...any) float64 {
	n, _ := state.At(r.Outputs, path...).(float64)
	return n
}

// checkAccessEntries compares people's rights. AWS does not say who has made a cluster, so one principal more may have some. Nodes have
// entries of other types (https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html). A service-linked role is for its
// service alone.
func checkAccessEntries(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, client := findings{}, eks.NewFromConfig(s.AWS)
	wanted, others := map[string]string{}, []string{}
	for _, principal := range s.Settings.Cluster.Admins {
		wanted[principal] = "AmazonEKSClusterAdminPolicy"
	}
	for _, principal := range s.Settings.Cluster.Readers {
		wanted[principal] = "AmazonEKSAdminViewPolicy"
	}
	all, err := login.All(ctx, eks.NewListAccessEntriesPaginator(client, &eks.ListAccessEntriesInput{ClusterName: s.cluster()}),
		func(p *eks.ListAccessEntriesOutput) []string { return p.AccessEntries })
	if !f.asked("access entries", err) {
		return f.result()
	}
	for _, principal := range all {
		thing := "access of " + principal
		if strings.Contains(principal, ":role/aws-service-role/") {
			continue
		}
		entry, err := client.DescribeAccessEntry(ctx, &eks.DescribeAccessEntryInput{ClusterName: s.cluster(), PrincipalArn: &principal})
		if !f.asked(thing, err) || aws.ToString(entry.AccessEntry.Type) != "STANDARD" {
			continue
		}
		list := eks.NewListAssociatedAccessPoliciesPaginator(client, &eks.ListAssociatedAccessPoliciesInput{
			ClusterName: s.cluster(), PrincipalArn: &principal,
		})
		policies, err := login.All(ctx, list, func(p *eks.ListAssociatedAccessPoliciesOutput) []ekstypes.AssociatedAccessPolicy {
			return p.AssociatedAccessPolicies
		})
		if !f.asked(thing, err) {
			continue
		}
		var has []string
		for _, p := range policies {
			arn := aws.ToString(p.PolicyArn)
			has = append(has, fmt.Sprintf("%s for a %s", arn[strings.LastIndex(arn, "/")+1:], value(p.AccessScope).Type))
		}
		for _, group := range entry.AccessEntry.KubernetesGroups {
			has = append(has, "group "+group)
		}
		if policy, known := wanted[principal]; known {
			f.want(thing, "rights", has, []string{policy + " for a cluster"})
		} else if len(has) > 0 {
			others = append(others, fmt.Sprintf("%s with %s", principal, shown(has)))
		}
	}
	for _, principal := range slices.Sorted(maps.Keys(wanted)) {
		if !slices.Contains(all, principal) {
			f.problem("access of %s: the settings name it, and AWS has no access entry for it", principal)
		}
	}
	if len(all) == 0 {
		f.problem("cluster %s has no access entry, not even one for its nodes", s.Settings.Cluster.Name)
	}
	slices.Sort(others)
	if len(others) > 1 {
		f.problem("%d principals that the settings do not name have access, and only one has made the cluster: %s", len(others),
			strings.Join(others, "; "))
	}
	f.visit(len(all), "access entry")
	for _, other := range others {
		f.note("not of the settings: %s", other)
	}
	return f.result()
}

// checkNothingPublic looks at all load balancers of the VPC, and at all inbound rules of its groups, whoever made them. The addresses of
// instances and the cluster's endpoint have checks of their own.
func checkNothingPublic(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f := findings{}
	vpc, err := s.only("aws:ec2/vpc:Vpc")
	if err != nil {
		return "", err
	}
	public, err := s.publicServices(ctx)
	if err != nil {
		f.unseen = append(f.unseen, notSeen("services: could not look: %v", err))
		return f.result()
	}
	s.publicBalancers(ctx, &f, string(vpc.ID), public)
	s.openRules(ctx, &f, string(vpc.ID), public)
	f.note("%s for the internet", plural(len(public), "service"))
	return f.result()
}

// publicServices are the Services with a load balancer of the apps that the settings make public.
func (s *Stack) publicServices(ctx context.Context) (out []corev1.Service, err error) {
	list, err := s.Kubernetes.CoreV1().Services(s.Settings.Workloads.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, service := range list.Items {
		app := strings.TrimSuffix(strings.TrimSuffix(service.Name, "-public-plain"), "-public-tls")
		wanted := s.Settings.Workloads.Apps[app].Public.Wanted() || app == "web" && s.Settings.Workloads.Web.Public
		if service.Spec.Type == corev1.ServiceTypeLoadBalancer && wanted && app != service.Name {
			out = append(out, service)
		}
	}
	return out, nil
}

func (s *Stack) publicBalancers(ctx context.Context, f *findings, vpc string, public []corev1.Service) {
	n := 0
	look := func(name, of, host, scheme string) {
		if of != vpc {
			return
		}
		n++
		// The host names of Services are in lower case.
		expected := slices.ContainsFunc(public, func(service corev1.Service) bool {
			return slices.ContainsFunc(service.Status.LoadBalancer.Ingress, func(i corev1.LoadBalancerIngress) bool {
				return strings.EqualFold(i.Hostname, host)
			})
		})
		if scheme != string(balancertypes.LoadBalancerSchemeEnumInternal) && !expected {
			f.problem("load balancer %s at %s is %s: no Service of an app that the settings make public has it", name, host, scheme)
		}
	}
	all, err := login.All(ctx, elasticloadbalancingv2.NewDescribeLoadBalancersPaginator(elasticloadbalancingv2.NewFromConfig(s.AWS), nil),
		func(p *elasticloadbalancingv2.DescribeLoadBalancersOutput) []balancertypes.LoadBalancer {
			return p.LoadBalancers
		})
	f.asked("load balancers", err)
	for _, b := range all {
		look(aws.ToString(b.LoadBalancerName), aws.ToString(b.VpcId), aws.ToString(b.DNSName), string(b.Scheme))
	}
	classic, err := login.All(ctx, elasticloadbalancing.NewDescribeLoadBalancersPaginator(elasticloadbalancing.NewFromConfig(s.AWS), nil),
		func(p *elasticloadbalancing.DescribeLoadBalancersOutput) []classictypes.LoadBalancerDescription {
			return p.LoadBalancerDescriptions
		})
	f.asked("classic load balancers", err)
	for _, b := range classic {
		look(aws.ToString(b.LoadBalancerName), aws.ToString(b.VPCId), aws.ToString(b.DNSName), aws.ToString(b.Scheme))
	}
	f.visit(n, "load balancer")
}

// openRules looks for inbound rules for all addresses. Those that the controller of load balancers makes for a public Service that serves
// everybody are right.
func (s *Stack) openRules(ctx context.Context, f *findings, vpc string, public []corev1.Service) {
	client := ec2.NewFromConfig(s.AWS)
	groups, err := login.All(ctx, ec2.NewDescribeSecurityGroupsPaginator(client, &ec2.DescribeSecurityGroupsInput{
		Filters: []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{vpc}}},
	}), func(p *ec2.DescribeSecurityGroupsOutput) []ec2types.SecurityGroup { return p.SecurityGroups })
	f.asked("security groups of "+vpc, err)
	var ids []string
	for _, g := range groups {
		ids = append(ids, aws.ToString(g.GroupId))
	}
	// A filter takes 200 values (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html).
	for some := range slices.Chunk(ids, 200) {
		rules, err := login.All(ctx, ec2.NewDescribeSecurityGroupRulesPaginator(client, &ec2.DescribeSecurityGroupRulesInput{
			Filters: []ec2types.Filter{{Name: aws.String("group-id"), Values: some}},
		}), func(p *ec2.DescribeSecurityGroupRulesOutput) []ec2types.SecurityGroupRule {
			return p.SecurityGroupRules
		})
		f.asked("security group rules of "+vpc, err)
		for _, r := range rules {
			from := aws.ToString(r.CidrIpv4) + aws.ToString(r.CidrIpv6)
			if !aws.ToBool(r.IsEgress) && strings.HasSuffix(from, "/0") && !slices.ContainsFunc(public, func(service corev1.Service) bool {
				return serves(service, r)
			}) {
				f.problem("security group %s: rule %s lets %s in to %s", aws.ToString(r.GroupId), aws.ToString(r.SecurityGroupRuleId), from,
					portsOf(r))
			}
		}
		f.visit(len(rules), "security group rule")
	}
	if len(ids) == 0 && len(f.unseen) == 0 {
		f.problem("VPC %s: AWS names no security group, and every VPC has one", vpc)
	}
}

// serves tells whether a rule is one that the controller makes for a Service: its node port for the addresses of its clients, which a
// network load balancer passes on, and ICMP's "fragmentation needed" for them (updateInstanceSecurityGroupsForNLB in
// https://github.com/kubernetes/cloud-provider-aws/blob/63ec440c/pkg/providers/v1/aws_loadbalancer.go).
func serves(service corev1.Service, r ec2types.SecurityGroupRule) bool {
	ranges := service.Spec.LoadBalancerSourceRanges
	if len(ranges) == 0 {
		ranges = []string{"0.0.0.0/0"}
	}
	from, to := aws.ToInt32(r.FromPort), aws.ToInt32(r.ToPort)
	path := aws.ToString(r.IpProtocol) == "icmp" && from == 3 && to == 4
	node := slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool {
		return aws.ToString(r.IpProtocol) == "tcp" && p.NodePort != 0 && from == p.NodePort && to == p.NodePort
	})
	return slices.Contains(ranges, aws.ToString(r.CidrIpv4)) && (path || node)
}

func portsOf(r ec2types.SecurityGroupRule) string {
	if aws.ToString(r.IpProtocol) == "-1" {
		return "all ports"
	}
	return fmt.Sprintf("%s ports %s to %s", aws.ToString(r.IpProtocol), shown(r.FromPort), shown(r.ToPort))
}
