package awsmodel

import (
	"fmt"
	"slices"
	"strings"

	"expense/internal/published"
)

// region is what the model knows of an AWS region: the prefix of its zone IDs and how many zones it shows.
type region struct {
	prefix string
	zones  int
}

// regions are those that the settings allow. How many zones one has is of
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html, which leaves out cac1-az3; for GovCloud
// https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/endpoints-quotas.html
var regions = func() map[string]region {
	more := map[string]int{"us-east-1": 6, "us-west-2": 4, "ca-central-1": 4, "eu-west-2": 4, "ap-northeast-1": 4, "ap-northeast-2": 4}
	all := map[string]region{}
	for _, row := range published.Regions() {
		if row[2] != "" {
			all[row[0]] = region{row[2], max(3, more[row[0]])}
		}
	}
	return all
}()

// refusedZones are the zones in which EKS cannot place control plane interfaces.
// Source: "Subnet requirements for clusters", https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
var refusedZones = []string{"use1-az3", "usw1-az2", "cac1-az3"}

// zoneName gives the name that this account has for a zone ID. Each account has its own order, so the model's is not
// alphabetical: a program that takes use1-az1 for us-east-1a is caught.
func (r region) zoneName(regionName, id string) (string, bool) {
	var n int
	if _, err := fmt.Sscanf(id, r.prefix+"-az%d", &n); err != nil || n < 1 || n > r.zones || id != fmt.Sprintf("%s-az%d", r.prefix, n) {
		return "", false
	}
	return regionName + string(rune('a'+n%r.zones)), true
}

func (r region) zoneID(regionName, name string) (string, bool) {
	for n := 1; n <= r.zones; n++ {
		id := fmt.Sprintf("%s-az%d", r.prefix, n)
		if got, _ := r.zoneName(regionName, id); got == name {
			return id, true
		}
	}
	return "", false
}

// Zones are the account's names of the region's zones, by ID.
func (m *Model) Zones() map[string]string {
	names := map[string]string{}
	for n := 1; n <= m.region.zones; n++ {
		id := fmt.Sprintf("%s-az%d", m.region.prefix, n)
		names[id], _ = m.region.zoneName(m.opts.Region, id)
	}
	return names
}

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
