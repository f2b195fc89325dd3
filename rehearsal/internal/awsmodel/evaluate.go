package awsmodel

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What the account's policies allow. The model does not ask this when it makes a resource. The checks of a rehearsal and tests ask it
// for pods, which call AWS later.

// Call is one request of a role.
type Call struct {
	// Role is the ARN of the role whose credentials sign the request.
	Role string
	// Action is for example es:ESHttpPost, Resource an ARN.
	Action, Resource string
	// Keys are the condition keys of the request, such as aws:ResourceTag/team.
	Keys map[string]string
}

// Allowed returns the statements that allow a call, each as "POLICY: SID", and AccessDenied if none does or one denies it.
// Within one account a statement of the role's policies or of the resource's policy is enough
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html), but one that names the account
// leaves it to the role's policies
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html). The policies that are looked
// at are the role's own and those of OpenSearch domains; AWS's managed policies allow nothing here. A statement that denies does so
// whatever its conditions.
func (m *Model) Allowed(call Call) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	role := m.first(tRole, "arn", call.Role)
	if role == nil {
		return nil, denied(call, "the role does not exist")
	}
	type policy struct {
		name, text string
		resource   bool
	}
	var policies []policy
	for _, p := range m.where(tRolePolicy, "role", role.name()) {
		policies = append(policies, policy{"role policy " + p.name(), p.in.str("policy"), false})
	}
	for _, domain := range m.all(tDomain) {
		if call.Resource == domain.arn() || strings.HasPrefix(call.Resource, domain.arn()+"/") {
			if p := m.first(tDomainPolicy, "domainName", domain.name()); p != nil {
				policies = append(policies, policy{"access policy of domain " + domain.name(), p.in.str("accessPolicies"), true})
			}
		}
	}
	var by []string
	for _, p := range policies {
		for _, s := range parse(p.text).Statement {
			named := s.speaksOf("AWS", call.Role)
			root := fmt.Sprintf("arn:%s:iam::%s:root", m.Partition(), m.opts.Account)
			account := s.speaksOf("AWS", m.opts.Account) || s.speaksOf("AWS", root)
			switch {
			case p.resource && !named && (s.Effect == "Allow" || !account):
			case !s.covers(call.Action, call.Resource):
			case s.Effect == "Deny":
				return nil, denied(call, p.name+": "+s.Sid+" denies it")
			case s.holds(call.Keys):
				by = append(by, p.name+": "+s.Sid)
			}
		}
	}
	if len(by) == 0 {
		return nil, denied(call, "no policy allows it")
	}
	return by, nil
}

// Through is nil if the VPC's endpoint of a service, if it has one, lets a call pass, and what AWS answers otherwise
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html). The principal's account is among the
// call's keys as aws:PrincipalAccount, the resource's is read off its ARN as aws:ResourceAccount. A call with an identity provider's
// token has no key of a principal and, in Role, the provider's ARN; it is matched by the principal "*" only
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sts_vpc_endpoint_policies.html).
func (m *Model) Through(vpc, service string, call Call) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.through(vpc, service, call)
}

func (m *Model) through(vpc, service string, call Call) error {
	kind := "AWS"
	if strings.Contains(call.Role, ":oidc-provider/") {
		kind = ""
	}
	keys := map[string]string{}
	if arn := strings.Split(call.Resource, ":"); len(arn) > 5 && arn[4] != "" {
		keys["aws:ResourceAccount"] = arn[4]
	}
	maps.Copy(keys, call.Keys)
	for _, e := range m.where(tEndpoint, "vpcId", vpc) {
		text := e.in.str("policy")
		if text == "" || m.endpointService(e.in.str("serviceName")) != service {
			continue // without a policy everybody may do everything
		}
		allowed := false
		for _, s := range parse(text).Statement {
			switch {
			case !s.speaksOf(kind, call.Role) || !s.covers(call.Action, call.Resource):
			case s.Effect == "Deny":
				return denied(call, "of an explicit deny in a VPC endpoint policy")
			case s.holds(keys):
				allowed = true
			}
		}
		if !allowed {
			return denied(call, "no VPC endpoint policy allows the "+call.Action+" action")
		}
	}
	return nil
}

// vpcOf is the VPC that a cluster's nodes and pods are in.
func vpcOf(cluster *object) string {
	return cluster.out.str("vpcConfig.vpcId")
}

func denied(call Call, why string) error {
	return refuse("AccessDenied", "User: %s is not authorized to perform: %s on resource: %s because %s", call.Role, call.Action,
		call.Resource, why)
}

// covers tells whether a statement speaks of the action and the resource. Actions are compared without case
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html). The model takes
// NotAction and NotResource, which the program does not use, to cover everything where they deny, and nothing where they allow.
func (s statement) covers(action, resource string) bool {
	if len(s.NotAction)+len(s.NotResource) > 0 {
		return s.Effect == "Deny"
	}
	return s.names(action) && slices.ContainsFunc(s.Resource, func(r string) bool { return like(r, resource) })
}

// names tells whether a statement's list of actions has this one.
func (s statement) names(action string) bool {
	return slices.ContainsFunc(s.Action, func(a string) bool { return like(strings.ToLower(a), strings.ToLower(action)) })
}

// speaksOf tells whether a statement is about a principal. NotPrincipal is for statements that deny
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html), and is taken to be about
// everybody.
func (s statement) speaksOf(kind, principal string) bool {
	if len(s.NotPrincipal) > 0 {
		return s.Effect == "Deny"
	}
	return slices.ContainsFunc(s.principals(kind), func(who string) bool { return who == "*" || who == principal })
}

// like compares as IAM does: * is any text, ? any one character
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html).
func like(pattern, s string) bool {
	return re("(?s)^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern)) + "$").MatchString(s)
}

// trusted tells whether a role's trust policy lets a principal take all of the actions, with these keys in the request. As
// everywhere, a statement that denies wins.
func trusted(role *object, kind, principal string, request map[string]string, actions ...string) bool {
	statements := parse(role.in.str("assumeRolePolicy")).Statement
	for _, action := range actions {
		if slices.ContainsFunc(statements, func(s statement) bool {
			return s.Effect == "Deny" && s.speaksOf(kind, principal) && (len(s.NotAction) > 0 || s.names(action))
		}) || !slices.ContainsFunc(statements, func(s statement) bool { return s.allows(kind, principal, action) && s.holds(request) }) {
			return false
		}
	}
	return true
}

// holds tells whether all conditions of a statement hold for a request with these keys. A key that the request lacks, and an
// operator that is not known here, do not hold.
func (s statement) holds(request map[string]string) bool {
	for operator, conditions := range s.Condition {
		for key, allowed := range conditions {
			value, present := request[key]
			// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
			fits := present && slices.ContainsFunc(allowed, func(pattern string) bool {
				return operator == "StringEquals" && pattern == value || operator == "StringLike" && like(pattern, value)
			})
			if !fits {
				return false
			}
		}
	}
	return true
}

// Token is a Kubernetes service account's, as a pod presents it.
type Token struct {
	Cluster, Namespace, ServiceAccount, Audience string
}

// AssumeWithToken is nil if the role's trust policy lets the token's holder assume it by sts:AssumeRoleWithWebIdentity
// (https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html) and the VPC's endpoint lets the
// request pass, and otherwise what STS answers.
func (m *Model) AssumeWithToken(roleARN string, t Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	role, cluster := m.first(tRole, "arn", roleARN), m.objects[tCluster][t.Cluster]
	if role == nil || cluster == nil {
		return refuse("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity: role %s or cluster %s does not exist",
			roleARN, t.Cluster)
	}
	issuer := strings.TrimPrefix(m.issuer(cluster), "https://")
	provider := m.first(tOIDC, "arn", m.oidcARN(issuer))
	if provider == nil {
		return refuse("InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://%s", issuer)
	}
	if !slices.Contains(provider.in.strs("clientIdLists"), t.Audience) {
		return refuse("InvalidIdentityToken", "Incorrect token audience %q", t.Audience)
	}
	request := map[string]string{
		issuer + ":aud": t.Audience, issuer + ":sub": "system:serviceaccount:" + t.Namespace + ":" + t.ServiceAccount,
	}
	if trusted(role, "Federated", provider.arn(), request, "sts:AssumeRoleWithWebIdentity") {
		return m.through(vpcOf(cluster), "sts", Call{Role: provider.arn(), Action: "sts:AssumeRoleWithWebIdentity", Resource: role.arn()})
	}
	return refuse("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
}

// AssumeByPodIdentity returns the role that EKS Pod Identity hands to a service account. Without a role, or if the tags that EKS gives
// the session do not meet the role's trust policy, it returns the agent's answer
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html).
func (m *Model) AssumeByPodIdentity(t Token) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	cluster := m.objects[tCluster][t.Cluster]
	if cluster == nil || t.Audience != "pods.eks.amazonaws.com" {
		return "", refuse("InvalidTokenException", "cluster %q, audience %q: expected a cluster and the audience pods.eks.amazonaws.com",
			t.Cluster, t.Audience)
	}
	// The node's agent asks with the node's role (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
	for _, g := range m.where(tNodeGroup, "clusterName", t.Cluster) {
		if err := m.through(vpcOf(cluster), "eks-auth",
			m.ofNode(g.in.str("nodeRoleArn"), "eks-auth:AssumeRoleForPodIdentity", cluster.arn())); err != nil {
			return "", err
		}
	}
	for _, a := range m.where(tPodIdentity, "clusterName", t.Cluster) {
		role := m.first(tRole, "arn", a.in.str("roleArn"))
		if a.in.str("namespace") != t.Namespace || a.in.str("serviceAccount") != t.ServiceAccount || role == nil {
			continue
		}
		tags := map[string]string{}
		for key, value := range map[string]string{
			"eks-cluster-arn": cluster.arn(), "eks-cluster-name": t.Cluster, "kubernetes-namespace": t.Namespace,
			"kubernetes-service-account": t.ServiceAccount,
		} {
			tags["aws:RequestTag/"+key] = value
		}
		if trusted(role, "Service", "pods.eks.amazonaws.com", tags, "sts:AssumeRole", "sts:TagSession") {
			return role.arn(), nil
		}
		return "", refuse("AccessDeniedException",
			"Unauthorized Exception! EKS does not have permissions to assume the associated role %s.", role.arn())
	}
	return "", refuse("ResourceNotFoundException", "No pod identity association for service account %s/%s in cluster %s", t.Namespace,
		t.ServiceAccount, t.Cluster)
}
