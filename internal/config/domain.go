package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"expense/internal/subnets"
)

var (
	// https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_CreateDomain.html
	domainName = regexp.MustCompile(`^[a-z][a-z0-9-]{2,27}$`)
	// All of OpenSearch's versions have fine-grained access control, audit logs and Auto-Tune. Some of Elasticsearch's lack them
	// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/features-by-version.html).
	engineVersion = regexp.MustCompile(`^OpenSearch_([1-9][0-9]?)\.([0-9]{1,2})$`)
	searchType    = regexp.MustCompile(`^(([a-z]{1,9})[0-9]{1,2}([a-z]{0,5}))\.(small|medium|large|[0-9]{0,2}xlarge)\.search$`)
	// Families with local disks, or without gp3 volumes or encryption at rest, which the domain uses
	// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/supported-instance-types.html and
	// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#ebsresource).
	unsuitedFamily = regexp.MustCompile(`^(i[0-9]+[a-z]*|im[0-9]+[a-z]*|oi[0-9]+|r[0-9]+gd|d2|t2|m3|m4|c4|r3|r4|ultrawarm[0-9]+)$`)
	// Families that `aws opensearch list-instance-type-details` lists without the role of a master (OpenSearch_2.19, us-east-1,
	// September 2026), and those without encryption at rest.
	neverMaster = regexp.MustCompile(`^(o[a-z]+[0-9]+|i7i|i8ge?|r[78]gd|ultrawarm[0-9]+|t2|r3)$`)
)

// oldestEngine is the first OpenSearch version, major and minor, with min_rollover_age, by which indices are deleted
// (Transition.kt in https://github.com/opensearch-project/index-management/tree/1.3).
var oldestEngine = []int{1, 3}

// minimalVersion is the first OpenSearch version, major and minor, of OpenSearch's own instance families
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/supported-instance-types.html).
var minimalVersion = map[string][]int{"or1": {2, 11}, "or2": {2, 17}, "om2": {2, 17}}

func (r *report) domain(c *Config) {
	d := c.Logging.Domain
	const (
		path = "logging.domain"
		kind = "an OpenSearch instance type such as m7g.large.search"
	)
	r.match(path+".name", d.Name, domainName, 28, "3 to 28 lower-case letters, digits and '-', starting with a letter")
	r.match(path+".engineVersion", d.EngineVersion, engineVersion, 32,
		"OpenSearch_MAJOR.MINOR; list them with: aws opensearch list-versions --region "+c.regionOr())

	if r.ok(path+".engineVersion") && slices.Compare(version(d.EngineVersion), oldestEngine) < 0 {
		r.add(path+".engineVersion", quote(d.EngineVersion), fmt.Sprintf("OpenSearch_%d.%d or a newer one", oldestEngine[0], oldestEngine[1]), "")
	}

	var data []string
	if r.require(path+".instanceType", kind, "") {
		data = r.searchType(path+".instanceType", d.InstanceType, kind)
	}
	if data != nil && unsuitedFamily.MatchString(data[1]) {
		r.add(path+".instanceType", quote(d.InstanceType), "a type with encrypted gp3 volumes, such as m7g.large.search or t3.small.search", "")
	}
	if data != nil && r.ok(path+".engineVersion") && slices.Compare(version(d.EngineVersion), minimalVersion[data[1]]) < 0 {
		r.add(path+".instanceType", quote(d.InstanceType)+" with "+d.EngineVersion,
			fmt.Sprintf("%s from OpenSearch_%d.%d on, or a type such as m7g.large.search", data[1], minimalVersion[data[1]][0],
				minimalVersion[data[1]][1]), "")
	}

	oneOf(r, path+".zoneCount", d.ZoneCount, []int{1, 2, 3})
	if r.ok(path+".zoneCount", "network.zones") && d.ZoneCount > len(c.Network.Zones) {
		r.add(path+".zoneCount", fmt.Sprint(d.ZoneCount), fmt.Sprintf("at most the number of network.zones, %d", len(c.Network.Zones)), "")
	}
	if r.require(path+".instanceCount", "a number of data nodes, a multiple of zoneCount", "") {
		r.dataNodes(c, path+".instanceCount", data)
	}
	r.masters(d, path+".masterInstanceType", data, kind)
	r.volume(c.Logging, data)
}

// version is the major and minor number of a valid engine version.
func version(engine string) []int {
	m := engineVersion.FindStringSubmatch(engine)
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return []int{major, minor}
}

// dataNodes checks the number of data nodes
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#clusterresource).
func (r *report) dataNodes(c *Config, path string, data []string) {
	d := c.Logging.Domain
	limit := 80
	if data != nil && data[1] == "t3" {
		limit = 10
	}
	r.between(path, d.InstanceCount, 1, limit, " data nodes of "+d.InstanceType)
	if !r.ok("logging.domain.zoneCount", path) {
		return
	}
	// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/managedomains-multiaz.html
	if d.InstanceCount%d.ZoneCount != 0 {
		r.add(path, fmt.Sprint(d.InstanceCount), fmt.Sprintf("a multiple of zoneCount, %d", d.ZoneCount), "")
		return
	}
	vpc, err := netip.ParsePrefix(c.Network.CIDR)
	if err != nil || !r.ok("network.cidr") {
		return
	}
	if reserved, free := 3*d.InstanceCount/d.ZoneCount, addresses(vpc, d.ZoneCount); reserved > free {
		r.add(path, fmt.Sprintf("%d, for which OpenSearch Service reserves %d addresses in each subnet", d.InstanceCount, reserved),
			fmt.Sprintf("at most %d: a private subnet of network.cidr %s has %d addresses", free/3*d.ZoneCount, c.Network.CIDR, free),
			"use more zones, or a larger network in a new stack")
	}
}

// addresses is the number of usable addresses in the smallest of the domain's subnets. AWS keeps five in each
// (https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html). OpenSearch Service reserves three for each data node
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/vpc.html#reserving-ip-vpc-endpoints).
func addresses(vpc netip.Prefix, zones int) int {
	plan := subnets.Plan(vpc, zones)
	return 1<<(32-plan[zones-1].Private.Bits()) - 5
}

// masters checks the dedicated masters. A domain has three or none
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/managedomains-dedicatedmasternodes.html).
func (r *report) masters(d Domain, path string, data []string, kind string) {
	if !d.HasMasters() {
		// AWS requires them in a larger domain (limits.html#clusterresource, as above).
		if r.ok("logging.domain.instanceCount") && d.InstanceCount > 10 {
			r.add(path, "nothing", "with more than 10 data nodes, a type of dedicated masters such as m7g.large.search", "")
		}
		return
	}
	masters := r.searchType(path, d.MasterInstanceType, kind)
	switch {
	case masters == nil || data == nil:
	case neverMaster.MatchString(masters[1]):
		r.add(path, quote(d.MasterInstanceType), "a type that can be a master and encrypts at rest, such as m7g.medium.search", "")
	case isARMFamily(masters) != isARMFamily(data):
		// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/supported-instance-types.html
		r.add(path, quote(d.MasterInstanceType)+", "+architecture(isARMFamily(masters)),
			"a type of the data nodes' architecture, "+architecture(isARMFamily(data))+" ("+d.InstanceType+")", "")
	case masters[1] == "t3" && d.InstanceCount > 10:
		r.add(path, quote(d.MasterInstanceType), "with more than 10 data nodes, a type other than t3", "")
	}
}

// searchType returns the parts of an OpenSearch instance type. It notes any other type.
func (r *report) searchType(path, text, allowed string) []string {
	m := searchType.FindStringSubmatch(text)
	if m == nil {
		remedy := ""
		if searchType.MatchString(text + ".search") {
			remedy = "did you mean " + text + ".search?"
		}
		r.add(path, quote(text), allowed, remedy)
	}
	return m
}

// isARMFamily says whether the parts are of a Graviton type. It has a "g" after the generation. OpenSearch's own families are all
// Graviton (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/or1.html).
func isARMFamily(parts []string) bool { return strings.HasPrefix(parts[3], "g") || parts[2][0] == 'o' }

// supportedEngine is the version to upgrade to if standard support has ended, and "" otherwise. AWS has announced no other end
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/what-is.html#choosing-version, by
// https://endoflife.date/amazon-opensearch).
func supportedEngine(engine string) string {
	switch m := engineVersion.FindStringSubmatch(engine); {
	case m == nil:
	case m[1] == "2" && slices.Compare(version(engine), []int{2, 11}) < 0:
		return "OpenSearch_2.11"
	}
	return ""
}
