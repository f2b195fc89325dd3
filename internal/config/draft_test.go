package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What completes the settings reads them before they are right.
func TestADraftHasWhatTheRulesRefuse(t *testing.T) {
	values := map[string]string{
		"aws:region":        "us-east-1",
		"expense:cluster":   `{"name": "mine", "nodeGroups": {"one": {"amiType": "AL2023_ARM_64_STANDARD"}}}`,
		"expense:workloads": `{"apps": {"backend": {"build": {"dir": "images/backend"}, "port": 8080, "logs": "none", "unknown": 1}}}`,
	}
	_, err := Read(values, nil)
	require.Error(t, err)
	c := Draft(t.TempDir(), values)
	assert.Equal(t, "us-east-1", c.Region)
	assert.Equal(t, "mine", c.Cluster.Name)
	assert.Equal(t, []string{"arm64"}, c.Cluster.Architectures())
	backend := c.Workloads.Apps["backend"]
	assert.Equal(t, Build{Dir: "images/backend", Dockerfile: "Dockerfile"}, backend.Build)
	assert.Equal(t, map[string]int{"http": 8080}, backend.Ports)
	assert.Equal(t, LogsNone, backend.Logs.From)
	assert.Equal(t, "project", c.Workloads.Namespace)
}

// An app's pods tolerate no taint.
func TestArchitecturesAreThoseOfNodesThatTakeApps(t *testing.T) {
	arm := NodeGroup{AMIType: "AL2023_ARM_64_STANDARD"}
	groups := map[string]NodeGroup{"one": {AMIType: "AL2023_x86_64_STANDARD"}, "two": arm}
	assert.Equal(t, []string{"amd64", "arm64"}, Cluster{NodeGroups: groups}.Architectures())
	arm.Taints = []Taint{{Key: "arm", Effect: "NO_SCHEDULE"}}
	groups["two"] = arm
	assert.Equal(t, []string{"amd64"}, Cluster{NodeGroups: groups}.Architectures())
}
