package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/estimate"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inModel has the commands sign in to a model.
func inModel(t *testing.T, api *awsapi.API) {
	former := accounts
	accounts = func(context.Context, config.Account, string, ...func(*awsconfig.LoadOptions) error) (aws.Config, error) {
		return api.Config(), nil
	}
	t.Cleanup(func() { accounts = former })
}

// folderWith is a folder with the project's file and that of stack dev.
func folderWith(t *testing.T, dev string) string {
	dir := t.TempDir()
	data, err := os.ReadFile("../../Pulumi.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), data, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte(dev), 0o600))
	return dir
}

const owned = `secretsprovider: awskms://alias/pulumi-state-dev
encryptedkey: AQ==
config:
  aws:region: eu-west-1
  aws:profile: mine
  expense:secrets: {web: {API_TOKEN: {secure: v1:a}}}
  expense:cluster: {name: expense, version: "1.35", publicAccess: false, publicAccessCidrs: [198.51.100.1/32]}
  expense:logging: {gibPerDay: 1, retentionDays: 3, createServiceLinkedRole: true, domain: {instanceType: t3.small.search, protect: true}}
`

// A run's stack has the settings of the other, and nothing that is the other's own.
func TestAStackOfARunHasNamesOfItsOwn(t *testing.T) {
	model := awsmodel.New(awsmodel.Options{})
	inModel(t, &awsapi.API{Model: model})
	dir := folderWith(t, owned)
	f := fresh{project: dir, stack: "e2e-7", like: "dev", from: "203.0.113.9", boundary: "bound"}
	require.NoError(t, f.write(t.Context()))
	values, encrypted, err := config.File(dir, "e2e-7")
	require.NoError(t, err)
	assert.Empty(t, encrypted)
	assert.JSONEq(t, `{"name":"e2e-7","version":"1.35","publicAccess":true,"publicAccessCidrs":["203.0.113.9/32"]}`, values["expense:cluster"])
	assert.JSONEq(t, `{"gibPerDay":1,"retentionDays":3,"createServiceLinkedRole":true,
		"domain":{"instanceType":"t3.small.search","name":"e2e-7","protect":false}}`, values["expense:logging"])
	assert.JSONEq(t, `{"permissionsBoundary":"arn:aws:iam::111122223333:policy/bound"}`, values["expense:iam"])
	assert.JSONEq(t, `["111122223333"]`, values["aws:allowedAccountIds"])
	assert.Equal(t, "us-east-1", values["aws:region"], "the credentials'")
	assert.Len(t, values, 5)

	// The account's one role outlives the run that made it.
	model.Plant("aws:iam/serviceLinkedRole:ServiceLinkedRole", "slr", "", awsmodel.AWS,
		map[string]any{"name": "AWSServiceRoleForAmazonOpenSearchService"})
	require.NoError(t, f.write(t.Context()))
	values, _, err = config.File(dir, "e2e-7")
	require.NoError(t, err)
	assert.Contains(t, values["expense:logging"], `"createServiceLinkedRole":false`)
}

// What is written here is destroyed by any later run: no other stack's name may be taken.
func TestAStackOfARunIsNobodyElses(t *testing.T) {
	inModel(t, &awsapi.API{Model: awsmodel.New(awsmodel.Options{})})
	for _, c := range []struct{ stack, from, dev, want string }{
		{"dev", "203.0.113.9", owned, `-stack is "dev"`},
		{"e2e-" + "a234567890123456789012345", "203.0.113.9", owned, "at most 24"},
		{"e2e-7/../../dev", "203.0.113.9", owned, "-stack is"},
		{"e2e-7", "0.0.0.0/0", owned, `-from is "0.0.0.0/0"`},
		{"e2e-7", "2001:db8::1", owned, "allowed: the IPv4 address"},
		{"e2e-7", "203.0.113.9", owned + "  expense:workloads: {web: {env: {A: {secure: v1:a}}}}\n", "expense:workloads.web.env.A is encrypted"},
	} {
		dir := folderWith(t, c.dev)
		err := fresh{project: dir, stack: c.stack, like: "dev", from: c.from}.write(t.Context())
		require.ErrorContains(t, err, c.want)
		data, err := os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
		require.NoError(t, err)
		assert.Equal(t, c.dev, string(data))
		assert.NoFileExists(t, filepath.Join(dir, "Pulumi.e2e-7.yaml"))
	}
}

func TestARunAboveTheLimitIsNotStarted(t *testing.T) {
	cluster := estimate.Resource{
		URN: "urn:pulumi:e2e-1::expense::aws:eks/cluster:Cluster::c", Type: "aws:eks/cluster:Cluster", Name: "c", Custom: true,
		Inputs: map[string]any{"version": "1.35"},
	}
	nodes := estimate.Resource{
		URN: "urn:pulumi:e2e-1::expense::aws:eks/nodeGroup:NodeGroup::n", Type: "aws:eks/nodeGroup:NodeGroup", Name: "n", Custom: true,
		Inputs: map[string]any{
			"capacityType": "SPOT", "instanceTypes": []any{"t3.large", "m5.4xlarge", "m5.large"},
			"scalingConfig": map[string]any{"minSize": 0.0, "desiredSize": 1.0, "maxSize": 10.0},
		},
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	of := func(resources ...estimate.Resource) estimate.Estimate { return estimate.Of(resources, day) }
	var out bytes.Buffer
	code, err := within(&out, of(cluster, nodes), "e2e-1", 100, day)
	require.NoError(t, err)
	assert.Zero(t, code)
	// Eight hours of a control plane for 0.10 USD an hour, and of ten m5.4xlarge, each eight times as dear as m5.large for 0.096 USD.
	assert.Contains(t, out.String(), "It costs at most 62.24 USD:\nfor 8 hours, ")
	assert.Regexp(t, `A run of e2e-1 takes about \d\.\d hours and costs about 0\.\d\d USD`, out.String())
	assert.Equal(t, 1.0, nodes.Inputs["scalingConfig"].(map[string]any)["desiredSize"], "the stack's own are as they were")
	code, err = within(&out, of(cluster), "e2e-1", 0.7, day)
	assert.Equal(t, 3, code)
	assert.ErrorContains(t, err, "0.80 USD are above the limit of 0.70 USD")
	code, err = within(&out, estimate.Estimate{}, "e2e-1", 5, day)
	assert.Equal(t, 1, code)
	assert.ErrorContains(t, err, "nothing in the preview has a price")

	// One of which the price is not known is no cheap one.
	nodes.Inputs["instanceTypes"] = []any{"m5.large", "x9.large"}
	code, err = within(&out, of(cluster, nodes), "e2e-1", 100, day)
	assert.Equal(t, 1, code)
	assert.ErrorContains(t, err, "nodes n: x9.large, of which the table has no price")
	gateway := estimate.Resource{URN: "urn:pulumi:e2e-1::expense::aws:ec2/carrierGateway:CarrierGateway::g",
		Type: "aws:ec2/carrierGateway:CarrierGateway", Name: "g", Custom: true}
	code, err = within(&out, of(cluster, gateway), "e2e-1", 100, day)
	assert.Equal(t, 1, code)
	assert.ErrorContains(t, err, "aws:ec2/carrierGateway:CarrierGateway g: nothing is known")

	for _, limit := range []string{"0", "-1", "NaN", "Inf", "+Inf", "-Inf"} {
		code, err = estimateCommand(t.Context(), ".", []string{"-limit", limit})
		assert.Equal(t, 1, code)
		assert.ErrorContains(t, err, "-limit is ", limit)
	}
}

// The file for a shell has the commands and nothing else, and is empty when nothing is left.
func TestTheScriptHasTheCommands(t *testing.T) {
	s, model, _ := newSearch()
	s.script = filepath.Join(t.TempDir(), "script")
	read := func(want int) string {
		code, err := s.run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, code)
		data, err := os.ReadFile(s.script)
		require.NoError(t, err)
		return string(data)
	}
	assert.Equal(t, "export AWS_PAGER=\naws ec2 delete-volume --volume-id vol-1 --region us-east-1\n", read(3))
	require.NoError(t, (&awsapi.API{Model: model}).Command([]string{"aws", "ec2", "delete-volume", "--volume-id", "vol-1"}))
	assert.Empty(t, read(0))
}
