package eksctl

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"expense/internal/published"

	"go.yaml.in/yaml/v3"
)

// roleWithoutPath are ARNs of roles as aws-auth has them.
var roleWithoutPath = regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:role/([A-Za-z0-9+=,.@_-]+)$`)

var awsPolicy = regexp.MustCompile(`^arn:aws[a-z-]*:iam::aws:policy/`)

// conversion makes settings of a file.
type conversion struct {
	root *yaml.Node
	// group and addon are the elements that are being read.
	group *group
	addon *yaml.Node

	// settings are by section and key.
	settings map[string]map[string]any
	groups   []*group
	// sources are the fields that settings come from, by the settings' paths.
	sources map[string]source
	// comments are by section, or by section and key with a dot between.
	comments map[string][]string

	problems    []Problem
	unsupported []Problem
	lines       []Line
}

// source is a field of the file.
type source struct {
	path string
	line int
}

// Line says what became of a field.
type Line struct {
	Field string
	// File is what the file has, Here the setting that it becomes.
	File, Here, Why string
	Decision        Decision
}

// notSet is what a line says of a field that the file does not have.
const notSet = "not set"

// version is that of a file without one, as in Pulumi.dev.yaml.
const version = "1.35"

// assumed are fields that change what eksctl does by default, with the value that it then takes (pkg/apis/eksctl.io/v1alpha5: types.go,
// vpc.go, defaults.go, cloudwatch.go and validation.go; pkg/cfn/builder/iam_helper.go). The reason is the row's for that value, unless
// one is here. What EKS takes if eksctl says nothing:
// https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html (one node),
// https://docs.aws.amazon.com/eks/latest/APIReference/API_NodeRepairConfig.html (none).
var assumed = []struct{ path, value, here, why string }{
	{path: "vpc.clusterEndpoints.privateAccess", value: "false"},
	{path: "accessConfig.authenticationMode", value: "API_AND_CONFIG_MAP"},
	{path: "iam.withOIDC", value: "false"},
	{path: "iam.vpcResourceControllerPolicy", value: "true"},
	{path: "cloudWatch.clusterLogging.enableTypes", value: "none"},
	{"cloudWatch.clusterLogging.logRetentionInDays", "", "cluster.logRetentionDays: 7", "eksctl keeps logs that are on for ever"},
	{path: "secretsEncryption.keyARN", value: "none"},
	{path: "upgradePolicy.supportType", value: "EXTENDED"},
	{path: "managedNodeGroups[].privateNetworking", value: "false"},
	{path: "managedNodeGroups[].volumeEncrypted", value: "false"},
	{path: "managedNodeGroups[].disablePodIMDS", value: "false"},
	{path: "managedNodeGroups[].ssh.enableSsm", value: "true"},
	{"managedNodeGroups[].nodeRepairConfig.enabled", "", "nodeRepair: true", "EKS replaces nodes that stay unhealthy"},
	{"managedNodeGroups[].updateConfig", "", "maxUnavailablePercentage: 33", "a third of a group's nodes at once; EKS takes one node"},
}

// convert decides on each field of a checked file. complete adds what needs the account.
func convert(root *yaml.Node) *conversion {
	c := &conversion{
		root: root, sources: map[string]source{}, comments: map[string][]string{},
		settings: map[string]map[string]any{
			"tags": {}, "iam": {}, "network": {}, "cluster": {"publicAccess": true, "version": version},
		},
	}
	c.parts("", "", root)
	for key, allowed := range map[string]string{"name": "a name for the cluster", "region": "a region such as us-east-1"} {
		if child(root, "metadata", key) == nil {
			c.problems = append(c.problems, Problem{1, "metadata." + key, "nothing", allowed, ""})
		}
	}
	if groups := child(root, "managedNodeGroups"); groups == nil || len(groups.Content) == 0 {
		line, remedy := 1, "add: managedNodeGroups: [{name: main, instanceType: m5.large, desiredCapacity: 2}]"
		if own := child(root, "nodeGroups"); own != nil {
			line, remedy = own.Line, "rename nodeGroups to managedNodeGroups; what these do not take is told then"
		}
		c.problems = append(c.problems, Problem{line, "managedNodeGroups", "nothing", "one group at least", remedy})
	} else {
		c.sources["cluster.nodeGroups"] = source{"managedNodeGroups", child(root, "managedNodeGroups").Line}
	}
	return c
}

// complete adds the zones and what depends on their number. account is nil without credentials.
func (c *conversion) complete(account *account) {
	c.zones(account)
	for _, g := range c.groups {
		c.finish(g)
	}
	c.absent()
}

func (c *conversion) problem(node *yaml.Node, path, found, allowed, remedy string) {
	c.problems = append(c.problems, Problem{node.Line, path, found, allowed, remedy})
}

// parts decides on each entry of a map.
func (c *conversion) parts(pattern, path string, node *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1]
		at, name := below(pattern, key), below(path, key)
		switch {
		case value.Tag == "!!null" || value.Kind != yaml.ScalarNode && len(value.Content) == 0: // says nothing
		case table[at][0].Kind == "list":
			for n, item := range value.Content {
				c.decide(at, fmt.Sprintf("%s[%d]", name, n), item)
			}
		default:
			c.decide(at, name, value)
		}
	}
}

func (c *conversion) decide(pattern, path string, node *yaml.Node) {
	row := c.row(pattern, node)
	switch row.Decision {
	case Parts:
		switch pattern {
		case "managedNodeGroups":
			c.group = &group{node: node, path: path, settings: map[string]any{}}
			c.groups = append(c.groups, c.group)
			defer func() { c.group = nil }()
		case "addons":
			c.addon = node
		case "identityProviders":
			c.identityProvider(path, node)
		}
		if row.Kind == "list" {
			pattern += "[]"
		}
		c.parts(pattern, path, node)
		return
	case Unsupported:
		c.unsupported = append(c.unsupported, Problem{Line: node.Line, Path: path, Found: row.Why})
		c.comment(c.section(path), fmt.Sprintf("Not here: %s (line %d): %s.", path, node.Line, row.Why))
	case Carried:
		carry[pattern](c, path, node)
	case Changed:
		if change := changes[pattern]; change != nil {
			change(c, path, node)
		}
		c.comment(c.section(path), fmt.Sprintf("Changed: %s (line %d): %s.", path, node.Line, row.Why))
	case Same:
	}
	if row.Decision != Unsupported {
		c.lines = append(c.lines, Line{path, show(node), c.here(row.Here), row.Why, row.Decision})
	} else {
		c.lines = append(c.lines, Line{path, fmt.Sprintf("line %d", node.Line), "", row.Why, row.Decision})
	}
}

// absent adds what the file leaves to eksctl's defaults, which are others.
func (c *conversion) absent() {
	if child(c.root, "metadata", "version") == nil {
		c.lines = append(c.lines, Line{"metadata.version", notSet, `cluster.version: "` + version + `"`,
			"the version is pinned: only a commit moves it", Changed})
	}
	if c.settings["cluster"]["publicAccess"] == true && c.settings["cluster"]["publicAccessCidrs"] == nil {
		c.lines = append(c.lines, Line{"vpc.publicAccessCIDRs", notSet, "cluster.publicAccessCidrs",
			"nobody until you say who; eksctl opens it to all", Changed})
	}
	for _, a := range assumed {
		keys := strings.Split(a.path, ".")
		from := []*yaml.Node{c.root}
		if rest, ofGroup := strings.CutPrefix(a.path, "managedNodeGroups[]."); ofGroup {
			keys, from = strings.Split(rest, "."), nil
			for _, g := range c.groups {
				from = append(from, g.node)
			}
		}
		if !slices.ContainsFunc(from, func(n *yaml.Node) bool { return child(n, keys...) == nil }) {
			continue
		}
		line := Line{a.path, notSet, a.here, a.why, Changed}
		if a.why == "" {
			row := c.row(a.path, &yaml.Node{Kind: yaml.ScalarNode, Value: a.value})
			line.Here, line.Why = row.Here, row.Why
		}
		c.lines = append(c.lines, line)
	}
	logging := child(c.root, "cloudWatch", "clusterLogging")
	if child(logging, "enableTypes") != nil && child(logging, "logRetentionInDays") == nil {
		c.comment("cluster.logRetentionDays", "Changed: eksctl keeps them for ever.")
	}
	if more := c.moreAddons(); len(more) > 0 {
		c.lines = append(c.lines, Line{"addons", notSet, strings.Join(more, ", "), "for claims, roles of pods and the repair of nodes", Changed})
	}
	if child(c.addonNamed("vpc-cni"), "configurationValues") == nil {
		c.lines = append(c.lines, Line{"addons[].configurationValues", notSet, "", "vpc-cni enforces network policies", Changed})
	}
}

// eksctlsAddons are those that eksctl makes if the file does not say (pkg/apis/eksctl.io/v1alpha5/known_addons.go).
var eksctlsAddons = []string{"coredns", "kube-proxy", "metrics-server", "vpc-cni"}

// moreAddons are the stack's add-ons that neither the file nor eksctl has.
func (c *conversion) moreAddons() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(published.Addons())), func(name string) bool {
		return slices.Contains(eksctlsAddons, name) || c.addonNamed(name) != nil
	})
}

// addonNamed is the file's add-on of a name, nil for none.
func (c *conversion) addonNamed(name string) *yaml.Node {
	if list := child(c.root, "addons"); list != nil {
		if i := slices.IndexFunc(list.Content, func(n *yaml.Node) bool { return scalar(n, "name") == name }); i >= 0 {
			return list.Content[i]
		}
	}
	return nil
}

var ofNetwork = regexp.MustCompile(`^(vpc\.|localZones)`)

// section is where the comment about a field goes.
func (c *conversion) section(path string) string {
	switch {
	case c.group != nil:
		return c.group.path
	case ofNetwork.MatchString(path) && !strings.HasPrefix(path, "vpc.clusterEndpoints"):
		return "network"
	}
	return "cluster"
}

func (c *conversion) comment(at, text string) { c.comments[at] = append(c.comments[at], text) }

// here is the setting of a row, with the name of the group that is being read.
func (c *conversion) here(setting string) string {
	if c.group == nil || setting == "" {
		return setting
	}
	name := groupPath(scalar(c.group.node, "name"))
	if !strings.Contains(setting, ".") {
		return name + "." + setting
	}
	return strings.Replace(setting, "cluster.nodeGroups.NAME", shorten(name), 1)
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// groupPath is the path of a group's settings, as the loader has it.
func groupPath(name string) string { return entryPath("cluster.nodeGroups", name) }

// entryPath is the path of an entry of a map of settings, as the loader has it.
func entryPath(of, name string) string {
	if plainKey.MatchString(name) {
		return of + "." + name
	}
	return fmt.Sprintf("%s[%q]", of, name)
}

// show is a value for the table.
func show(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.ScalarNode:
		return shorten(node.Value)
	case node.Kind == yaml.MappingNode:
		return fmt.Sprintf("a map of %d", len(node.Content)/2)
	case !slices.ContainsFunc(node.Content, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode }):
		return shorten(strings.Join(textsOf(node), ", "))
	}
	return fmt.Sprintf("a list of %d", len(node.Content))
}

// set sets a setting of a section.
func (c *conversion) set(section, key string, value any, path string, node *yaml.Node) {
	c.settings[section][key] = value
	c.sources[section+"."+key] = source{path, node.Line}
}

// setter carries a field to a setting as it is.
func setter(section, key string) func(*conversion, string, *yaml.Node) {
	return func(c *conversion, path string, node *yaml.Node) { c.set(section, key, value(node), path, node) }
}

// value is what a checked node means.
func value(node *yaml.Node) (out any) {
	switch {
	case node.Tag == "!!str":
		return node.Value
	case node.Kind == yaml.SequenceNode:
		return textsOf(node)
	case node.Kind == yaml.MappingNode:
		texts := map[string]string{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			texts[node.Content[i].Value] = node.Content[i+1].Value
		}
		return texts
	}
	_ = node.Decode(&out) // The reader has checked that it can be.
	return out
}

// carry carries a field. What is in brackets in the table is in its list's entry.
var carry map[string]func(c *conversion, path string, node *yaml.Node)

// changes set what a changed field becomes, where that is not what is there without it.
var changes = map[string]func(c *conversion, path string, node *yaml.Node){
	"vpc.nat.gateway": func(c *conversion, path string, node *yaml.Node) { c.set("network", "nat", "single", path, node) },
}

func init() { // carry's functions read the table, whose conditions read carry's groups
	carry = map[string]func(c *conversion, path string, node *yaml.Node){
		"metadata.name":    setter("cluster", "name"),
		"metadata.version": setter("cluster", "version"),
		"metadata.region": func(c *conversion, path string, node *yaml.Node) {
			c.sources["aws:region"] = source{path, node.Line}
		},
		// eksctl gives them to all its stacks in CloudFormation, which hands them on, and to node groups and launch templates
		// (pkg/cfn/manager/api.go, pkg/cfn/builder/managed_nodegroup.go).
		"metadata.tags": func(c *conversion, path string, node *yaml.Node) {
			c.sources["tags"] = source{path, node.Line}
			for i := 0; i+1 < len(node.Content); i += 2 {
				key, text := node.Content[i], node.Content[i+1]
				c.settings["tags"][key.Value] = text.Value
				c.sources[entryPath("tags", key.Value)] = source{below(path, key.Value), key.Line}
			}
		},
		"availabilityZones":                            func(*conversion, string, *yaml.Node) {}, // zones does
		"cloudWatch.clusterLogging.logRetentionInDays": setter("cluster", "logRetentionDays"),
		"kubernetesNetworkConfig.serviceIPv4CIDR":      setter("cluster", "serviceCidr"),
		"vpc.cidr": setter("network", "cidr"),
		"vpc.clusterEndpoints.publicAccess": func(c *conversion, path string, node *yaml.Node) {
			if private := child(c.root, "privateCluster", "enabled"); private == nil || plain(private) != "true" {
				c.set("cluster", "publicAccess", value(node), path, node)
			}
		},
		"vpc.publicAccessCIDRs": setter("cluster", "publicAccessCidrs"),
		"vpc.nat.gateway": func(c *conversion, path string, node *yaml.Node) {
			// pkg/apis/eksctl.io/v1alpha5/vpc.go
			nat, known := map[string]string{"HighlyAvailable": "perZone", "Single": "single"}[node.Value]
			if !known {
				c.problem(node, path, quote(node.Value), "HighlyAvailable, Single or Disable", "")
			}
			c.set("network", "nat", nat, path, node)
		},
		"privateCluster.enabled": func(c *conversion, path string, node *yaml.Node) {
			c.set("cluster", "publicAccess", false, path, node)
			c.comment("network.nat", "Changed: privateCluster has no way out; none asks for all images in the account first (docs/images.md).")
		},
		"addons[].version": func(c *conversion, path string, node *yaml.Node) {
			name := scalar(c.addon, "name")
			versions, _ := c.settings["cluster"]["addonVersions"].(map[string]string)
			if versions == nil {
				versions = map[string]string{}
				c.settings["cluster"]["addonVersions"] = versions
			}
			versions[name] = node.Value
			c.sources["cluster.addonVersions."+name] = source{path, node.Line}
		},
		"addons[].permissionsBoundary":       boundary,
		"iam.serviceRolePermissionsBoundary": boundary,
		"accessConfig.accessEntries": func(c *conversion, path string, node *yaml.Node) {
			c.principal(accessList(node), path+".principalARN", child(node, "principalARN"), node)
		},
		"iamIdentityMappings": func(c *conversion, path string, node *yaml.Node) {
			c.principal("admins", path+".arn", child(node, "arn"), node)
			// https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
			if role := roleWithoutPath.FindStringSubmatch(scalar(node, "arn")); role != nil {
				c.comment("cluster.admins", "aws-auth has no paths, but an access entry takes the ARN that this shows: aws iam get-role "+
					"--role-name "+role[1]+" --query Role.Arn")
			}
		},
	}
	for _, key := range []string{"name", "usernameClaim", "usernamePrefix", "groupsClaim", "groupsPrefix", "requiredClaims"} {
		carry["identityProviders[]."+key] = ofProvider(key)
	}
	carry["identityProviders[].issuerURL"], carry["identityProviders[].clientID"] = ofProvider("issuerUrl"), ofProvider("clientId")
	for field, carries := range ofGroup {
		carry["managedNodeGroups[]."+field] = carries
	}
}

// boundary carries the boundary of a role, which becomes that of all roles.
func boundary(c *conversion, path string, node *yaml.Node) {
	if other, given := c.settings["iam"]["permissionsBoundary"]; given && other != node.Value {
		c.problem(node, path, quote(node.Value), "one boundary for all roles; "+c.sources["iam.permissionsBoundary"].path+" has another", "")
	}
	c.set("iam", "permissionsBoundary", node.Value, path, node)
}

// principal adds who may administer or read the cluster.
func (c *conversion) principal(list, path string, arn, entry *yaml.Node) {
	if arn == nil {
		c.problem(entry, path, "nothing", "the ARN of an IAM role or user", "")
		return
	}
	arns, _ := c.settings["cluster"][list].([]string)
	if slices.Contains(arns, arn.Value) {
		return
	}
	c.sources[fmt.Sprintf("cluster.%s[%d]", list, len(arns))] = source{path, arn.Line}
	c.settings["cluster"][list] = append(arns, arn.Value)
}

// identityProvider begins the one provider of a file. eksctl asks for these fields (pkg/apis/eksctl.io/v1alpha5/identity_provider.go and
// validation.go).
func (c *conversion) identityProvider(path string, node *yaml.Node) {
	const here = "cluster.identityProvider"
	c.settings["cluster"]["identityProvider"], c.sources[here] = map[string]any{}, source{path, node.Line}
	for key, allowed := range map[string]string{
		"name": "a name for the provider", "type": "oidc", "issuerURL": "the URL of the issuer", "clientID": "the ID of the client",
	} {
		if child(node, key) == nil {
			c.problem(node, path+"."+key, "nothing", allowed, "")
		}
	}
	if child(node, "groupsClaim") != nil && child(node, "groupsPrefix") == nil {
		const why = "without a prefix the provider could name system:masters; your bindings name groups with it"
		c.comment(here, fmt.Sprintf("Changed: groups have the prefix oidc: (line %d has none): %s.", node.Line, why))
		c.lines = append(c.lines, Line{path + ".groupsPrefix", notSet, here + ".groupsPrefix: \"oidc:\"", why, Changed})
	}
}

// ofProvider carries a field of the identity provider.
func ofProvider(key string) func(*conversion, string, *yaml.Node) {
	return func(c *conversion, path string, node *yaml.Node) {
		c.settings["cluster"]["identityProvider"].(map[string]any)[key] = value(node)
		c.sources["cluster.identityProvider."+key] = source{path, node.Line}
	}
}
