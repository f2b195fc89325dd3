package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
)

// defaulter is a type with defaults. They are set before a value is decoded.
type defaulter interface{ setDefaults() }

// shorthand is a type that can also be written as one value.
type shorthand interface {
	// long returns what the value stands for, or ok false for another value. form names the short form in an error.
	long(value any) (map[string]any, bool)
	form() string
}

// section decodes one structured key from Pulumi's JSON into out, a pointer to a struct. encoding/json stops at the first problem and
// names Go types. This notes all problems, with the names that the user wrote.
func (r *report) section(path, text string, out any) {
	if value, ok := parseJSON(text); ok {
		r.decode(path, value, reflect.ValueOf(out).Elem())
	} else {
		r.add(path, quote(text), "a map of settings", "")
	}
}

// parseJSON keeps numbers as they are written, so that an error can show them.
func parseJSON(text string) (any, bool) {
	var value any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return value, d.Decode(&value) == nil && !d.More()
}

func (r *report) decode(path string, in any, out reflect.Value) {
	if out.CanAddr() {
		if d, ok := out.Addr().Interface().(defaulter); ok {
			d.setDefaults()
		}
	}
	r.given[path] = true
	allowed := "a map of settings"
	if out.CanAddr() {
		if s, ok := out.Addr().Interface().(shorthand); ok {
			if entries, ok := s.long(in); ok {
				in = entries
			}
			allowed = s.form() + " or " + allowed
		}
	}

	switch kind := out.Kind(); kind {
	case reflect.Struct, reflect.Map:
		entries, ok := in.(map[string]any)
		if !ok {
			r.mismatch(path, in, allowed)
			return
		}
		if kind == reflect.Struct {
			r.decodeStruct(path, entries, out)
			return
		}
		out.Set(reflect.MakeMapWithSize(out.Type(), len(entries)))
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			element := reflect.New(out.Type().Elem()).Elem()
			r.decode(child(path, key), entries[key], element)
			out.SetMapIndex(reflect.ValueOf(key), element)
		}
	case reflect.Slice:
		elements, ok := in.([]any)
		if !ok {
			r.mismatch(path, in, "a list")
			return
		}
		out.Set(reflect.MakeSlice(out.Type(), len(elements), len(elements)))
		for i, element := range elements {
			r.decode(fmt.Sprintf("%s[%d]", path, i), element, out.Index(i))
		}
	case reflect.String:
		text, ok := in.(string)
		if !ok {
			r.mismatch(path, in, "text")
			return
		}
		out.SetString(text)
	case reflect.Int:
		number, _ := in.(json.Number)
		n, err := strconv.ParseInt(number.String(), 10, strconv.IntSize)
		if err != nil {
			r.mismatch(path, in, "a whole number")
			return
		}
		out.SetInt(n)
	case reflect.Bool:
		b, ok := in.(bool)
		if !ok {
			r.mismatch(path, in, "true or false")
			return
		}
		out.SetBool(b)
	default:
		panic(fmt.Sprintf("config: %s has type %s, which no rule decodes", path, out.Type()))
	}
}

func (r *report) decodeStruct(path string, entries map[string]any, out reflect.Value) {
	fields := map[string]reflect.Value{}
	for i := range out.NumField() {
		fields[out.Type().Field(i).Tag.Get("json")] = out.Field(i)
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if field, ok := fields[key]; ok {
			r.decode(child(path, key), entries[key], field)
		} else {
			r.unknown(child(path, key), key, slices.Sorted(maps.Keys(fields)))
		}
	}
}

// unknown notes an unknown key, and the known key that may be meant. It does not show the value, which may be a misplaced secret.
func (r *report) unknown(path, key string, known []string) {
	var remedies []string
	nearest := slices.MinFunc(known, func(a, b string) int { return distance(key, a) - distance(key, b) })
	if d := distance(key, nearest); d <= 2 && 2*d <= len(nearest) {
		remedies = append(remedies, "did you mean "+nearest+"?")
	}
	if strings.HasSuffix(path, ":"+key) { // a whole key, with its namespace
		remedies = append(remedies, removeWith(path))
	}
	r.add(path, "an unknown key", strings.Join(known, ", "), strings.Join(remedies, " "))
}

func distance(a, b string) int {
	return levenshtein.Distance(strings.ToLower(a), strings.ToLower(b), nil)
}

// mismatch notes a value of the wrong type.
func (r *report) mismatch(path string, in any, allowed string) {
	found, remedy := kindOf(in), ""
	switch in := in.(type) {
	case nil:
		remedy = "remove the key or give it a value"
	case string:
		found = quote(in) + " (text)"
		switch allowed {
		case "a whole number", "true or false":
			remedy = "write " + allowed + " without quotes"
		case "a list":
			remedy = "write it as [" + shorten(in) + "]"
		}
	case json.Number, bool:
		found = fmt.Sprintf("%s (%s)", shorten(fmt.Sprint(in)), kindOf(in))
		if allowed == "text" {
			// YAML reads an unquoted 1.35 as a number, and yes as true.
			remedy = fmt.Sprintf("put it in quotes, as in %s: \"%v\" (pulumi config set: --type string)", path[strings.LastIndex(path, ".")+1:], in)
		}
	}
	r.add(path, found, allowed, remedy)
}

func kindOf(in any) string {
	switch in.(type) {
	case nil:
		return "no value"
	case string:
		return "text"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	default:
		return "a map"
	}
}

// quote is a user's text for an error.
func quote(s string) string { return strconv.Quote(shorten(s)) }

func shorten(s string) string {
	if runes := []rune(s); len(runes) > 80 {
		return string(runes[:80]) + "..."
	}
	return s
}
