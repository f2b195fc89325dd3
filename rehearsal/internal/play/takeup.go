package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"expense/rehearsal/internal/estimate"
)

// takenUp: applying the program's objects over the present ones meets no field conflict. An `up` with
// PULUMI_K8S_UPSERT_EXISTING_OBJECTS, which docs/recovery.md has for objects that exist already, does so: the provider then
// applies under another name
// (https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/),
// and the API server compares with what it filled in.
func (c *checks) takenUp(ctx context.Context) (string, error) {
	state, err := c.stage.State(ctx)
	if err != nil {
		return "", err
	}
	client, err := dynamic.NewForConfig(c.stage.ControlPlane.RESTConfig())
	if err != nil {
		return "", err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	applied := 0
	var errs []error
	for _, r := range estimate.FromState(state) {
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
			return "", err
		}
		data, err := json.Marshal(o.Object)
		if err != nil {
			return "", err
		}
		_, err = client.Resource(mapping.Resource).Namespace(o.GetNamespace()).Patch(ctx, o.GetName(), types.ApplyPatchType, data,
			metav1.PatchOptions{FieldManager: "another", DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", r.Type, r.Name, err))
		}
		applied++
	}
	if applied == 0 {
		errs = append(errs, errors.New("the state has no Kubernetes object"))
	}
	return fmt.Sprintf("%d objects", applied), errors.Join(errs...)
}
