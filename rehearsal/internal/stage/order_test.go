package stage

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// forget takes dependencies out of the stack's state, as if the program had not declared them: the engine deletes by the
// state. It returns how many it took.
func forget(t *testing.T, s *Stage, of, on string) (taken int) {
	data, err := s.Output(t.Context(), "stack", "export")
	require.NoError(t, err)
	var state map[string]any
	require.NoError(t, json.Unmarshal(data, &state))
	without := func(list any) []any {
		urns, _ := list.([]any)
		return slices.DeleteFunc(urns, func(urn any) bool {
			if !fits(urn.(string), []string{on}) {
				return false
			}
			taken++
			return true
		})
	}
	for _, r := range state["deployment"].(map[string]any)["resources"].([]any) {
		resource := r.(map[string]any)
		if !fits(resource["urn"].(string), []string{of}) {
			continue
		}
		resource["dependencies"] = without(resource["dependencies"])
		properties, _ := resource["propertyDependencies"].(map[string]any)
		for key := range properties {
			properties[key] = without(properties[key])
		}
	}
	if data, err = json.Marshal(state); err != nil {
		require.NoError(t, err)
	}
	file := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	require.NoError(t, s.Pulumi(t.Context(), "stack", "import", "--file", file))
	return taken
}

// A dependency that the program forgot is seen in the order, and in what AWS is left with.
func TestAForgottenDependencyIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		of, on    []string // each of the first forgets each of the second
		disorder  string
		leftovers string // a type in the account that does not go
	}{
		"nodes that outlive their network plugin": {
			of: []string{"aws:eks/nodeGroup:NodeGroup"}, on: []string{"aws:eks/addon:Addon"},
			disorder: "aws:eks/nodeGroup:NodeGroup expense was not gone when aws:eks/addon:Addon expense-node-vpc-cni began to go", leftovers: "aws:ec2/networkInterface:NetworkInterface",
		},
		"workloads that outlive their nodes": {
			of: []string{"pulumi:providers:kubernetes expense"}, on: []string{"aws:eks/nodeGroup:NodeGroup", "aws:eks/addon:Addon"},
			disorder: "kubernetes:core/v1:Namespace project was not gone when aws:eks/nodeGroup:NodeGroup expense began to go",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newStage(t, 0)
			require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
			taken := 0
			for _, of := range c.of {
				for _, on := range c.on {
					taken += forget(t, s, of, on)
				}
			}
			require.Positive(t, taken)
			log := filepath.Join(s.Dir, "destroy.json")
			destroyed := s.Pulumi(t.Context(), "destroy", "--yes", "--skip-preview", "--event-log", log)
			events, err := os.Open(log)
			require.NoError(t, err)
			defer events.Close()
			_, err = inOrder(events)
			assert.ErrorContains(t, err, c.disorder)
			if c.leftovers != "" {
				assert.Error(t, destroyed, "what is left is in the way of the rest")
				assert.True(t, slices.ContainsFunc(made(s), func(thing string) bool { return strings.HasPrefix(thing, c.leftovers) }))
			}
		})
	}
}

// A log in which a rule has nothing to look at is not one of this program's destroy.
func TestAnOrderOfNothingIsNone(t *testing.T) {
	pairs, err := inOrder(strings.NewReader(""))
	assert.Zero(t, pairs)
	assert.ErrorContains(t, err, "nothing fits [aws:eks/nodeGroup:NodeGroup] before")
}
