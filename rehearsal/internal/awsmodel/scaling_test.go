package awsmodel

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The autoscaler sizes the groups of the cluster that its role is for, within their sizes, and the node group shows it.
func TestAnAutoScalingGroupGrowsForARoleThatMay(t *testing.T) {
	h := &hook{nodes: map[string]Instance{}}
	policy := func(cluster string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"autoscaling:DescribeAutoScalingGroups","Resource":"*"},
			{"Effect":"Allow","Action":"autoscaling:SetDesiredCapacity","Resource":"arn:aws:autoscaling:us-east-1:*:autoScalingGroup:*",
			"Condition":{"StringEquals":{"aws:ResourceTag/k8s.io/cluster-autoscaler/%s":"owned"}}}]}`, cluster)
	}
	for cluster, allowed := range map[string]bool{"expense": true, "another": false} {
		clear(h.nodes)
		w := newWorld(Options{Cluster: h})
		at, err := w.build(edits{"writerInline": func(_ *world, i in) { i["policy"] = policy(cluster) }})
		require.NoError(t, err, at)
		role := w.arn("writer")
		groups, err := w.m.ScalingGroups(role)
		require.NoError(t, err)
		require.Len(t, groups, 1)
		g := groups[0]
		assert.Equal(t, "eks-"+w.outs["nodes"].str("nodeGroupName"), g.Name[:len(g.Name)-37], "a UUID follows")
		assert.Equal(t, []int{3, 5, 3}, []int{g.Desired, g.Max, len(g.Instances)})
		assert.Equal(t, "m5.large SPOT us-east-1b", g.Template.InstanceType+" "+g.Template.CapacityType+" "+g.Template.Zone)

		err = w.m.SetDesiredCapacity(t.Context(), role, g.Name, 4)
		if !allowed {
			assert.Equal(t, "AccessDenied", Code(err))
			assert.Len(t, h.nodes, 3)
			continue
		}
		require.NoError(t, err)
		assert.Len(t, h.nodes, 4)
		inputs, outputs, _ := w.m.Read(tNodeGroup, w.id("nodes"))
		assert.EqualValues(t, 4, plain(inputs).num("scalingConfig.desiredSize"))
		assert.EqualValues(t, 4, plain(outputs).num("scalingConfig.desiredSize"))
		_, err = w.m.ScalingGroups(w.arn("nodeRole"))
		assert.Equal(t, "AccessDenied", Code(err))
		require.NoError(t, w.destroy())
	}
}
