package config

import (
	"fmt"
	"strings"

	"expense/internal/published"
)

// FreeStoragePercent is the share of a data node's volume that stays free while no more than GiBPerDay is logged. AWS advises an alarm
// if less is free (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/cloudwatch-alarms.html).
const FreeStoragePercent = 25

// VolumeSizeGiB is the size in GiB of each data node's volume for logs of gibPerDay GiB a day that are kept for retentionDays whole
// days. It is at least 10, EBS's minimum on OpenSearch Service:
//
//	shards = ceil((retentionDays + 1) * (1 + replicas) / dataNodes)   on the fullest node
//	need   = shards * gibPerDay * 1.1
//	size   = the smallest with  0.95 * size - reserve - need >= 0.25 * size,  reserve = min(0.2 * 0.95 * size, 20)
//
// An index has one shard and the lines of one day. It is deleted retentionDays after the next one took over. Linux and OpenSearch
// Service reserve a part of the volume, and FreeStoragePercent stays free (docs/decisions/volumes.md).
func VolumeSizeGiB(gibPerDay, retentionDays, replicas, dataNodes int) int {
	const (
		linux   = 95               // percent of a volume
		service = linux * 80 / 100 // percent of a volume, where the reserve is a share
		most    = 20               // GiB, where it is not
	)
	// In whole tenths of a GiB, because floating point may round differently on another processor.
	need := 11 * ceil((retentionDays+1)*(1+replicas), dataNodes) * gibPerDay
	// The reserve is the smaller of its two bounds. So the size is the smaller of the two sizes that they need.
	return max(smallestVolume, min(
		ceil(10*need, service-FreeStoragePercent),
		ceil(10*(need+10*most), linux-FreeStoragePercent),
	))
}

// ceil is a / b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

// VolumeSizeGiB is the size in GiB of each data node's gp3 volume. It follows from the logs of a day, the retention and the data nodes.
// A change in either direction is a blue/green deployment.
func (l Logging) VolumeSizeGiB() int {
	size := VolumeSizeGiB(l.GiBPerDay, l.RetentionDays, l.Domain.Replicas(), l.Domain.InstanceCount)
	if m := searchType.FindStringSubmatch(l.Domain.InstanceType); m != nil && minimalVersion[m[1]] != nil {
		return max(size, smallestOptimized)
	}
	return size
}

// RolloverMiB is the size in MiB at which an index is full before its day is over: an eighth of a data node's volume, 1280 MiB of
// the smallest, and 45 GiB at most, because a shard should stay below 50 (docs/decisions/data-stream.md).
func (l Logging) RolloverMiB() int {
	const gib = 1024
	return min(l.VolumeSizeGiB()*gib/8, 45*gib)
}

// HasMasters says whether the domain has dedicated masters.
func (d Domain) HasMasters() bool { return d.MasterInstanceType != "" }

// Replicas is the number of copies of an index beside the original: one, so that no line is lost with a node. With one node it is none,
// because OpenSearch puts no copy on the node of its original.
func (d Domain) Replicas() int {
	if d.InstanceCount > 1 {
		return 1
	}
	return 0
}

// volumeLimits are the largest gp3 volumes in GiB by instance family and size
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#ebsresource). Other types are left to AWS.
var volumeLimits = map[string]map[string]int{
	"t3":  {"small": 100, "medium": 200},
	"m5":  {"large": 1024, "xlarge": 2048, "2xlarge": 3072, "4xlarge": 6144, "12xlarge": 18432},
	"m6g": {"large": 1024, "xlarge": 2048, "2xlarge": 3072, "4xlarge": 6144, "8xlarge": 12288, "12xlarge": 18432},
	"m7g": generalPurpose,
	"m7i": generalPurpose,
	"m8g": generalPurpose,
	"c5":  {"large": 256, "xlarge": 512, "2xlarge": 1024, "4xlarge": 1536, "9xlarge": 3584, "18xlarge": 7168},
	"c6g": computeOptimized,
	"c7g": computeOptimized,
	"c7i": computeOptimized,
	"c8g": computeOptimized,
	"r5":  {"large": 2048, "xlarge": 3072, "2xlarge": 6144, "4xlarge": 12288, "12xlarge": 24576},
	"r6g": {"large": 2048, "xlarge": 3072, "2xlarge": 6144, "4xlarge": 12288, "8xlarge": 16384, "12xlarge": 24576},
	// The page says 1.5 TiB for some of these and 1532 GiB for similar ones. The smaller value is safe for all.
	"r7g": memoryOptimized,
	"r7i": memoryOptimized,
	"r8g": memoryOptimized,
	"or1": memoryOptimized,
	"or2": memoryOptimized,
	"om2": {"large": 768, "xlarge": 2048, "2xlarge": 3072, "4xlarge": 6144, "8xlarge": 12288, "12xlarge": 18432, "16xlarge": 24576},
}

// Since the seventh generation, families of one class have the same limits. Some families lack some of the sizes.
var (
	generalPurpose = map[string]int{
		"medium": 512, "large": 768, "xlarge": 2048, "2xlarge": 3072, "4xlarge": 6144, "8xlarge": 12288, "12xlarge": 18432, "16xlarge": 24576,
	}
	computeOptimized = map[string]int{
		"large": 256, "xlarge": 512, "2xlarge": 1024, "4xlarge": 1536, "8xlarge": 3072, "12xlarge": 4608, "16xlarge": 6144,
	}
	memoryOptimized = map[string]int{
		"medium": 768, "large": 1532, "xlarge": 3072, "2xlarge": 6144, "4xlarge": 12288, "8xlarge": 16384, "12xlarge": 24576, "16xlarge": 36864,
	}
)

// shardsPerNode is the number of shards on the fullest data node. There is an index for each day that is kept, one that is written and
// one that is being deleted, and their copies.
func (l Logging) shardsPerNode() int {
	return ceil((l.RetentionDays+2)*(1+l.Domain.Replicas()), l.Domain.InstanceCount)
}

// ec2Families maps OpenSearch's own families to EC2's with the same memory.
var ec2Families = strings.NewReplacer("or1", "r6g", "or2", "r7g", "om2", "m7g")

// mostShards is the number of shards on a data node that AWS advises at most: 25 for each GiB of heap, which is half of the memory and
// at most 32 GiB. It is 0 for an unknown type. OpenSearch's own limit is higher (docs/decisions/volumes.md).
func mostShards(family, size string) int {
	memory := published.InstanceTypes()[ec2Families.Replace(family)+"."+size].MemoryMiB
	return 25 * min(memory/2, 32*1024) / 1024
}

// shards warns of more shards on each data node than AWS advises.
func (l Logging) shards() string {
	data := searchType.FindStringSubmatch(l.Domain.InstanceType)
	if data == nil {
		return ""
	}
	most, found := mostShards(data[1], data[4]), l.shardsPerNode()
	if most == 0 || found <= most {
		return ""
	}
	return fmt.Sprintf("logging.retentionDays %d makes %d shards on each of %d data nodes, and AWS advises at most %d with %s: "+
		"it will run out of memory, or refuse new indices; keep logs for fewer days, or give logging.domain a larger instanceCount "+
		"or instanceType", l.RetentionDays, found, l.Domain.InstanceCount, most, l.Domain.InstanceType)
}

// smallestVolume and smallestOptimized are the smallest GiB of any type and of OpenSearch's own families (same page).
const smallestVolume, smallestOptimized = 10, 20

// Range has the least and the most that AWS takes.
type Range struct{ Least, Most int }

// String names both ends, or the only value.
func (r Range) String() string {
	if r.Least == r.Most {
		return fmt.Sprint(r.Most)
	}
	return fmt.Sprintf("%d to %d", r.Least, r.Most)
}

// VolumePerformance has the IOPS and the throughput in MiB/s that AWS takes for each data node's gp3 volume. They follow from
// VolumeSizeGiB and the instance type. Throughput is also at most a quarter of IOPS.
func (l Logging) VolumePerformance() (iops, throughputMiB Range) {
	return volumePerformance(l.VolumeSizeGiB(), l.Domain.InstanceType)
}

// volumePerformance agrees with AWS's published answers, internal/published/volumes.csv. The least is included in the volume's price.
// The most is that of the instance type and of gp3 (docs/decisions/volumes.md).
func volumePerformance(size int, instanceType string) (iops, throughput Range) {
	volumes := ceil(size, 3000)
	iops = Range{max(3000, 3*size), min(500*size, 80000*volumes)}
	throughput = Range{125, min(iops.Most/4, 2000*volumes)}
	if size > 170 {
		throughput.Least = 250 * volumes
	}
	if m := searchType.FindStringSubmatch(instanceType); m != nil {
		if limit, known := performanceLimits[m[1]][m[4]]; known {
			iops.Most, throughput.Most = min(iops.Most, limit.iops), min(throughput.Most, limit.throughput)
		}
	}
	iops.Least, throughput.Least = min(iops.Least, iops.Most), min(throughput.Least, throughput.Most)
	return iops, throughput
}

// VolumeIOPS is the IOPS of each data node's volume: Domain.IOPS, or the least that AWS takes with the throughput. A change replaces
// nothing.
func (l Logging) VolumeIOPS() int {
	if l.Domain.IOPS != 0 {
		return l.Domain.IOPS
	}
	iops, _ := l.VolumePerformance()
	return max(iops.Least, 4*l.VolumeThroughputMiB())
}

// VolumeThroughputMiB is the throughput in MiB/s of each data node's volume: Domain.ThroughputMiB, or the least that AWS
// takes. A change replaces nothing.
func (l Logging) VolumeThroughputMiB() int {
	if l.Domain.ThroughputMiB != 0 {
		return l.Domain.ThroughputMiB
	}
	_, throughput := l.VolumePerformance()
	return throughput.Least
}

// performance is in IOPS and MiB/s.
type performance struct{ iops, throughput int }

// performanceLimits are the most that OpenSearch Service takes, by instance family and size. They are those of EC2's same types, which
// is inferred and agrees with every published answer (docs/decisions/volumes.md). EC2 has no or1, or2 and om2.
var performanceLimits = map[string]map[string]performance{
	"t3": {"small": {11800, 260}, "medium": {11800, 260}},
	"m5": fifthGeneration,
	"r5": fifthGeneration,
	"c5": {"large": {20000, 593}, "xlarge": {20000, 593}, "2xlarge": {20000, 593}, "4xlarge": {20000, 593}, "9xlarge": {40000, 1187},
		"18xlarge": {80000, 2375}},
	"m6g": sixthGeneration,
	"c6g": sixthGeneration,
	"r6g": sixthGeneration,
	"m7g": laterGenerations,
	"m7i": laterGenerations,
	"m8g": laterGenerations,
	"c7g": laterGenerations,
	"c7i": laterGenerations,
	"c8g": laterGenerations,
	"r7g": laterGenerations,
	"r7i": laterGenerations,
	"r8g": laterGenerations,
}

var (
	fifthGeneration = map[string]performance{
		"large": {18750, 593}, "xlarge": {18750, 593}, "2xlarge": {18750, 593}, "4xlarge": {18750, 593}, "12xlarge": {40000, 1187},
	}
	sixthGeneration = map[string]performance{
		"large": {20000, 593}, "xlarge": {20000, 593}, "2xlarge": {20000, 593}, "4xlarge": {20000, 593}, "8xlarge": {40000, 1187},
		"12xlarge": {50000, 1781},
		"16xlarge": {80000, 2375},
	}
	laterGenerations = map[string]performance{
		"medium": {40000, 1250}, "large": {40000, 1250}, "xlarge": {40000, 1250}, "2xlarge": {40000, 1250}, "4xlarge": {40000, 1250},
		"8xlarge":  {40000, 1250},
		"12xlarge": {60000, 1875}, "16xlarge": {80000, 2500},
	}
)

// volume checks the data nodes' gp3 volumes.
func (r *report) volume(l Logging, data []string) {
	d := l.Domain
	if data == nil || !r.ok("logging.gibPerDay", "logging.retentionDays", "logging.domain.instanceType", "logging.domain.instanceCount") {
		return
	}
	size := l.VolumeSizeGiB()
	if limit := volumeLimits[data[1]][data[4]]; limit != 0 && size > limit {
		r.add("logging.gibPerDay",
			fmt.Sprintf("%d, which with %d days and %d data nodes needs a volume of %d GiB for each of them", l.GiBPerDay, l.RetentionDays,
				d.InstanceCount, size),
			fmt.Sprintf("at most %d GiB with %s", limit, d.InstanceType),
			"keep logs for fewer retentionDays, log less, or give the domain a larger instanceCount or instanceType")
		return
	}

	iops, throughput := l.VolumePerformance()
	for _, s := range []struct {
		path  string
		value int
		takes Range
		unit  string
	}{
		{"logging.domain.iops", d.IOPS, iops, ""},
		{"logging.domain.throughputMiB", d.ThroughputMiB, throughput, " MiB/s"},
	} {
		if r.given[s.path] && (s.value < s.takes.Least || s.value > s.takes.Most) {
			r.add(s.path, fmt.Sprint(s.value),
				fmt.Sprintf("%s%s for a volume of %d GiB with %s", s.takes, s.unit, size, d.InstanceType),
				"take it out to get the least: pulumi config rm --path "+namespace+":"+s.path)
		}
	}
	// https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
	if r.ok("logging.domain.iops", "logging.domain.throughputMiB") && 4*l.VolumeThroughputMiB() > l.VolumeIOPS() {
		r.add("logging.domain.throughputMiB", fmt.Sprint(d.ThroughputMiB), fmt.Sprintf("at most a quarter of iops, %d MiB/s", d.IOPS/4), "")
	}
}
