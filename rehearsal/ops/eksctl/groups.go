package eksctl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"expense/internal/published"

	"go.yaml.in/yaml/v3"
)

// group is one of managedNodeGroups.
type group struct {
	node *yaml.Node
	path string
	// settings are by key.
	settings map[string]any
}

// What eksctl takes for a group that does not say (pkg/apis/eksctl.io/v1alpha5/types.go).
const (
	defaultType  = "m5.large"
	defaultNodes = 2
)

// effects are the taints' effects as EKS has them (https://docs.aws.amazon.com/eks/latest/APIReference/API_Taint.html).
var effects = map[string]string{"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}

// ofGroup carries a group's fields. finish sets what depends on several.
var ofGroup = map[string]func(c *conversion, path string, node *yaml.Node){
	"name":      later,
	"amiFamily": later, "instanceType": later, "instanceTypes": later,
	"minSize": later, "desiredCapacity": later, "maxSize": later,
	"updateConfig.maxUnavailable":           later,
	"updateConfig.maxUnavailablePercentage": groupSetter("maxUnavailablePercentage"),
	"labels":                                groupSetter("labels"),
	"nodeRepairConfig.enabled":              groupSetter("nodeRepair"),
	"volumeSize":                            groupSetter("diskSizeGiB"),
	"maxPodsPerNode":                        groupSetter("maxPods"),
	"iam.instanceRolePermissionsBoundary":   boundary,
	"spot": func(c *conversion, path string, node *yaml.Node) {
		c.setGroup("capacityType", map[string]string{"true": "SPOT"}[plain(node)], path, node)
	},
	"taints": func(c *conversion, path string, node *yaml.Node) {
		taint := entries{}
		for _, key := range []string{"key", "value", "effect"} {
			text := scalar(node, key)
			if key == "effect" {
				effect, known := effects[text]
				if !known {
					c.problem(node, path+".effect", quote(text), "NoSchedule, NoExecute or PreferNoSchedule", "")
				}
				text = effect
			}
			if text != "" {
				taint = append(taint, entry{key: key, value: text})
			}
		}
		taints, _ := c.group.settings["taints"].([]entries)
		c.setGroup(fmt.Sprintf("taints[%d]", len(taints)), nil, path, node)
		c.group.settings["taints"] = append(taints, taint)
	},
}

// later leaves a field to finish.
func later(*conversion, string, *yaml.Node) {}

func groupSetter(key string) func(*conversion, string, *yaml.Node) {
	return func(c *conversion, path string, node *yaml.Node) { c.setGroup(key, value(node), path, node) }
}

// setGroup sets a setting of the group that is being read.
func (c *conversion) setGroup(key string, value any, path string, node *yaml.Node) {
	if value != nil {
		c.group.settings[key] = value
	}
	c.sources[c.here(key)] = source{path, node.Line}
}

// types are a group's instance types.
func (c *conversion) types(g *group) []string {
	if list := child(g.node, "instanceTypes"); list != nil && len(list.Content) > 0 {
		return textsOf(list)
	}
	if one := scalar(g.node, "instanceType"); one != "" {
		return []string{one}
	}
	return []string{defaultType}
}

// finish sets a group's settings that depend on several fields.
func (c *conversion) finish(g *group) {
	c.group = g
	defer func() { c.group = nil }()
	name := scalar(g.node, "name")
	if name == "" {
		c.problem(g.node, g.path+".name", "nothing", "a name of up to 25 letters, digits, '-' and '_'", "")
		return
	}
	c.sources[groupPath(name)] = source{g.path, g.node.Line}
	for _, other := range c.groups {
		if other == g {
			break
		}
		if scalar(other.node, "name") == name {
			c.problem(child(g.node, "name"), g.path+".name", quote(name)+" again", "each name once; "+other.path+" has it", "")
		}
	}
	from := func(key, field string) {
		if node := child(g.node, field); node != nil {
			c.sources[c.here(key)] = source{g.path + "." + field, node.Line}
		}
	}
	if child(g.node, "instanceType") != nil && child(g.node, "instanceTypes") != nil {
		c.problem(child(g.node, "instanceType"), g.path+".instanceType", "instanceType and instanceTypes", "one of the two", "")
	}
	if child(g.node, "instanceType") == nil && child(g.node, "instanceTypes") == nil {
		c.unset(g.path+".instanceType", "instanceTypes", "eksctl takes "+defaultType+" too")
	}
	if _, set := g.settings["capacityType"]; !set || g.settings["capacityType"] == "" {
		g.settings["capacityType"] = "ON_DEMAND"
	}
	g.settings["instanceTypes"] = c.types(g)
	from("instanceTypes", "instanceType")
	from("instanceTypes", "instanceTypes")
	if ami := amiType(c.types(g)); ami != "AL2023_x86_64_STANDARD" {
		g.settings["amiType"] = ami
		from("amiType", "amiFamily")
	}
	c.sizes(g, from)
	if most := child(g.node, "updateConfig", "maxUnavailable"); most != nil {
		if child(g.node, "updateConfig", "maxUnavailablePercentage") != nil {
			c.problem(most, g.path+".updateConfig", "maxUnavailable and maxUnavailablePercentage", "one of the two", "")
		}
		n, _ := value(most).(int)
		share := min(max(n, 0), 1000) * 100 / max(g.settings["desiredSize"].(int), 1)
		g.settings["maxUnavailablePercentage"] = min(max(share, 1), 100)
		c.comment(g.path+".maxUnavailablePercentage", fmt.Sprintf("%d of %v nodes in the file.", n, g.settings["desiredSize"]))
	}
}

// sizes sets a group's numbers of nodes, as eksctl does (pkg/apis/eksctl.io/v1alpha5/validation.go, ValidateManagedNodeGroup). But
// without maxSize the autoscaler has room for one more node in each zone, or could not replace one that EC2 takes back.
func (c *conversion) sizes(g *group, from func(key, field string)) {
	number := func(fields ...string) (int, bool) {
		for _, field := range fields {
			if node := child(g.node, field); node != nil {
				n, _ := value(node).(int)
				return n, true
			}
		}
		return defaultNodes, false
	}
	low, _ := number("minSize", "desiredCapacity")
	want, _ := number("desiredCapacity", "minSize")
	zones, _ := c.settings["network"]["zones"].([]string)
	most, given := number("maxSize")
	if !given {
		most = want + len(zones)
		c.comment(g.path+".maxSize", "Changed: room for a node more in each zone; eksctl takes desiredCapacity.")
		c.lines = append(c.lines, Line{g.path + ".maxSize", notSet, fmt.Sprintf("%s: %d", c.here("maxSize"), most),
			"room for a node more in each zone, in place of one that EC2 takes back", Changed})
	}
	for _, s := range []struct {
		key, otherwise, field string
		n                     int
	}{
		{"minSize", "desiredCapacity", "minSize", low}, {"desiredSize", "minSize", "desiredCapacity", want},
		{"maxSize", "desiredCapacity", "maxSize", most},
	} {
		g.settings[s.key] = s.n
		from(s.key, s.otherwise)
		from(s.key, s.field)
	}
	switch {
	case most < len(zones):
		g.settings["perZone"] = false
		why := fmt.Sprintf("one group over all zones: a group in each takes a maxSize of %d or more", len(zones))
		c.comment(g.path+".perZone", strings.ToUpper(why[:1])+why[1:]+".")
		c.lines = append(c.lines, Line{g.path + ".maxSize", fmt.Sprint(most), c.here("perZone") + ": false", why, Same})
	case child(g.node, "availabilityZones") == nil:
		c.lines = append(c.lines, Line{g.path + ".availabilityZones", notSet, c.here("perZone") + ": true",
			"a group in each zone, because a volume is in one; eksctl's one over all is perZone: false", Changed})
	}
}

// unset adds a line about a field that the file does not have.
func (c *conversion) unset(path, key, why string) {
	c.lines = append(c.lines, Line{path, notSet, c.here(key), why, Same})
}

// Types with devices that have images of their own, as in eksctl (pkg/utils/instance).
var (
	nvidia = regexp.MustCompile(`^(p[0-9]|gr?[0-35-9]|g4dn)`) // g4ad has AMD's
	neuron = regexp.MustCompile(`^(inf|trn)[0-9]`)
)

// amiType is the image for instance types, as eksctl chooses it (pkg/apis/eksctl.io/v1alpha5/amitype.go).
func amiType(types []string) string {
	arm := slices.ContainsFunc(types, func(t string) bool { return published.InstanceTypes()[t].Arch == "arm64" })
	has := func(family *regexp.Regexp) bool { return slices.ContainsFunc(types, family.MatchString) }
	switch {
	case arm && has(nvidia):
		return "AL2023_ARM_64_NVIDIA"
	case arm:
		return "AL2023_ARM_64_STANDARD"
	case has(nvidia):
		return "AL2023_x86_64_NVIDIA"
	case has(neuron):
		return "AL2023_x86_64_NEURON"
	}
	return "AL2023_x86_64_STANDARD"
}
