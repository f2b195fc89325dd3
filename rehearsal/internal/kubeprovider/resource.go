package kubeprovider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/csaupgrade"
)

// Check completes the inputs (name, namespace), brings them into the server's form, and refuses unknown fields, values of a wrong
// type, and what is not modelled.
func (provider) Check(ctx context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	c, err := configured(ctx)
	if err != nil {
		return nil, err
	}
	urn := resource.URN(req.GetUrn())
	kind, err := kindOf(urn)
	if err != nil {
		return nil, err
	}
	old, err := parse(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := parse(req.GetNews())
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.CheckResponse{}
	refuse := func(property, format string, args ...any) {
		response.Failures = append(response.Failures, &pulumirpc.CheckFailure{Property: property, Reason: fmt.Sprintf(format, args...)})
	}
	if news.GroupVersionKind() != kind { // which every SDK sets
		refuse("kind", "apiVersion and kind are %q, %q, the resource's type is %s", news.GetAPIVersion(), news.GetKind(), urn.Type())
	}
	o, problems := normalise(news)
	for _, problem := range problems {
		refuse("", "%s", problem)
	}
	if o.GetGenerateName() != "" {
		refuse("metadata.generateName", "the `.metadata.generateName` field is not supported in Server-Side Apply mode")
	}
	for annotation := range o.GetAnnotations() {
		if strings.HasPrefix(annotation, ofProvider) && annotation != skipAwait && annotation != autonamed && annotation != replaceUnready {
			refuse("metadata.annotations", "the annotation %s is not modelled by the kubernetes stand-in", annotation)
		}
	}
	if err := name(o, old, news.properties["metadata"], urn, req.GetRandomSeed()); err != nil {
		return nil, err
	}
	if o.GetNamespace() == "" && c.unreachable == nil {
		// An unknown kind is a custom resource whose definition is yet to come.
		if mapping, err := c.mapping(o); err == nil && mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			o.SetNamespace(metav1.NamespaceDefault)
		}
	}
	completed := toProperties(o)
	markSecrets(completed, news.properties)
	response.Inputs, err = write(completed)
	return response, err
}

// Diff compares new inputs with the last known live object, as far as the old inputs had set it: drift shows, and what the
// server added does not.
func (provider) Diff(ctx context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	inputs, live, err := parseCheckpoint(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := parse(req.GetNews())
	if err != nil {
		return nil, err
	}
	set, _ := normalise(inputs)
	o, _ := normalise(news)
	old := &object{Object: prune(live.Object, set.Object)}
	if old.GetNamespace() != "" || o.GetNamespace() != "" {
		old.SetNamespace(cmp.Or(old.GetNamespace(), metav1.NamespaceDefault))
		o.SetNamespace(cmp.Or(o.GetNamespace(), metav1.NamespaceDefault))
	}
	if o.GetName() != "" {
		old.SetName(live.GetName())
	}
	diff := toProperties(old).DiffWithOptions(toProperties(o), resource.IgnorePathFunc(func(path resource.PropertyPath) bool {
		return slices.ContainsFunc(req.GetIgnoreChanges(), func(pattern string) bool {
			ignored, err := resource.ParsePropertyPath(pattern)
			return err == nil && ignored.Contains(path)
		})
	}))
	response := &pulumirpc.DiffResponse{HasDetailedDiff: true, DetailedDiff: map[string]*pulumirpc.PropertyDiff{}}
	response.Changes = pulumirpc.DiffResponse_DIFF_NONE
	for name, change := range plugin.NewDetailedDiffFromObjectDiff(diff, false) {
		path, err := resource.ParsePropertyPath(name)
		if err != nil {
			return nil, err
		}
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		kind := pulumirpc.PropertyDiff_Kind(change.Kind)
		if replaces(o, path) {
			kind++ // every kind is followed by its replacing twin
			response.Replaces = append(response.Replaces, name)
		}
		response.DetailedDiff[name] = &pulumirpc.PropertyDiff{Kind: kind, InputDiff: change.Kind == plugin.DiffDelete}
	}
	if o.GetKind() == "Job" && o.GetAnnotations()[replaceUnready] == "true" && unfinished(ctx, live, req.GetId()) {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		response.Replaces = append(response.Replaces, `.metadata.annotations["`+replaceUnready+`"]`)
	}
	// The new object cannot exist beside an old one of its name.
	response.DeleteBeforeReplace = len(response.Replaces) > 0 && o.GetName() != "" && o.GetAnnotations()[autonamed] != "true" &&
		o.GetName() == live.GetName() && o.GetNamespace() == cmp.Or(live.GetNamespace(), old.GetNamespace())
	return response, nil
}

// replaceUnready is the annotation of a Job that is replaced unless it is complete (provider/pkg/provider/provider.go, Diff).
const replaceUnready = "pulumi.com/replaceUnready"

// unfinished tells whether the Job is there and not complete. The real provider ignores every error of this question.
func unfinished(ctx context.Context, job *object, id string) bool {
	c, err := configured(ctx)
	if err != nil || c.unreachable != nil {
		return false
	}
	live, err := c.get(ctx, job, id)
	if err != nil {
		return false
	}
	complete, _ := jobComplete(ctx, c, live)
	return !complete
}

// Create makes the object and waits until it is ready. If the object exists, that is an error. In a preview the server tries it out,
// if it can: it cannot if an input or the kind is unknown, if the namespace is not made yet, if the server forbids it, or if the
// object exists, as before a replacement.
func (provider) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	c, err := reachable(ctx, req.GetPreview())
	if err != nil {
		return nil, err
	}
	news, err := parse(req.GetProperties())
	if err != nil {
		return nil, err
	}
	unforeseen := &pulumirpc.CreateResponse{Properties: req.GetProperties()}
	if req.GetPreview() {
		if news.unknown || c.unreachable != nil {
			return unforeseen, nil
		}
		if _, err := c.mapping(news.object); err != nil {
			return unforeseen, nil
		}
	}
	manager, err := fieldManager(nil)
	if err != nil {
		return nil, err
	}
	ctx, done := operation(ctx)
	defer done()

	live, err := c.create(ctx, news.object, req.GetPreview())
	if req.GetPreview() && (apierrors.IsForbidden(err) || apierrors.IsAlreadyExists(err) || namespaceNotFound(err)) {
		return unforeseen, nil
	}
	if err != nil {
		return nil, fmt.Errorf("resource %q was not successfully created by the Kubernetes API server: %w", req.GetUrn(), err)
	}
	var unready error
	if req.GetPreview() {
		delete(live.Object, "status")
	} else {
		live, unready = c.awaitReady(ctx, req.GetUrn(), news.object, live, seconds(req.GetTimeout()))
	}
	properties, err := checkpoint(news.object, live, news.properties, manager)
	switch {
	case err != nil:
		return nil, err
	case req.GetPreview():
		return &pulumirpc.CreateResponse{Properties: properties}, nil
	case unready != nil:
		return nil, partial(idOf(live), properties, nil, fmt.Errorf("resource %q was successfully created, but the Kubernetes API server "+
			"reported that it failed to fully initialize or become live: %w", req.GetUrn(), unready))
	}
	if news.GetKind() == "CustomResourceDefinition" {
		c.mapper.Reset()
	}
	return &pulumirpc.CreateResponse{Id: idOf(live), Properties: properties}, nil
}

// createRetry repeats a creation while its namespace or kind is missing, as another resource of the same deployment may be making
// it: five times, as the real provider does.
var createRetry = wait.Backoff{Duration: time.Second, Factor: 2, Steps: 6}

// creator is the field manager of a creation. The first update takes its fields over.
const creator = "pulumi-kubernetes"

func (c *cluster) create(ctx context.Context, o *object, preview bool) (live *object, err error) {
	retry, options := createRetry, metav1.CreateOptions{FieldManager: creator}
	if preview {
		retry.Steps, options.DryRun = 1, []string{metav1.DryRunAll}
	}
	var last error
	err = wait.ExponentialBackoffWithContext(ctx, retry, func(ctx context.Context) (bool, error) {
		var client dynamic.ResourceInterface
		if client, last = c.resource(o); last == nil {
			live, last = client.Create(ctx, o, options)
		}
		if apierrors.IsNotFound(last) || meta.IsNoMatchError(last) {
			c.mapper.Reset()
			return false, nil
		}
		return last == nil, last
	})
	if apierrors.IsAlreadyExists(last) {
		//lint:ignore ST1005 the words of the provider
		last = fmt.Errorf("%w\n\nThe resource already exists in the cluster.", last)
	}
	return live, cmp.Or(last, err)
}

// update sends the object for server-side apply (https://kubernetes.io/docs/reference/using-api/server-side-apply/). It takes
// fields from its predecessors only. A preview does not change who manages what: it takes every field as long as the object
// was not updated since its creation.
func (c *cluster) update(ctx context.Context, o *object, manager string, preview bool) (*object, error) {
	client, err := c.resource(o)
	if err != nil {
		return nil, err
	}
	live, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	managed := live.GetManagedFields()
	options := metav1.PatchOptions{FieldManager: manager}
	force := len(managed) == 0
	if preview {
		options.DryRun = []string{metav1.DryRunAll}
		force = force || slices.ContainsFunc(managed, func(entry metav1.ManagedFieldsEntry) bool {
			return entry.Operation == metav1.ManagedFieldsOperationUpdate && entry.Manager == creator
		})
	} else if err := takeOver(ctx, client, live, manager); err != nil {
		return nil, err
	}
	options.Force = &force
	data, err := json.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	live, err = client.Patch(ctx, o.GetName(), types.ApplyPatchType, data, options)
	if apierrors.IsConflict(err) {
		return nil, fmt.Errorf("server-side apply field conflict detected\n"+
			"The resource managed by field manager %q had an apply conflict: %w", manager, err)
	}
	return live, err
}

// predecessors are prefixes of the managers whose fields an update takes over (fixCSAFieldManagers of the real provider): kubectl
// in people's hands, and the provider itself without server-side apply.
var predecessors = []string{"kubectl", "before-first-apply", creator, "pulumi-resource-kubernetes"}

// takeOver gives the manager the fields of the object's predecessors.
func takeOver(ctx context.Context, client dynamic.ResourceInterface, live *object, manager string) error {
	managed, taken := live.GetManagedFields(), sets.New[string]()
	for i := range managed {
		entry := &managed[i]
		begins := func(name string) bool { return strings.HasPrefix(entry.Manager, name) }
		applied := entry.Operation == metav1.ManagedFieldsOperationApply
		if entry.Subresource == "" && (applied && begins("kubectl") || !applied && slices.ContainsFunc(predecessors, begins)) {
			// Each entry gets its own name: of two with one name only the first is kept.
			entry.Manager, entry.Operation = fmt.Sprintf("%s-%d", entry.Manager, i), metav1.ManagedFieldsOperationUpdate
			taken.Insert(entry.Manager)
		}
	}
	if taken.Len() == 0 {
		return nil
	}
	live.SetManagedFields(managed)
	if err := csaupgrade.UpgradeManagedFields(live, taken, manager); err != nil {
		return err
	}
	patch, err := json.Marshal([]any{map[string]any{"op": "replace", "path": "/metadata/managedFields", "value": live.GetManagedFields()}})
	if err != nil {
		return err
	}
	_, err = client.Patch(ctx, live.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{})
	return err
}

// namespaceNotFound tells whether the server misses the object's namespace.
func namespaceNotFound(err error) bool {
	status := apierrors.APIStatus(nil)
	return apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil &&
		status.Status().Details.Kind == "namespaces"
}

// Read gives the live object, and as inputs those parts of it that the old inputs had set. An object that exists and is not
// ready counts as failed, as after its creation.
func (provider) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	c, err := configured(ctx)
	if err != nil {
		return nil, err
	}
	if c.unreachable != nil {
		return nil, fmt.Errorf("failed to read resource state due to unreachable cluster. %s: %w", forget, c.unreachable)
	}
	state, err := read(req.GetProperties(), true)
	if err != nil {
		return nil, err
	}
	olds, err := parse(req.GetInputs())
	if err != nil {
		return nil, err
	}
	inputs, _ := normalise(olds)
	if inputs.GetKind() == "" {
		return nil, fmt.Errorf("%s: import and .get are not modelled by the kubernetes stand-in", req.GetUrn())
	}
	ctx, done := operation(ctx)
	defer done()
	live, err := c.get(ctx, inputs, req.GetId())
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return &pulumirpc.ReadResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	manager, err := fieldManager(state)
	if err != nil {
		return nil, err
	}
	found := &object{Object: prune(live.Object, inputs.Object)}
	properties, err := checkpoint(found, live, olds.properties, manager)
	if err != nil {
		return nil, err
	}
	in := toProperties(found)
	markSecrets(in, olds.properties)
	marshalled, err := write(in)
	if err != nil {
		return nil, err
	}
	if unready := c.unready(ctx, inputs, live); unready != nil {
		return nil, partial(req.GetId(), properties, marshalled, unready)
	}
	return &pulumirpc.ReadResponse{Id: req.GetId(), Inputs: marshalled, Properties: properties}, nil
}

// get is the live object of o's kind with an ID of the engine.
func (c *cluster) get(ctx context.Context, o *object, id string) (*object, error) {
	client, err := c.resource(o)
	if err != nil {
		return nil, err
	}
	return client.Get(ctx, id[strings.Index(id, "/")+1:], metav1.GetOptions{})
}

// Update applies the object and waits until it is ready. If the server refuses it, the state keeps what was asked for
// and the live object, so that the next update tries again.
func (provider) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	c, err := reachable(ctx, req.GetPreview())
	if err != nil {
		return nil, err
	}
	state, err := read(req.GetOlds(), true)
	if err != nil {
		return nil, err
	}
	news, err := parse(req.GetNews())
	if err != nil {
		return nil, err
	}
	unforeseen := &pulumirpc.UpdateResponse{Properties: req.GetNews()}
	if req.GetPreview() && (news.unknown || c.unreachable != nil) {
		return unforeseen, nil
	}
	manager, err := fieldManager(state)
	if err != nil {
		return nil, err
	}
	ctx, done := operation(ctx)
	defer done()

	live, unready := c.update(ctx, news.object, manager, req.GetPreview())
	if req.GetPreview() && (apierrors.IsForbidden(unready) || meta.IsNoMatchError(unready)) {
		return unforeseen, nil
	}
	if unready == nil && !req.GetPreview() {
		live, unready = c.awaitReady(ctx, req.GetUrn(), news.object, live, seconds(req.GetTimeout()))
	}
	if unready != nil { // after Cancel there is no answer, and the state stays as it was
		if live, err = c.get(ctx, news.object, news.GetName()); err != nil {
			return nil, errors.Join(fmt.Errorf("update of resource %q failed: %w", req.GetUrn(), unready),
				fmt.Errorf("unable to get cluster state: %w", err))
		}
	}
	properties, err := checkpoint(news.object, live, news.properties, manager)
	if err != nil {
		return nil, err
	}
	if unready != nil {
		return nil, partial(idOf(live), properties, nil,
			fmt.Errorf("the Kubernetes API server reported that %q failed to fully initialize or become live: %w", idOf(live), unready))
	}
	return &pulumirpc.UpdateResponse{Properties: properties}, nil
}

// Delete removes the object with all that it owns, and waits until it is gone.
func (provider) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	c, err := configured(ctx)
	if err != nil {
		return nil, err
	}
	if c.unreachable != nil {
		return nil, fmt.Errorf("configured Kubernetes cluster is unreachable. %s: %w", forget, c.unreachable)
	}
	inputs, live, err := parseCheckpoint(req.GetProperties())
	if err != nil {
		return nil, err
	}
	client, err := c.resource(live)
	if meta.IsNoMatchError(err) {
		return &emptypb.Empty{}, nil
	}
	if err != nil {
		return nil, err
	}
	ctx, done := operation(ctx)
	defer done()
	policy := metav1.DeletePropagationForeground
	err = client.Delete(ctx, live.GetName(), metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) || err == nil && inputs.GetAnnotations()[skipAwait] == "true" {
		return &emptypb.Empty{}, nil
	}
	if err != nil {
		return nil, err
	}
	last, err := awaitGone(ctx, req.GetUrn(), client, live, seconds(req.GetTimeout()))
	if err == nil {
		return &emptypb.Empty{}, nil
	}
	manager, nameErr := fieldManager(inputs.properties)
	properties, writeErr := checkpoint(inputs.object, last, inputs.properties, manager)
	if err := errors.Join(nameErr, writeErr); err != nil {
		return nil, err
	}
	return nil, partial(req.GetId(), properties, nil, err)
}

// forget is the real provider's advice about a cluster that is gone. The stand-in itself does not heed the variable.
const forget = "If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the " +
	"PULUMI_K8S_DELETE_UNREACHABLE environment variable set to \"true\""

// seconds is a custom timeout, 0 without one.
func seconds(timeout float64) time.Duration { return time.Duration(timeout * float64(time.Second)) }

// partial is the error that makes the engine keep a resource in the state although it is not as it should be.
func partial(id string, properties, inputs *structpb.Struct, err error) error {
	reasons := []string{err.Error()}
	if unready := (*unreadyError)(nil); errors.As(err, &unready) {
		reasons = append(reasons, unready.reasons...)
	}
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, err.Error()),
		&pulumirpc.ErrorResourceInitFailed{Id: id, Properties: properties, Inputs: inputs, Reasons: reasons})
}
