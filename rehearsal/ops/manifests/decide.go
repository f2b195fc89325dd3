package manifests

import (
	_ "embed"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// The decisions about a field.
const (
	carried = "carried" // it is in the entry
	already = "already" // the program does it anyway
	changed = "changed" // the program does it otherwise, on purpose
	lacking = "lacking" // the words of an app do not have it
)

//go:embed decisions.txt
var decisionsText string

// decision is what is done with a field, or with all below it.
type decision struct {
	is string
	// values are those for which it holds. Empty is all.
	values []string
	why    string
}

// decisions are those of each path, the first that holds first.
var decisions = parseDecisions(decisionsText)

func parseDecisions(text string) map[string][]decision {
	out := map[string][]decision{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		path, rest, _ := strings.Cut(line, " ")
		is, why, _ := strings.Cut(strings.TrimSpace(rest), " ")
		d := decision{is: is, why: strings.TrimSpace(why)}
		if i := strings.Index(is, "("); i > 0 {
			d.is, d.values = is[:i], strings.Split(strings.Trim(is[i:], "()"), "|")
		}
		if !slices.Contains([]string{carried, already, changed, lacking}, d.is) {
			panic(fmt.Sprintf("manifests: decisions.txt: %q", line))
		}
		out[path] = append(out[path], d)
	}
	return out
}

// rows are the decisions of a path: its own, or those of the nearest that has it, which is at. A pod's are the same in a Deployment, and
// those of metadata in all kinds.
func rows(root, general string) (all []decision, at string) {
	base := ""
	if rest, is := strings.CutPrefix(general, template); is && root == "Deployment" {
		root, general, base = "Pod", rest, template
	}
	for p := general; ; p = parent(p) {
		for _, start := range []string{root, "*"} {
			if found := decisions[strings.TrimSuffix(start+"."+p, ".")]; found != nil {
				return found, base + p
			}
		}
		if p == "" {
			return nil, general
		}
	}
}

// template leads to the pod in a Deployment.
const template = "spec.template."

// mapKey is the key of a map in a path.
var mapKey = regexp.MustCompile(`^\[[^\]]*[^0-9\]][^\]]*\]`)

// decide is what is done with a field. at is the path of what is decided, the field or what has it.
func decide(root string, f field) (d decision, at string) {
	if f.empty && !own(root, f.general) {
		return decision{is: already}, f.path // it says nothing
	}
	all, at := rows(root, f.general)
	segments := strings.Count(at, ".") + strings.Count(at, "[")
	at = f.path
	for strings.Count(at, ".")+strings.Count(at, "[") > segments && parent(at) != "" {
		at = parent(at)
	}
	i := slices.IndexFunc(all, func(d decision) bool { return len(d.values) == 0 || slices.Contains(d.values, f.text) })
	d = decision{is: lacking, why: all[0].why}
	if i >= 0 {
		d = all[i]
	}
	if rest := f.path[len(at):]; d.is == lacking && mapKey.MatchString(rest) {
		at += mapKey.FindString(rest)
	}
	return d, at
}

// own says whether there is a decision for just this path.
func own(root, general string) bool {
	if rest, is := strings.CutPrefix(general, template); is && root == "Deployment" {
		root, general = "Pod", rest
	}
	return decisions[root+"."+general] != nil
}

// leaves are the paths of all fields of a type that hold a value.
func leaves(t reflect.Type, path string) (out []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case slices.Contains(opaque, t):
	case t.Kind() == reflect.Struct && t.NumField() > 0:
		for name, of := range fieldsOf(t) {
			out = append(out, leaves(of, dotted(path, name))...)
		}
		return out
	case t.Kind() == reflect.Slice:
		return leaves(t.Elem(), path+"[]")
	case t.Kind() == reflect.Map:
		return leaves(t.Elem(), path+"[*]")
	}
	return []string{path}
}
