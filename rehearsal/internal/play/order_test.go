package play

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"expense/rehearsal/internal/stage"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// edit changes the stack's state, as if the program had been another: the engine deletes by the state.
func edit(t *testing.T, s *stage.Stage, change func(deployment map[string]any)) {
	data, err := s.Output(t.Context(), "stack", "export")
	require.NoError(t, err)
	var state map[string]any
	require.NoError(t, json.Unmarshal(data, &state))
	change(state["deployment"].(map[string]any))
	data, err = json.Marshal(state)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	require.NoError(t, s.Pulumi(t.Context(), "stack", "import", "--file", file))
}

// forget takes the dependencies of some resources on others out of the state. It returns how many it took.
func forget(t *testing.T, s *stage.Stage, of, on []string) (taken int) {
	without := func(list any) []any {
		urns, _ := list.([]any)
		return slices.DeleteFunc(urns, func(urn any) bool {
			if !fits(urn.(string), on) {
				return false
			}
			taken++
			return true
		})
	}
	edit(t, s, func(deployment map[string]any) {
		for _, r := range deployment["resources"].([]any) {
			resource := r.(map[string]any)
			if !fits(resource["urn"].(string), of) {
				continue
			}
			resource["dependencies"] = without(resource["dependencies"])
			properties, _ := resource["propertyDependencies"].(map[string]any)
			for key := range properties {
				properties[key] = without(properties[key])
			}
		}
	})
	return taken
}

// left returns the things of a type in the account, those that AWS keeps by design included.
func left(s *stage.Stage, typ string) (ids []string) {
	for _, item := range s.Model.Inventory() {
		if item.Type == typ {
			ids = append(ids, item.ID)
		}
	}
	return ids
}

// disorder destroys the stack. It returns the complaint about the order, and the destroy's own error.
func disorder(t *testing.T, s *stage.Stage) (order, destroyed error) {
	log := filepath.Join(s.Dir, "destroy.json")
	destroyed = s.Pulumi(t.Context(), "destroy", "--yes", "--skip-preview", "--event-log", log)
	events, err := os.Open(log)
	require.NoError(t, err)
	defer events.Close()
	_, order = inOrder(events)
	return order, destroyed
}

// A forgotten dependency shows in the order, and in what stays in AWS. Every other destroy here leaves nothing.
func TestAForgottenDependencyIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		of, on    []string // the first forget the second
		disorder  string
		leftovers string // the type of something that stays in the account
		blocks    bool   // what stays blocks the rest
	}{
		"nodes that outlive their network plugin": {
			of: []string{"aws:eks/nodeGroup:NodeGroup"}, on: []string{"aws:eks/addon:Addon"},
			disorder:  "aws:eks/nodeGroup:NodeGroup expense-use1-az1 was not gone when aws:eks/addon:Addon expense-node-vpc-cni began to go",
			leftovers: "aws:ec2/networkInterface:NetworkInterface", blocks: true,
		},
		"workloads that outlive their nodes": {
			of: []string{"pulumi:providers:kubernetes expense"}, on: []string{"aws:eks/nodeGroup:NodeGroup", "aws:eks/addon:Addon"},
			disorder: "kubernetes:core/v1:Namespace project was not gone when aws:eks/nodeGroup:NodeGroup expense-use1-az1 began to go",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newPlay(t)
			require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
			require.Positive(t, forget(t, s, c.of, c.on))
			order, destroyed := disorder(t, s)
			assert.ErrorContains(t, order, c.disorder)
			assert.Equal(t, c.blocks, destroyed != nil, "%v", destroyed)
			if c.leftovers != "" {
				assert.NotEmpty(t, left(s, c.leftovers))
			}
		})
	}
}

// What the program makes too late goes too early: the engine deletes first what it made last.
func TestWhatIsMadeTooLateGoesTooEarly(t *testing.T) {
	s, _, _ := newPlay(t)
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
	cases := map[string]struct {
		late, after string // the first is made after the second, and nobody waits for it
		disorder    string
		leftovers   string // the type of the one thing that stays in the account
	}{
		"the CSI driver before the claim": {
			late: "aws:eks/addon:Addon expense-pod-aws-ebs-csi-driver", after: "kubernetes:core/v1:PersistentVolumeClaim",
			disorder: "kubernetes:core/v1:PersistentVolumeClaim multi-container was not gone when " +
				"aws:eks/addon:Addon expense-pod-aws-ebs-csi-driver began to go",
			leftovers: "aws:ebs/volume:Volume",
		},
		"the log group before the cluster, whose name it takes": {
			late: "aws:cloudwatch/logGroup:LogGroup expense-control-plane", after: "aws:eks/cluster:Cluster",
			disorder: "aws:eks/cluster:Cluster expense-eksCluster was not gone when " +
				"aws:cloudwatch/logGroup:LogGroup expense-control-plane began to go",
			leftovers: "aws:cloudwatch/logGroup:LogGroup",
		},
	}
	for _, c := range cases {
		require.Positive(t, forget(t, s, []string{"*"}, []string{c.late}))
		edit(t, s, func(deployment map[string]any) {
			var late map[string]any
			var after any
			resources := slices.DeleteFunc(deployment["resources"].([]any), func(r any) bool {
				resource := r.(map[string]any)
				switch urn := resource["urn"].(string); {
				case fits(urn, []string{c.late}):
					late = resource
					return true
				case fits(urn, []string{c.after}):
					after = urn
				}
				return false
			})
			late["dependencies"] = []any{after}
			deployment["resources"] = append(resources, late)
		})
	}
	order, destroyed := disorder(t, s)
	assert.NoError(t, destroyed, "nothing is in the way, and so nobody would know")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, order, c.disorder)
			assert.Len(t, left(s, c.leftovers), 1)
		})
	}
}

// The cluster deletes a load balancer with its Service. If no state knows the Service, such as one applied by hand outside the stack's
// namespaces, the load balancer and its groups outlive the cluster, and the network cannot be deleted.
func TestTheLoadBalancerOfAForgottenServiceStays(t *testing.T) {
	s, _, _ := newPlay(t)
	require.NoError(t, s.Pulumi(t.Context(), "config", "set", "--path", "expense:workloads.web.public", "true"))
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
	// The namespace too: its deletion would delete the Service.
	forgotten := []string{"kubernetes:core/v1:Service web-public-plain", "kubernetes:core/v1:Namespace project"}
	require.Positive(t, forget(t, s, []string{"kubernetes:*"}, forgotten))
	edit(t, s, func(deployment map[string]any) {
		deployment["resources"] = slices.DeleteFunc(deployment["resources"].([]any), func(r any) bool {
			return fits(r.(map[string]any)["urn"].(string), forgotten)
		})
	})
	require.Error(t, s.Pulumi(t.Context(), "destroy", "--yes", "--skip-preview"))
	assert.Empty(t, left(s, "aws:eks/cluster:Cluster"))
	for typ, count := range map[string]int{
		"aws:lb/loadBalancer:LoadBalancer": 1, "aws:lb/targetGroup:TargetGroup": 1, // of one port
		"aws:ec2/networkInterface:NetworkInterface": 2, // in two zones
		"aws:ec2/vpc:Vpc": 1,
	} {
		assert.Len(t, left(s, typ), count, typ)
	}
}

// If a rule finds no pair in a log, the log is not of this program's destroy.
func TestAnOrderOfNothingIsNone(t *testing.T) {
	pairs, err := inOrder(strings.NewReader(""))
	assert.Zero(t, pairs)
	assert.ErrorContains(t, err, "nothing fits [aws:eks/nodeGroup:NodeGroup] before")
}
