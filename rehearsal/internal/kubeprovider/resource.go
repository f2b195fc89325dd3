package kubeprovider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
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

// Check completes the inputs (name, namespace), brings them into the server's form, and refuses fields that the
// kind does not have and values of a wrong type.
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
	olds, err := read(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := read(req.GetNews())
	if err != nil {
		return nil, err
	}
	old, _, err := toObject(olds)
	if err != nil {
		return nil, err
	}
	o, unknown, err := toObject(news)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.CheckResponse{}
	refuse := func(property, format string, args ...any) {
		response.Failures = append(response.Failures, &pulumirpc.CheckFailure{Property: property, Reason: fmt.Sprintf(format, args...)})
	}
	if o.GroupVersionKind() != kind { // which every SDK sets
		refuse("kind", "apiVersion and kind are %q, %q, the resource's type is %s", o.GetAPIVersion(), o.GetKind(), urn.Type())
	}
	o, problems := normalise(o, unknown)
	for _, problem := range problems {
		refuse("", "%s", problem)
	}
	if o.GetGenerateName() != "" {
		refuse("metadata.generateName", "the `.metadata.generateName` field is not supported in Server-Side Apply mode")
	}
	for _, annotation := range []string{waitFor, replaceUnready} {
		if _, used := o.GetAnnotations()[annotation]; used {
			refuse("metadata.annotations", "the annotation %s is not modelled by the kubernetes stand-in", annotation)
		}
	}
	if err := name(o, old, news, urn, req.GetRandomSeed(), req.GetAutonaming()); err != nil {
		return nil, err
	}
	if o.GetNamespace() == "" && c.unreachable == nil {
		// An unknown kind is a custom resource whose definition is yet to come.
		if mapping, err := c.mapping(o); err == nil && mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			o.SetNamespace(c.namespace)
		}
	}
	inputs := toProperties(o)
	markSecrets(inputs, news)
	response.Inputs, err = write(inputs)
	return response, err
}

// Diff compares new inputs with those parts of the last known live object that the old inputs had set, so that drift
// shows and what the server added does not.
func (provider) Diff(ctx context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	c, err := configured(ctx)
	if err != nil {
		return nil, err
	}
	state, err := read(req.GetOlds())
	if err != nil {
		return nil, err
	}
	inputs, live, err := parseCheckpoint(state)
	if err != nil {
		return nil, err
	}
	news, err := read(req.GetNews())
	if err != nil {
		return nil, err
	}
	o, unknown, err := toObject(news)
	if err != nil {
		return nil, err
	}
	inputs, _ = normalise(inputs, false)
	o, _ = normalise(o, unknown)
	old := &object{Object: prune(live.Object, inputs.Object)}
	if old.GetNamespace() != "" || o.GetNamespace() != "" {
		old.SetNamespace(cmp.Or(old.GetNamespace(), "default"))
		o.SetNamespace(cmp.Or(o.GetNamespace(), "default"))
	}
	if o.GetName() != "" {
		old.SetName(live.GetName())
	}

	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE, HasDetailedDiff: true, DetailedDiff: map[string]*pulumirpc.PropertyDiff{}}
	replaces := c.replaces(o)
	for _, change := range compare(nil, old.Object, o.Object) {
		if ignored(change.path, req.GetIgnoreChanges()) {
			continue
		}
		path := change.path.String()
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		for _, field := range replaces {
			if change.touches(field) {
				change.kind++ // every kind is followed by its replacing twin
				response.Replaces = append(response.Replaces, path)
				break
			}
		}
		response.DetailedDiff[path] = &pulumirpc.PropertyDiff{Kind: change.kind, InputDiff: change.new == nil}
	}
	// The new object cannot exist beside the old one that has its name.
	response.DeleteBeforeReplace = len(response.Replaces) > 0 && o.GetName() != "" && o.GetAnnotations()[autonamed] != "true" &&
		o.GetName() == live.GetName() && o.GetNamespace() == cmp.Or(live.GetNamespace(), old.GetNamespace())
	return response, nil
}

func ignored(path resource.PropertyPath, patterns []string) bool {
	for _, pattern := range patterns {
		if ignore, err := resource.ParsePropertyPath(pattern); err == nil && ignore.Contains(path) {
			return true
		}
	}
	return false
}

// Create makes the object and waits until it is ready; one that exists already is an error. In a preview the server tries
// it out, unless it cannot: an input or the kind is unknown, the namespace is one that is yet to be made, the server
// forbids it, or the object exists, as one that is to be replaced does.
func (provider) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	c, err := configured(ctx)
	if err != nil {
		return nil, err
	}
	if c.unreachable != nil && !req.GetPreview() {
		return nil, fmt.Errorf("configured Kubernetes cluster is unreachable: %w", c.unreachable)
	}
	news, err := read(req.GetProperties())
	if err != nil {
		return nil, err
	}
	o, unknown, err := toObject(news)
	if err != nil {
		return nil, err
	}
	unforeseen := &pulumirpc.CreateResponse{Properties: req.GetProperties()}
	if req.GetPreview() {
		if unknown || c.unreachable != nil {
			return unforeseen, nil
		}
		if _, err := c.mapping(o); err != nil {
			return unforeseen, nil
		}
	}
	manager, err := fieldManager(o, nil)
	if err != nil {
		return nil, err
	}
	ctx, done := operation(ctx)
	defer done()

	live, err := c.create(ctx, o, req.GetPreview())
	if req.GetPreview() && (apierrors.IsForbidden(err) || apierrors.IsAlreadyExists(err) || namespaceNotFound(err)) {
		return unforeseen, nil
	}
	if err != nil {
		return nil, fmt.Errorf("resource %q was not successfully created by the Kubernetes API server: %w", req.GetUrn(), err)
	}
	if req.GetPreview() {
		delete(live.Object, "status")
		properties, err := write(checkpoint(o, live, news, manager))
		return &pulumirpc.CreateResponse{Properties: properties}, err
	}

	live, unready := c.awaitReady(ctx, req.GetUrn(), o, live, seconds(req.GetTimeout(), o))
	properties, err := write(checkpoint(o, live, news, manager))
	if err != nil {
		return nil, err
	}
	if unready != nil {
		return nil, partial(idOf(live), properties, nil, fmt.Errorf("resource %q was successfully created, but the Kubernetes API server reported that it failed to fully initialize or become live: %w", req.GetUrn(), unready))
	}
	if o.GetKind() == "CustomResourceDefinition" {
		c.mapper.Reset()
	}
	return &pulumirpc.CreateResponse{Id: idOf(live), Properties: properties}, nil
}

// createRetry is how often a creation is repeated that fails for want of a namespace or a kind, which another resource
// of the same deployment may be making: five times, as the real provider does.
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

// update sends the object for server-side apply (https://kubernetes.io/docs/reference/using-api/server-side-apply/). It
// takes no field from a manager that is not one of its predecessors, unless an annotation says so. A preview does not
// change who manages what: it takes every field as long as the object was not updated since its creation.
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
	force := o.GetAnnotations()[patchForce] == "true" || len(managed) == 0
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
		return nil, fmt.Errorf("server-side apply field conflict detected\nThe resource managed by field manager %q had an apply conflict: %w", manager, err)
	}
	return live, err
}

// predecessors begin the names of the managers whose fields an update takes over (fixCSAFieldManagers of the real
// provider): what people changed with kubectl, and what the provider itself made without server-side apply.
var predecessors = []string{"kubectl", "before-first-apply", creator, "pulumi-resource-kubernetes"}

// takeOver makes what the object's predecessors manage the manager's.
func takeOver(ctx context.Context, client dynamic.ResourceInterface, live *object, manager string) error {
	managed, taken := live.GetManagedFields(), sets.New[string]()
	for i := range managed {
		entry := &managed[i]
		begins := func(name string) bool { return strings.HasPrefix(entry.Manager, name) }
		applied := entry.Operation == metav1.ManagedFieldsOperationApply
		if entry.Subresource == "" && (applied && begins("kubectl") || !applied && slices.ContainsFunc(predecessors, begins)) {
			// A name of its own for each entry: of those with one name only the first is kept.
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
	return apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}

// Read gives the live object, and of it as inputs what the old inputs had set. An object that exists and is not ready
// counts as failed, as after its creation.
func (provider) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	c, err := configured(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case c.unreachable != nil && c.deleteUnreachable:
		return &pulumirpc.ReadResponse{}, nil
	case c.unreachable != nil:
		return nil, fmt.Errorf("failed to read resource state due to unreachable cluster. If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to \"true\": %w", c.unreachable)
	}
	state, err := read(req.GetProperties())
	if err != nil {
		return nil, err
	}
	olds, err := read(req.GetInputs())
	if err != nil {
		return nil, err
	}
	inputs, _, err := toObject(olds)
	if err != nil {
		return nil, err
	}
	inputs, _ = normalise(inputs, false)
	if inputs.GetKind() == "" {
		return nil, fmt.Errorf("%s: import and .get are not modelled by the kubernetes stand-in", req.GetUrn())
	}
	ctx, done := operation(ctx)
	defer done()
	inputs = inputs.DeepCopy()
	client, err := c.resource(inputs)
	if meta.IsNoMatchError(err) {
		return &pulumirpc.ReadResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	_, objectName, namespaced := strings.Cut(req.GetId(), "/")
	if !namespaced {
		objectName = req.GetId()
	}
	live, err := client.Get(ctx, objectName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &pulumirpc.ReadResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	manager, err := fieldManager(inputs, state)
	if err != nil {
		return nil, err
	}
	liveInputs := &object{Object: prune(live.Object, inputs.Object)}
	properties, err := write(checkpoint(liveInputs, live, olds, manager))
	if err != nil {
		return nil, err
	}
	in := toProperties(liveInputs)
	markSecrets(in, olds)
	marshalled, err := write(in)
	if err != nil {
		return nil, err
	}
	if unready := c.unready(ctx, inputs, live); unready != nil {
		return nil, partial(req.GetId(), properties, marshalled, unready)
	}
	return &pulumirpc.ReadResponse{Id: req.GetId(), Inputs: marshalled, Properties: properties}, nil
}

// Update applies the object and waits until it is ready. If the server refuses it, the state keeps what was asked for
// and the live object, so that the next update tries again.
func (provider) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	c, err := configured(ctx)
	if err != nil {
		return nil, err
	}
	if c.unreachable != nil && !req.GetPreview() {
		return nil, fmt.Errorf("configured Kubernetes cluster is unreachable: %w", c.unreachable)
	}
	state, err := read(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := read(req.GetNews())
	if err != nil {
		return nil, err
	}
	o, unknown, err := toObject(news)
	if err != nil {
		return nil, err
	}
	unforeseen := &pulumirpc.UpdateResponse{Properties: req.GetNews()}
	if req.GetPreview() && (unknown || c.unreachable != nil) {
		return unforeseen, nil
	}
	manager, err := fieldManager(o, state)
	if err != nil {
		return nil, err
	}
	ctx, done := operation(ctx)
	defer done()

	live, unready := c.update(ctx, o, manager, req.GetPreview())
	if req.GetPreview() && (apierrors.IsForbidden(unready) || meta.IsNoMatchError(unready)) {
		return unforeseen, nil
	}
	if unready == nil && !req.GetPreview() {
		live, unready = c.awaitReady(ctx, req.GetUrn(), o, live, seconds(req.GetTimeout(), o))
	}
	if unready != nil { // after Cancel there is no answer, and the state stays as it was
		client, err := c.resource(o)
		if err == nil {
			live, err = client.Get(ctx, o.GetName(), metav1.GetOptions{})
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("update of resource %q failed: %w", req.GetUrn(), unready), fmt.Errorf("unable to get cluster state: %w", err))
		}
	}
	properties, err := write(checkpoint(o, live, news, manager))
	if err != nil {
		return nil, err
	}
	if unready != nil {
		return nil, partial(idOf(live), properties, nil, fmt.Errorf("the Kubernetes API server reported that %q failed to fully initialize or become live: %w", idOf(live), unready))
	}
	return &pulumirpc.UpdateResponse{Properties: properties}, nil
}

// Delete removes the object with all that it owns, and waits until it is gone.
func (provider) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	c, err := configured(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case c.unreachable != nil && c.deleteUnreachable:
		return &emptypb.Empty{}, nil
	case c.unreachable != nil:
		return nil, fmt.Errorf("configured Kubernetes cluster is unreachable. If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to \"true\": %w", c.unreachable)
	}
	state, err := read(req.GetProperties())
	if err != nil {
		return nil, err
	}
	inputs, live, err := parseCheckpoint(state)
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
	switch strings.ToLower(inputs.GetAnnotations()[propagation]) {
	case "orphan":
		policy = metav1.DeletePropagationOrphan
	case "background":
		policy = metav1.DeletePropagationBackground
	}
	err = client.Delete(ctx, live.GetName(), metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return &emptypb.Empty{}, nil
	}
	if err != nil {
		return nil, err
	}
	if inputs.GetAnnotations()[skipAwait] == "true" {
		return &emptypb.Empty{}, nil
	}
	last, err := awaitGone(ctx, req.GetUrn(), client, live, seconds(req.GetTimeout(), inputs))
	if err == nil {
		return &emptypb.Empty{}, nil
	}
	manager, nameErr := fieldManager(inputs, state)
	properties, writeErr := write(checkpoint(inputs, last, state, manager))
	if err := errors.Join(nameErr, writeErr); err != nil {
		return nil, err
	}
	return nil, partial(req.GetId(), properties, nil, err)
}

// seconds is how long to wait: the resource's custom timeout, its annotation, or 0 for the kind's default.
func seconds(custom float64, inputs *object) time.Duration {
	if custom == 0 {
		custom, _ = strconv.ParseFloat(inputs.GetAnnotations()[timeoutSeconds], 64)
	}
	return time.Duration(custom * float64(time.Second))
}

// partial is the error that makes the engine keep a resource in the state although it is not as it should be.
func partial(id string, properties, inputs *structpb.Struct, err error) error {
	reasons := []string{err.Error()}
	if unready := (*unreadyError)(nil); errors.As(err, &unready) {
		reasons = append(reasons, unready.reasons...)
	}
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, err.Error()),
		&pulumirpc.ErrorResourceInitFailed{Id: id, Properties: properties, Inputs: inputs, Reasons: reasons})
}
