package estimate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asks is a pod's spec with one container that requests as much, a sidecar and an init container that ends.
func asks(cpu, memory string) object {
	container := func(cpu, memory string) object {
		return object{"resources": object{"requests": object{"cpu": cpu, "memory": memory}}}
	}
	sidecar := container("50m", "128Mi")
	sidecar["restartPolicy"] = "Always"
	return object{"containers": []any{container(cpu, memory)}, "initContainers": []any{sidecar, container("8", "64Gi")}}
}

// What the autoscalers may ask for is more than the nodes may become: that is said before anybody waits.
func TestWhatTheNodesCannotCarryIsSaid(t *testing.T) {
	group := object{"instanceTypes": []any{"m5.xlarge", "m5.large"}, "scalingConfig": object{"maxSize": 3.}}
	deployment := object{
		"metadata": object{"name": "backend"},
		"spec":     object{"replicas": 2., "template": object{"spec": asks("950m", "1920Mi")}},
	}
	scaled := object{"spec": object{"scaleTargetRef": object{"name": "backend"}, "minReplicas": 2., "maxReplicas": 5.}}
	resources := []Resource{
		res("aws:eks/nodeGroup:NodeGroup", "g", group),
		res("kubernetes:apps/v1:Deployment", "backend", deployment),
		res("kubernetes:core/v1:Pod", "nginx", object{"spec": asks("950m", "1920Mi")}),
		res("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "backend", scaled),
		res("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "of another",
			object{"spec": object{"scaleTargetRef": object{"name": "web"}, "maxReplicas": 50.}}),
	}
	assert.Empty(t, BillOf(resources, today).Crowded, "six vCPUs on three nodes of two")

	scaled["spec"].(object)["maxReplicas"] = 6.
	bill := BillOf(resources, today)
	require.Len(t, bill.Crowded, 1)
	assert.Contains(t, bill.Crowded[0], "may have 3 nodes, and all pods at their most request 7.0 vCPUs and 14.0 GiB, which takes 4 at least "+
		"(now 2)")
	assert.Contains(t, Comparison{After: Estimate{Bill: bill}}.remarks(), "WARNING: "+bill.Crowded[0])

	group["scalingConfig"] = object{"maxSize": 4.}
	assert.Empty(t, BillOf(resources, today).Crowded)
	group["taints"] = []any{object{"key": "dedicated"}}
	assert.Empty(t, BillOf(resources, today).Crowded, "no group is known to take them")
	delete(group, "taints")
	group["instanceTypes"] = []any{"m99i.large"}
	assert.Empty(t, BillOf(resources, today).Crowded, "of a newer type the size is not known")
}
