package tests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	webhookVolume = "eks-pod-identity-token"
	webhookMount  = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
	agentVariable = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	tokenVariable = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
)

// admitted is a pod after EKS's webhook, which knows of its account's role: its volumes' names, and its containers
// (https://github.com/aws/amazon-eks-pod-identity-webhook/blob/3bf80a34/pkg/handler/handler.go, addEnvToContainer and getPodSpecPatch,
// with the flags' defaults in main.go). Init containers are as the others. A pod of a Job is a pod.
func admitted(pod any, skip string) (volumes []string, containers []map[string]any) {
	for _, volume := range list(at(pod, "volumes")) {
		volumes = append(volumes, volume["name"].(string))
	}
	if !slices.Contains(volumes, webhookVolume) {
		volumes = append(volumes, webhookVolume)
	}
	for _, c := range slices.Concat(list(at(pod, "initContainers")), list(at(pod, "containers"))) {
		env, mounts := list(c["env"]), list(c["volumeMounts"])
		if !slices.Contains(strings.Split(skip, ","), c["name"].(string)) {
			if !hasName(env, agentVariable) && !hasName(env, tokenVariable) {
				env = append(env, map[string]any{"name": agentVariable, "value": "http://169.254.170.23/v1/credentials"},
					map[string]any{"name": tokenVariable, "value": webhookMount + "/eks-pod-identity-token"})
			}
			if !hasName(env, "AWS_REGION") && !hasName(env, "AWS_DEFAULT_REGION") {
				env = append(env, map[string]any{"name": "AWS_DEFAULT_REGION"}, map[string]any{"name": "AWS_REGION"})
			}
			if !hasName(mounts, webhookVolume) {
				mounts = append(mounts, map[string]any{"name": webhookVolume, "mountPath": webhookMount})
			}
		}
		containers = append(containers, map[string]any{"name": c["name"], "env": env, "volumeMounts": mounts})
	}
	return volumes, containers
}

func hasName(all []map[string]any, name string) bool {
	return slices.ContainsFunc(all, func(one map[string]any) bool { return one["name"] == name })
}

// keys are the values of one key, and fail the test where two are the same: the API server refuses such a pod.
func keys(t *testing.T, all []map[string]any, key, where string) (out []string) {
	for _, one := range all {
		value := fmt.Sprint(one[key])
		assert.NotContains(t, out, value, "%s: two of one %s", where, key)
		out = append(out, value)
	}
	return out
}

// Before and after the webhook knows of a role, a pod is one that the API server takes, and the role is with the same containers: those
// whose specification names it. A sidecar beside an app would have the app's role.
func TestTheWebhookChangesNobodysRole(t *testing.T) {
	t.Parallel()
	pods, holders := 0, map[string]bool{}
	for shape, all := range everything(t) {
		for _, r := range all {
			meta, pod := at(r.Inputs, "metadata"), at(r.Inputs, "spec")
			if template := at(r.Inputs, "spec.template"); template != nil {
				meta, pod = at(template, "metadata"), at(template, "spec")
			}
			if len(list(at(pod, "containers"))) == 0 {
				continue
			}
			pods++
			var own []string
			for _, c := range slices.Concat(list(at(pod, "initContainers")), list(at(pod, "containers"))) {
				if hasName(list(c["env"]), agentVariable) {
					own = append(own, c["name"].(string))
				}
			}
			annotations, _ := at(meta, "annotations").(map[string]any)
			skip, _ := annotations["eks.amazonaws.com/skip-containers"].(string)
			volumes, containers := admitted(pod, skip)
			where := shape + ": " + r.String()
			assert.Equal(t, slices.Compact(slices.Sorted(slices.Values(volumes))), slices.Sorted(slices.Values(volumes)), where)
			var with []string
			for _, c := range containers {
				place := where + ": " + c["name"].(string)
				keys(t, c["volumeMounts"].([]map[string]any), "mountPath", place)
				if slices.Contains(keys(t, c["env"].([]map[string]any), "name", place), agentVariable) {
					with = append(with, c["name"].(string))
				}
			}
			if len(own) > 0 { // the others' accounts have no role that EKS hands out
				assert.Equal(t, own, with, "%s: the containers with the role", where)
				holders[strings.Join(own, ",")] = true
			}
		}
	}
	assert.Greater(t, pods, 50)
	assert.Equal(t, map[string]bool{"shop": true, "setup": true}, holders)
}
