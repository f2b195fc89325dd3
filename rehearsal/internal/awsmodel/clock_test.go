package awsmodel

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	newRole    = "arn:aws:iam::111122223333:role/new"
	roleInside = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
		`"Principal":{"AWS":"` + newRole + `"},"Action":"es:ESHttpGet","Resource":"*"}]}`
)

// fresh are requests that name something made just now: with what, and what AWS answers before it knows it.
var fresh = []struct {
	name string
	// step is made anew; edit makes it refer to what is new.
	step string
	edit func(w *world, i in)
	want string
}{

	{
		"domain policy", "domainPolicy", set("accessPolicies", roleInside),
		"InvalidTypeException: Error setting policy: [" + roleInside + "]",
	},
	{
		"domain's master", "domain",
		set("advancedSecurityOptions", in{"enabled": true, "masterUserOptions": in{"masterUserArn": newRole}}),
		"The master user ARN " + newRole + " does not exist",
	},
	{"topic policy", "topicPolicy", set("policy", strings.Replace(roleInside, "es:ESHttpGet", "sns:Publish", 1)), "PrincipalNotFound"},
	{
		"role", "writer",
		set("assumeRolePolicy",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+newRole+`"},"Action":"sts:AssumeRole"}]}`),
		"Invalid principal in policy",
	},
	{"pod identity", "csiIdentity", set("roleArn", newRole), "Role provided in the request does not exist"},
	{
		"add-on", "aws-ebs-csi-driver",
		set("podIdentityAssociations", []any{in{"serviceAccount": "ebs-csi-controller-sa", "roleArn": newRole}}),
		"Role provided in the request does not exist",
	},
	{"access entry", "admin", set("principalArn", newRole), "The specified principalArn is invalid: invalid principal"},
	{"cluster", "cluster", set("roleArn", newRole), "could not be assumed because it does not exist"},
	{"node group", "nodes", set("nodeRoleArn", newRole), "The role with name " + newRole + " cannot be found"},
}

// newcomer is an account that is up to a step, and a new role that the step will name.
func newcomer(t *testing.T, opts Options, name string) (*world, step) {
	w, s := until(t, opts, name)
	w.m.Pass(time.Hour)
	trusts := strings.Replace(trust("eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"), `"eks.amazonaws.com"`,
		`["eks.amazonaws.com","ec2.amazonaws.com","pods.eks.amazonaws.com"]`, 1)
	require.NoError(t, w.make(step{"new", tRole, nil}, in{"name": "new", "assumeRolePolicy": trusts}))
	for _, policy := range []string{
		"AmazonEKSClusterPolicy", "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly",
		"service-role/AmazonEBSCSIDriverPolicy",
	} {
		require.NoError(t, w.make(attach(policy, "new", policy), in{"role": "new", "policyArn": managed(policy)}))
	}
	return w, s
}

func TestANewRoleIsNotKnownAtOnce(t *testing.T) {
	for _, c := range fresh {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, s := newcomer(t, Options{}, c.step)
			inputs := s.inputs(w)
			c.edit(w, inputs)
			require.ErrorContains(t, w.make(s, inputs), c.want)

			w, s = newcomer(t, Options{}, c.step)
			inputs = s.inputs(w)
			c.edit(w, inputs)
			w.m.Pass(roleSpread)
			require.NoError(t, w.make(s, inputs), "later it passes")
		})
	}
	assert.Len(t, fresh, 9)
}

func TestALogPolicyIsNotKnownAtOnce(t *testing.T) {
	const refused = "does not grant sufficient permissions for Amazon OpenSearch Service to create a log stream"
	w, s := until(t, Options{}, "domainLogPolicy")
	w.m.Pass(time.Hour)
	domain := steps[len(w.done)+1]
	require.Equal(t, tDomain, domain.typ)
	require.NoError(t, w.make(s, s.inputs(w)))
	require.ErrorContains(t, w.make(domain, domain.inputs(w)), refused)
	w.m.Pass(logPolicySpread)
	require.NoError(t, w.make(domain, domain.inputs(w)))

	w.m.Pass(time.Hour)
	// A policy that changes is as new as one that is made.
	inputs := s.inputs(w)
	inputs["policyDocument"] = strings.Replace(inputs["policyDocument"].(string), `"logs:PutLogEvents"`,
		`"logs:PutLogEvents","logs:PutRetentionPolicy"`, 1)
	_, err := w.m.Update(t.Context(), tLogPolicy, w.id(s.name), resource.NewPropertyMapFromMap(inputs))
	require.NoError(t, err)
	other := domain.inputs(w)
	other["ebsOptions"].(in)["volumeSize"] = 20
	_, err = w.m.Update(t.Context(), tDomain, w.id("domain"), resource.NewPropertyMapFromMap(other))
	require.ErrorContains(t, err, refused)
	w.m.Pass(logPolicySpread)
	_, err = w.m.Update(t.Context(), tDomain, w.id("domain"), resource.NewPropertyMapFromMap(other))
	require.NoError(t, err)
}

func TestServiceLinkedRoleMustBeSeen(t *testing.T) {
	minimal := edits{}
	for _, s := range steps {
		minimal[s.name] = nil
	}
	for _, keep := range []string{"slr", "vpc", "priv1", "sg"} {
		delete(minimal, keep)
	}
	domain := func(_ *world, i in) { i["logPublishingOptions"] = []any{} }
	minimal["domain"] = domain
	_, err := newWorld(Options{}).build(minimal)
	require.ErrorContains(t, err, "you must enable a service-linked role", "nothing slow came between")
	minimal["domain"] = func(w *world, i in) { domain(w, i); w.m.Pass(linkedRoleSpread) }
	at, err := newWorld(Options{}).build(minimal)
	require.NoError(t, err, at)
	minimal["domain"] = domain
	for _, slow := range []string{"nat", "eip", "igw", "pub1"} {
		delete(minimal, slow)
	}
	at, err = newWorld(Options{}).build(minimal)
	require.NoError(t, err, at)
	minimal["slr"] = nil
	at, err = newWorld(Options{ServiceLinkedRoles: []string{"opensearchservice.amazonaws.com"}}).build(minimal)
	require.NoError(t, err, at)
}

// The caller's permissions that depend on a key's tags come minutes after the key.
func TestTagsOfAKeyCountLater(t *testing.T) {
	w, key := until(t, Options{KeyTagDelay: 5 * time.Minute}, "key")
	err := w.make(key, key.inputs(w))
	require.ErrorContains(t, err, "operation error KMS: EnableKeyRotation")
	require.ErrorContains(t, err, "is not authorized to perform: kms:EnableKeyRotation on resource: "+w.arn("key"))
	require.False(t, w.outs["key"].flag("enableKeyRotation", true), "the key is there, without rotation")

	at, err := newWorld(Options{KeyTagDelay: 5 * time.Minute}).build(edits{"key": set("enableKeyRotation", false)})
	require.ErrorContains(t, err, "InvalidRequestException: User not authorized to perform kms:CreateGrant operation")
	assert.Equal(t, "cluster", at)
	at, err = newWorld(Options{KeyTagDelay: 5 * time.Minute}).build(edits{
		"key": set("enableKeyRotation", false), "cluster": func(w *world, _ in) { w.m.Pass(5 * time.Minute) },
	})
	require.NoError(t, err, at)
}

// Without waiting, what runs side by side begins together, and a caller that knows better says so.
func TestTheClockOfAnAccountWhereNobodyWaits(t *testing.T) {
	w := newWorld(Options{})
	at := func(ctx context.Context, name string) time.Duration {
		_, _, err := w.m.Create(ctx, tRole, name,
			resource.NewPropertyMapFromMap(in{"name": name, "assumeRolePolicy": trust("ec2.amazonaws.com", "sts:AssumeRole")}))
		require.NoError(t, err)
		return w.m.Done(tRole, name)
	}
	role := table[tRole].times.create
	assert.Equal(t, role, at(t.Context(), "a"))
	assert.Equal(t, role, at(t.Context(), "b"))
	assert.Equal(t, role, w.m.Now())
	assert.Equal(t, time.Hour+role, at(After(t.Context(), time.Hour), "c"))
	assert.Equal(t, time.Hour+role, w.m.Now())
	w.m.Pass(time.Minute)
	assert.Equal(t, time.Hour+time.Minute+2*role, at(t.Context(), "d"))
	assert.Zero(t, w.m.Done(tRole, "nobody"))
}
