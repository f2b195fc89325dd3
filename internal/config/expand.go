package config

import (
	"maps"
	"slices"
	"strings"
)

// Ordered are the names of variables, each after those that its value refers to: Kubernetes replaces only what is listed before.
func Ordered(env map[string]string) (out []string) {
	placed := map[string]bool{}
	var place func(name string)
	place = func(name string) {
		if _, known := env[name]; !known || placed[name] {
			return
		}
		placed[name] = true
		for _, other := range references(env[name]) {
			place(other)
		}
		out = append(out, name)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		place(name)
	}
	return out
}

// Expand puts the values of variables in the place of each $(NAME), and a dollar in that of $$. Others stay, as in Kubernetes
// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/third_party/forked/golang/expansion/expand.go).
func Expand(text string, values map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		if match == "$$" {
			return "$"
		}
		if value, known := values[match[2:len(match)-1]]; known {
			return value
		}
		return match
	})
}

// Unexpanded is a text of which Expand makes the given one. A dollar that Kubernetes would leave stays as it is.
func Unexpanded(text string) string {
	if !strings.Contains(text, "$$") && !strings.Contains(text, "$(") {
		return text
	}
	return strings.ReplaceAll(text, "$", "$$")
}
