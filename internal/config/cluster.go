package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"expense/internal/iampolicy"
	"expense/internal/published"
)

// unroutable are ranges without addresses of the internet.
var unroutable = slices.Concat(forVPC, []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/3"),
})

// endpoint checks who may reach the Kubernetes API
// (https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html).
func (r *report) endpoint(c *Config) {
	const (
		path   = "cluster.publicAccessCidrs"
		remedy = `allow your own address with: pulumi config set --path 'expense:cluster.publicAccessCidrs[0]' "$(curl -s ` +
			`https://checkip.amazonaws.com)/32"`
	)
	cidrs := c.Cluster.PublicAccessCIDRs
	switch {
	case !r.ok("cluster.publicAccess"):
	case c.Cluster.PublicAccess && len(cidrs) == 0:
		r.add(path, "nothing", "1 to 40 IPv4 networks that may reach the public endpoint", remedy)
	case !c.Cluster.PublicAccess && len(cidrs) > 0:
		r.add(path, "networks, but cluster.publicAccess is false", "nothing without a public endpoint",
			"set cluster.publicAccess: true, or remove them")
	}
	for i, text := range cidrs {
		at := fmt.Sprintf("%s[%d]", path, i)
		prefix, ok := r.cidr(at, text, 0, 32, nil, "")
		// EKS refuses a network with reserved addresses, except 0.0.0.0/0
		// (https://docs.aws.amazon.com/eks/latest/userguide/config-cluster-endpoint.html). Private addresses use the private endpoint.
		if ok && prefix.Bits() > 0 && slices.ContainsFunc(unroutable, prefix.Overlaps) {
			r.add(at, quote(text)+", in which are addresses that are not on the internet", "the public addresses that requests come from", remedy)
		}
	}
	r.unique(path, cidrs)
	if len(cidrs) > 40 {
		// Not adjustable: https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html.
		r.add(path, fmt.Sprintf("a list of %d", len(cidrs)), "at most 40", "")
	}
}

var (
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
	clusterName       = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]*$`)
	kubernetesVersion = regexp.MustCompile(`^1\.([1-9][0-9])$`)
	principalARN      = arnOf("role|user")
	assumedRoleARN    = regexp.MustCompile(`^arn:aws[a-z-]*:sts::[0-9]{12}:assumed-role/([\w+=,.@-]+)/`)
	addonVersion      = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?-eksbuild\.[0-9a-z]+$`)
)

// arnOf matches ARNs of IAM's kinds
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns). A path has up to 512 characters, a
// name up to 64 (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
func arnOf(kinds string) *regexp.Regexp {
	return regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:(?:` + kinds + `)/(?:[\w+=,.@/-]{1,510}/)?[\w+=,.@-]{1,64}$`)
}

// ownPartition notes a problem for an ARN of another partition than the region's. A partition does not know the principals of another
// (https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html).
func (r *report) ownPartition(path, arn, region string) bool {
	own := "arn:" + iampolicy.Partition(region) + ":"
	if _, known := zonePrefix(region); !known || !r.ok(keyRegion) || strings.HasPrefix(arn, own) {
		return true
	}
	r.add(path, quote(arn)+", of another partition than "+region, "an ARN that starts with "+own, "")
	return false
}

// addons are the EKS add-ons that the program installs.
var addons = slices.Sorted(maps.Keys(published.Addons()))

// logGroupRetentions are the values that CloudWatch Logs accepts
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
var logGroupRetentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

func (r *report) cluster(c *Config) {
	k := c.Cluster
	r.match("cluster.name", k.Name, clusterName, 100, "1 to 100 letters, digits, '-' and '_', starting with a letter or digit")

	// Native sidecars, which ship the logs, are stable since 1.33
	// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/). Versions newer than today's are allowed.
	const version = `a minor version from "1.33" on that EKS offers, in quotes`
	if r.require("cluster.version", version, "list them with: aws eks describe-cluster-versions --region "+c.regionOr()) {
		if m := kubernetesVersion.FindStringSubmatch(k.Version); m == nil || m[1] < "33" {
			r.add("cluster.version", quote(k.Version), version, "")
		}
	}
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_KubernetesNetworkConfigRequest.html
	services, ok := r.cidr("cluster.serviceCidr", k.ServiceCIDR, 12, 24, private, "10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
	if vpc, err := netip.ParsePrefix(c.Network.CIDR); ok && err == nil && r.ok("network.cidr") && services.Overlaps(vpc) {
		r.add("cluster.serviceCidr", quote(k.ServiceCIDR), "a network that does not overlap network.cidr, "+c.Network.CIDR, "")
	}

	for list, arns := range map[string][]string{"admins": k.Admins, "readers": k.Readers} {
		for i, arn := range arns {
			path := fmt.Sprintf("cluster.%s[%d]", list, i)
			// The ARN of a session never matches an access entry (https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html).
			if m := assumedRoleARN.FindStringSubmatch(arn); m != nil {
				r.add(path, quote(arn)+", a session of a role", "the role's own ARN",
					"show it with: aws iam get-role --query Role.Arn --role-name "+m[1])
			} else if r.match(path, arn, principalARN, 2048, "the ARN of an IAM role or user, such as arn:aws:iam::123456789012:role/NAME") {
				r.ownPartition(path, arn, c.Region)
			}
		}
		r.unique("cluster."+list, arns)
	}
	for i, arn := range k.Readers {
		// EKS has only one access entry for a principal (access-entries, as above).
		if slices.Contains(k.Admins, arn) {
			r.add(fmt.Sprintf("cluster.readers[%d]", i), quote(arn)+", which is in cluster.admins", "each principal in one of the two lists", "")
		}
	}

	oneOf(r, "cluster.logRetentionDays", k.LogRetentionDays, logGroupRetentions)
	// https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
	r.between("cluster.keyDeletionDays", k.KeyDeletionDays, 7, 30, " days")

	for _, name := range slices.Sorted(maps.Keys(k.AddonVersions)) {
		path := child("cluster.addonVersions", name)
		if !slices.Contains(addons, name) {
			r.unknown(path, name, addons)
			continue
		}
		r.match(path, k.AddonVersions[name], addonVersion, 64,
			"a version such as v1.20.4-eksbuild.1; list them with: aws eks describe-addon-versions --addon-name "+name+" --region "+c.regionOr())
	}
	if k.Autoscaler.Enabled && r.ok("cluster.version") {
		r.image(c, "cluster.autoscaler.image", k.Autoscaler.Image)
	}
}
