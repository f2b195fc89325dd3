package awsmodel

import (
	"fmt"
	"slices"
	"strings"
)

// Rules of AWS Identity and Access Management. Limits: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

func iamRows() rows {
	return of("IAM", rows{
		tRole: {
			ops: "CreateRole UpdateAssumeRolePolicy DeleteRole", required: "assumeRolePolicy", name: named, arn: "iam|role{path}{name}",
			tagged: true, defaults: map[string]any{"path": "/", "description": ""}, blank: "createDate uniqueId",
			takenCode: "EntityAlreadyExists", takenText: "Role with name %s already exists.", times: instant,
			check: policyDocument("assumeRolePolicy", trustPolicy, 2048), create: createRole,
			update: again(createRole), remove: removeRole,
		},
		tRolePolicy: {
			ops: "PutRolePolicy PutRolePolicy DeleteRolePolicy", required: "policy role", name: named,
			id: func(_ *Model, o *object) string { return o.in.str("role") + ":" + o.name() }, refs: []ref{roleName}, times: instant,
			check: policyDocument("policy", identityPolicy, 10240),
		},
		tAttachment: {
			ops: "AttachRolePolicy AttachRolePolicy DetachRolePolicy", required: "policyArn role",
			id: func(m *Model, o *object) string { return o.in.str("role") + "-" + m.hex(o.typ)[:26] }, refs: []ref{roleName},
			times:  instant,
			create: createAttachment,
		},
		tOIDC: {
			ops:      "CreateOpenIDConnectProvider UpdateOpenIDConnectProviderThumbprint DeleteOpenIDConnectProvider",
			required: "clientIdLists url", id: func(m *Model, o *object) string { return m.oidcARN(o.in.str("url")) }, tagged: true,
			takenCode: "EntityAlreadyExists", takenText: "Provider with url %s already exists.", times: instant,
			create: createOIDC,
			fill: func(m *Model, o *object) {
				o.out.setDefault("arn", o.id)
				o.out.setDefault("thumbprintLists", []any{strings.Repeat("9e99a48a99", 4)})
			},
		},
		tSLR: {
			ops: "CreateServiceLinkedRole UpdateRole DeleteServiceLinkedRole", required: "awsServiceName",
			id: func(m *Model, o *object) string { return m.slrARN(o.in.str("awsServiceName")) }, tagged: true,
			blank:     "createDate uniqueId",
			takenCode: "InvalidInput",
			takenText: "Service role name for %s has been taken in this account, please try a different suffix.",
			times:     took(2*seconds, 2*seconds, 10*seconds),
			check:     checkSLR, fill: fillSLR, remove: removeSLR,
		},
	})
}

// Caller is the ARN of the principal whose credentials the provider uses. EKS makes it a cluster's first administrator.
func (m *Model) Caller() string {
	return fmt.Sprintf("arn:%s:iam::%s:user/rehearsal", m.Partition(), m.opts.Account)
}

// principal tells whether the service that gets the request for o knows an IAM user, role or account. Principals of other accounts
// always exist.
func (m *Model) principal(o *object, arn string) bool {
	if arn == m.opts.Account || arn == m.Caller() {
		return true
	}
	parts := strings.SplitN(arn, ":", 6)
	return len(parts) == 6 && parts[1] == m.Partition() && parts[2] == "iam" &&
		(parts[4] != m.opts.Account || parts[5] == "root" || m.role(o, arn) != nil || m.first(tSLR, "arn", arn) != nil)
}

// role finds a role that the service knows which gets the request for o.
func (m *Model) role(o *object, arn string) *object {
	if role := m.first(tRole, "arn", arn); role != nil && m.spread(o, role.made, roleSpread) {
		return role
	}
	return nil
}

func createRole(m *Model, o *object) error {
	doc := o.in.str("assumeRolePolicy")
	if err := m.principalsExist(o, doc, "MalformedPolicyDocument", "Invalid principal in policy"); err != nil {
		return err
	}
	for _, s := range parse(doc).Statement {
		for _, f := range s.principals("Federated") {
			if strings.Contains(f, ":oidc-provider/") && m.first(tOIDC, "arn", f) == nil {
				// IAM accepts this, and the pod gets InvalidIdentityToken. A rehearsal has no later moment to say so.
				return refuse("MalformedPolicyDocument", "Invalid principal in policy: %q: no OpenIDConnect provider found in your account",
					f)
			}
		}
		for _, service := range s.principals("Service") {
			if service != "*" && !re(`^[a-z0-9.-]+\.amazonaws\.com$`).MatchString(service) {
				return refuse("MalformedPolicyDocument", "Invalid principal in policy: \"SERVICE\":%q", service)
			}
		}
	}
	return nil
}

func removeRole(m *Model, o *object) error {
	if len(m.where(tAttachment, "role", o.name())) > 0 {
		return refuse("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	}
	if len(m.where(tRolePolicy, "role", o.name())) > 0 {
		return refuse("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	// EKS keeps an instance profile on the role of a node group (https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html).
	if len(m.where(tNodeGroup, "nodeRoleArn", o.arn())) > 0 {
		return refuse("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
	}
	return nil
}

// managedPolicies are the AWS managed policies that a stack like this may use. The model refuses all others.
// Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
var managedPolicies = []string{
	"AmazonEKSClusterPolicy", "AmazonEKSServicePolicy", "AmazonEKSVPCResourceController", "AmazonEKSWorkerNodePolicy",
	"AmazonEKSWorkerNodeMinimalPolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly",
	"AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore", "service-role/AmazonEBSCSIDriverPolicy",
	"AmazonEBSCSIDriverPolicyV2", "CloudWatchAgentServerPolicy", "AmazonOpenSearchServiceFullAccess", "AmazonEKSComputePolicy",
	"AmazonEKSBlockStoragePolicy", "AmazonEKSLoadBalancingPolicy", "AmazonEKSNetworkingPolicy",
}

func (m *Model) managedPolicy(arn string) error {
	prefix := fmt.Sprintf("arn:%s:iam::aws:policy/", m.Partition())
	if name, aws := strings.CutPrefix(arn, prefix); aws && slices.Contains(managedPolicies, name) {
		return nil
	}
	return refuse("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
}

func createAttachment(m *Model, o *object) error {
	if err := m.managedPolicy(o.in.str("policyArn")); err != nil {
		return err
	}
	// A second attachment does nothing (https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html names no error
	// for it): there is one, and the last to ask remembers it.
	for _, other := range m.where(tAttachment, "role", o.in.str("role")) {
		if other.in.str("policyArn") == o.in.str("policyArn") {
			delete(m.objects[tAttachment], other.id)
		}
	}
	return nil
}

// attached tells whether the role has one of the AWS managed policies.
func (m *Model) attached(role *object, names ...string) bool {
	for _, name := range names {
		arn := fmt.Sprintf("arn:%s:iam::aws:policy/%s", m.Partition(), name)
		for _, a := range m.where(tAttachment, "role", role.name()) {
			if a.in.str("policyArn") == arn {
				return true
			}
		}
	}
	return false
}

// hasOwnPolicy tells whether the role has a policy that is not AWS's, whatever it permits.
func (m *Model) hasOwnPolicy(role *object) bool {
	return len(m.where(tRolePolicy, "role", role.name())) > 0
}

func (m *Model) oidcARN(url string) string {
	return fmt.Sprintf("arn:%s:iam::%s:oidc-provider/%s", m.Partition(), m.opts.Account, strings.TrimPrefix(url, "https://"))
}

func createOIDC(m *Model, o *object) error {
	url := o.in.str("url")
	known := false
	for _, c := range m.all(tCluster) {
		known = known || m.issuer(c) == url
	}
	if !known {
		return refuse("InvalidInput", "The url %s is not the issuer of a cluster in this account", url)
	}
	return nil
}

// serviceLinkedRoles maps the service to its role's name.
// Source: "Using service-linked roles" of each service's guide.
var serviceLinkedRoles = map[string]string{
	"opensearchservice.amazonaws.com":              "AWSServiceRoleForAmazonOpenSearchService",
	"es.amazonaws.com":                             "AWSServiceRoleForAmazonElasticsearchService",
	"eks.amazonaws.com":                            "AWSServiceRoleForAmazonEKS",
	"eks-nodegroup.amazonaws.com":                  "AWSServiceRoleForAmazonEKSNodegroup",
	"autoscaling.amazonaws.com":                    "AWSServiceRoleForAutoScaling",
	"spot.amazonaws.com":                           "AWSServiceRoleForEC2Spot",
	"elasticloadbalancing.amazonaws.com":           "AWSServiceRoleForElasticLoadBalancing",
	"networkflowmonitor.amazonaws.com":             "AWSServiceRoleForNetworkFlowMonitor",
	"application-signals.cloudwatch.amazonaws.com": "AWSServiceRoleForCloudWatchApplicationSignals",
}

const slrKept = "service-linked role: one per account and service, free of charge, shared by all stacks"

func checkSLR(c *checker) {
	service := c.str("awsServiceName")
	if service != "" && serviceLinkedRoles[service] == "" {
		c.fail("awsServiceName", "InvalidInput: service %s has no service-linked role that the model knows", service)
	}
}

func (m *Model) slrARN(service string) string {
	return fmt.Sprintf("arn:%s:iam::%s:role/aws-service-role/%s/%s", m.Partition(), m.opts.Account, service, serviceLinkedRoles[service])
}

func fillSLR(_ *Model, o *object) {
	service := o.out.str("awsServiceName")
	o.out.setDefault("arn", o.id)
	o.out.setDefault("name", serviceLinkedRoles[service])
	o.out.setDefault("path", "/aws-service-role/"+service+"/")
	o.kept = slrKept
}

// ensureSLR makes the role that a service makes for itself on its first use in an account.
func (m *Model) ensureSLR(service string) {
	if m.objects[tSLR][m.slrARN(service)] == nil {
		o := m.made(tSLR, m.slrARN(service), AWS, map[string]any{"awsServiceName": service})
		o.made = -linkedRoleSpread // as if it had always been there
		fillSLR(m, o)
	}
}

func removeSLR(m *Model, o *object) error {
	if o.out.str("awsServiceName") == "opensearchservice.amazonaws.com" && len(m.all(tDomain)) > 0 {
		return fmt.Errorf("waiting for IAM Service Linked Role (%s) delete: unexpected state 'FAILED', wanted target 'SUCCEEDED'. last "+
			"error: %s: the role is in use by %s",
			o.id, "There are resources that are still using the role", m.all(tDomain)[0].id)
	}
	return nil
}

// slrVisible tells whether OpenSearch sees its role at the request for o.
func (m *Model) slrVisible(o *object) bool {
	role := m.objects[tSLR][m.slrARN("opensearchservice.amazonaws.com")]
	return role != nil && role.status == active && m.spread(o, role.made, linkedRoleSpread)
}
