package awsmodel

import (
	"slices"
	"strings"
)

func accessRows() rows {
	return of("EKS", rows{
		tAccessEntry: {
			ops: "CreateAccessEntry UpdateAccessEntry DeleteAccessEntry", required: "clusterName principalArn",
			id: func(_ *Model, o *object) string { return o.in.str("clusterName") + ":" + o.in.str("principalArn") }, tagged: true,
			defaults: map[string]any{"type": "STANDARD"}, blank: "createdAt modifiedAt", refs: []ref{clusterRef},
			takenCode: "ResourceInUseException", takenText: "The specified access entry resource is already in use on this cluster.",
			times:  instant,
			create: createAccessEntry, fill: fillAccessEntry,
		},
		tAccessPolicy: {
			ops:      "AssociateAccessPolicy AssociateAccessPolicy DisassociateAccessPolicy",
			required: "accessScope accessScope.type clusterName policyArn principalArn",
			id: func(_ *Model, o *object) string {
				return o.in.str("clusterName") + "#" + o.in.str("principalArn") + "#" + o.in.str("policyArn")
			},
			blank: "associatedAt modifiedAt", refs: []ref{clusterRef}, times: instant,
			create: createAccessPolicy,
		},
		tPodIdentity: {
			ops:      "CreatePodIdentityAssociation UpdatePodIdentityAssociation DeletePodIdentityAssociation",
			required: "clusterName namespace serviceAccount roleArn",
			id:       func(m *Model, o *object) string { return "a-" + m.hex(o.typ)[:17] }, tagged: true, refs: []ref{clusterRef},
			times:  instant,
			create: createPodIdentity, fill: fillPodIdentity, update: again(createPodIdentity),
		},
		tSignIn: {
			ops:      "AssociateIdentityProviderConfig TagResource DisassociateIdentityProviderConfig",
			required: "clusterName oidc oidc.clientId oidc.identityProviderConfigName oidc.issuerUrl",
			id: func(_ *Model, o *object) string {
				return o.in.str("clusterName") + ":" + o.in.str("oidc.identityProviderConfigName")
			},
			tagged: true, refs: []ref{clusterRef},
			// 18 minutes of turbot/steampipe-plugin-aws#1119 and 23 of its #571, 25 of aws/containers-roadmap#1438; of a removal no log was
			// found, and #1438 calls it as slow.
			times:  took(20*minutes, 2*seconds, 20*minutes),
			create: createSignIn, fill: fillSignIn,
		},
	})
}

// entry makes an access entry that EKS makes by itself; it goes away with the cluster.
func (m *Model) entry(cluster, principal, kind string) {
	id := cluster + ":" + principal
	if m.objects[tAccessEntry][id] == nil {
		m.made(tAccessEntry, id, AWS, map[string]any{"clusterName": cluster, "principalArn": principal, "type": kind})
	}
}

func createAccessEntry(m *Model, o *object) error {
	if !m.principal(o, o.in.str("principalArn")) {
		return invalidParameter("The specified principalArn is invalid: invalid principal: %s", o.in.str("principalArn"))
	}
	return nil
}

func fillAccessEntry(m *Model, o *object) {
	if !o.out.has("accessEntryArn") {
		principal := o.in.str("principalArn")
		o.out.set("accessEntryArn", m.arnOf("eks|access-entry/{cluster}/"+principal[strings.LastIndex(principal, ":")+1:]+"/{uuid}", o))
	}
}

// accessPolicies: https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
var accessPolicies = []string{
	"AmazonEKSAdminPolicy", "AmazonEKSClusterAdminPolicy", "AmazonEKSAdminViewPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy",
	"AmazonEKSSecretReaderPolicy",
}

func createAccessPolicy(m *Model, o *object) error {
	prefix := "arn:" + m.Partition() + ":eks::aws:cluster-access-policy/"
	if name, ok := strings.CutPrefix(o.in.str("policyArn"), prefix); !ok || !slices.Contains(accessPolicies, name) {
		return invalidParameter("The policyArn parameter format is not valid or the policy does not exist: %s (%s + one of %s)",
			o.in.str("policyArn"), prefix, strings.Join(accessPolicies, ", "))
	}
	if m.objects[tAccessEntry][o.in.str("clusterName")+":"+o.in.str("principalArn")] == nil {
		return refuse("ResourceNotFoundException",
			"The specified principalArn could not be found. You can view your available access entries with 'list-access-entries': %s",
			o.in.str("principalArn"))
	}
	return nil
}

// podIdentityRole: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
func podIdentityRole(m *Model, o *object, arn string) error {
	role := m.role(o, arn)
	if role == nil {
		return invalidParameter("Role provided in the request does not exist: %s", arn)
	}
	for _, action := range []string{"sts:AssumeRole", "sts:TagSession"} {
		if !trusts(role, "Service", "pods.eks.amazonaws.com", action) {
			return invalidParameter("Trust policy of role %s must allow pods.eks.amazonaws.com to %s", arn, action)
		}
	}
	return nil
}

func createPodIdentity(m *Model, o *object) error {
	for _, p := range m.where(tPodIdentity, "clusterName", o.in.str("clusterName")) {
		if p.id != o.id && p.in.str("namespace") == o.in.str("namespace") && p.in.str("serviceAccount") == o.in.str("serviceAccount") {
			return refuse("ResourceInUseException", "Association already exists: %s", p.id)
		}
	}
	return podIdentityRole(m, o, o.in.str("roleArn"))
}

func fillPodIdentity(m *Model, o *object) {
	if !o.out.has("associationArn") {
		o.out.set("associationArn", m.arnOf("eks|podidentityassociation/{cluster}/{id}", o))
	}
	o.out.setDefault("associationId", o.id)
}

// createSignIn: https://docs.aws.amazon.com/eks/latest/userguide/authenticate-oidc-identity-provider.html, "You can associate one OIDC
// identity provider to your cluster". The code and the words of that refusal are an assumption, those about the issuer are of
// https://github.com/terraform-aws-modules/terraform-aws-eks/issues/3328.
func createSignIn(m *Model, o *object) error {
	cluster := m.objects[tCluster][o.in.str("clusterName")]
	switch {
	case cluster.status != active: // as at createAddon
		return refuse("InvalidRequestException", "Cluster '%s' is not in ACTIVE status", cluster.id)
	case len(m.where(tSignIn, "clusterName", cluster.id)) > 0:
		return refuse("ResourceInUseException", "Cluster %s already has an identity provider", cluster.id)
	case o.in.str("oidc.issuerUrl") == m.issuer(cluster):
		return invalidParameter("Incorrect Identity Provider URL configuration. The Identity Provider URL cannot be same as OpenID Connect " +
			"(OIDC) issuer URL")
	}
	for _, at := range []string{"oidc.usernamePrefix", "oidc.groupsPrefix"} {
		if strings.Contains(o.in.str(at), "system:") {
			return invalidParameter("%s: the prefix can't contain system:", at)
		}
	}
	return nil
}

func fillSignIn(m *Model, o *object) {
	o.out.setDefault("arn", m.arnOf("eks|identityproviderconfig/{cluster}/oidc/"+o.in.str("oidc.identityProviderConfigName")+"/{uuid}", o))
	o.out.setDefault("status", creating)
}
