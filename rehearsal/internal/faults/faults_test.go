package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"expense/rehearsal/internal/stage/stagetest"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// open is a stage for lives.
func open(t *testing.T) *Stage {
	options := stagetest.Options(t)
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not on PATH, which docs/recovery.md needs")
	}
	s, err := Open(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// One of each kind in each command; `make faults` plays them all.
func TestASampleOfFaultsIsSurvived(t *testing.T) {
	s := open(t)
	all := map[string]Case{}
	for _, life := range s.Lives() {
		for _, c := range life {
			all[c.Name()] = c
		}
	}
	assert.Greater(t, len(all), 1_000)
	const (
		shop       = "kubernetes:apps/v1:Deployment/shop"
		release    = "kubernetes:batch/v1:Job/shop"
		role       = "aws:eks/podIdentityAssociation:PodIdentityAssociation/expense-app-shop"
		repository = "aws:ecr/repository:Repository/expense-registry-shop"
		addon      = "aws:eks/addon:Addon/expense-node-vpc-cni"
		cluster    = "aws:eks/cluster:Cluster/expense-eksCluster"
		configMap  = "kubernetes:core/v1:ConfigMap/web"
		deployment = "kubernetes:apps/v1:Deployment/web"
		domain     = "aws:opensearch/domain:Domain/expense"
		gateway    = "aws:ec2/natGateway:NatGateway/expense-use1-az1"
		nodeGroup  = "aws:eks/nodeGroup:NodeGroup/expense-use1-az1"
		pod        = "kubernetes:core/v1:Pod/nginx"
		vpc        = "aws:ec2/vpc:Vpc/expense"
	)
	played := 0
	for _, names := range [][]string{
		{"up/refused/create/" + cluster, "destroy/refused/delete/" + nodeGroup},
		{"up/timed-out/create/" + domain, "update/timed-out/create/" + nodeGroup, "destroy/timed-out/delete/" + cluster},
		{
			"up/killed-before/create/" + gateway, "change/refused/update/" + shop, "update/killed-before/delete/" + nodeGroup,
			"destroy/killed-before/delete/" + deployment,
		},
		{"up/killed-after/create/" + vpc, "update/killed-after/create/" + nodeGroup, "destroy/killed-after/delete/" + gateway},
		{"up/killed-after/create/" + configMap, "change/killed-after/create/" + pod, "destroy/killed-after/delete/" + addon},
		{"up/taken/create/" + deployment, "change/killed-after/create/" + release, "destroy/killed-after/delete/" + repository},
		{"up/killed-after/create/" + repository, "change/timed-out/create/" + release, "destroy/killed-before/delete/" + role},
		{"up/refused/create/" + role, "change/taken/create/" + release, "destroy/interrupted/delete/" + shop},
		{"up/came-up-failed/create/" + addon, "change/refused/update/" + nodeGroup, "update/came-up-failed/create/" + nodeGroup},
		{"up/interrupted/create/" + addon, "update/refused/create/" + nodeGroup, "destroy/interrupted/delete/" + domain},
	} {
		var life Life
		for _, name := range names {
			_, known := all[name]
			require.True(t, known, name)
			life = append(life, all[name])
		}
		survived, err := s.Play(t.Context(), life)
		require.NoError(t, err, "%s", life[min(survived, len(life)-1)].Name())
		played += survived
	}
	assert.Equal(t, 30, played)

	// What a kill leaves while the state's attributes are written.
	attributes := filepath.Join(s.stage.Dir, "state", ".pulumi", "stacks", "expense", stack+".json.attrs")
	require.NoError(t, os.WriteFile(attributes, nil, 0o600))
	require.ErrorContains(t, s.stage.Pulumi(t.Context(), "stack"), "exit status")
	require.NoError(t, s.recover(t.Context()))
	require.NoError(t, s.stage.Pulumi(t.Context(), "stack"))
	_, err := s.stage.Shell(t.Context(), s.page.killed[1], "FOUND=urn:of:nothing vpc-1")
	require.ErrorContains(t, err, "urn:of:nothing was not under way")

	// A service-linked role that the account has already, as after `pulumi destroy`.
	page, err := os.ReadFile("../../../docs/recovery.md")
	require.NoError(t, err)
	const taken = "AWSServiceRoleForAmazonOpenSearchService has been taken in this account"
	_, _, err = s.stage.Model.Create(t.Context(), "aws:iam/serviceLinkedRole:ServiceLinkedRole", "of-another-domain",
		resource.PropertyMap{"awsServiceName": resource.NewProperty("opensearchservice.amazonaws.com")})
	require.NoError(t, err)
	require.ErrorContains(t, failure(s.run(t.Context(), Up)), taken)
	_, err = s.stage.Shell(t.Context(), remedy(string(page), taken))
	require.NoError(t, err)
	require.NoError(t, failure(s.repeat(func() error { return s.run(t.Context(), Up) })))
	require.NoError(t, failure(s.run(t.Context(), Destroy)))
	require.NoError(t, s.empty(t.Context()))
	require.NoError(t, s.stage.Pulumi(t.Context(), "config", "set", "--path", "expense:logging.createServiceLinkedRole", "true"))

	// What AWS refused and the state has is seen in AWS: without the refresh the command is green, and nothing is changed.
	again := s.page.again
	s.page.again = "pulumi up"
	_, err = s.Play(t.Context(), Life{all["change/refused/update/"+nodeGroup]})
	require.ErrorContains(t, err, "0 x aws:eks/nodeGroup:NodeGroup program ACTIVE scalingConfig.maxSize={4}, not 1")
	s.page.again = again
	require.NoError(t, s.prepare(t.Context(), Destroy))
	require.NoError(t, failure(s.run(t.Context(), Destroy)))
	require.NoError(t, s.empty(t.Context()))

	// Without step 2 the objects that a killed engine had begun are in the way, and only their deletion helps.
	adopt := s.page.killed[1]
	s.page.killed[1] = ":"
	_, err = s.Play(t.Context(), Life{all["up/killed-after/create/"+deployment]})
	require.ErrorContains(t, err, "already exists") // this one, or another that the engine had under way
	_, err = s.stage.Shell(t.Context(), adopt, "FOUND="+all["up/killed-after/create/"+deployment].Operation.URN+" project/web")
	require.ErrorContains(t, err, "was not under way", "after step 3 there is no way back to step 2")
	require.NoError(t, failure(s.again(t.Context(), s.page.again)))
	require.NoError(t, s.prepare(t.Context(), Destroy))
	require.NoError(t, failure(s.run(t.Context(), Destroy)))
	require.NoError(t, s.empty(t.Context()))

	// A check that cannot fail is worth nothing: without the adoption the engine makes the VPC a second time, which is seen.
	_, err = s.Play(t.Context(), Life{all["up/killed-after/create/"+vpc]})
	assert.ErrorContains(t, err, "2 x aws:ec2/vpc:Vpc program ACTIVE, not 1")
}

func TestEachKindOfResourceHasARefusal(t *testing.T) {
	for _, c := range []struct{ verb, typ, text string }{
		{"create", "aws:eks/nodeGroup:NodeGroup", "InsufficientInstanceCapacity"},
		{"delete", "aws:eks/nodeGroup:NodeGroup", "ThrottlingException"},
		{"create", "aws:ec2/vpc:Vpc", "VpcLimitExceeded"}, {"delete", "aws:ec2/vpc:Vpc", "RequestLimitExceeded"},
		{"update", "kubernetes:core/v1:Pod", "etcdserver"},
	} {
		assert.ErrorContains(t, refusal(Operation{c.verb, "urn:pulumi:dev::expense::" + c.typ + "::x"}), c.text)
	}
}

// A run goes on where it was ended, and a line that was being written then counts as nothing.
func TestWhatWasPlayedIsNotPlayedAgain(t *testing.T) {
	lives := []Life{
		{
			{Up, Operation{"create", "urn:pulumi:dev::p::a:b:C::x"}, Refused},
			{Destroy, Operation{"delete", "urn:pulumi:dev::p::a:b:C::x"}, Refused},
		},
		{{Up, Operation{"create", "urn:pulumi:dev::p::a:b:C::y"}, Refused}},
	}
	file := filepath.Join(t.TempDir(), "results.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(`{"case":"up/refused/create/a:b:C/x","version":"1","seconds":2}
{"case":"destroy/refused/delete/a:b:C/x","version":"0","seconds":2}
{"case":"up/refused/create/a:b:C/y","vers`), 0o600))
	done, err := Results(file, "1")
	require.NoError(t, err)
	assert.Len(t, done, 1)
	left := Choice{}.Choose(lives, done)
	require.Len(t, left, 2)
	assert.Equal(t, "destroy/refused/delete/a:b:C/x", left[0][0].Name())
	assert.Len(t, Choice{Only: "/y"}.Choose(lives, nil), 1)
	assert.Equal(t, lives[1:], Choice{Worker: 1, Workers: 2}.Choose(lives, nil))
	none, err := Results(file+".missing", "1")
	require.NoError(t, err)
	assert.Empty(t, none)
}

// The commands are the document's; the error texts in its table are those that are played.
func TestTheDocumentHasTheErrorsThatArePlayed(t *testing.T) {
	data, err := os.ReadFile("../../../docs/recovery.md")
	require.NoError(t, err)
	for _, r := range refusals {
		known := false
		for _, word := range []string{
			"Throttling", "Rate exceeded", "RequestLimitExceeded", "cannot be assumed", "you must enable a service-linked role",
			"InsufficientInstanceCapacity", "VpcLimitExceeded", "AddressLimitExceeded", "etcdserver: request timed out",
		} {
			if strings.Contains(r.text, word) {
				assert.Contains(t, string(data), word)
				known = true
			}
		}
		assert.True(t, known, r.text)
	}
	page, err := readPage("../../..")
	require.NoError(t, err)
	assert.Contains(t, page.killed[1], "adopt")
	assert.Contains(t, page.again, "--refresh")
	assert.Subset(t, page.repeat, []string{"you must enable a service-linked role", "does not grant sufficient permissions", "Rate exceeded"})
	assert.Contains(t, page.anew, "--replace 'URN'")
}
