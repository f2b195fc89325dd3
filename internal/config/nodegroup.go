package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"expense/internal/published"
)

var (
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html: 63 characters at most. A hyphen and
	// the provider's suffix take 27 (id.UniqueIDSuffixLength in github.com/hashicorp/terraform-plugin-sdk). In a group of one zone, the
	// longest zone ID takes its hyphen and 10 more.
	nodeGroupName      = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]*$`)
	nodeGroupZone      = regexp.MustCompile(`-[a-z]+[1-9]-az[1-9][0-9]?$`)
	nodeGroupNameLimit = 63 - 26 - len("-")
	zoneGroupNameLimit = nodeGroupNameLimit - len("-usgw1-az10")

	// https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
	instanceType = regexp.MustCompile(`^(?:[a-z]+|u-|mac-m)[0-9]+([a-z]*)[0-9]*(?:-[a-z0-9]+)*\.(?:nano|micro|small|medium|large|` +
		`[0-9]*xlarge|metal(?:-[0-9]+xl)?)$`)

	// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
	labelName  = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z_.-]*[0-9A-Za-z])?$`)
	dnsName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	labelValue = labelName
)

// amiTypes are the image families with the launch template's root device. true is ARM
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html).
var amiTypes = map[string]bool{
	"AL2023_x86_64_STANDARD": false, "AL2023_x86_64_NVIDIA": false, "AL2023_x86_64_NEURON": false,
	"AL2023_ARM_64_STANDARD": true, "AL2023_ARM_64_NVIDIA": true,
}

const nodeGroupsPath = "cluster.nodeGroups"

// Group is one node group on AWS.
type Group struct {
	// Name is the start of its name on AWS.
	Name string
	// Zones are the zones of its nodes, by ID.
	Zones []string
	// NodeGroup is its entry of the settings, with this group's share of the sizes.
	NodeGroup
}

// Groups are the node groups on AWS. An entry of cluster.nodeGroups with PerZone is one group in each zone, named after both. The zones
// share its sizes, and the remainder goes to the first ones.
func (c *Config) Groups() []Group {
	var out []Group
	zones := c.Network.Zones
	for _, name := range slices.Sorted(maps.Keys(c.Cluster.NodeGroups)) {
		entry := c.Cluster.NodeGroups[name]
		if !entry.PerZone {
			out = append(out, Group{name, zones, entry})
			continue
		}
		for i, zone := range zones {
			share := entry
			for _, size := range []*int{&share.MinSize, &share.DesiredSize, &share.MaxSize} {
				*size = (*size + len(zones) - 1 - i) / len(zones)
			}
			out = append(out, Group{name + "-" + zone, zones[i : i+1], share})
		}
	}
	return out
}

func (r *report) nodeGroups(c *Config) {
	const path = nodeGroupsPath
	groups := c.Cluster.NodeGroups
	if r.require(path, "at least one node group", "") && len(groups) == 0 {
		r.add(path, "no node group", "at least one", "")
	}
	unusable := len(groups) > 0
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		at, g := child(path, name), groups[name]
		r.nodeGroup(at, g)
		limit := nodeGroupNameLimit
		if g.PerZone {
			limit = zoneGroupNameLimit
		}
		r.match(at, name, nodeGroupName, limit, fmt.Sprintf("a name of 1 to %d letters, digits, '-' and '_', starting with a letter or digit "+
			"(AWS has 63; a unique suffix takes the rest, and the zone unless perZone is false)", limit))
		if nodeGroupZone.MatchString(name) {
			r.add(at, quote(name)+", as the group of a zone may be named", "a name that does not end in a zone ID", "")
		}
		if zones := len(c.Network.Zones); g.PerZone && r.ok(at+".maxSize", "network.zones") && g.MaxSize > 0 && g.MaxSize < zones {
			// https://docs.aws.amazon.com/eks/latest/APIReference/API_NodegroupScalingConfig.html: at least 1 in each group.
			r.add(at+".maxSize", fmt.Sprint(g.MaxSize), fmt.Sprintf("%d or more, one node in each zone of network.zones", zones),
				fmt.Sprintf("or one group over all zones: pulumi config set --path 'expense:%s.perZone' false", at))
		}
		unusable = unusable && r.ok(at, at+".desiredSize") && (g.tainted() || g.DesiredSize == 0)
	}
	if unusable {
		// The creation of the coredns add-on fails unless a node takes its pods
		// (https://docs.aws.amazon.com/eks/latest/userguide/managing-coredns.html).
		r.add(path, "only groups with taints or without nodes",
			"one group without NO_SCHEDULE and NO_EXECUTE taints and with a desiredSize of 1 or more", "")
	}
	for _, p := range c.Cluster.Crowded(func(t string) int { return published.InstanceTypes()[t].Pods() }) {
		// The number of pods on all nodes means nothing while a group is wrong.
		if p.Path != path || !slices.ContainsFunc(r.problems, func(q Problem) bool { return strings.HasPrefix(q.Path, path) }) {
			r.add(p.Path, p.Found, p.Allowed, p.Remedy)
		}
	}
}

// tainted says whether the group's taints keep away pods without tolerations.
func (g NodeGroup) tainted() bool {
	return slices.ContainsFunc(g.Taints, func(t Taint) bool { return t.Effect == "NO_SCHEDULE" || t.Effect == "NO_EXECUTE" })
}

// OwnPods are the pods that the program runs before any workload: the add-ons' pods on each node, and the pods of add-ons and
// autoscaler that run anywhere.
func (k Cluster) OwnPods() (onEach, anywhere int) {
	for _, addon := range published.Addons() {
		onEach += addon.OnEach
		anywhere += addon.Replicas
	}
	if k.Autoscaler.Enabled {
		anywhere++
	}
	return onEach, anywhere
}

// Crowded are the problems of nodes with too little room for OwnPods, and of MaxPods beyond what types hold. pods is the number of pods
// that a node of a type holds. Types with 0 are unknown and not checked.
func (k Cluster) Crowded(pods func(instanceType string) int) (problems []Problem) {
	onEach, anywhere := k.OwnPods()
	room, known, remedy := 0, true, "raise a desiredSize, or use larger types"
	for _, name := range slices.Sorted(maps.Keys(k.NodeGroups)) {
		at, g := child(nodeGroupsPath, name), k.NodeGroups[name]
		// Every node of a group holds as many pods as one of its smallest type
		// (https://docs.aws.amazon.com/eks/latest/userguide/create-managed-node-group.html).
		least := 0
		for i, t := range g.InstanceTypes {
			n := pods(t)
			if n > 0 && (least == 0 || n < least) {
				least = n
			}
			if n > 0 && n <= onEach {
				problems = append(problems, Problem{fmt.Sprintf("%s.instanceTypes[%d]", at, i), fmt.Sprintf("%q, whose nodes hold %d pods", t, n),
					fmt.Sprintf("types whose nodes hold more than the %d pods that the add-ons run on each node, such as t3.small", onEach), ""})
			}
		}
		if g.MaxPods > 0 && least > onEach {
			// Nodes give pods single addresses, no prefixes: a pod beyond that number would get none
			// (https://docs.aws.amazon.com/eks/latest/userguide/cni-increase-ip-addresses.html).
			if g.MaxPods > least {
				problems = append(problems, Problem{at + ".maxPods", fmt.Sprint(g.MaxPods),
					fmt.Sprintf("%d or less, as many as EKS allows for the smallest of instanceTypes", least), ""})
			}
			if g.MaxPods < least {
				least, remedy = g.MaxPods, "raise a desiredSize or maxPods, or use larger types"
			}
		}
		if !g.tainted() && g.DesiredSize > 0 {
			room += g.DesiredSize * (least - onEach)
			known = known && least > 0
		}
	}
	if len(problems) == 0 && known && room < anywhere {
		problems = append(problems, Problem{nodeGroupsPath,
			fmt.Sprintf("nodes without taints with room for %d pods beside the add-ons' %d on each", max(room, 0), onEach),
			fmt.Sprintf("room for the %d pods of Deployments that the program itself runs in kube-system", anywhere),
			remedy})
	}
	return problems
}

func (r *report) nodeGroup(path string, g NodeGroup) {
	if r.require(path+".capacityType", "SPOT or ON_DEMAND", "") {
		oneOf(r, path+".capacityType", g.CapacityType, []CapacityType{Spot, OnDemand})
	}
	knownAMI := oneOf(r, path+".amiType", g.AMIType, slices.Sorted(maps.Keys(amiTypes)))

	// https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html
	const types = "1 to 20 EC2 instance types such as m5.large"
	if r.require(path+".instanceTypes", types, "") {
		for i, t := range g.InstanceTypes {
			at := fmt.Sprintf("%s.instanceTypes[%d]", path, i)
			if !r.match(at, t, instanceType, 32, "an EC2 instance type such as m5.large") {
				continue
			}
			// https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html
			if strings.HasPrefix(t, "mac") || strings.HasPrefix(t, "a1.") {
				r.add(at, quote(t)+", on which no image of EKS with Amazon Linux 2023 runs", "types of other families than mac and a1", "")
			}
			if !knownAMI {
				continue
			}
			if arm := amiTypes[g.AMIType]; arm != isARM(t) {
				r.add(at, quote(t)+", "+architecture(!arm), "types of amiType "+g.AMIType+", "+architecture(arm),
					"put types of the other architecture into a group of their own")
			}
		}
		r.unique(path+".instanceTypes", g.InstanceTypes)
		if n := len(g.InstanceTypes); n < 1 || n > 20 {
			r.add(path+".instanceTypes", fmt.Sprintf("a list of %d", n), types, "")
		}
	}

	r.sizes(path, g)
	// gp3's limit (https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html). AL2023's image has 20 GiB.
	r.between(path+".diskSizeGiB", g.DiskSizeGiB, 20, 65536, " GiB")
	if onEach, _ := (Cluster{}).OwnPods(); r.given[path+".maxPods"] && g.MaxPods <= onEach {
		r.add(path+".maxPods", fmt.Sprint(g.MaxPods), fmt.Sprintf("more than the %d pods that the add-ons run on each node", onEach),
			"leave it out for as many as EKS allows")
	}
	r.between(path+".maxUnavailablePercentage", g.MaxUnavailablePercentage, 1, 100, "")

	for _, key := range slices.Sorted(maps.Keys(g.Labels)) {
		r.nodeLabel(child(path+".labels", key), key, g.Labels[key])
	}
	r.taints(path+".taints", g.Taints)
}

// sizes checks a group's numbers of nodes (https://docs.aws.amazon.com/eks/latest/APIReference/API_NodegroupScalingConfig.html).
func (r *report) sizes(path string, g NodeGroup) {
	low, want, high := path+".minSize", path+".desiredSize", path+".maxSize"
	hasLow := r.require(low, "a number of nodes from 0 to desiredSize", "")
	hasWant := r.require(want, "a number of nodes from minSize to maxSize", "")
	hasHigh := r.require(high, "a number of nodes from 1 on, and desiredSize at least", "")
	if hasHigh && g.MaxSize < 1 {
		r.add(high, fmt.Sprint(g.MaxSize), "1 or more", "")
		hasHigh = false
	}
	if hasLow && g.MinSize < 0 {
		r.add(low, fmt.Sprint(g.MinSize), "0 or more", "")
		hasLow = false
	}
	switch {
	case hasLow && hasHigh && g.MinSize > g.MaxSize:
		r.add(low, fmt.Sprint(g.MinSize), fmt.Sprintf("0 to maxSize, %d", g.MaxSize), "")
	case hasLow && hasWant && g.DesiredSize < g.MinSize:
		r.add(want, fmt.Sprint(g.DesiredSize), fmt.Sprintf("minSize, %d, or more", g.MinSize), "")
	case hasWant && hasHigh && g.DesiredSize > g.MaxSize:
		r.add(want, fmt.Sprint(g.DesiredSize), fmt.Sprintf("maxSize, %d, or less", g.MaxSize), "")
	}
}

// isARM says whether an instance type has ARM processors. Graviton has a "g" after the generation, or is the first one, a1
// (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html). NVIDIA's Grace has "-gb".
func isARM(t string) bool {
	m := instanceType.FindStringSubmatch(t)
	return m != nil && (strings.HasPrefix(t, "a1.") || strings.HasPrefix(m[1], "g") || strings.Contains(t, "-gb"))
}

func architecture(arm bool) string {
	if arm {
		return "arm64"
	}
	return "x86_64"
}

// nodeLabel checks one label. EKS limits key and value to 63 characters and requires a value
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html).
func (r *report) nodeLabel(path, key, value string) {
	domain, _, hasDomain := strings.Cut(key, "/")
	within := func(parent string) bool { return domain == parent || strings.HasSuffix(domain, "."+parent) }
	switch {
	case !qualifiedName(key):
		r.add(path, "this key", "a label key of at most 63 characters, as in team or example.com/team", "")
	case hasDomain && within("eks.amazonaws.com"):
		r.add(path, "a key of EKS", "a key outside of eks.amazonaws.com, which EKS sets itself", "")
	case hasDomain && (within("kubernetes.io") || within("k8s.io")) && domain != "node.kubernetes.io" && domain != "kubelet.kubernetes.io":
		// The kubelet refuses to start with other keys of Kubernetes
		// (https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction).
		r.add(path, "a key that a node may not give itself", "node.kubernetes.io/NAME, kubelet.kubernetes.io/NAME, or a domain of your own", "")
	default:
		r.match(path, value, labelValue, 63,
			"a label value of 1 to 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit")
	}
}

// qualifiedName says whether s is a Kubernetes name with an optional domain, and short enough for EKS.
func qualifiedName(s string) bool {
	domain, name, hasDomain := strings.Cut(s, "/")
	if !hasDomain {
		domain, name = "x", s
	}
	return len(s) <= 63 && dnsName.MatchString(domain) && labelName.MatchString(name)
}

// taints checks a group's taints (https://docs.aws.amazon.com/eks/latest/APIReference/API_Taint.html).
func (r *report) taints(path string, taints []Taint) {
	for i, t := range taints {
		at := fmt.Sprintf("%s[%d]", path, i)
		if r.require(at+".key", "a taint key", "") && !qualifiedName(t.Key) {
			r.add(at+".key", quote(t.Key), "a taint key of 1 to 63 characters, as in team or example.com/team", "")
		}
		if t.Value != "" {
			r.match(at+".value", t.Value, labelValue, 63, "up to 63 letters, digits, '-', '_' and '.'")
		}
		if r.require(at+".effect", "NO_SCHEDULE, NO_EXECUTE or PREFER_NO_SCHEDULE", "") {
			oneOf(r, at+".effect", t.Effect, []string{"NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"})
		}
		// https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/: key and effect identify a taint.
		if first := slices.IndexFunc(taints, func(o Taint) bool { return o.Key == t.Key && o.Effect == t.Effect }); first < i {
			r.add(at, quote(t.Key)+" with effect "+t.Effect+" again",
				fmt.Sprintf("each pair of key and effect once; %s[%d] has it", path, first), "")
		}
	}
	if len(taints) > 50 {
		r.add(path, fmt.Sprintf("a list of %d", len(taints)), "at most 50", "")
	}
}
