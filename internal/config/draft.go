package config

import (
	"maps"
	"slices"
)

// Draft is what the sections of a stack's file in a project's folder say, with the defaults and without the rules. What could not be
// decoded or read is a default or zero: ReadIn says what is wrong. It serves what completes the settings, and so finds them incomplete.
func Draft(project string, values map[string]string) *Config {
	c, r := Defaults(), &report{given: map[string]bool{}}
	for name, section := range c.sections() {
		if text, ok := values[namespace+":"+name]; ok {
			r.section(name, text, section)
		}
	}
	c.Region = values[keyRegion]
	c.derive()
	r.sources(c, project)
	return c
}

// Architectures are those of the nodes that take pods without tolerations, sorted, as images name them: amd64, arm64.
func (k Cluster) Architectures() []string {
	found := map[string]bool{}
	for _, group := range k.NodeGroups {
		if !group.tainted() {
			found[map[bool]string{true: "arm64", false: "amd64"}[amiTypes[group.AMIType]]] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
