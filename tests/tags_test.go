package tests

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const balancerTags = "service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags"

// tagsIn are all maps of tags with the stack's below a value: maps, the same in JSON text, and pairs of an annotation.
func tagsIn(value any) (out []map[string]any) {
	switch value := value.(type) {
	case map[string]any:
		if value["pulumi:stack"] != nil {
			out = append(out, value)
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			out = append(out, tagsIn(value[key])...)
		}
	case []any:
		for _, item := range value {
			out = append(out, tagsIn(item)...)
		}
	case string:
		var object map[string]any
		switch {
		case strings.HasPrefix(value, "{") && json.Unmarshal([]byte(value), &object) == nil:
			return tagsIn(object)
		case strings.Contains(value, "pulumi:stack="):
			object = map[string]any{}
			for _, pair := range strings.Split(value, ",") {
				key, text, _ := strings.Cut(pair, "=")
				object[key] = text
			}
			return []map[string]any{object}
		}
	}
	return out
}

// Tags of one's own are wherever the stack's are, and nothing else is there.
func TestTagsOfOnesOwnAreWhereTheStacksAre(t *testing.T) {
	t.Parallel()
	settings := stackFile(t, "prod")
	set(t, settings, "expense:workloads.web.public", true)
	settings["expense:tags"] = `{"team": "shop", "example.com/unit": "a b"}`
	all, err := run(t, "prod", settings)
	require.NoError(t, err)
	want := map[string]any{"pulumi:project": "expense", "pulumi:stack": "prod", "team": "shop", "example.com/unit": "a b"}
	places := map[string]int{}
	for _, r := range all {
		for _, tags := range tagsIn(r.Inputs) {
			places[r.Type]++
			if r.Type == "aws:ec2/launchTemplate:LaunchTemplate" {
				tags = maps.Clone(tags)
				assert.NotEmpty(t, tags["Name"], r)
				delete(tags, "Name")
			}
			assert.Equal(t, want, tags, r)
		}
	}
	groups := len(of(all, "aws:ec2/launchTemplate:LaunchTemplate"))
	assert.Equal(t, map[string]int{
		"pulumi:providers:aws": 1, "aws:ec2/launchTemplate:LaunchTemplate": 3 * groups, "aws:eks/addon:Addon": 1, services: 1,
	}, places)
}

// The controller tags a load balancer only when it makes it, so the annotation is there from the start.
func TestEachLoadBalancerIsTagged(t *testing.T) {
	sweep(t, func(r registered) bool { return r.Type == services && at(r.Inputs, "spec.type") == "LoadBalancer" },
		func(t *testing.T, shape string, r registered) {
			annotations := at(r.Inputs, "metadata.annotations").(map[string]any)
			assert.Contains(t, annotations[balancerTags], "pulumi:project=expense,pulumi:stack=", "%s: %s", shape, r)
			assert.Equal(t, shape == "public", strings.Contains(annotations[balancerTags].(string), "team=shop"), "%s: %s", shape, r)
		})
}

// No tag of the program's own can be set, or the finders of the stack's things would miss them.
func TestTheProgramsTagsCannotBeSet(t *testing.T) {
	t.Parallel()
	settings := stackFile(t, "dev")
	settings["expense:tags"] = `{"pulumi:stack": "other"}`
	_, err := run(t, "dev", settings)
	assert.ErrorContains(t, err, `tags["pulumi:stack"]: found a key that AWS, Kubernetes or the program itself sets`)
}
