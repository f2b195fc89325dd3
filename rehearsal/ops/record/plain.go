package record

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

// moment is a time, which no record keeps.
type moment struct{}

// word is a value of one of the SDK's enumerations.
type word string

// names is an object whose members somebody else than AWS has named: tags, and what is in a document.
type names map[string]any

// members are the members of an answer that are set, as plain JSON: objects, lists, texts, numbers, moments and words. An answer that is a
// list of one is that one; any other list is under Items.
func members(answer any) map[string]any {
	switch v := plain(reflect.ValueOf(answer)).(type) {
	case map[string]any:
		return v
	case names: // attributes that are no members in the API
		return v
	case []any:
		if len(v) == 1 {
			if only, is := v[0].(map[string]any); is {
				return only
			}
		}
		return map[string]any{"Items": v}
	}
	return map[string]any{}
}

// plain is nil for what is not set. An empty text is not told from one that is not set, nor an empty list.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() == reflect.Bool {
			return v.Elem().Bool() // false is an answer
		}
		return plain(v.Elem())
	case reflect.Bool:
		if v.Bool() {
			return true
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return float64(v.Int())
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.String:
		return plainText(v)
	case reflect.Struct:
		if _, is := v.Interface().(time.Time); is {
			return moment{}
		}
		out := map[string]any{}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Name == "ResultMetadata" || v.Field(i).IsZero() {
				continue
			}
			if value := plain(v.Field(i)); value != nil {
				out[field.Name] = value
			}
		}
		if len(out) > 0 {
			return out
		}
	case reflect.Map:
		out := names{}
		for each := v.MapRange(); each.Next(); {
			if value := plain(each.Value()); value != nil {
				out[each.Key().String()] = value
			}
		}
		if len(out) > 0 {
			return out
		}
	case reflect.Slice:
		return plainList(v)
	}
	return nil
}

// plainText tells words of the SDK's enumerations from other texts, and opens documents.
func plainText(v reflect.Value) any {
	text := v.String()
	if text == "" {
		return nil
	}
	if values := v.MethodByName("Values"); values.IsValid() {
		known := values.Call(nil)[0]
		for i := range known.Len() {
			if known.Index(i).String() == text {
				return word(text)
			}
		}
	}
	return document(text)
}

// plainList makes an object of a list of tags.
func plainList(v reflect.Value) any {
	if v.Len() == 0 {
		return nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return string(v.Bytes())
	}
	if key, value, are := tagFields(v.Type().Elem()); are {
		out := names{}
		for i := range v.Len() {
			out[reflect.Indirect(v.Index(i).FieldByName(key)).String()] = plain(v.Index(i).FieldByName(value))
		}
		return out
	}
	out := []any{}
	for i := range v.Len() {
		if value := plain(v.Index(i)); value != nil {
			out = append(out, value)
		}
	}
	return out
}

func tagFields(typ reflect.Type) (key, value string, are bool) {
	if typ.Kind() != reflect.Struct || !strings.HasSuffix(typ.Name(), "Tag") {
		return "", "", false
	}
	for _, prefix := range []string{"", "Tag"} {
		_, hasKey := typ.FieldByName(prefix + "Key")
		_, hasValue := typ.FieldByName(prefix + "Value")
		if hasKey && hasValue {
			return prefix + "Key", prefix + "Value", true
		}
	}
	return "", "", false
}

// document opens a text that is a JSON object or list. IAM's are percent-encoded, where + is no space
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html).
func document(text string) any {
	if strings.HasPrefix(text, "%7B") || strings.HasPrefix(text, "%5B") {
		if opened, err := url.PathUnescape(text); err == nil {
			text = opened
		}
	}
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		var opened any
		if json.Unmarshal([]byte(trimmed), &opened) == nil {
			return policy(opened)
		}
	}
	return text
}

// policy gives one form to a document of IAM, which takes a value alone for a list of it
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
func policy(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, each := range v {
			out[i] = policy(each)
		}
		return out
	case map[string]any:
		out := names{}
		for name, each := range v {
			out[name] = policy(each)
			_, isList := each.([]any)
			switch {
			case slices.Contains(lists, name) && !isList:
				out[name] = []any{out[name]}
			case name == "Principal" || name == "NotPrincipal":
				out[name] = inLists(out[name], 1)
			case name == "Condition":
				out[name] = inLists(out[name], 2)
			}
		}
		return out
	}
	return v
}

// inLists puts values at a depth of objects into lists.
func inLists(v any, depth int) any {
	all, is := v.(names)
	switch {
	case depth == 0:
		if _, isList := v.([]any); !isList {
			return []any{v}
		}
	case is:
		for name, each := range all {
			all[name] = inLists(each, depth-1)
		}
	}
	return v
}

// lists are the elements of a policy that are lists.
var lists = []string{"Statement", "Action", "NotAction", "Resource", "NotResource"}
