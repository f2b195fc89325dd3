package kubeprovider

import (
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// replacedBy lists, per apiVersion and kind, the fields whose change the real provider answers with a replacement
// (provider/pkg/provider/diff.go). A change of anything else is an update, which the API server may refuse.
// "*" stands for any element of a list. Names and namespaces are in replaces.
var replacedBy = map[string][]string{
	"apps/v1/Deployment":                              {"spec.selector"},
	"apps/v1/DaemonSet":                               {"spec.selector"},
	"apps/v1/StatefulSet":                             {"spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"},
	"batch/v1/Job":                                    {"spec.completions", "spec.parallelism", "spec.selector", "spec.template"},
	"rbac.authorization.k8s.io/v1/RoleBinding":        {"roleRef"},
	"rbac.authorization.k8s.io/v1/ClusterRoleBinding": {"roleRef"},
	"storage.k8s.io/v1/StorageClass":                  {"parameters", "provisioner"},
	"v1/PersistentVolumeClaim":                        {"spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"},
	"v1/ResourceQuota":                                {"spec.scopes"},
	"v1/Secret":                                       {"type"},
	"v1/Service":                                      {"spec.clusterIP"},
	"v1/Pod": slices.Concat([]string{
		"spec.affinity", "spec.automountServiceAccountToken", "spec.dnsConfig", "spec.dnsPolicy", "spec.enableServiceLinks",
		"spec.hostAliases", "spec.hostIPC", "spec.hostNetwork", "spec.hostPID", "spec.hostname", "spec.imagePullSecrets",
		"spec.nodeName", "spec.nodeSelector", "spec.overhead", "spec.preemptionPolicy", "spec.priority",
		"spec.priorityClassName", "spec.readinessGates", "spec.restartPolicy", "spec.runtimeClassName", "spec.schedulerName",
		"spec.securityContext", "spec.serviceAccount", "spec.serviceAccountName", "spec.shareProcessNamespace",
		"spec.subdomain", "spec.terminationGracePeriodSeconds", "spec.volumes",
	}, ofContainers("spec.containers.*."), ofContainers("spec.initContainers.*.")),
}

func ofContainers(prefix string) []string {
	fields := []string{
		"args", "command", "env", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "ports", "readinessProbe",
		"resources", "securityContext", "stdin", "stdinOnce", "terminationMessagePath", "terminationMessagePolicy", "tty",
		"volumeDevices", "volumeMounts", "workingDir",
	}
	for i := range fields {
		fields[i] = prefix + fields[i]
	}
	return fields
}

// replaces lists the fields of o whose change replaces it. The data of ConfigMaps and Secrets do, unless the provider is
// told that they are mutable and the object itself is not immutable.
func (c *cluster) replaces(o *object) []string {
	kind := o.GetAPIVersion() + "/" + o.GetKind()
	fields := slices.Concat([]string{"metadata.name", "metadata.namespace"}, replacedBy[kind])
	immutable, _ := o.Object["immutable"].(bool)
	switch {
	case kind == "v1/ConfigMap" && (!c.mutableConfigMaps || immutable):
		fields = append(fields, "data", "binaryData")
	case kind == "v1/Secret" && (!c.mutableSecrets || immutable):
		fields = append(fields, "data", "stringData")
	}
	return fields
}

// change is one difference between the old and the new object.
type change struct {
	path     resource.PropertyPath
	kind     pulumirpc.PropertyDiff_Kind
	old, new any
}

// compare lists the differences field by field, lists element by element.
func compare(path resource.PropertyPath, old, new any) []change {
	at := func(key any) resource.PropertyPath { return append(slices.Clone(path), key) }
	switch n := new.(type) {
	case map[string]any:
		if o, ok := old.(map[string]any); ok {
			var out []change
			keys := maps.Clone(o)
			maps.Copy(keys, n)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				ov, had := o[key]
				nv, has := n[key]
				out = append(out, compareField(at(key), ov, nv, had, has)...)
			}
			return out
		}
	case []any:
		if o, ok := old.([]any); ok {
			var out []change
			for i := range max(len(o), len(n)) {
				var ov, nv any
				if i < len(o) {
					ov = o[i]
				}
				if i < len(n) {
					nv = n[i]
				}
				out = append(out, compareField(at(i), ov, nv, i < len(o), i < len(n))...)
			}
			return out
		}
	}
	// A value that is not known yet may be the old one; it counts as changed.
	if new != plugin.UnknownStringValue && equal(old, new) {
		return nil
	}
	return []change{{path, pulumirpc.PropertyDiff_UPDATE, old, new}}
}

func compareField(path resource.PropertyPath, old, new any, had, has bool) []change {
	switch {
	case !had:
		return []change{{path, pulumirpc.PropertyDiff_ADD, nil, new}}
	case !has:
		return []change{{path, pulumirpc.PropertyDiff_DELETE, old, nil}}
	}
	return compare(path, old, new)
}

// touches tells whether the change is at the field, inside of it, or of something that contains it.
func (c change) touches(field string) bool {
	names := strings.Split(field, ".")
	for i, key := range c.path {
		if i == len(names) {
			return true
		}
		if names[i] != "*" && names[i] != key {
			return false
		}
	}
	rest := names[len(c.path):]
	return has(c.old, rest) || has(c.new, rest)
}

// has tells whether a value has the field.
func has(v any, names []string) bool {
	if len(names) == 0 {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		inner, ok := v[names[0]]
		return ok && has(inner, names[1:])
	case []any:
		return names[0] == "*" && slices.ContainsFunc(v, func(e any) bool { return has(e, names[1:]) })
	}
	return false
}
