package logging

import (
	"testing"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
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
	job := setupJob("example.com/fluentd:1", pulumi.StringPtr("files"), pulumi.StringPtr(SetupName))
	spec := job.Template.(corev1.PodTemplateSpecArgs).Spec.(corev1.PodSpecArgs)
	assert.Equal(t, pulumi.String("Never"), spec.RestartPolicy)
	assert.Equal(t, pulumi.Bool(false), spec.AutomountServiceAccountToken)
	all := containers(t, spec.Containers)
	require.Len(t, all, 1)
	assert.Equal(t, map[string][]string{"setup": {setupDir + ":ro"}, "aws-token": {tokenDir + ":ro"}}, mountsOf(t, all[0]))
	assert.Equal(t, map[string]any{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI":     pulumi.String("http://169.254.170.23/v1/credentials"),
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": pulumi.String("/var/run/secrets/aws/token"),
	}, envOf(t, all[0]))
	volumes := spec.Volumes.(corev1.VolumeArray)
	require.Len(t, volumes, 2)
	source := volumes[1].(corev1.VolumeArgs).Projected.(corev1.ProjectedVolumeSourceArgs).Sources.(corev1.VolumeProjectionArray)[0].(corev1.VolumeProjectionArgs)
	projection := source.ServiceAccountToken.(corev1.ServiceAccountTokenProjectionArgs)
	assert.Equal(t, pulumi.String("pods.eks.amazonaws.com"), projection.Audience)
	// Kubernetes gives out none that is good for less than ten minutes.
	assert.Equal(t, job.ActiveDeadlineSeconds, projection.ExpirationSeconds, "the master's token outlives the Job")
	assert.GreaterOrEqual(t, int(projection.ExpirationSeconds.(pulumi.Int)), 600)
}
