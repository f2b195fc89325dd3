package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// validate notes every broken rule of AWS, EKS and Kubernetes that can be checked without asking them. Only AWS knows quotas, taken
// names and offered versions.
func (r *report) validate(c *Config) {
	r.tags(c.Tags)
	r.iam(c)
	r.network(c, r.region(c.Region))
	r.endpoint(c)
	r.cluster(c)
	r.identityProvider(c)
	r.nodeGroups(c)
	r.registry(c)
	r.apps(c)
	r.declared(c)
	r.workloads(c)
	r.logging(c)
}

// match notes a problem for text that does not match or is longer than limit.
func (r *report) match(path, text string, pattern *regexp.Regexp, limit int, allowed string) bool {
	if pattern.MatchString(text) && len(text) <= limit {
		return true
	}
	r.add(path, quote(text), allowed, "")
	return false
}

// oneOf notes a problem for a value outside of the list.
func oneOf[T comparable](r *report, path string, value T, allowed []T) bool {
	if slices.Contains(allowed, value) {
		return true
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = fmt.Sprint(a)
	}
	r.add(path, shorten(fmt.Sprintf("%#v", value)), strings.Join(names, ", "), "")
	return false
}

// unique notes every repeated element.
func (r *report) unique(path string, list []string) {
	for i, element := range list {
		if first := slices.Index(list, element); first < i {
			r.add(fmt.Sprintf("%s[%d]", path, i), quote(element)+" again", fmt.Sprintf("each one once; %s[%d] has it", path, first), "")
		}
	}
}
