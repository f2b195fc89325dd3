package incluster

import (
	"testing"

	"expense/rehearsal/internal/awsmodel"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// round is one of the autoscaler's on a cluster in which each group has full nodes in its zones, and one pod waits for its
// volume in zone b.
func round(change func(*autoscaler, []awsmodel.ScalingGroup), groups ...[]string) (*option, string, error) {
	a := &autoscaler{
		command: []string{"--node-group-auto-discovery=asg:tag=enabled,ours", "--expander=priority,least-waste"},
		free:    map[string]corev1.ResourceList{},
		volumes: map[string]*corev1.PersistentVolume{"project/data": {Spec: corev1.PersistentVolumeSpec{NodeAffinity: &corev1.VolumeNodeAffinity{
			Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{"b"}},
			}}}},
		}}}},
		pending: []corev1.Pod{{
			ObjectMeta: metav1.ObjectMeta{Name: "wants", Namespace: "project"},
			Spec: corev1.PodSpec{
				Containers: []corev1.Container{
					{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}},
				},
				Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
				}}},
			},
		}},
		priorities: map[int][]string{10: {".*"}, 20: {"^spot"}},
	}
	var list []awsmodel.ScalingGroup
	for _, group := range groups {
		name, capacity := group[0], "SPOT"
		if name[0] == 'o' {
			capacity = "ON_DEMAND"
		}
		g := awsmodel.ScalingGroup{
			Name:    name,
			Tags:    map[string]string{"enabled": "true", "ours": "owned"},
			Desired: len(group) - 1,
			Max:     len(group),
		}
		for _, zone := range group[1:] {
			i := awsmodel.Instance{
				ID:           "i-" + name + zone,
				PrivateDNS:   name + zone,
				Zone:         zone,
				CapacityType: capacity,
				VCPU:         2,
				MemoryMiB:    8192,
				MaxPods:      29,
				DiskGiB:      20,
			}
			g.Template, g.Instances = i, append(g.Instances, i.ID)
			a.nodes = append(a.nodes, *nodeOf(i))
			a.free[i.PrivateDNS] = corev1.ResourceList{}
		}
		list = append(list, g)
	}
	if change != nil {
		change(a, list)
	}
	return a.choose(list)
}

// As the real one was seen to do: of a group over two zones it takes one node for all, and with the wrong one finds nothing.
func TestAVolumesZoneGetsANodeFromAGroupOfItsOwn(t *testing.T) {
	best, _, err := round(nil, []string{"spot-a", "a"}, []string{"spot-b", "b"})
	require.NoError(t, err)
	assert.Equal(t, "spot-b", best.group.Name)

	best, why, err := round(nil, []string{"spot", "b", "a"})
	require.NoError(t, err)
	assert.Nil(t, best)
	assert.Equal(t, "no expansion options for 1 pods: spot: no pod fits on its nodes", why)
}

// Both waste the same: without a priority that is a tie, and the dearer one wins.
func TestATieIsBrokenByPriority(t *testing.T) {
	groups := [][]string{{"ondemand-b", "b"}, {"spot-a", "a"}, {"spot-b", "b"}}
	best, _, err := round(nil, groups...)
	require.NoError(t, err)
	assert.Equal(t, "spot-b", best.group.Name)
	for name, change := range map[string]func(*autoscaler, []awsmodel.ScalingGroup){
		"no expander":   func(a *autoscaler, _ []awsmodel.ScalingGroup) { a.command[1] = "--expander=least-waste" },
		"no priorities": func(a *autoscaler, _ []awsmodel.ScalingGroup) { a.priorities = nil },
		"no more spot":  func(_ *autoscaler, g []awsmodel.ScalingGroup) { g[2].Max = 1 },
	} {
		best, _, err := round(change, groups...)
		require.NoError(t, err)
		assert.Equal(t, "ondemand-b", best.group.Name, name)
	}
	_, _, err = round(func(a *autoscaler, _ []awsmodel.ScalingGroup) { a.command[1] = "--expander=price" }, groups...)
	assert.ErrorContains(t, err, `expander "price"`)
}

func TestAGroupThatCannotHelpIsLeftAlone(t *testing.T) {
	for want, change := range map[string]func(*autoscaler, []awsmodel.ScalingGroup){
		"no pod is in want of a node": func(a *autoscaler, _ []awsmodel.ScalingGroup) {
			a.free["spot-bb"] = a.nodes[0].Status.Allocatable.DeepCopy()
		},
		"no expansion options for 1 pods: spot-b: max node group size reached": func(_ *autoscaler, g []awsmodel.ScalingGroup) { g[0].Max = 1 },
		"no expansion options for 1 pods: spot-b: gets no nodes, backed off": func(_ *autoscaler, g []awsmodel.ScalingGroup) {
			g[0].Desired, g[0].Max = 2, 3
		},
		"no expansion options for 1 pods: spot-b: no pod fits on its nodes": func(a *autoscaler, _ []awsmodel.ScalingGroup) {
			a.nodes[0].Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
		},
		"no expansion options for 1 pods: ": func(_ *autoscaler, g []awsmodel.ScalingGroup) { delete(g[0].Tags, "ours") },
	} {
		best, why, err := round(change, []string{"spot-b", "b"})
		require.NoError(t, err)
		assert.Nil(t, best)
		assert.Equal(t, want, why)
	}
	// One without nodes is judged by what it would launch.
	best, _, err := round(func(a *autoscaler, g []awsmodel.ScalingGroup) {
		a.nodes, g[0].Instances, g[0].Desired = nil, nil, 0
	}, []string{"spot-b", "b"})
	require.NoError(t, err)
	assert.Equal(t, "spot-b", best.group.Name)
}
