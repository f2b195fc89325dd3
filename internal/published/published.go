// Package published has data that AWS or others published. The files name the sources. The settings and the rehearsal's model read
// instance types, add-ons and the support of Kubernetes versions. Tests compare with the other tables.
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

// Regions are AWS's regions in the allowed partitions: name, partition and the start of zone IDs.
func Regions() [][]string { return rows(regions) }

// Volumes are published answers of OpenSearch Service: instance type without ".search", GiB, IOPS and MiB/s of a gp3 volume ("" leaves
// it to AWS), and the answer.
func Volumes() [][]string { return rows(volumes) }

// InstanceType describes one of EC2's types.
type InstanceType struct {
	VCPU, MemoryMiB int
	// Interfaces is the number of interfaces of the default network card. Each has so many IPv4 Addresses.
	Interfaces, Addresses int
	// Arch is amd64 or arm64.
	Arch string
}

// Pods is the number of pods that EKS lets a node of the type hold. It is 0 for an unknown type. Each interface keeps its first
// address, and two pods use the node's own (github.com/aws/amazon-vpc-cni-k8s misc/eni-max-pods.txt). Managed node groups have one
// more limit (https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html, "How maxPods is determined").
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

// InstanceTypes are EC2's types by name. Newer types may be missing.
var InstanceTypes = sync.OnceValue(func() map[string]InstanceType {
	out := map[string]InstanceType{}
	for _, r := range rows(instanceTypes) {
		out[r[0]] = InstanceType{VCPU: number(r[1]), MemoryMiB: number(r[2]), Interfaces: number(r[3]), Addresses: number(r[4]), Arch: r[5]}
	}
	return out
})

// Addon is the number of pods of one of EKS's add-ons: OnEach node, and in Deployments.
type Addon struct{ OnEach, Replicas int }

// Addons are the add-ons that the program installs, by name.
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

// KubernetesVersion is a minor version that EKS has or had, with the first day after each support.
type KubernetesVersion struct {
	Version                    string
	StandardEnds, ExtendedEnds time.Time
}

// KubernetesVersions are the versions of EKS, the oldest first.
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

// rows panics on a broken file, because the file is part of the program.
func rows(text string) [][]string {
	list := csv.NewReader(strings.NewReader(text))
	list.Comment = '#'
	all, err := list.ReadAll()
	if err != nil {
		panic(err)
	}
	return all
}
