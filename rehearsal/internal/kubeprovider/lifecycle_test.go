package kubeprovider_test

import (
	"testing"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kinds are all that the program makes. change is applied to a second copy of the inputs; it is nil where a test of its
// own looks at updates.
var kinds = []struct {
	token  string
	inputs func(namespace string) values
	change func(values)
}{
	{"kubernetes:core/v1:Namespace", func(ns string) values {
		return values{"metadata": values{"name": ns + "-inner", "labels": values{"pod-security.kubernetes.io/enforce": "restricted"}}}
	}, func(v values) { v["metadata"].(values)["labels"].(values)["name"] = "project" }},
	{"kubernetes:core/v1:ResourceQuota", func(ns string) values {
		return values{
			"metadata": meta(ns, "quota"),
			"spec":     values{"hard": values{"pods": "20", "requests.cpu": "4000m", "requests.memory": "8192Mi"}},
		}
	}, func(v values) { v["spec"].(values)["hard"].(values)["pods"] = "30" }},
	{"kubernetes:core/v1:LimitRange", func(ns string) values {
		return values{
			"metadata": meta(ns, "limits"),
			"spec": values{
				"limits": []any{values{"type": "Container", "default": values{"memory": "0.5Gi"}, "defaultRequest": values{"cpu": "0.05"}}},
			},
		}
	}, func(v values) {
		v["spec"].(values)["limits"].([]any)[0].(values)["default"].(values)["memory"] = "1Gi"
	}},
	{"kubernetes:networking.k8s.io/v1:NetworkPolicy", func(ns string) values {
		return values{"metadata": meta(ns, "default-deny"), "spec": values{"podSelector": values{}, "policyTypes": []any{"Ingress", "Egress"}}}
	}, func(v values) { v["spec"].(values)["policyTypes"] = []any{"Ingress"} }},
	{"kubernetes:core/v1:ServiceAccount", func(ns string) values {
		return values{"metadata": meta(ns, "fluentd"), "automountServiceAccountToken": false}
	}, func(v values) { v["automountServiceAccountToken"] = true }},
	{"kubernetes:core/v1:ConfigMap", func(ns string) values {
		return values{"metadata": meta(ns, "settings"), "data": values{"KEY": "value"}}
	}, func(v values) { v["metadata"].(values)["labels"] = labels() }},
	{"kubernetes:core/v1:Secret", func(ns string) values {
		return values{"metadata": meta(ns, "secret"), "stringData": values{"API_TOKEN": "swordfish"}}
	}, func(v values) { v["metadata"].(values)["labels"] = labels() }},
	{"kubernetes:storage.k8s.io/v1:StorageClass", func(ns string) values {
		return values{
			"metadata": meta("", ns+"-gp3"), "provisioner": "ebs.csi.aws.com", "parameters": values{"type": "gp3", "encrypted": "true"},
			"volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete", "allowVolumeExpansion": true,
		}
	}, func(v values) { v["allowVolumeExpansion"] = false }},
	{"kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", func(ns string) values {
		return values{
			"metadata": meta("", ns+"-reader"),
			"rules":    []any{values{"apiGroups": []any{""}, "resources": []any{"nodes"}, "verbs": []any{"get"}}},
		}
	}, func(v values) { v["rules"].([]any)[0].(values)["verbs"] = []any{"get", "list"} }},
	{"kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding", func(ns string) values {
		return values{
			"metadata": meta("", ns+"-reader"), "roleRef": values{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
			"subjects": []any{values{"kind": "ServiceAccount", "name": "fluentd", "namespace": ns}},
		}
	}, func(v values) { v["subjects"].([]any)[0].(values)["name"] = "other" }},
	{"kubernetes:rbac.authorization.k8s.io/v1:Role", func(ns string) values {
		return values{
			"metadata": meta(ns, "reader"),
			"rules":    []any{values{"apiGroups": []any{""}, "resources": []any{"pods"}, "verbs": []any{"get"}}},
		}
	}, func(v values) { v["rules"].([]any)[0].(values)["verbs"] = []any{"get", "list"} }},
	{"kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", func(ns string) values {
		return values{
			"metadata": meta(ns, "reader"), "roleRef": values{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
			"subjects": []any{values{"kind": "ServiceAccount", "name": "fluentd", "namespace": ns}},
		}
	}, func(v values) { v["subjects"].([]any)[0].(values)["name"] = "other" }},
	{
		"kubernetes:apps/v1:Deployment",
		func(ns string) values { return deployment(ns, "web") },
		func(v values) { v["spec"].(values)["replicas"] = 3 },
	},
	{"kubernetes:policy/v1:PodDisruptionBudget", func(ns string) values {
		return values{"metadata": meta(ns, "web"), "spec": values{"maxUnavailable": 1, "selector": values{"matchLabels": labels()}}}
	}, func(v values) { v["spec"].(values)["maxUnavailable"] = "50%" }},
	{"kubernetes:autoscaling/v2:HorizontalPodAutoscaler", func(ns string) values {
		return values{"metadata": meta(ns, "web"), "spec": values{
			"scaleTargetRef": values{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
			"minReplicas":    2,
			"maxReplicas":    4,
			"metrics": []any{
				values{
					"type":              "ContainerResource",
					"containerResource": values{"container": "nginx", "name": "cpu", "target": values{"type": "Utilization", "averageUtilization": 70}},
				},
			},
		}}
	}, func(v values) { v["spec"].(values)["maxReplicas"] = 5 }},
	{"kubernetes:core/v1:Service", func(ns string) values {
		return values{"metadata": meta(ns, "web"), "spec": values{"type": "ExternalName", "externalName": "example.com"}}
	}, func(v values) { v["spec"].(values)["externalName"] = "example.org" }},
	{
		"kubernetes:core/v1:Pod",
		func(ns string) values { return pod(ns, "nginx") },
		func(v values) { v["metadata"].(values)["labels"] = labels() },
	},
	{"kubernetes:batch/v1:Job", func(ns string) values {
		spec := podSpec()
		spec["restartPolicy"] = "Never"
		delete(spec, "initContainers")
		return values{"metadata": meta(ns, "job"), "spec": values{"template": values{"spec": spec}}}
	}, func(v values) { v["metadata"].(values)["labels"] = labels() }},
}

// Every kind is made, is the same on a second look, changes in place, is read without drift, and is gone after its
// deletion.
func TestEveryKindLivesAndDies(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	for _, kind := range kinds {
		t.Run(kind.token, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, clients, nil)
			e := configured(t, server)
			s := e.mustCreate(kind.token, "thing", kind.inputs(ns))
			unchanged := e.diff(s, kind.token, "thing", kind.inputs(ns))
			assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, unchanged.GetChanges(), "a second look: %v", unchanged.GetDetailedDiff())

			changed := kind.inputs(ns)
			kind.change(changed)
			d := e.diff(s, kind.token, "thing", changed)
			assert.Equal(t, pulumirpc.DiffResponse_DIFF_SOME, d.GetChanges())
			assert.Empty(t, d.GetReplaces())
			require.NoError(t, e.update(s, kind.token, "thing", changed))

			before := s.inputs
			require.EventuallyWithT(t, func(a *assert.CollectT) { // of a Deployment, the real provider's refresh may see the rollout's last moments
				found, err := e.refresh(s)
				assert.NoError(a, err)
				assert.True(a, found)
			}, 2*time.Minute, 100*time.Millisecond)
			assert.Equal(t, unmarshal(t, before), unmarshal(t, s.inputs), "inputs after a refresh")
			unchanged = e.diff(s, kind.token, "thing", changed)
			assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, unchanged.GetChanges(), "after a refresh: %v", unchanged.GetDetailedDiff())

			require.NoError(t, e.delete(s))
			found, err := e.refresh(s)
			require.NoError(t, err)
			assert.False(t, found, "still there after its deletion")
			require.NoError(t, e.delete(s), "a second deletion")
		})
	}
}
