package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"expense/internal/published"
)

// Warnings are sentences about settings that are allowed but risky today, always in the same order.
func (c *Config) Warnings(today time.Time) []string {
	var out []string
	if c.Account.ID() == "" {
		// A refresh forgets what the provider does not find: https://github.com/pulumi/pulumi/issues/810.
		out = append(out,
			"the settings name no account: with another one's credentials `pulumi refresh` and `pulumi up --refresh` find nothing, and forget "+
				"the stack; name it, make doctor shows it, with: "+
				"pulumi config set --path --type string 'aws:allowedAccountIds[0]' ID")
	}
	if c.former {
		out = append(out, keyWebSecret+" is the former name of "+keySecrets+".web, and the next release does not read it; for each key: "+
			"pulumi config set --secret --path '"+keySecrets+".web.KEY' VALUE; then: pulumi config rm "+keyWebSecret)
	}
	images := c.ContainerImages()
	maps.DeleteFunc(images, func(_, image string) bool { return strings.Contains(image, "@") })
	if len(images) > 0 {
		out = append(out, strings.Join(slices.Sorted(maps.Keys(images)), ", ")+
			": without a digest a node runs what the registry has under the tag on the day it pulls; make doctor shows the commands that pin each")
	}
	if warning := support(c.Cluster.Version, today); warning != "" {
		out = append(out, warning)
	}
	if !c.Cluster.PublicAccess {
		out = append(out,
			"cluster.publicAccess is false: run pulumi from where the VPC's addresses can be reached, or nothing inside the cluster can be created")
	}
	if n := addressesIn(c.Cluster.PublicAccessCIDRs); n > 1<<16 {
		out = append(out,
			fmt.Sprintf("cluster.publicAccessCidrs holds %d addresses, more than a /16 (65536): each of them may try to sign in to the "+
				"Kubernetes API; list what you use, as /32 or a network of your own", n))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Cluster.NodeGroups)) {
		g := c.Cluster.NodeGroups[name]
		// Each zone's group must be able to grow by a node.
		zones := len(c.Network.Zones)
		if room := g.MaxSize - g.DesiredSize; c.Cluster.Autoscaler.Enabled && g.PerZone && room > 0 && room < zones {
			out = append(out,
				fmt.Sprintf("%s is %d, which lets the group grow in %d of %d zones: a pod whose volume is in another one gets no new node; set %d "+
					"or more",
					child(nodeGroupsPath, name)+".maxSize", g.MaxSize, room, zones, g.DesiredSize+zones))
		}
		path := child(nodeGroupsPath, name) + ".instanceTypes"
		known := slices.DeleteFunc(slices.Clone(g.InstanceTypes), func(t string) bool { _, is := published.InstanceTypes()[t]; return !is })
		for i, t := range g.InstanceTypes {
			if !slices.Contains(known, t) {
				out = append(out,
					fmt.Sprintf("%s[%d]: %s is not in the list of EC2's types of October 2026: its vCPUs, memory and pods are not checked; ask EC2 "+
						"with: aws ec2 describe-instance-types --instance-types %s --region %s",
						path, i, t, t, c.Region))
			}
		}
		if g.CapacityType != Spot {
			continue
		}
		if len(g.InstanceTypes) == 1 {
			out = append(out, fmt.Sprintf("%s has one type: when EC2 has no spare %s, this spot group gets no nodes; %s",
				path, g.InstanceTypes[0], similarAdvice(g.InstanceTypes[0])))
		}
		if odd := slices.IndexFunc(known, func(t string) bool { return sizeOf(t) != sizeOf(known[0]) }); odd > 0 {
			out = append(out,
				fmt.Sprintf("%s mixes sizes (%s has %s, %s has %s): autoscaling counts on nodes of one size; use types of the same vCPUs and memory",
					path, known[0], sizeOf(known[0]), known[odd], sizeOf(known[odd])))
		}
	}
	if c.Workloads.Web.Public {
		out = append(out, "workloads.web.public is true: the web workload answers everyone on the internet, over HTTP")
	}
	out = append(out, c.appWarnings()...)
	if warning := c.Logging.shards(); warning != "" {
		out = append(out, warning)
	}
	if next := supportedEngine(c.Logging.Domain.EngineVersion); next != "" {
		out = append(out,
			fmt.Sprintf("logging.domain.engineVersion %s: its standard support ended on 2025-11-07, and AWS adds a charge to every instance "+
				"hour; use %s or newer, see docs/changes.md",
				c.Logging.Domain.EngineVersion, next))
	}
	return out
}

// appWarnings are those about each app.
func (c *Config) appWarnings() (out []string) {
	spot := slices.ContainsFunc(slices.Collect(maps.Values(c.Cluster.NodeGroups)), func(g NodeGroup) bool {
		return g.CapacityType == Spot && !g.tainted()
	})
	for _, name := range slices.Sorted(maps.Keys(c.Workloads.Apps)) {
		a, at := c.Workloads.Apps[name], child(appsPath, name)
		if a.LeftOut() {
			out = append(out, at+" is left out: it has no image yet; when its repository is there, build one with: make image NAME="+name+
				" STACK=STACK")
			continue
		}
		switch n := a.Replicas; {
		case n.Max == 1:
			out = append(out, at+".replicas is 1: nothing answers while EC2 takes the pod's node back, and an update runs two at once; set 2, or "+
				"know that the app bears both")
		case n.Min == 1:
			out = append(out, at+".replicas.min is 1: at a low load nothing answers while EC2 takes the pod's node back; set 2")
		}
		// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
		if a.GraceSeconds > 100 && spot {
			out = append(out, fmt.Sprintf("%s.graceSeconds is %d: EC2 takes a spot node two minutes after its notice, and then ends what still runs",
				at, a.GraceSeconds))
		}
		if a.Public.Plain {
			out = append(out, at+".public.plain is true: what its clients send and get is not encrypted")
		}
		if everybody(a.Public.From) {
			out = append(out, at+".public.from has all addresses: the app answers everyone on the internet")
		}
	}
	return out
}

// ContainerImages are the images of the stack's pods, by the paths of their settings.
func (c *Config) ContainerImages() map[string]string {
	images := map[string]string{
		"workloads.images.nginx": c.Workloads.Images.Nginx, "workloads.images.alma": c.Workloads.Images.Alma, "logging.image": c.Logging.Image,
	}
	if c.Cluster.Autoscaler.Enabled {
		images["cluster.autoscaler.image"] = c.Cluster.Autoscaler.Image
	}
	if c.Logging.Dashboards.Enabled {
		images["logging.dashboards.image"] = c.Logging.Dashboards.Image
	}
	for name, app := range c.Workloads.Apps {
		images[child(appsPath, name)+".image"] = app.Image
		if app.Logs.From == LogsOutput && app.Logs.Capture == CaptureStatic && !app.LeftOut() {
			images["logging.captureImage"] = c.Logging.CaptureImage
		}
	}
	maps.DeleteFunc(images, func(_, image string) bool { return image == "" })
	return images
}

// addressesIn is the number of addresses in IPv4 networks, each counted once.
func addressesIn(cidrs []string) (n uint64) {
	var networks []netip.Prefix
	for _, cidr := range cidrs {
		if p, err := netip.ParsePrefix(cidr); err == nil && p.Addr().Is4() {
			networks = append(networks, p.Masked())
		}
	}
	slices.SortFunc(networks, func(a, b netip.Prefix) int { return cmp.Compare(a.Bits(), b.Bits()) })
	for i, p := range networks {
		if !slices.ContainsFunc(networks[:i], p.Overlaps) { // earlier ones are not smaller: one that overlaps contains this one
			n += 1 << (32 - p.Bits())
		}
	}
	return n
}

// support warns of a Kubernetes version from 60 days before the end of its standard support, which is when EKS announces it at the
// latest. The program sets upgradePolicy STANDARD, so EKS then upgrades the control plane, but neither nodes nor add-ons
// (https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html#version-faqs and view-upgrade-policy.html). There is no
// warning for a version that is not in the table.
func support(version string, today time.Time) string {
	all := published.KubernetesVersions()
	i := slices.IndexFunc(all, func(v published.KubernetesVersion) bool { return v.Version == version })
	if i < 0 || today.Before(all[i].StandardEnds.AddDate(0, 0, -60)) {
		return ""
	}
	ends, then := "ends", "From then on"
	if !today.Before(all[i].StandardEnds) {
		ends, then = "ended", "Now"
	}
	return fmt.Sprintf("cluster.version %s: its standard support %s on %s. %s EKS upgrades the control plane to the next version on a day "+
		"that it does not announce, and leaves nodes and add-ons as they are; upgrade first, as docs/changes.md says under "+
		"\"Kubernetes version\"",
		quote(version), ends, all[i].StandardEnds.Format(time.DateOnly), then)
}

// alike are instance families with the same vCPUs and memory in each of alikeSizes
// (https://aws.amazon.com/ec2/instance-types/), the most available first.
var alike = [][]string{
	{"m5", "m5a", "m5d", "m5n", "m6i", "m6a", "m7i", "m7a"},
	{"c5", "c5a", "c5d", "c6i", "c6a", "c7i", "c7a"},
	{"r5", "r5a", "r5d", "r5n", "r6i", "r6a", "r7i", "r7a"},
	{"m6g", "m6gd", "m7g", "m7gd", "m8g"},
	{"c6g", "c6gd", "c6gn", "c7g", "c7gd", "c8g"},
	{"r6g", "r6gd", "r7g", "r7gd", "r8g"},
}

var alikeSizes = []string{"large", "xlarge", "2xlarge", "4xlarge"}

// similarAdvice names up to five types with the same vCPUs and memory
// (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html#managed-node-group-capacity-types).
func similarAdvice(t string) string {
	family, size, _ := strings.Cut(t, ".")
	for _, families := range alike {
		if !slices.Contains(families, family) || !slices.Contains(alikeSizes, size) {
			continue
		}
		var types []string
		for _, f := range families {
			if f != family && len(types) < 5 {
				types = append(types, f+"."+size)
			}
		}
		return "add similar ones: " + strings.Join(types, ", ")
	}
	return "add types of the same vCPUs, memory and architecture"
}

// sizeOf says the vCPUs and memory of a published type.
func sizeOf(t string) string {
	s := published.InstanceTypes()[t]
	return fmt.Sprintf("%d vCPUs and %g GiB", s.VCPU, float64(s.MemoryMiB)/1024)
}
