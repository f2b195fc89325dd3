package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"expense/internal/iampolicy"
)

var (
	// The agents of a node answer there, its instance metadata and the pods' roles
	// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
	linkLocal = netip.MustParsePrefix("169.254.0.0/16")
	// https://docs.aws.amazon.com/acm/latest/APIReference/API_DescribeCertificate.html
	certificateARN = regexp.MustCompile(`^arn:aws[a-z-]*:acm:([a-z0-9-]+):([0-9]{12}):certificate/[A-Za-z0-9-]+$`)
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
	iamAction = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)
	// A wildcard may be behind the service: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html.
	iamResource = regexp.MustCompile(`^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9*-]*:(?:[0-9]{12}|aws|\*)?:[!-~]+$`)
)

// inbound checks who may connect: workloads of the namespace.
func (r *report) inbound(at string, a App, apps []string) {
	known := slices.Concat(apps, []string{WebName, "nginx", "multi-container", "*"})
	slices.Sort(known)
	if _, _, listens := a.Checked(); len(a.Inbound) > 0 && !listens && !a.LeftOut() && r.ok(at+".port", at+".ports") {
		r.add(at+".inbound", "callers, and no port", "callers of an app with port or ports", "")
		return
	}
	for i, caller := range a.Inbound {
		oneOf(r, fmt.Sprintf("%s.inbound[%d]", at, i), caller, known)
	}
	r.unique(at+".inbound", a.Inbound)
	if slices.Contains(a.Inbound, "*") && len(a.Inbound) > 1 {
		r.add(at+".inbound", "* and others", `["*"] for the whole namespace, or names`, "")
	}
}

// outbound checks the ways out of the namespace.
func (r *report) outbound(at string, ways []Outbound, c *Config) {
	for i, way := range ways {
		at := fmt.Sprintf("%s.outbound[%d]", at, i)
		if r.require(at+".ports", "TCP ports", "") {
			r.tcpPorts(at+".ports", way.Ports)
		}
		switch {
		case (way.CIDR != "") == way.Internet:
			r.add(at, "not exactly one of cidr and internet", "a network, or internet: true", "")
		case way.Internet && c.Network.NAT == NATNone:
			r.add(at+".internet", "true with network.nat none, where nothing leads there", "cidr", "or set network.nat: single")
		case way.CIDR == "0.0.0.0/0":
			r.add(at+".cidr", quote(way.CIDR)+", which has the cluster's own addresses too", "a network", "write internet: true for all public ones")
		case way.CIDR != "":
			if prefix, ok := r.cidr(at+".cidr", way.CIDR, 0, 32, nil, ""); ok && prefix.Overlaps(linkLocal) {
				r.add(at+".cidr", quote(way.CIDR)+", in which are the node's agents", "a network outside of "+linkLocal.String(), "")
			}
		}
	}
}

func (r *report) tcpPorts(at string, ports []int) {
	if len(ports) == 0 {
		r.add(at, "an empty list", "TCP ports", "")
	}
	for i, port := range ports {
		r.between(fmt.Sprintf("%s[%d]", at, i), port, 1, 65535, "")
		if first := slices.Index(ports, port); first < i {
			r.add(fmt.Sprintf("%s[%d]", at, i), fmt.Sprint(port)+" again", fmt.Sprintf("each one once; %s[%d] has it", at, first), "")
		}
	}
}

// public checks the load balancer on the internet. Whom it serves has no default.
func (r *report) public(at string, a App, c *Config) {
	p, path := a.Public, at+".public"
	if !r.given[path] {
		return
	}
	if _, _, listens := a.Checked(); !listens && !a.LeftOut() && r.ok(at+".port", at+".ports") {
		r.add(path, "a load balancer, and no port", "one in front of port or ports", "")
		return
	}
	if r.require(path+".from", "IPv4 networks that may connect; 0.0.0.0/0 is everybody", "") {
		for i, cidr := range p.From {
			r.cidr(fmt.Sprintf("%s.from[%d]", path, i), cidr, 0, 32, nil, "")
		}
		r.unique(path+".from", p.From)
		if len(p.From) == 0 {
			r.add(path+".from", "an empty list", "IPv4 networks that may connect; 0.0.0.0/0 is everybody", "")
		}
	}
	switch {
	case p.CertificateARN != "" && p.Plain:
		r.add(path, "certificateArn and plain", "one of the two", "")
	case p.CertificateARN == "" && !p.Plain:
		r.add(path, "neither certificateArn nor plain", "a certificate for TLS, or plain: true for none", "")
	case p.CertificateARN != "":
		r.certificate(path+".certificateArn", p.CertificateARN, c)
	}
}

// certificate checks a certificate's ARN. A load balancer takes those of its own account and region
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/tls-listener-certificates.html).
func (r *report) certificate(at, arn string, c *Config) {
	const allowed = "the ARN of an ACM certificate, such as arn:aws:acm:us-east-1:123456789012:certificate/ID"
	if !r.match(at, arn, certificateARN, 2048, allowed) || !r.ownPartition(at, arn, c.Region) {
		return
	}
	m := certificateARN.FindStringSubmatch(arn)
	if r.ok(keyRegion) && m[1] != c.Region {
		r.add(at, "a certificate of "+m[1], "one of the stack's region, "+c.Region, "")
	}
	r.ownAccount(at, "a certificate", m[2], c)
}

// ownAccount notes a thing of an account that the stack's settings exclude.
func (r *report) ownAccount(at, thing, owner string, c *Config) {
	if c.Account.excludes(owner) {
		r.add(at, thing+" of account "+owner, thing+" of the account that the stack's aws: settings allow", "")
	}
}

// statements checks the policy of an app's role.
func (r *report) statements(at string, statements []Statement, c *Config) {
	for i, s := range statements {
		at := fmt.Sprintf("%s[%d]", at, i)
		if r.require(at+".actions", "actions such as s3:GetObject", "") {
			for n, action := range s.Actions {
				r.match(fmt.Sprintf("%s.actions[%d]", at, n), action, iamAction, 128, "one action without wildcards, such as s3:GetObject")
			}
			r.unique(at+".actions", s.Actions)
		}
		if r.require(at+".resources", "ARNs", "") {
			for n, arn := range s.Resources {
				where := fmt.Sprintf("%s.resources[%d]", at, n)
				if r.match(where, arn, iamResource, 2048, "an ARN, such as arn:aws:s3:::BUCKET/*") {
					r.ownPartition(where, arn, c.Region)
				}
			}
			r.unique(at+".resources", s.Resources)
		}
		for name, list := range map[string][]string{"actions": s.Actions, "resources": s.Resources} {
			if r.given[at+"."+name] && len(list) == 0 {
				r.add(at+"."+name, "an empty list", "one at least", "")
			}
		}
	}
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: a role's inline policies, without white space.
	const most = 10240
	var parts []iampolicy.Statement
	for i, s := range statements {
		parts = append(parts, iampolicy.Statement{Sid: fmt.Sprintf("App%d", i), Actions: s.Actions, Resources: s.Resources})
	}
	if text, err := iampolicy.Document(parts...); err == nil && len(text) > most {
		r.add(at, fmt.Sprintf("a policy of %d characters", len(text)), fmt.Sprintf("at most %d", most), "use a * for the end of names")
	}
}

// registry checks cluster.registry, and that the cluster's name can begin the names of repositories.
func (r *report) registry(c *Config) {
	const at = "cluster.registry"
	g := c.Cluster.Registry
	owners := map[string]string{CaptureName: "logging.captureImage"}
	for name, app := range c.Workloads.Apps {
		if app.Build.Wanted() {
			owners[name] = child(appsPath, name) + ".build"
		}
	}
	for i, name := range g.Repositories {
		where := fmt.Sprintf("%s.repositories[%d]", at, i)
		r.match(where, name, appName, mostName, "1 to 40 lower-case letters, digits and '-', starting with a letter and not ending with '-'")
		if owner := owners[name]; owner != "" {
			r.add(where, quote(name)+", which "+owner+" has", "names of images that are no app", "remove it")
		}
	}
	r.unique(at+".repositories", g.Repositories)
	r.between(at+".keepImages", g.KeepImages, 10, 1000, "")
	if arn := g.DockerHubSecretARN; arn != "" {
		r.dockerHub(at+".dockerHubSecretArn", arn, c)
	}
	// The cluster's name begins the names of repositories
	// (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html) and, with "/docker-hub" or as many characters,
	// the prefixes of cache rules (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreatePullThroughCacheRule.html).
	limit, what := 100, "repositories"
	if g.Cache || g.DockerHubSecretARN != "" {
		limit, what = 30-len("/docker-hub"), "a cache"
	} else if len(owners) == 1 && len(g.Repositories) == 0 {
		return
	}
	if name := c.Cluster.Name; !repositoryName.MatchString(name) || len(name) > limit {
		r.add("cluster.name", fmt.Sprintf("%s in a stack with %s", quote(name), what),
			fmt.Sprintf("up to %d lower-case letters and digits, with one or two '_' or any '-' between them", limit),
			"another name makes another cluster; without cluster.registry and build the name may stay")
	}
}

var (
	repositoryName = regexp.MustCompile(`^[a-z0-9]+((_|__|-+)[a-z0-9]+)*$`)
	// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreatePullThroughCacheRule.html
	cacheSecretARN = regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):([0-9]{12}):secret:ecr-pullthroughcache/` +
		`[A-Za-z0-9/_+=.@-]+$`)
)

// dockerHub checks the secret of Docker Hub's rule, which is in the registry's account and region
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-creating-rule.html).
func (r *report) dockerHub(at, arn string, c *Config) {
	const allowed = "a secret whose name begins with ecr-pullthroughcache/, " +
		"such as arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/docker-hub-AbCdEf"
	if !r.match(at, arn, cacheSecretARN, 612, allowed) || !r.ownPartition(at, arn, c.Region) {
		return
	}
	m := cacheSecretARN.FindStringSubmatch(arn)
	if r.ok(keyRegion) && m[1] != c.Region {
		r.add(at, "a secret of "+m[1], "one of the stack's region, "+c.Region, "")
	}
	r.ownAccount(at, "a secret", m[2], c)
}

// everybody says whether one of the networks is all addresses.
func everybody(cidrs []string) bool {
	return slices.ContainsFunc(cidrs, func(cidr string) bool { return strings.HasSuffix(cidr, "/0") })
}
