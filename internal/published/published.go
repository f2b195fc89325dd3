// Package published is data that AWS or others published, with the sources in the files. The settings and the rehearsal's
// model read instance types, add-ons and the support of Kubernetes versions here; their tests are held against the other rows.
package published

import (
	_ "embed"
	"encoding/csv"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed regions.csv
var regions string

//go:embed volumes.csv
var volumes string

//go:embed instance-types.csv
var instanceTypes string

//go:embed addons.csv
var addons string

//go:embed kubernetes-versions.csv
var kubernetesVersions string

// Regions are AWS's: name, partition, and how its zones' IDs start, of the partitions that are allowed.
func Regions() [][]string { return rows(regions) }

// Volumes are answers of OpenSearch Service to others: instance type without ".search", GiB, IOPS and MiB/s of a gp3 volume
// ("" is left to AWS), and the answer.
func Volumes() [][]string { return rows(volumes) }

// InstanceType is what one of EC2's types has.
type InstanceType struct {
	VCPU, MemoryMiB int
	// Interfaces are those of the default network card, each with so many IPv4 Addresses.
	Interfaces, Addresses int
	// Arch is amd64 or arm64.
	Arch string
}

// Pods is how many pods EKS lets a node of the type hold, 0 if the type is not known. Each interface keeps its first address,
// and two pods use the node's own (github.com/aws/amazon-vpc-cni-k8s misc/eni-max-pods.txt); managed node groups have a limit besides
// (https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html, "How maxPods is determined").
func (t InstanceType) Pods() int {
	if t.Interfaces == 0 {
		return 0
	}
	limit := 110
	if t.VCPU >= 30 {
		limit = 250
	}
	return min(t.Interfaces*(t.Addresses-1)+2, limit)
}

// InstanceTypes are EC2's by their names. A type that is not there may be newer.
var InstanceTypes = sync.OnceValue(func() map[string]InstanceType {
	out := map[string]InstanceType{}
	for _, r := range rows(instanceTypes) {
		out[r[0]] = InstanceType{VCPU: number(r[1]), MemoryMiB: number(r[2]), Interfaces: number(r[3]), Addresses: number(r[4]), Arch: r[5]}
	}
	return out
})

// Addon is what one of EKS's add-ons runs: pods OnEach node, and Replicas of Deployments.
type Addon struct{ OnEach, Replicas int }

// Addons are those that the program installs, by their names.
var Addons = sync.OnceValue(func() map[string]Addon {
	out := map[string]Addon{}
	for _, r := range rows(addons) {
		out[r[0]] = Addon{OnEach: number(r[1]), Replicas: number(r[2])}
	}
	return out
})

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// KubernetesVersion is a minor version that EKS has or had, with the first days without its support.
type KubernetesVersion struct {
	Version                    string
	StandardEnds, ExtendedEnds time.Time
}

// KubernetesVersions are EKS's, the oldest first.
func KubernetesVersions() []KubernetesVersion {
	var all []KubernetesVersion
	for _, row := range rows(kubernetesVersions) {
		all = append(all, KubernetesVersion{row[0], day(row[1]), day(row[2])})
	}
	return all
}

func day(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

// rows panics on a broken file: it is part of the program's text.
func rows(text string) [][]string {
	list := csv.NewReader(strings.NewReader(text))
	list.Comment = '#'
	all, err := list.ReadAll()
	if err != nil {
		panic(err)
	}
	return all
}
