package estimate

import (
	"fmt"
	"math"
	"slices"

	"expense/internal/published"
	"expense/rehearsal/internal/state"

	"k8s.io/apimachinery/pkg/api/resource"
)

// load is what pods request, or what nodes have.
type load struct{ cpu, gib float64 }

func (l load) plus(o load, times float64) load { return load{l.cpu + times*o.cpu, l.gib + times*o.gib} }

// fits tells how many of the nodes it takes at least.
func (l load) fits(node load) float64 { return math.Ceil(max(l.cpu/node.cpu, l.gib/node.gib)) }

// room compares the requests of the stack's pods with its nodes, in one sentence for each problem. It leaves out what the system and the
// add-ons take of a node, and pods that stay pending because no node has room for a whole one, so it says too little, never too much.
func room(resources []Resource) []string {
	var now, most load
	autoscalers := map[any]Resource{}
	for _, r := range resources {
		if r.Type == "kubernetes:autoscaling/v2:HorizontalPodAutoscaler" {
			autoscalers[state.At(r.Inputs, "spec", "scaleTargetRef", "name")] = r
		}
	}
	for _, r := range resources {
		switch r.Type {
		case "kubernetes:core/v1:Pod":
			one := requests(r.Inputs["spec"])
			now, most = now.plus(one, 1), most.plus(one, 1)
		case "kubernetes:apps/v1:Deployment":
			one := requests(state.At(r.Inputs, "spec", "template", "spec"))
			least, highest := replicas(r, autoscalers[state.At(r.Inputs, "metadata", "name")])
			now, most = now.plus(one, least), most.plus(one, highest)
		}
	}
	node, nodes := capacity(resources)
	if nodes == 0 || node.cpu == 0 || most.fits(node) <= nodes {
		return nil
	}
	return []string{fmt.Sprintf("the node groups may have %g nodes, and all pods at their most request %.1f vCPUs and %.1f GiB, "+
		"which takes %g at least (now %g): some will wait. Raise maxSize in cluster.nodeGroups, or ask for less",
		nodes, most.cpu, most.gib, most.fits(node), now.fits(node))}
}

// replicas are how many pods a Deployment has at least and at most. The autoscaler is empty for one without.
func replicas(deployment, autoscaler Resource) (least, most float64) {
	number := func(r Resource, key string, otherwise float64) float64 {
		if n, ok := state.At(r.Inputs, "spec", key).(float64); ok {
			return n
		}
		return otherwise
	}
	least = number(deployment, "replicas", 1)
	return number(autoscaler, "minReplicas", least), number(autoscaler, "maxReplicas", least)
}

// requests are those of a pod: of its containers and of the init containers that stay
// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers).
func requests(spec any) (sum load) {
	pod, _ := spec.(map[string]any)
	staying := slices.DeleteFunc(slices.Clone(list(pod, "initContainers")), func(c any) bool {
		return state.At(c, "restartPolicy") != "Always"
	})
	for _, container := range slices.Concat(list(pod, "containers"), staying) {
		sum = sum.plus(load{
			cpu: quantity(state.At(container, "resources", "requests", "cpu")),
			gib: quantity(state.At(container, "resources", "requests", "memory")) / (1 << 30),
		}, 1)
	}
	return sum
}

func quantity(v any) float64 {
	q, err := resource.ParseQuantity(fmt.Sprint(v))
	if err != nil {
		return 0
	}
	return q.AsApproximateFloat64()
}

// capacity is the mean node of the groups that take any pod, of each group its smallest type, and how many such nodes there may be.
func capacity(resources []Resource) (node load, nodes float64) {
	var all load
	for _, r := range resources {
		if r.Type != "aws:eks/nodeGroup:NodeGroup" || len(list(r.Inputs, "taints")) > 0 {
			continue
		}
		size, _ := state.At(r.Inputs, "scalingConfig", "maxSize").(float64)
		smallest := load{}
		for i, t := range list(r.Inputs, "instanceTypes") {
			of := published.InstanceTypes()[fmt.Sprint(t)]
			has := load{float64(of.VCPU), float64(of.MemoryMiB) / 1024}
			if i == 0 || has.gib < smallest.gib {
				smallest = has
			}
		}
		if smallest.cpu == 0 {
			return load{}, 0 // a type that is newer than the list
		}
		all, nodes = all.plus(smallest, size), nodes+size
	}
	if nodes == 0 {
		return load{}, 0
	}
	return load{all.cpu / nodes, all.gib / nodes}, nodes
}
