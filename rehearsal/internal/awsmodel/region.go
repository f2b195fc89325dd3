package awsmodel

import (
	"fmt"
	"slices"
	"strings"
)

// region is what the model knows of an AWS region: the prefix of its zone IDs and how many zones it shows.
// Source: https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html, which leaves out
// cac1-az3; for GovCloud https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/endpoints-quotas.html
type region struct {
	prefix string
	zones  int
}

var regions = map[string]region{
	"us-east-1": {"use1", 6}, "us-east-2": {"use2", 3}, "us-west-1": {"usw1", 3}, "us-west-2": {"usw2", 4},
	"ca-central-1": {"cac1", 4}, "ca-west-1": {"caw1", 3}, "mx-central-1": {"mxc1", 3}, "sa-east-1": {"sae1", 3},
	"eu-west-1": {"euw1", 3}, "eu-west-2": {"euw2", 4}, "eu-west-3": {"euw3", 3}, "eu-central-1": {"euc1", 3}, "eu-central-2": {"euc2", 3},
	"eu-north-1": {"eun1", 3}, "eu-south-1": {"eus1", 3}, "eu-south-2": {"eus2", 3},
	"ap-south-1": {"aps1", 3}, "ap-south-2": {"aps2", 3}, "ap-east-1": {"ape1", 3}, "ap-east-2": {"ape2", 3},
	"ap-southeast-1": {"apse1", 3}, "ap-southeast-2": {"apse2", 3}, "ap-southeast-3": {"apse3", 3}, "ap-southeast-4": {"apse4", 3},
	"ap-southeast-5": {"apse5", 3}, "ap-southeast-6": {"apse6", 3}, "ap-southeast-7": {"apse7", 3},
	"ap-northeast-1": {"apne1", 4}, "ap-northeast-2": {"apne2", 4}, "ap-northeast-3": {"apne3", 3},
	"af-south-1": {"afs1", 3}, "il-central-1": {"ilc1", 3}, "me-central-1": {"mec1", 3}, "me-south-1": {"mes1", 3},
	"us-gov-east-1": {"usge1", 3}, "us-gov-west-1": {"usgw1", 3},
}

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
