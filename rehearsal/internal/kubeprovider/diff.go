package kubeprovider

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// replacedBy lists the fields whose change the real provider answers with a replacement, per apiVersion and kind
// (provider/pkg/provider/diff.go). Any other change is an update, which the API server may refuse. * is any element of a list.
var replacedBy = map[string][]string{
	"":                   {"metadata.name", "metadata.namespace"}, // of every kind
	"apps/v1/Deployment": {"spec.selector"},
	"apps/v1/DaemonSet":  {"spec.selector"},
	"batch/v1/Job":       {"spec.completions", "spec.parallelism", "spec.selector", "spec.template"},
	"rbac.authorization.k8s.io/v1/RoleBinding":        {"roleRef"},
	"rbac.authorization.k8s.io/v1/ClusterRoleBinding": {"roleRef"},
	"storage.k8s.io/v1/StorageClass":                  {"parameters", "provisioner"},
	"v1/ConfigMap":                                    {"data", "binaryData"},
	"v1/PersistentVolumeClaim":                        {"spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"},
	"v1/ResourceQuota":                                {"spec.scopes"},
	"v1/Secret":                                       {"data", "stringData", "type"},
	"v1/Service":                                      {"spec.clusterIP"},
	"apps/v1/StatefulSet": {
		"spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates",
	},
	"v1/Pod": slices.Concat([]string{
		"spec.affinity", "spec.automountServiceAccountToken", "spec.dnsConfig", "spec.dnsPolicy", "spec.enableServiceLinks",
		"spec.hostAliases", "spec.hostIPC", "spec.hostNetwork", "spec.hostPID", "spec.hostname", "spec.imagePullSecrets",
		"spec.nodeName", "spec.nodeSelector", "spec.overhead", "spec.preemptionPolicy", "spec.priority",
		"spec.priorityClassName", "spec.readinessGates", "spec.restartPolicy", "spec.runtimeClassName", "spec.schedulerName",
		"spec.securityContext", "spec.serviceAccount", "spec.serviceAccountName", "spec.shareProcessNamespace",
		"spec.subdomain", "spec.terminationGracePeriodSeconds", "spec.volumes",
	}, ofContainers("spec.containers[*]."), ofContainers("spec.initContainers[*].")),
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

// replaces tells whether a change replaces the object: it is at a field of replacedBy, inside of one, or of what contains one.
func replaces(o *object, change resource.PropertyPath) bool {
	for _, fields := range [][]string{replacedBy[""], replacedBy[o.GetAPIVersion()+"/"+o.GetKind()]} {
		if slices.ContainsFunc(fields, func(name string) bool {
			field, err := resource.ParsePropertyPath(name)
			return err == nil && field[:min(len(field), len(change))].Contains(change)
		}) {
			return true
		}
	}
	return false
}
