package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"expense/rehearsal/internal/controlplane"
	"expense/rehearsal/ops/manifests"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// dryRun starts the API server of that program, has it look at the objects as kubectl apply --dry-run=server would, and ends it.
func dryRun(ctx context.Context, binary string, objects []manifests.Object) (err error) {
	dir, err := os.MkdirTemp("", "manifests-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	plane, err := controlplane.Start(ctx, controlplane.Options{Binary: binary, Dir: dir})
	if err != nil {
		return err
	}
	defer plane.Stop()
	client, err := dynamic.NewForConfig(plane.RESTConfig())
	if err != nil {
		return err
	}
	var refused []error
	// What others need is made first, and is really there.
	for _, first := range []bool{true, false} {
		for _, o := range objects {
			if (o.Kind == "Namespace" || o.Kind == "ServiceAccount") == first {
				refused = append(refused, create(ctx, client, o, first))
			}
		}
	}
	return errors.Join(slices.DeleteFunc(refused, func(err error) bool { return err == nil })...)
}

func create(ctx context.Context, client dynamic.Interface, o manifests.Object, really bool) error {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(o.JSON); err != nil {
		return fmt.Errorf("%s: %w", o.At, err)
	}
	// What the server wrote cannot be created.
	for _, path := range [][]string{
		{"metadata", "resourceVersion"}, {"metadata", "uid"}, {"metadata", "managedFields"}, {"metadata", "ownerReferences"}, {"status"},
	} {
		unstructured.RemoveNestedField(object.Object, path...)
	}
	if ip, _, _ := unstructured.NestedString(object.Object, "spec", "clusterIP"); ip != "None" {
		unstructured.RemoveNestedField(object.Object, "spec", "clusterIP")
		unstructured.RemoveNestedField(object.Object, "spec", "clusterIPs")
	}
	options := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}}
	if really {
		options.DryRun = nil
	}
	gvk := schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	var to dynamic.ResourceInterface = client.Resource(resource)
	if o.Kind != "Namespace" {
		namespace := object.GetNamespace()
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		if err := ready(ctx, client, namespace); err != nil {
			return err
		}
		to = client.Resource(resource).Namespace(namespace)
	}
	if _, err := to.Create(ctx, object, options); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%sthe API server refuses it: %w", o.At, err)
	}
	return nil
}

// ready makes a namespace and its account, without which no pod is admitted.
func ready(ctx context.Context, client dynamic.Interface, name string) error {
	made := func(resource, kind, namespace, name string) error {
		_, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).Namespace(namespace).Create(ctx,
			&unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name},
			}}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	return errors.Join(made("namespaces", "Namespace", "", name), made("serviceaccounts", "ServiceAccount", name, "default"))
}
