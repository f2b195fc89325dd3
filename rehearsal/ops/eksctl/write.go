package eksctl

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// entries are a map of the written file, in order.
type entries []entry

type entry struct {
	key string
	// value is entries, []entries or what YAML can write on one line.
	value    any
	comments []string
}

// The order of keys is that of Pulumi.yaml.
var (
	networkKeys = []string{"cidr", "zones", "nat"}
	clusterKeys = []string{"name", "version", "serviceCidr", "publicAccess", "publicAccessCidrs", "admins", "readers", "identityProvider",
		"logRetentionDays", "keyDeletionDays", "addonVersions"}
	providerKeys = []string{"name", "issuerUrl", "clientId", "usernameClaim", "usernamePrefix", "groupsClaim", "groupsPrefix",
		"requiredClaims"}
	groupKeys = []string{"capacityType", "instanceTypes", "amiType", "perZone", "minSize", "desiredSize", "maxSize", "diskSizeGiB", "maxPods",
		"labels", "taints", "maxUnavailablePercentage", "nodeRepair"}
)

// openCommand says who may reach the cluster.
const openCommand = `pulumi config set --path 'expense:cluster.publicAccessCidrs[0]' "$(curl -s https://checkip.amazonaws.com)/32"`

// closed tells that the cluster has a public endpoint that nobody may reach yet.
func (c *conversion) closed() bool {
	return c.settings["cluster"]["publicAccess"] == true && c.settings["cluster"]["publicAccessCidrs"] == nil
}

// text is the stack's file. What is not in the ClusterConfig is as in Pulumi.dev.yaml.
func (c *conversion) text(name string, a *account) string {
	var b strings.Builder
	begin := "Made of " + printable(name) + ", a ClusterConfig of eksctl."
	if c.closed() {
		begin += " Before the first `pulumi up`, allow your own address to reach the cluster:"
	}
	remark(&b, "", begin)
	if c.closed() {
		b.WriteString("#   " + openCommand + "\n")
	}
	c.render(&b, "", entries{{key: "config", value: c.sections(a)}})
	return b.String()
}

func (c *conversion) sections(a *account) entries {
	set := func(section, key string, value any) {
		if _, given := c.settings[section][key]; !given {
			c.settings[section][key] = value
		}
	}
	set("network", "nat", "single") // eksctl's default: pkg/apis/eksctl.io/v1alpha5/vpc.go
	set("cluster", "logRetentionDays", 7)
	set("cluster", "keyDeletionDays", 7)
	out := entries{{key: "aws:region", value: scalar(c.root, "metadata", "region")}}
	if tags := c.ordered("tags", c.settings["tags"], slices.Sorted(maps.Keys(c.settings["tags"]))); len(tags) > 0 {
		out = append(out, entry{key: "expense:tags", value: tags})
	}
	if iam := c.ordered("iam", c.settings["iam"], []string{"permissionsBoundary"}); len(iam) > 0 {
		out = append(out, entry{key: "expense:iam", value: iam})
	}
	groups := entries{}
	for _, g := range slices.SortedFunc(slices.Values(c.groups), func(a, b *group) int {
		return strings.Compare(scalar(a.node, "name"), scalar(b.node, "name"))
	}) {
		groups = append(groups, entry{scalar(g.node, "name"), c.ordered(g.path, g.settings, groupKeys), c.comments[g.path]})
	}
	cluster := append(c.ordered("cluster", c.settings["cluster"], clusterKeys), entry{key: "nodeGroups", value: groups})
	domain := entries{{key: "instanceType", value: "t3.small.search"}, {key: "instanceCount", value: 1}, {key: "zoneCount", value: 1}}
	if name := domainName(scalar(c.root, "metadata", "name")); name != "expense" {
		domain = append(entries{{key: "name", value: name}}, domain...)
	}
	role := entry{"createServiceLinkedRole", true, []string{"false if this finds the role: aws iam get-role --role-name " + logsRole}}
	if a != nil && a.logs != nil {
		says := map[bool]string{true: " has the role already.", false: " does not have the role yet."}
		role = entry{role.key, !*a.logs, []string{"Account " + a.id + says[*a.logs]}}
	}
	return append(out,
		entry{"expense:network", c.ordered("network", c.settings["network"], networkKeys), c.comments["network"]},
		entry{"expense:cluster", cluster, c.comments["cluster"]},
		entry{"expense:workloads", entries{
			{key: "namespace", value: "project"}, {key: "environment", value: "dev"},
			{key: "web", value: entries{{key: "minReplicas", value: 2}, {key: "maxReplicas", value: 4}}},
		}, []string{"eksctl has nothing of what follows: it is as in Pulumi.dev.yaml."}},
		entry{key: "expense:logging", value: entries{
			{key: "gibPerDay", value: 1}, {key: "retentionDays", value: 3}, role, {key: "logRetentionDays", value: 7},
			{key: "domain", value: domain},
		}})
}

// ordered are a section's settings in the order of the keys.
func (c *conversion) ordered(at string, settings map[string]any, keys []string) (out entries) {
	for _, key := range keys {
		switch value := settings[key].(type) {
		case nil:
		case map[string]any: // the identity provider
			out = append(out, entry{key, c.ordered(at+"."+key, value, providerKeys), c.comments[at+"."+key]})
		case map[string]string:
			texts := entries{}
			for _, name := range slices.Sorted(maps.Keys(value)) {
				texts = append(texts, entry{key: name, value: value[name]})
			}
			out = append(out, entry{key, texts, c.comments[at+"."+key]})
		default:
			out = append(out, entry{key, value, c.comments[at+"."+key]})
		}
	}
	return out
}

var notInDomain = regexp.MustCompile(`[^a-z0-9]+`)

// domainName is one for the cluster's logs: 3 to 28 lower-case letters, digits and hyphens that begin with a letter
// (https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_CreateDomain.html).
func domainName(cluster string) string {
	name := strings.Trim(notInDomain.ReplaceAllString(strings.ToLower(cluster), "-"), "-")
	if name = strings.TrimLeft(name, "0123456789-"); len(name) < 3 {
		name = "logs-" + name
	}
	return strings.Trim(name[:min(len(name), 28)], "-")
}

// render writes entries.
func (c *conversion) render(b *strings.Builder, indent string, all entries) {
	for _, e := range all {
		for _, comment := range e.comments {
			remark(b, indent, comment)
		}
		switch value := e.value.(type) {
		case entries:
			b.WriteString(indent + flow(e.key) + ":\n")
			c.render(b, indent+"  ", value)
		case []entries:
			b.WriteString(indent + flow(e.key) + ":\n")
			for _, item := range value {
				var parts []string
				for _, part := range item {
					parts = append(parts, part.key+": "+flow(part.value))
				}
				b.WriteString(indent + "  - {" + strings.Join(parts, ", ") + "}\n")
			}
		case []string:
			if line := indent + flow(e.key) + ": " + flow(value); len(line) <= 120 {
				b.WriteString(line + "\n")
				continue
			}
			b.WriteString(indent + flow(e.key) + ":\n")
			for _, item := range value {
				b.WriteString(indent + "  - " + flow(item) + "\n")
			}
		default:
			b.WriteString(indent + flow(e.key) + ": " + flow(value) + "\n")
		}
	}
}

// flow is a value on one line.
func flow(value any) string {
	var node yaml.Node
	_ = node.Encode(value) // Texts, numbers and lists can all be encoded.
	if node.Kind == yaml.ScalarNode && strings.ContainsAny(node.Value, "\n\r") {
		node.Style = yaml.DoubleQuotedStyle
	}
	if node.Kind != yaml.ScalarNode {
		node.Style = yaml.FlowStyle
	}
	out, _ := yaml.Marshal(&node)
	return strings.TrimSpace(string(out))
}

// remark writes a comment of up to 120 columns.
func remark(b *strings.Builder, indent, text string) {
	line := indent + "#"
	for _, word := range strings.Fields(printable(text)) {
		if len(line)+1+len(word) > 120 && len(line) > len(indent)+1 {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// printable is a text without characters that end a line or cannot be seen.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// String is a line's decision in a word.
func (l Line) String() string {
	return cmp.Or(l.Here, map[Decision]string{Same: "the same", Changed: "changed", Unsupported: "not here"}[l.Decision])
}
