package awsmodel

import (
	"context"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Images outlive a deletion that nobody asked to take them, and go with one that does.
func TestARepositoryWithImagesStaysUnlessForced(t *testing.T) {
	w := whole(t, Options{})
	image := w.m.Plant(tImage, "sha256:0", "", InCluster, in{"repository": "expense/backend"})
	other := w.m.Plant(tImage, "sha256:1", "", InCluster, in{"repository": "expense/worker"})
	refused := w.m.Delete(context.Background(), tRepository, w.id("repository"))
	require.ErrorContains(t, refused, "operation error ECR: DeleteRepository")
	require.ErrorContains(t, refused, "RepositoryNotEmptyException: The repository with name 'expense/backend' in registry with id "+
		"'111122223333' cannot be deleted because it still contains images")

	_, err := w.m.Update(context.Background(), tRepository, w.id("repository"),
		resource.NewPropertyMapFromMap(in{"name": "expense/backend", "forceDelete": true}))
	require.NoError(t, err)
	require.NoError(t, w.m.Delete(context.Background(), tRepository, w.id("repository")))
	assert.False(t, w.m.Uproot(tImage, image))
	assert.True(t, w.m.Uproot(tImage, other))
}

func TestAPolicyNeedsItsRepository(t *testing.T) {
	m := New(Options{})
	_, _, err := m.Create(context.Background(), tLifecycle, "p", resource.NewPropertyMapFromMap(in{
		"repository": "expense/gone", "policy": `{"rules":[{"rulePriority":1,"description":"untagged","selection":{"tagStatus":"untagged",` +
			`"countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`}))
	assert.ErrorContains(t, err, "RepositoryNotFoundException: The repository with name 'expense/gone' does not exist")
}

func TestDockerHubWantsCredentials(t *testing.T) {
	rule := in{"ecrRepositoryPrefix": "expense/docker-hub", "upstreamRegistryUrl": "registry-1.docker.io"}
	m := New(Options{})
	failures := m.Check(tCacheRule, resource.NewPropertyMapFromMap(rule))
	require.Len(t, failures, 1)
	assert.Equal(t, "credentialArn", failures[0].Property)
	rule["credentialArn"] = "arn:aws:secretsmanager:us-east-1:111122223333:secret:ecr-pullthroughcache/hub-0123ab"
	assert.Empty(t, m.Check(tCacheRule, resource.NewPropertyMapFromMap(rule)))
}
