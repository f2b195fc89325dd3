package tests

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a digest in the settings names stays what it was, and is deleted with its repository only where the settings say so.
func TestARepositoryKeepsItsImages(t *testing.T) {
	t.Parallel()
	for _, deletable := range []bool{false, true} {
		settings := stackFile(t, "dev")
		registry := ownRegistry()["expense:cluster.registry"].(map[string]any)
		registry["deleteImages"] = deletable
		set(t, settings, "expense:cluster.registry", registry)
		set(t, settings, "expense:workloads.apps", map[string]any{"shop": map[string]any{"build": map[string]any{"dir": "images/shop"}}})
		all, err := run(t, "dev", settings)
		require.NoError(t, err)
		var names []any
		for _, r := range of(all, "aws:ecr/repository:Repository") {
			names = append(names, r.Inputs["name"])
			assert.Equal(t, "IMMUTABLE", r.Inputs["imageTagMutability"], r)
			assert.Equal(t, deletable, r.Inputs["forceDelete"], r)
			assert.NotContains(t, r.Inputs, "imageScanningConfiguration", r)

			policy := one(t, all, "aws:ecr/lifecyclePolicy:LifecyclePolicy", r.Name)
			assert.Equal(t, r.Inputs["name"], policy.Inputs["repository"])
			var document struct {
				Rules []struct {
					RulePriority int
					Selection    struct {
						TagStatus, CountType, CountUnit string
						TagPatternList                  []string
						CountNumber                     int
					}
				}
			}
			require.NoError(t, json.Unmarshal([]byte(policy.Inputs["policy"].(string)), &document))
			assert.Equal(t, "[{1 {untagged sinceImagePushed days [] 1}} {2 {tagged imageCountMoreThan  [*] 20}}]", fmt.Sprint(document.Rules))
		}
		assert.ElementsMatch(t, []any{"expense/backend", "expense/capture", "expense/shop", "expense/worker"}, names,
			"one for each image that is built, and the capture program's for apps")
	}
}

// Nodes make the repositories of cached images, and no others.
func TestNodesMayMakeWhatTheyPullThroughTheCache(t *testing.T) {
	t.Parallel()
	all := everything(t)["registry"]
	var prefixes, allowed []string
	for _, r := range of(all, "aws:ecr/pullThroughCacheRule:PullThroughCacheRule") {
		prefix := r.Inputs["ecrRepositoryPrefix"].(string)
		assert.LessOrEqual(t, len(prefix), 30)
		prefixes = append(prefixes, "arn:aws:ecr:us-east-1:"+account+":repository/"+prefix+"/*")
		assert.Equal(t, r.Inputs["upstreamRegistryUrl"] == "registry-1.docker.io", r.Inputs["credentialArn"] != nil, r)
	}
	require.Len(t, prefixes, 3)
	var document struct {
		Statement []struct{ Action, Resource []string }
	}
	policy := one(t, all, "aws:iam/rolePolicy:RolePolicy", "expense-node-cache")
	require.NoError(t, json.Unmarshal([]byte(policy.Inputs["policy"].(string)), &document))
	for _, s := range document.Statement {
		assert.Equal(t, []string{"ecr:CreateRepository"}, s.Action)
		allowed = append(allowed, s.Resource...)
	}
	assert.ElementsMatch(t, prefixes, allowed)
	for _, r := range of(everything(t)["dev"], "aws:iam/rolePolicy:RolePolicy") {
		assert.NotEqual(t, "expense-node-cache", r.Name, "a stack without a cache")
	}
}
