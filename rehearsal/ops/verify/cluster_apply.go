package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"expense/rehearsal/internal/estimate"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

var applyChecks = []Check{{
	Name:    "applied-again",
	Promise: "The program's objects can be applied over those that are there: no field is another's.",
	Access:  patched,
	Takes:   20 * time.Second,
	Run:     appliedAgain,
}}

// patched is the right to apply each kind that the program makes. A dry run needs it too
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run-authorization).
var patched = []string{
	"patch namespaces", "patch resourcequotas", "patch limitranges", "patch networkpolicies", "patch serviceaccounts", "patch configmaps",
	"patch secrets", "patch pods", "patch deployments", "patch jobs", "patch services", "patch horizontalpodautoscalers",
	"patch poddisruptionbudgets", "patch persistentvolumeclaims", "patch storageclasses", "patch clusterroles", "patch clusterrolebindings",
	"patch roles", "patch rolebindings",
}

// appliedAgain: an `up` with PULUMI_K8S_UPSERT_EXISTING_OBJECTS, which docs/recovery.md has for objects that exist already, applies so: the
// provider then has another name
// (https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/),
// and the API server compares with what it filled in.
func appliedAgain(ctx context.Context, s *Stack, _ *Work) (string, error) {
	client, err := dynamic.NewForConfig(s.REST)
	if err != nil {
		return "", err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.Kubernetes.Discovery()))
	applied := 0
	var errs []error
	for _, r := range estimate.FromState(s.State) {
		if !strings.HasPrefix(r.Type, "kubernetes:") {
			continue
		}
		o := unstructured.Unstructured{Object: r.Inputs}
		if o.GetKind() == "Secret" {
			delete(o.Object, "data") // not in the clear here
			delete(o.Object, "stringData")
		}
		mapping, err := mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
		if err != nil {
			return "", errors.Join(append(errs, err)...)
		}
		data, err := json.Marshal(o.Object)
		if err != nil {
			return "", err
		}
		applied++
		_, err = client.Resource(mapping.Resource).Namespace(o.GetNamespace()).Patch(ctx, o.GetName(), types.ApplyPatchType, data,
			metav1.PatchOptions{FieldManager: "another", DryRun: []string{metav1.DryRunAll}})
		switch {
		case err == nil:
		case unseen(err):
			errs = append(errs, err)
		default:
			errs = append(errs, failure([]Object{{o.GetKind(), o.GetNamespace(), o.GetName()}}, "%s %s: %w", r.Type, r.Name, err))
		}
	}
	if applied == 0 {
		errs = append(errs, errors.New("the state has no Kubernetes object"))
	}
	return fmt.Sprintf("%d objects", applied), errors.Join(errs...)
}
