package awsmodel

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testDomain = "arn:aws:es:us-east-1:111122223333:domain/expense"

// withPolicies is the stack with these policies of the writer's role and of the domain; ROLE stands for the role's ARN.
func withPolicies(t *testing.T, own, resource string) (*world, string) {
	t.Helper()
	w := newWorld(Options{})
	at, err := w.build(edits{
		"writerInline": func(_ *world, i in) { i["policy"] = own },
		"domainPolicy": func(w *world, i in) { i["accessPolicies"] = fmt.Sprintf(resource, w.arn("writer")) },
	})
	require.NoError(t, err, at)
	return w, w.arn("writer")
}

// One side of two is enough within an account, a denial wins, and what nobody speaks of is denied.
func TestACallIsAllowedByWhatIsWritten(t *testing.T) {
	allow := func(rest string) string {
		return `{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow",` + rest + `}]}`
	}
	const other = `"Action":"s3:GetObject","Resource":"arn:aws:s3:::x"`
	for _, c := range []struct {
		name, own, resource string
		action, on          string
		allowed             bool
	}{
		{
			"by the role's policy", allow(`"Action":"es:ESHttpPost","Resource":"` + testDomain + `/_bulk"`),
			allow(`"Principal":{"AWS":%q},` + `"Action":"es:ESHttpGet","Resource":"` + testDomain + `/"`), "es:ESHttpPost",
			testDomain + "/_bulk", true,
		},
		{
			"by the domain's policy", allow(other),
			allow(`"Principal":{"AWS":%q},"Action":"es:ESHttpPost","Resource":"` + testDomain + `/*"`), "es:ESHttpPost",
			testDomain + "/_bulk", true,
		},
		{
			"by the domain's policy for everybody", allow(other),
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"es:*","Resource":"*"},` +
				`{"Effect":"Allow","Principal":{"AWS":%q},"Action":"es:ESHttpGet","Resource":"*"}]}`,
			"es:ESHttpPut", testDomain + "/x", true,
		},
		{
			"an action in another case", allow(`"Action":"ES:eshttppost","Resource":"*"`), allow(`"Principal":{"AWS":%q},` + other),
			"es:ESHttpPost", testDomain + "/_bulk", true,
		},
		{
			"another action", allow(`"Action":"es:ESHttpPost","Resource":"` + testDomain + `/_bulk"`),
			allow(`"Principal":{"AWS":%q},` + other), "es:ESHttpDelete", testDomain + "/_bulk", false,
		},
		{
			"another path", allow(`"Action":"es:ESHttpPost","Resource":"` + testDomain + `/_bulk"`),
			allow(`"Principal":{"AWS":%q},` + other), "es:ESHttpPost", testDomain + "/_bulk/x", false,
		},
		{
			"a denial beside it",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"es:*","Resource":"*"},{"Effect":"Deny",` +
				`"Action":"es:ESHttpPost","Resource":"*"}]}`,
			allow(`"Principal":{"AWS":%q},` + other), "es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"a denial by the domain", allow(`"Action":"es:*","Resource":"*"`),
			`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":%q},"Action":"es:ESHttpPost","Resource":"*"}]}`,
			"es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"by the domain's policy for the account", allow(other),
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"es:*","Resource":"*"},` +
				`{"Effect":"Allow","Principal":{"AWS":%q},"Action":"es:ESHttpGet","Resource":"*"}]}`,
			"es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"a denial for the account", allow(`"Action":"es:*","Resource":"*"`),
			`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:root"},` +
				`"Action":"es:ESHttpPost","Resource":"*"},{"Effect":"Allow","Principal":{"AWS":%q},"Action":"es:*","Resource":"*"}]}`,
			"es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"a denial for all but somebody", allow(`"Action":"es:*","Resource":"*"`),
			`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":%q},"Action":"es:ESHttpPost","Resource":"*"}]}`,
			"es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"a denial of all actions but one",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"es:*","Resource":"*"},{"Effect":"Deny",` +
				`"NotAction":"es:ESHttpGet","Resource":"*"}]}`,
			allow(`"Principal":{"AWS":%q},` + other), "es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"all actions but one", allow(`"NotAction":"es:ESHttpGet","Resource":"*"`), allow(`"Principal":{"AWS":%q},` + other),
			"es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"one character of a pattern", allow(`"Action":"es:ESHttpP?st","Resource":"` + testDomain + `/_bul?"`),
			allow(`"Principal":{"AWS":%q},` + other), "es:ESHttpPost", testDomain + "/_bulk", true,
		},
		{
			"no character of a pattern", allow(`"Action":"es:ESHttpPost?","Resource":"*"`), allow(`"Principal":{"AWS":%q},` + other),
			"es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"a pattern that is no expression", allow(`"Action":"es:ESHttpPost","Resource":"` + testDomain + `/.bulk"`),
			allow(`"Principal":{"AWS":%q},` + other), "es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"a denial with a condition that nothing meets",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"es:*","Resource":"*"},{"Effect":"Deny","Action":"es:*",` +
				`"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/x":"y"}}}]}`,
			allow(`"Principal":{"AWS":%q},` + other), "es:ESHttpPost", testDomain + "/_bulk", false,
		},
		{
			"a condition that nothing meets",
			allow(`"Action":"es:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/x":"y"}}`),
			allow(`"Principal":{"AWS":%q},` + other), "es:ESHttpPost", testDomain + "/_bulk", false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, role := withPolicies(t, c.own, c.resource)
			by, err := w.m.Allowed(Call{Role: role, Action: c.action, Resource: c.on})
			if c.allowed {
				require.NoError(t, err)
				assert.NotEmpty(t, by)
			} else {
				assert.Equal(t, "AccessDenied", Code(err))
			}
			_, err = w.m.Allowed(Call{Role: role + "2", Action: c.action, Resource: c.on})
			assert.ErrorContains(t, err, "the role does not exist")
		})
	}
}

// A token opens the role that names its service account and audience, and no other.
func TestATokenOpensTheRoleThatNamesItsServiceAccount(t *testing.T) {
	w := newWorld(Options{})
	at, err := w.build(edits{"writer": func(w *world, i in) {
		issuer := w.arn("oidc")[len("arn:aws:iam::111122223333:oidc-provider/"):]
		i["assumeRolePolicy"] = fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},
			"Action":"sts:AssumeRoleWithWebIdentity",
			"Condition":{"StringEquals":{"%[2]s:aud":"sts.amazonaws.com","%[2]s:sub":"system:serviceaccount:project:fluentd"}}},
			{"Effect":"Allow","Principal":{"Federated":%[1]q},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{
			"StringEquals":{"%[2]s:aud":"sts.amazonaws.com"},"StringLike":{"%[2]s:sub":"system:serviceaccount:project:app-*"}}}]}`,
			w.arn("oidc"), issuer)
	}})
	require.NoError(t, err, at)
	right := Token{Cluster: "expense", Namespace: "project", ServiceAccount: "fluentd", Audience: "sts.amazonaws.com"}
	assert.NoError(t, w.m.AssumeWithToken(w.arn("writer"), right))
	for account, trusted := range map[string]bool{"app-backend": true, "app-": true, "app": false, "an-app-x": false} {
		token := right
		token.ServiceAccount = account
		assert.Equal(t, trusted, w.m.AssumeWithToken(w.arn("writer"), token) == nil, account)
	}
	for want, wrong := range map[string]Token{
		"does not exist":                {"other", "project", "fluentd", "sts.amazonaws.com"},
		"Incorrect token audience":      {"expense", "project", "fluentd", "pods.eks.amazonaws.com"},
		"Not authorized to perform":     {"expense", "other", "fluentd", "sts.amazonaws.com"},
		"sts:AssumeRoleWithWebIdentity": {"expense", "project", "default", "sts.amazonaws.com"},
	} {
		assert.ErrorContains(t, w.m.AssumeWithToken(w.arn("writer"), wrong), want)
	}
	assert.ErrorContains(t, w.m.AssumeWithToken(w.arn("nodeRole"), right), "Not authorized")
	require.True(t, w.m.Uproot(tOIDC, w.id("oidc")))
	assert.ErrorContains(t, w.m.AssumeWithToken(w.arn("writer"), right), "No OpenIDConnect provider found")
}

// EKS hands a role to the service account of its association, if the role's trust policy agrees with where that is.
func TestPodIdentityHandsARoleToItsServiceAccount(t *testing.T) {
	token := Token{"expense", "kube-system", "ebs-csi-controller-sa", "pods.eks.amazonaws.com"}
	for namespace, allowed := range map[string]bool{"kube-system": true, "project": false} {
		w := newWorld(Options{})
		at, err := w.build(edits{"csiRole": func(_ *world, i in) {
			i["assumeRolePolicy"] = fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
				"Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"],
				"Condition":{"StringEquals":{"aws:RequestTag/kubernetes-namespace":%q,"aws:RequestTag/eks-cluster-name":"expense"}}}]}`,
				namespace)
		}})
		require.NoError(t, err, at)
		role, err := w.m.AssumeByPodIdentity(token)
		if allowed {
			require.NoError(t, err)
			assert.Equal(t, w.arn("csiRole"), role)
		} else {
			assert.ErrorContains(t, err, "Unauthorized")
		}
		for want, wrong := range map[string]Token{
			"No pod identity association": {"expense", "project", "ebs-csi-controller-sa", "pods.eks.amazonaws.com"},
			"expected a cluster":          {"expense", "kube-system", "ebs-csi-controller-sa", "sts.amazonaws.com"},
		} {
			_, err := w.m.AssumeByPodIdentity(wrong)
			assert.ErrorContains(t, err, want)
		}
	}
}

// Both actions are needed, from one statement or from two, and a statement that denies one of them wins.
func TestATrustPolicyCanDeny(t *testing.T) {
	const pods = `"Principal":{"Service":"pods.eks.amazonaws.com"}`
	for _, c := range []struct {
		name, statements string
		allowed          bool
	}{
		{
			"two statements",
			`{"Effect":"Allow",` + pods + `,"Action":"sts:AssumeRole"},{"Effect":"Allow",` + pods + `,"Action":"sts:TagSession"}`, true,
		},
		{"no tags", `{"Effect":"Allow",` + pods + `,"Action":"sts:AssumeRole"}`, false},
		{"a denial", `{"Effect":"Allow",` + pods + `,"Action":"sts:*"},{"Effect":"Deny",` + pods + `,"Action":"sts:TagSession"}`, false},
		{
			"a denial for everybody",
			`{"Effect":"Allow",` + pods + `,"Action":"sts:*"},{"Effect":"Deny","Principal":"*","Action":"sts:Tag*"}`, false,
		},
		{
			"a denial for somebody else",
			`{"Effect":"Allow",` + pods + `,"Action":"sts:*"},{"Effect":"Deny","Principal":{"Service":"ec2.amazonaws.com"},` +
				`"Action":"sts:*"}`,
			true,
		},
		{
			"a condition with an operator that is not known",
			`{"Effect":"Allow",` + pods + `,"Action":"sts:*",` +
				`"Condition":{"StringNotEquals":{"aws:RequestTag/kubernetes-namespace":"project"}}}`,
			false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(Options{})
			at, err := w.build(edits{
				"csiRole": func(_ *world, i in) {
					i["assumeRolePolicy"] = `{"Version":"2012-10-17","Statement":[` + c.statements + `]}`
				},
				// They would be refused first: EKS looks at the trust policy too.
				"csiIdentity": nil, "aws-ebs-csi-driver": nil,
			})
			require.NoError(t, err, at)
			assert.Equal(t, c.allowed,
				trusted(w.m.first(tRole, "arn", w.arn("csiRole")), "Service", "pods.eks.amazonaws.com", nil, "sts:AssumeRole",
					"sts:TagSession"))
		})
	}
}
