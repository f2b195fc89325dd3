package config

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_CreateDomain.html
	domainName    = regexp.MustCompile(`^[a-z][a-z0-9-]{2,27}$`)
	engineVersion = regexp.MustCompile(`^OpenSearch_[1-9][0-9]*\.[0-9]+$`)
	searchType    = regexp.MustCompile(`^(([a-z]+)[0-9]+([a-z]*))\.([a-z0-9]+)\.search$`)
	// Names of indices: https://docs.opensearch.org/latest/api-reference/index-apis/create-index/.
	indexPrefix = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	// Families that keep data on disks of their own, or have no gp3 volume or no encryption at rest, all of which the domain
	// uses (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/supported-instance-types.html and
	// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#ebsresource).
	unsuitedFamily = regexp.MustCompile(`^(i[0-9]+[a-z]*|im[0-9]+[a-z]*|r[0-9]+gd|t2|m3|m4|c4|r3|r4)$`)
)

// volumeLimits are the largest gp3 volumes in GiB by instance family and size; the smallest is 10 GiB
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#ebsresource). Of other types, AWS knows.
var volumeLimits = map[string]map[string]int{
	"t3":  {"small": 100, "medium": 200},
	"m5":  {"large": 1024, "xlarge": 2048, "2xlarge": 3072, "4xlarge": 6144, "12xlarge": 18432},
	"m6g": {"large": 1024, "xlarge": 2048, "2xlarge": 3072, "4xlarge": 6144, "8xlarge": 12288, "12xlarge": 18432},
	"c5":  {"large": 256, "xlarge": 512, "2xlarge": 1024, "4xlarge": 1536, "9xlarge": 3584, "18xlarge": 7168},
	"c6g": {"large": 256, "xlarge": 512, "2xlarge": 1024, "4xlarge": 1536, "8xlarge": 3072, "12xlarge": 4608},
	"r5":  {"large": 2048, "xlarge": 3072, "2xlarge": 6144, "4xlarge": 12288, "12xlarge": 24576},
	"r6g": {"large": 2048, "xlarge": 3072, "2xlarge": 6144, "4xlarge": 12288, "8xlarge": 16384, "12xlarge": 24576},
}

// largestVolume is the most that any type of volumeLimits has, in GiB.
const largestVolume = 24576

func (r *report) logging(c *Config) {
	l := c.Logging
	r.domain(c)
	// An account has this role once, and a second creation fails
	// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/slr.html).
	r.require("logging.createServiceLinkedRole", "true or false",
		"false if this command finds the role, true if not: aws iam get-role --role-name AWSServiceRoleForAmazonOpenSearchService")
	r.image(c, "logging.image", l.Image)
	if l.Dashboards.Enabled {
		r.image(c, "logging.dashboards.image", l.Dashboards.Image)
	}
	if r.ok("workloads.namespace") {
		// An index's name has 255 bytes; eleven are for the date.
		r.match("logging.indexPrefix", l.IndexPrefix, indexPrefix, 255-len("-2026.11.24"),
			"up to 244 lower-case letters, digits, '-', '_' and '.', starting with a letter or digit")
	}
	oneOf(r, "logging.logRetentionDays", l.LogRetentionDays, retentionDays)
}

func (r *report) domain(c *Config) {
	d := c.Logging.Domain
	const (
		path = "logging.domain"
		kind = "an OpenSearch instance type such as m7g.large.search"
	)
	r.match(path+".name", d.Name, domainName, 28, "3 to 28 lower-case letters, digits and '-', starting with a letter")
	r.match(path+".engineVersion", d.EngineVersion, engineVersion, 32, "OpenSearch_MAJOR.MINOR; list them with: aws opensearch list-versions")

	var data []string
	if r.require(path+".instanceType", kind, "") {
		data = r.searchType(path+".instanceType", d.InstanceType, kind)
	}
	if data != nil && unsuitedFamily.MatchString(data[1]) {
		r.add(path+".instanceType", quote(d.InstanceType), "a type with encrypted gp3 volumes, such as m7g.large.search or t3.small.search", "")
	}
	if d.MasterInstanceType != "" {
		masters := r.searchType(path+".masterInstanceType", d.MasterInstanceType, kind)
		switch {
		case masters == nil || data == nil:
		case masters[1] == "t2":
			r.add(path+".masterInstanceType", quote(d.MasterInstanceType), "a type with encryption at rest, such as m7g.medium.search", "")
		case isARMFamily(masters) != isARMFamily(data) && masters[2][0] != 'o' && data[2][0] != 'o':
			// The names of OpenSearch's own families (or1, or2, om2) do not tell.
			// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/supported-instance-types.html
			r.add(path+".masterInstanceType", quote(d.MasterInstanceType)+", "+architecture(isARMFamily(masters)),
				"a type of the data nodes' architecture, "+architecture(isARMFamily(data))+" ("+d.InstanceType+")", "")
		case masters[1] == "t3" && d.InstanceCount > 10:
			r.add(path+".masterInstanceType", quote(d.MasterInstanceType), "with more than 10 data nodes, a type other than t3", "")
		}
	}

	oneOf(r, path+".zoneCount", d.ZoneCount, []int{1, 2, 3})
	if r.ok(path+".zoneCount", "network.zones") && d.ZoneCount > len(c.Network.Zones) {
		r.add(path+".zoneCount", fmt.Sprint(d.ZoneCount), fmt.Sprintf("at most the number of network.zones, %d", len(c.Network.Zones)), "")
	}
	if r.require(path+".instanceCount", "a number of data nodes, a multiple of zoneCount", "") {
		// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#clusterresource
		limit := 80
		if data != nil && data[1] == "t3" {
			limit = 10
		}
		r.between(path+".instanceCount", d.InstanceCount, 1, limit, " data nodes of "+d.InstanceType)
		// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/managedomains-multiaz.html
		if r.ok(path+".zoneCount") && d.InstanceCount%d.ZoneCount != 0 {
			r.add(path+".instanceCount", fmt.Sprint(d.InstanceCount), fmt.Sprintf("a multiple of zoneCount, %d", d.ZoneCount), "")
		}
	}
	r.volume(path, d, data)
}

// searchType notes a type that is not one of OpenSearch's, and otherwise returns the parts of it.
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

// isARMFamily says whether the parts are of a Graviton type: a "g" follows the generation.
func isARMFamily(parts []string) bool { return strings.HasPrefix(parts[3], "g") }

// volume checks a data node's gp3 volume (https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html; the larger
// limits are OpenSearch's too, https://github.com/aws/aws-cdk/issues/38000).
func (r *report) volume(path string, d Domain, data []string) {
	limit := largestVolume
	if data != nil && volumeLimits[data[1]][data[4]] != 0 {
		limit = volumeLimits[data[1]][data[4]]
	}
	if r.require(path+".volumeSizeGiB", "a size in GiB for each data node", "") {
		r.between(path+".volumeSizeGiB", d.VolumeSizeGiB, 10, limit, " GiB with "+d.InstanceType)
	}
	r.between(path+".iops", d.IOPS, 3000, 80000, "")
	r.between(path+".throughputMiB", d.ThroughputMiB, 125, 2000, " MiB/s")
	if r.ok(path+".iops", path+".volumeSizeGiB") && d.IOPS > 500*d.VolumeSizeGiB {
		r.add(path+".iops", fmt.Sprint(d.IOPS), fmt.Sprintf("at most 500 for each GiB of volumeSizeGiB, %d", 500*d.VolumeSizeGiB), "")
	}
	if r.ok(path+".iops", path+".throughputMiB") && 4*d.ThroughputMiB > d.IOPS {
		r.add(path+".throughputMiB", fmt.Sprint(d.ThroughputMiB), fmt.Sprintf("at most a quarter of iops, %d MiB/s", d.IOPS/4), "")
	}
}
