package config

import "fmt"

// FreeStoragePercent is how much of a data node's volume stays free as long as no more is logged than GiBPerDay says. With
// less AWS advises to raise an alarm
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/cloudwatch-alarms.html).
const FreeStoragePercent = 25

// VolumeSizeGiB is the size in GiB of each data node's volume, 10 (EBS's minimum on OpenSearch Service) or more, for logs
// of gibPerDay GiB a day that are kept for retentionDays whole days:
//
//	shards = ceil((retentionDays + 1) * (1 + replicas) / dataNodes)   on the fullest node
//	need   = shards * gibPerDay * 1.1
//	size   = the smallest with  0.95 * size - reserve - need >= 0.25 * size,  reserve = min(0.2 * 0.95 * size, 20)
//
// An index holds one day, so there is one more than whole days to keep: the one that is being written. It has one shard,
// which no two nodes can share, and OpenSearch spreads shards by their number. An index takes a tenth more than its
// source, Linux keeps 5 % of a volume, and OpenSearch Service keeps 20 % of the rest, but at most 20 GiB, for merges and
// logs (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/sizing-domains.html). The last quarter is
// FreeStoragePercent.
func VolumeSizeGiB(gibPerDay, retentionDays, replicas, dataNodes int) int {
	const (
		linux   = 95               // percent of a volume
		service = linux * 80 / 100 // percent of a volume, where the reserve is a share
		most    = 20               // GiB, where it is not
	)
	// In whole tenths of a GiB, because floating point rounds in another way on another processor.
	need := 11 * ceil((retentionDays+1)*(1+replicas), dataNodes) * gibPerDay
	// The reserve is the smaller of its two bounds, so the size is the smaller of what each would ask for.
	return max(smallestVolume, min(
		ceil(10*need, service-FreeStoragePercent),
		ceil(10*(need+10*most), linux-FreeStoragePercent),
	))
}

// ceil is a / b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

// VolumeSizeGiB is the size in GiB of each data node's gp3 volume, which follows from the volume of logs, the days they are
// kept and the data nodes. A change is a blue/green move, in either direction.
func (l Logging) VolumeSizeGiB() int {
	size := VolumeSizeGiB(l.GiBPerDay, l.RetentionDays, l.Domain.Replicas(), l.Domain.InstanceCount)
	if m := searchType.FindStringSubmatch(l.Domain.InstanceType); m != nil && minimalVersion[m[1]] != nil {
		return max(size, smallestOptimized)
	}
	return size
}

// Replicas is how many copies an index has beside its first: one, so that a node's loss costs nothing, but none where there
// is one node, because OpenSearch puts no copy beside its original.
func (d Domain) Replicas() int {
	if d.InstanceCount > 1 {
		return 1
	}
	return 0
}

// volumeLimits are the largest gp3 volumes in GiB by instance family and size
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#ebsresource). Of other types, AWS knows.
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
	// The page says 1.5 TiB of some of these and 1532 GiB of others that are alike: the smaller is right for all.
	"r7g": memoryOptimized,
	"r7i": memoryOptimized,
	"r8g": memoryOptimized,
	"or1": memoryOptimized,
	"or2": memoryOptimized,
	"om2": {"large": 768, "xlarge": 2048, "2xlarge": 3072, "4xlarge": 6144, "8xlarge": 12288, "12xlarge": 18432, "16xlarge": 24576},
}

// Families of one class have the same limits since their seventh generation; not each family has each size.
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

// smallestVolume and smallestOptimized are the least GiB of any type and of OpenSearch's own families (same page).
const smallestVolume, smallestOptimized = 10, 20

// volume checks the data nodes' gp3 volumes (https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html; the
// larger limits are OpenSearch's too, https://github.com/aws/aws-cdk/issues/38000).
func (r *report) volume(l Logging, data []string) {
	const iops, throughput = "logging.domain.iops", "logging.domain.throughputMiB"
	d := l.Domain
	r.between(iops, d.IOPS, 3000, 80000, "")
	r.between(throughput, d.ThroughputMiB, 125, 2000, " MiB/s")
	if r.ok(iops, throughput) && 4*d.ThroughputMiB > d.IOPS {
		r.add(throughput, fmt.Sprint(d.ThroughputMiB), fmt.Sprintf("at most a quarter of iops, %d MiB/s", d.IOPS/4), "")
	}

	if data == nil || !r.ok("logging.gibPerDay", "logging.retentionDays", "logging.domain.instanceType", "logging.domain.instanceCount") {
		return
	}
	size := l.VolumeSizeGiB()
	if limit := volumeLimits[data[1]][data[4]]; limit != 0 && size > limit {
		r.add("logging.gibPerDay",
			fmt.Sprintf("%d, which with %d days and %d data nodes needs a volume of %d GiB for each of them", l.GiBPerDay, l.RetentionDays, d.InstanceCount, size),
			fmt.Sprintf("at most %d GiB with %s", limit, d.InstanceType),
			"keep logs for fewer retentionDays, log less, or give the domain a larger instanceCount or instanceType")
		return
	}
	if r.ok(iops) && d.IOPS > 500*size {
		r.add(iops, fmt.Sprint(d.IOPS), fmt.Sprintf("at most 500 for each GiB of a volume, %d with %d GiB", 500*size, size), "")
	}
}
