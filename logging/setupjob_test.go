package logging

import (
	"testing"

	"expense/internal/pod"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A name that stays would not run again with a new retention, and one that changes by itself would run with every `up`.
func TestTheJobsNameFollowsWhatItSends(t *testing.T) {
	document := func(edit func(*SetupInput)) string {
		in := project
		in.Endpoint, in.WriterRoleARN = "vpc-expense.us-east-1.es.amazonaws.com", "arn:aws:iam::111122223333:role/writer"
		edit(&in)
		data, err := SetupDocument(in)
		require.NoError(t, err)
		return setupHashName(string(data))
	}
	same := document(func(*SetupInput) {})
	assert.Equal(t, same, document(func(*SetupInput) {}))
	assert.Regexp(t, `^log-setup-[0-9a-f]{8}$`, same)
	names := map[string]bool{same: true}
	for _, edit := range []func(*SetupInput){
		func(in *SetupInput) { in.RetentionDays++ },
		func(in *SetupInput) { in.Replicas++ },
		func(in *SetupInput) { in.AuditLogs = true },
		func(in *SetupInput) { in.Endpoint = "vpc-other.us-east-1.es.amazonaws.com" },
		func(in *SetupInput) { in.WriterRoleARN += "2" },
		func(in *SetupInput) { in.DataStream = "shop" },
		func(in *SetupInput) { in.Fields = []string{"team"} },
		func(in *SetupInput) { in.IndexedFields = map[string]string{"user_id": "keyword"} },
	} {
		names[document(edit)] = true
	}
	assert.Len(t, names, 9)
}

// The pod that is the domain's master has one way to its role, and none to the cluster's API.
func TestTheSetupRunsOnceWithItsOwnIdentity(t *testing.T) {
	spec := setupPod("example.com/fluentd:1", pulumi.StringPtr("files"), pulumi.StringPtr(SetupName))
	assert.Equal(t, "Never", spec.RestartPolicy)
	assert.False(t, spec.CallsKubernetes)
	require.Len(t, spec.Containers, 1)
	assert.Equal(t, map[string][]string{"setup": {setupDir + ":ro"}, "aws-token": {tokenDir + ":ro"}}, mountsOf(spec.Containers[0]))
	assert.Equal(t, []pod.Variable{
		{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Text: "http://169.254.170.23/v1/credentials"},
		{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Text: "/var/run/secrets/aws/token"},
	}, spec.Containers[0].Env)
	require.Len(t, spec.Volumes, 2)
	token := spec.Volumes[1].Token
	require.NotNil(t, token)
	assert.Equal(t, "pods.eks.amazonaws.com", token.Audience)
	// Kubernetes gives out none that is good for less than ten minutes.
	job := setupJob("example.com/fluentd:1", pulumi.StringPtr("files"), pulumi.StringPtr(SetupName))
	assert.Equal(t, job.ActiveDeadlineSeconds, pulumi.Int(token.Seconds), "the master's token outlives the Job")
	assert.GreaterOrEqual(t, token.Seconds, 600)
}

// The script and its input are where the config map is mounted, under their names in it.
func TestTheSetupFindsItsFiles(t *testing.T) {
	container := setupPod("example.com/fluentd:1", pulumi.StringPtr("files"), pulumi.StringPtr(SetupName)).Containers[0]
	assert.Equal(t, []string{"ruby", container.Mounts[0].Path + "/setup.rb", container.Mounts[0].Path + "/setup.json"}, container.Command)
}
