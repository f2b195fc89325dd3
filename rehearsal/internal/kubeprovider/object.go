package kubeprovider

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
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

// Annotations of the provider. Check refuses the others.
const (
	ofProvider = "pulumi.com/" // begins each of them
	autonamed  = ofProvider + "autonamed"
	skipAwait  = ofProvider + "skipAwait"
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
	return schema.GroupVersionKind{}, fmt.Errorf("resource type %s is not modelled: the kubernetes stand-in knows "+
		"kubernetes:GROUP/VERSION:KIND, without lists, *Patch and helm.sh", urn.Type())
}

// inputs are what the engine sends of a resource: as properties, and as the object that they make.
type inputs struct {
	properties resource.PropertyMap
	*object
	unknown bool // a value is not known yet
}

// parse makes an object of what the engine sends. Secrets are opened; an unknown value becomes plugin.UnknownStringValue.
func parse(s *structpb.Struct) (in inputs, err error) {
	if in.properties, err = read(s, true); err != nil {
		return in, err
	}
	var open func(v resource.PropertyValue) (any, bool)
	open = func(v resource.PropertyValue) (any, bool) {
		switch {
		case v.IsSecret():
			return v.SecretValue().Element.MapRepl(nil, open), true
		case v.IsComputed(), v.IsOutput():
			in.unknown = true
			return plugin.UnknownStringValue, true
		}
		return nil, false
	}
	data, err := json.Marshal(in.properties.MapRepl(nil, open))
	if err != nil {
		return in, err
	}
	in.object = &object{}
	// Kubernetes' decoder tells integers from other numbers.
	return in, utiljson.Unmarshal(data, &in.Object)
}

// toProperties is the reverse of parse, except for secrets, which markSecrets adds.
func toProperties(o *object) resource.PropertyMap {
	return resource.NewPropertyMapFromMapRepl(o.Object, nil, func(v any) (resource.PropertyValue, bool) {
		if v == plugin.UnknownStringValue {
			return resource.MakeComputed(resource.NewStringProperty("")), true
		}
		return resource.PropertyValue{}, false
	})
}

// markSecrets makes secret in out what is secret in the inputs, and all data of a Secret. An array with a secret element becomes
// secret as a whole, because a controller may have sorted it.
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

// normalise brings inputs into the API server's form (quantities for one), for a comparison with the live object, and removes
// what only the server writes. problems are unknown fields and values of a wrong type. It leaves an object with unknown values
// as it is.
func normalise(in inputs) (normal *object, problems []string) {
	normal = in.DeepCopy()
	if text, ok := normal.Object["stringData"].(map[string]any); ok && in.GetKind() == "Secret" && in.GetAPIVersion() == "v1" && !in.unknown {
		// The server keeps no stringData: it is another way to write data.
		for key, v := range text {
			encoded := base64.StdEncoding.EncodeToString(fmt.Append(nil, v))
			if err := unstructured.SetNestedField(normal.Object, encoded, "data", key); err != nil {
				return normal, []string{err.Error()}
			}
		}
		delete(normal.Object, "stringData")
	}
	typed, err := scheme.Scheme.New(in.GroupVersionKind())
	if err == nil && !in.unknown { // a custom resource has no type here
		data, err := json.Marshal(normal.Object)
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
		normal = &object{Object: prune(values, normal.Object)}
		normal.SetGroupVersionKind(in.GroupVersionKind()) // a new typed object has none
	}
	for _, field := range []string{
		"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "uid",
	} {
		unstructured.RemoveNestedField(normal.Object, "metadata", field)
	}
	return normal, problems
}

// prune keeps the values that have a place in the shape of another map: the fields that a program set, without the server's.
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

// checkpoint is what the state keeps of a resource: the live object, and beside it the inputs that made it. What is secret in
// from is secret in it.
func checkpoint(inputs, live *object, from resource.PropertyMap, fieldManager string) (*structpb.Struct, error) {
	out, in := toProperties(live), toProperties(inputs)
	markSecrets(out, from)
	markSecrets(in, from)
	out[inputsKey] = resource.NewObjectProperty(in)
	out[apiVersionKey] = resource.NewStringProperty(inputs.GetAPIVersion())
	out[fieldManagerKey] = resource.NewStringProperty(fieldManager)
	return write(out)
}

// parseCheckpoint is the reverse of checkpoint. The properties of the inputs are the whole state's.
func parseCheckpoint(state *structpb.Struct) (old inputs, live *object, err error) {
	old, err = parse(state)
	if err != nil {
		return old, nil, err
	}
	live = old.object
	values, _ := live.Object[inputsKey].(map[string]any)
	for _, key := range []string{inputsKey, apiVersionKey, fieldManagerKey} {
		delete(live.Object, key)
	}
	old.object = &object{Object: values}
	return old, live, nil
}

// fieldManager names who owns the fields in server-side apply: whom the state names, or else a new name.
func fieldManager(state resource.PropertyMap) (string, error) {
	if v := state[fieldManagerKey]; v.IsString() {
		return v.StringValue(), nil
	}
	return resource.NewUniqueName(nil, "pulumi-kubernetes-", 0, 0, nil)
}

// name gives an object without a name the one that it had, or else one of the logical name and eight hex digits.
func name(o *object, old inputs, metadata resource.PropertyValue, urn resource.URN, seed []byte) error {
	made := len(old.Object) > 0
	if o.GetName() != "" || metadata.IsComputed() || made && old.GetAnnotations()[autonamed] != "true" {
		return nil
	}
	name := old.GetName()
	if !made {
		var err error
		if name, err = resource.NewUniqueName(seed, urn.Name()+"-", 0, 0, nil); err != nil {
			return err
		}
	}
	o.SetName(name)
	return unstructured.SetNestedField(o.Object, "true", "metadata", "annotations", autonamed)
}

// idOf is the Pulumi ID of an object: namespace/name, or the name alone.
func idOf(o *object) string {
	if o.GetNamespace() == "" {
		return o.GetName()
	}
	return o.GetNamespace() + "/" + o.GetName()
}

// read gives the properties that the engine sends, with secrets or with these opened.
func read(s *structpb.Struct, secrets bool) (resource.PropertyMap, error) {
	if s == nil {
		return resource.PropertyMap{}, nil
	}
	return plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: secrets, SkipNulls: true})
}

func write(m resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(m, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
}
