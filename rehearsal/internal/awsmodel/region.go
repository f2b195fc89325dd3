package awsmodel

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"expense/internal/published"
)

// zonesOf are the names that the account has for a region's zones, by their IDs, of the regions that the settings allow. Each account
// has its own order, so the model's is not alphabetical: a program that takes use1-az1 for us-east-1a is caught.
// How many zones a region has is from
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html, which leaves out cac1-az3; for GovCloud
// https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/endpoints-quotas.html
var zonesOf = func() map[string]map[string]string {
	more := map[string]int{"us-east-1": 6, "us-west-2": 4, "ca-central-1": 4, "eu-west-2": 4, "ap-northeast-1": 4, "ap-northeast-2": 4}
	all := map[string]map[string]string{}
	for _, row := range published.Regions() {
		region, prefix, count := row[0], row[2], max(3, more[row[0]])
		if prefix == "" {
			continue
		}
		all[region] = map[string]string{}
		for n := range count {
			all[region][fmt.Sprintf("%s-az%d", prefix, n+1)] = region + string(rune('a'+(n+1)%count))
		}
	}
	return all
}()

// refusedZones are the zones in which EKS cannot place control plane interfaces.
// Source: "Subnet requirements for clusters", https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
var refusedZones = []string{"use1-az3", "usw1-az2", "cac1-az3"}

// Regions are those that a model can be of, sorted.
func Regions() []string { return slices.Sorted(maps.Keys(zonesOf)) }

// Zones are the account's names of the region's zones, by ID.
func (m *Model) Zones() map[string]string { return zonesOf[m.opts.Region] }

// eksZones lists the zone names that EKS offers in its UnsupportedAvailabilityZoneException.
func (m *Model) eksZones() string {
	var names []string
	for id, name := range m.Zones() {
		if !slices.Contains(refusedZones, id) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
