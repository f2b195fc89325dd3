package kubeprovider

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/kubernetes/scheme"
	kubejson "sigs.k8s.io/json"
)

// The real provider's own keys in a resource's state, beside the live object.
const (
	inputsKey       = "__inputs"
	apiVersionKey   = "__initialApiVersion"
	fieldManagerKey = "__fieldManager"
)

// Annotations that steer the provider.
const (
	autonamed      = "pulumi.com/autonamed"
	skipAwait      = "pulumi.com/skipAwait"
	timeoutSeconds = "pulumi.com/timeoutSeconds"
	patchForce     = "pulumi.com/patchForce"
	patchManager   = "pulumi.com/patchFieldManager"
	propagation    = "pulumi.com/deletionPropagationPolicy"
	waitFor        = "pulumi.com/waitFor"
	replaceUnready = "pulumi.com/replaceUnready"
)

type object = unstructured.Unstructured

// kindOf reads the kind out of a type token such as kubernetes:apps/v1:Deployment.
func kindOf(urn resource.URN) (schema.GroupVersionKind, error) {
	parts := strings.Split(string(urn.Type()), ":")
	if len(parts) == 3 && parts[0] == "kubernetes" {
		group, version, ok := strings.Cut(parts[1], "/")
		kind := parts[2]
		if ok && !strings.HasPrefix(group, "helm.sh") && !strings.HasSuffix(kind, "Patch") && !strings.HasSuffix(kind, "List") {
			if group == "core" {
				group = ""
			}
			return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}, nil
		}
	}
	return schema.GroupVersionKind{}, fmt.Errorf("resource type %s is not modelled: the kubernetes stand-in knows kubernetes:GROUP/VERSION:KIND, without lists, *Patch and helm.sh", urn.Type())
}

// toObject makes an object of properties. Secrets are opened; an unknown value becomes plugin.UnknownStringValue, and
// is reported.
func toObject(properties resource.PropertyMap) (o *object, unknown bool, err error) {
	var open func(v resource.PropertyValue) (any, bool)
	open = func(v resource.PropertyValue) (any, bool) {
		switch {
		case v.IsSecret():
			return v.SecretValue().Element.MapRepl(nil, open), true
		case v.IsComputed(), v.IsOutput():
			unknown = true
			return plugin.UnknownStringValue, true
		}
		return nil, false
	}
	data, err := json.Marshal(properties.MapRepl(nil, open))
	if err != nil {
		return nil, false, err
	}
	o = &object{}
	// Kubernetes' decoder, because it tells integers from other numbers.
	return o, unknown, utiljson.Unmarshal(data, &o.Object)
}

// toProperties is the reverse of toObject, except for secrets, which markSecrets adds.
func toProperties(o *object) resource.PropertyMap {
	return resource.NewPropertyMapFromMapRepl(o.Object, nil, func(v any) (resource.PropertyValue, bool) {
		if v == plugin.UnknownStringValue {
			return resource.MakeComputed(resource.NewStringProperty("")), true
		}
		return resource.PropertyValue{}, false
	})
}

// markSecrets makes secret in out what is secret in the inputs, and all data of a Secret. Of an array with a secret
// element all is secret, for a controller may have sorted it.
func markSecrets(out, inputs resource.PropertyMap) {
	if kind := out["kind"]; kind.IsString() && kind.StringValue() == "Secret" {
		for _, key := range []resource.PropertyKey{"data", "stringData"} {
			if v, ok := out[key]; ok && !v.IsSecret() {
				out[key] = resource.MakeSecret(v)
			}
		}
		return
	}
	for key, input := range inputs {
		v, ok := out[key]
		switch {
		case !ok || v.IsSecret():
		case v.IsObject() && input.IsObject():
			markSecrets(v.ObjectValue(), input.ObjectValue())
		case input.ContainsSecrets():
			out[key] = resource.MakeSecret(v)
		}
	}
}

// normalise brings inputs into the form that the API server gives back (quantities for one), so that they can be
// compared with the live object, and removes what only the server writes. problems are fields that the kind does not
// have and values of a wrong type; an object with unknown values is not looked at.
func normalise(o *object, unknown bool) (normal *object, problems []string) {
	o = o.DeepCopy()
	normal = o
	if text, ok := o.Object["stringData"].(map[string]any); ok && o.GetKind() == "Secret" && o.GetAPIVersion() == "v1" && !unknown {
		// The server keeps no stringData: it is another way to write data.
		data, _ := o.Object["data"].(map[string]any)
		if data == nil {
			data = map[string]any{}
		}
		for key, v := range text {
			data[key] = base64.StdEncoding.EncodeToString(fmt.Append(nil, v))
		}
		o.Object["data"] = data
		delete(o.Object, "stringData")
	}
	typed, err := scheme.Scheme.New(o.GroupVersionKind())
	if err == nil && !unknown { // a custom resource has no type here
		data, err := json.Marshal(o.Object)
		if err != nil {
			return normal, []string{err.Error()}
		}
		strict, err := kubejson.UnmarshalStrict(data, typed)
		if err != nil {
			return normal, []string{err.Error()}
		}
		for _, err := range strict {
			problems = append(problems, err.Error())
		}
		values, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
		if err != nil {
			return normal, append(problems, err.Error())
		}
		normal = &object{Object: prune(values, o.Object)}
		normal.SetGroupVersionKind(o.GroupVersionKind()) // a new typed object has none
	}
	for _, field := range []string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
		unstructured.RemoveNestedField(normal.Object, "metadata", field)
	}
	return normal, problems
}

// prune keeps of values what has the shape of another map: the fields that a program set, not what the server added.
func prune(values, shape map[string]any) map[string]any {
	out := map[string]any{}
	for key, v := range values {
		if s, ok := shape[key]; ok {
			out[key] = pruneValue(v, s)
		}
	}
	return out
}

func pruneValue(v, shape any) any {
	switch v := v.(type) {
	case map[string]any:
		if shape, ok := shape.(map[string]any); ok {
			return prune(v, shape)
		}
	case []any:
		if shape, ok := shape.([]any); ok {
			out := []any{}
			for i := range min(len(v), len(shape)) {
				out = append(out, pruneValue(v[i], shape[i]))
			}
			return out
		}
	}
	return v
}

// checkpoint is what the state keeps of a resource: the live object, and beside it the inputs that made it.
func checkpoint(inputs, live *object, from resource.PropertyMap, fieldManager string) resource.PropertyMap {
	out, in := toProperties(live), toProperties(inputs)
	markSecrets(out, from)
	markSecrets(in, from)
	out[inputsKey] = resource.NewObjectProperty(in)
	out[apiVersionKey] = resource.NewStringProperty(inputs.GetAPIVersion())
	out[fieldManagerKey] = resource.NewStringProperty(fieldManager)
	return out
}

// parseCheckpoint is the reverse of checkpoint.
func parseCheckpoint(state resource.PropertyMap) (inputs, live *object, err error) {
	live, _, err = toObject(state)
	if err != nil {
		return nil, nil, err
	}
	values, _ := live.Object[inputsKey].(map[string]any)
	for _, key := range []string{inputsKey, apiVersionKey, fieldManagerKey} {
		delete(live.Object, key)
	}
	return &object{Object: values}, live, nil
}

// fieldManager names who owns the fields in server-side apply: what an annotation says, what the state says, or a name
// of this resource's own.
func fieldManager(o *object, state resource.PropertyMap) (string, error) {
	if name := o.GetAnnotations()[patchManager]; name != "" {
		return name, nil
	}
	if v := state[fieldManagerKey]; v.IsString() {
		return v.StringValue(), nil
	}
	return resource.NewUniqueName(nil, "pulumi-kubernetes-", 0, 0, nil)
}

// name gives a new object without a name the one that it had, or one made of the logical name and eight hex digits.
func name(o, old *object, news resource.PropertyMap, urn resource.URN, seed []byte, proposal *pulumirpc.CheckRequest_AutonamingOptions) error {
	if metadata := news["metadata"]; metadata.IsComputed() || metadata.IsObject() && metadata.ObjectValue()["name"].IsComputed() || o.GetName() != "" {
		return nil
	}
	if len(old.Object) > 0 {
		if old.GetAnnotations()[autonamed] == "true" {
			setName(o, old.GetName())
		}
		return nil
	}
	if proposal != nil && proposal.GetMode() == pulumirpc.CheckRequest_AutonamingOptions_DISABLE {
		return fmt.Errorf("autonaming is disabled, resource requires the .metadata.name field to be set")
	}
	if proposal != nil {
		setName(o, proposal.GetProposedName())
		return nil
	}
	unique, err := resource.NewUniqueName(seed, urn.Name()+"-", 0, 0, nil)
	if err != nil {
		return err
	}
	setName(o, unique)
	return nil
}

func setName(o *object, name string) {
	o.SetName(name)
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[autonamed] = "true"
	o.SetAnnotations(annotations)
}

// idOf is the Pulumi ID of an object: namespace/name, or the name alone.
func idOf(o *object) string {
	if o.GetNamespace() == "" {
		return o.GetName()
	}
	return o.GetNamespace() + "/" + o.GetName()
}

func equal(a, b any) bool {
	if f, ok := asFloat(a); ok {
		g, ok := asFloat(b)
		return ok && f == g
	}
	return reflect.DeepEqual(a, b)
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func read(s *structpb.Struct) (resource.PropertyMap, error) {
	return unmarshal(s, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
}

// readOpen is read with secrets opened: a provider's arguments are compared by their values.
func readOpen(s *structpb.Struct) (resource.PropertyMap, error) {
	return unmarshal(s, plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true})
}

func unmarshal(s *structpb.Struct, options plugin.MarshalOptions) (resource.PropertyMap, error) {
	if s == nil {
		return resource.PropertyMap{}, nil
	}
	return plugin.UnmarshalProperties(s, options)
}

func write(m resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(m, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
}
