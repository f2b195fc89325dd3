package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"expense/internal/config"
	"expense/rehearsal/internal/state"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

var clusterChecks = slices.Concat(
	readyChecks, guardChecks, podChecks, logChecks, identityChecks, networkChecks, scaleChecks, volumeChecks, applyChecks,
)

// The label with a workload's name, and the one that tells a release's pods from a server's.
const (
	nameLabel      = "app.kubernetes.io/name"
	componentLabel = "app.kubernetes.io/component"
	release        = "release"
)

// The types of the state's objects.
const (
	typeNamespace     = "kubernetes:core/v1:Namespace"
	typeQuota         = "kubernetes:core/v1:ResourceQuota"
	typeLimits        = "kubernetes:core/v1:LimitRange"
	typePolicy        = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
	typePod           = "kubernetes:core/v1:Pod"
	typeDeployment    = "kubernetes:apps/v1:Deployment"
	typeJob           = "kubernetes:batch/v1:Job"
	typeService       = "kubernetes:core/v1:Service"
	typeScaler        = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
	typeClaim         = "kubernetes:core/v1:PersistentVolumeClaim"
	typeClass         = "kubernetes:storage.k8s.io/v1:StorageClass"
	typeNodeGroup     = "aws:eks/nodeGroup:NodeGroup"
	typeAddon         = "aws:eks/addon:Addon"
	typeAssociation   = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
	typeRole          = "aws:iam/role:Role"
	system            = "kube-system"
	autoscalerAccount = "cluster-autoscaler"
)

// namespaces are the two that the program makes.
func (s *Stack) namespaces() []string {
	return []string{s.Settings.Workloads.Namespace, config.LoggingNamespace}
}

// stated are the objects of a type as the state wants them, by namespace and name. Secret values are not in the clear in them.
func stated[T any](s *Stack, typ string) (map[types.NamespacedName]T, error) {
	out := map[types.NamespacedName]T{}
	for name, r := range s.resources(typ) {
		inputs := state.Plain(r.Inputs)
		data, err := json.Marshal(inputs)
		if err != nil {
			return nil, fmt.Errorf("state, %s %s: %w", typ, name, err)
		}
		var object T
		if err := json.Unmarshal(data, &object); err != nil {
			return nil, fmt.Errorf("state, %s %s: %w", typ, name, err)
		}
		namespace, _ := state.At(inputs, "metadata", "namespace").(string)
		called, _ := state.At(inputs, "metadata", "name").(string)
		out[types.NamespacedName{Namespace: namespace, Name: called}] = object
	}
	return out, nil
}

// byName orders objects.
func byName(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) }

func objectOf(kind string, name types.NamespacedName) Object {
	return Object{kind, name.Namespace, name.Name}
}

// PodReady tells whether a pod runs and is Ready.
func PodReady(pod corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// containers are a pod's, sidecars and other init containers first.
func containers(spec corev1.PodSpec) []corev1.Container {
	return slices.Concat(spec.InitContainers, spec.Containers)
}

func variable(c corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// stateName is the name of an object by its inputs.
func stateName(inputs map[string]any) string {
	name, _ := state.At(inputs, "metadata", "name").(string)
	return name
}

// podSpec is the specification of a Pod's or a Deployment's pods by its inputs.
func podSpec(inputs map[string]any, typ string) (spec corev1.PodSpec, err error) {
	path := []any{"spec", "template", "spec"}
	if typ == typePod {
		path = []any{"spec"}
	}
	data, err := json.Marshal(state.At(inputs, path...))
	if err != nil {
		return spec, err
	}
	return spec, json.Unmarshal(data, &spec)
}
