package config

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"expense/internal/published"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Worked out by hand: shards on the fullest node, a tenth more than the logs, then the volume of which a quarter stays free.
func TestVolumesOfExactSizes(t *testing.T) {
	for _, c := range []struct{ gibPerDay, retentionDays, replicas, dataNodes, want int }{
		{1, 3, 0, 1, 10},       // 4 shards, 4.4 GiB, / 0.51 = 8.6: EBS's minimum
		{1, 4, 0, 1, 11},       // 5 shards, 5.5 GiB, / 0.51 = 10.8
		{5, 30, 1, 3, 194},     // 62 shards, 21 on a node, 115.5 GiB, (+ 20) / 0.7 = 193.6
		{1, 1, 1, 3, 10},       // 4 shards, 2 on a node although 1.33 would be the mean
		{10, 1, 1, 3, 44},      // the same with 22 GiB, / 0.51 = 43.1
		{6, 6, 0, 1, 91},       // 7 shards, 46.2 GiB, / 0.51 = 90.6
		{40, 0, 0, 1, 87},      // 44 GiB, / 0.51 = 86.3
		{40, 1, 0, 1, 155},     // 88 GiB, (+ 20) / 0.7 = 154.3, less than / 0.51 = 172.5
		{40, 365, 1, 6, 7698},  // 732 shards, 122 on a node, 5368 GiB, (+ 20) / 0.7 = 7697.1
		{40, 365, 1, 80, 658},  // 732 shards, 10 on a node, 440 GiB, (+ 20) / 0.7 = 657.1
		{40, 365, 0, 1, 23035}, // 366 shards, 16104 GiB, (+ 20) / 0.7 = 23034.3
	} {
		assert.Equal(t, c.want, VolumeSizeGiB(c.gibPerDay, c.retentionDays, c.replicas, c.dataNodes), "%+v", c)
	}
}

// The formula is written from the size's side; here it is checked from the volume's.
func TestAVolumeHoldsTheLogsAndStaysAQuarterFree(t *testing.T) {
	checked := 0
	for gib := 1; gib <= 40; gib++ {
		for _, days := range []int{1, 2, 3, 7, 14, 30, 31, 90, 180, 364, 365} {
			for _, nodes := range []int{1, 2, 3, 4, 6, 9, 10, 30, 80} {
				replicas := Domain{InstanceCount: nodes}.Replicas()
				size := float64(VolumeSizeGiB(gib, days, replicas, nodes))
				space := 0.95 * size
				space -= min(0.2*space, 20)
				shards := (days + 1) * (1 + replicas)
				fullest := (shards + nodes - 1) / nodes
				if !assert.GreaterOrEqual(t, space-1.1*float64(fullest*gib), 0.25*size-1e-9, "%d GiB, %d days, %d nodes", gib, days, nodes) {
					return
				}
				assert.GreaterOrEqual(t, float64(nodes)*space, 1.1*float64(shards*gib))
				checked++
			}
		}
	}
	assert.Equal(t, 40*11*9, checked)
}

func TestMoreLogsNeverGetSmallerVolumesAndMoreNodesNeverLargerOnes(t *testing.T) {
	for gib := 1; gib <= 40; gib += 3 {
		for days := 1; days <= 365; days += 13 {
			for nodes := 1; nodes <= 80; nodes += 7 {
				for replicas := 0; replicas <= 1; replicas++ {
					size := VolumeSizeGiB(gib, days, replicas, nodes)
					assert.GreaterOrEqual(t, VolumeSizeGiB(gib+1, days, replicas, nodes), size)
					assert.GreaterOrEqual(t, VolumeSizeGiB(gib, days+1, replicas, nodes), size)
					assert.GreaterOrEqual(t, VolumeSizeGiB(gib, days, replicas+1, nodes), size)
					assert.LessOrEqual(t, VolumeSizeGiB(gib, days, replicas, nodes+1), size)
				}
			}
		}
	}
}

// AWS's advice by type: 25 shards for each GiB of heap, half of the memory up to 32 GiB.
func TestMoreShardsThanANodesMemoryIsForAreWarnedOf(t *testing.T) {
	for instance, want := range map[string]int{
		"t3.small": 25, "t3.medium": 50, "c7g.large": 50, "m7g.medium": 50, "m7g.large": 100, "om2.large": 100, "or1.medium": 100,
		"or2.large": 200,
		"r6g.large": 200, "m5.4xlarge": 800, "r7g.16xlarge": 800, "m99.large": 0,
	} {
		family, size, _ := strings.Cut(instance, ".")
		assert.Equal(t, want, mostShards(family, size), instance)
	}
	for family, sizes := range volumeLimits {
		for size := range sizes {
			if name := family + "." + size; name != "m7i.medium" && name != "r7i.medium" { // there are none
				assert.Positive(t, mostShards(family, size), name)
			}
		}
	}

	for _, c := range []struct {
		days, nodes int
		instance    string
		most        int // 0 is no warning
	}{
		{23, 1, "t3.small.search", 0},
		{24, 1, "t3.small.search", 25}, // 26
		{365, 3, "m7g.xlarge.search", 200},
		{298, 3, "m7g.xlarge.search", 0}, // 200
		{299, 3, "m7g.xlarge.search", 200},
		{365, 6, "m7g.xlarge.search", 0},
		{365, 1, "m99.large.search", 0}, // AWS knows
	} {
		stack, err := parse(settings(t, edit{"logging/retentionDays", strconv.Itoa(c.days)},
			edit{"logging/domain/instanceType", `"` + c.instance + `"`},
			edit{"logging/domain/instanceCount", strconv.Itoa(c.nodes)}))
		require.NoError(t, err, "%+v", c)
		warnings := strings.Join(stack.Warnings(quiet), "\n")
		if c.most == 0 {
			assert.NotContains(t, warnings, "shards", "%+v", c)
			continue
		}
		assert.Contains(t, warnings, fmt.Sprintf("logging.retentionDays %d makes ", c.days))
		assert.Contains(t, warnings, fmt.Sprintf(" shards on each of %d data nodes, and AWS advises at most %d with %s: ", c.nodes, c.most,
			c.instance))
	}
	_, err := parse(settings(t, edit{"logging/retentionDays", "366"}))
	assert.ErrorContains(t, err, "logging.retentionDays: found 366")
}

// However much is logged, and however few days are kept: full indices can be deleted, and one that is merged finds its size free.
func TestAFullIndexIsASmallPartOfAVolume(t *testing.T) {
	for gib := 1; gib <= 40; gib++ {
		for _, days := range []int{1, 2, 3, 7, 30, 365} {
			for _, nodes := range []int{1, 2, 3, 6, 80} {
				l := Logging{GiBPerDay: gib, RetentionDays: days, Domain: Domain{InstanceType: "r6g.16xlarge.search", InstanceCount: nodes}}
				full := l.RolloverMiB()
				assert.LessOrEqual(t, 8*full, 1024*l.VolumeSizeGiB(), "%+v", l)
				assert.LessOrEqual(t, full, 45*1024)
				assert.GreaterOrEqual(t, full, 1280)
			}
		}
	}
	for want, l := range map[int]Logging{
		1280:      {GiBPerDay: 1, RetentionDays: 3, Domain: Domain{InstanceCount: 1}}, // dev: an ordinary day is 1126
		24832:     {GiBPerDay: 5, RetentionDays: 30, Domain: Domain{InstanceCount: 3}},
		45 * 1024: {GiBPerDay: 40, RetentionDays: 30, Domain: Domain{InstanceCount: 3}},
	} {
		assert.Equal(t, want, l.RolloverMiB(), "%+v", l)
	}
}

// OpenSearch's own families refuse a volume below 20 GiB.
func TestVolumesHaveTheLeastSizeOfTheirFamily(t *testing.T) {
	for instance, want := range map[string]int{"t3.small.search": 10, "m7g.large.search": 10, "or1.medium.search": 20, "or2.large.search": 20,
		"om2.large.search": 20} {
		l := Logging{GiBPerDay: 1, RetentionDays: 1, Domain: Domain{InstanceType: instance, InstanceCount: 1}}
		assert.Equal(t, want, l.VolumeSizeGiB(), instance)
	}
}

// A copy beside its original would be lost with it, and its index would never be green.
func TestOneNodeHoldsNoReplicas(t *testing.T) {
	assert.Equal(t, 0, Domain{InstanceCount: 1}.Replicas())
	assert.Equal(t, 1, Domain{InstanceCount: 2}.Replicas())
	assert.Equal(t, 1, Domain{InstanceCount: 80}.Replicas())
}

func TestLimitsOfVolumesAreInOrder(t *testing.T) {
	order := []string{"small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "9xlarge", "12xlarge", "16xlarge", "18xlarge"}
	checked := 0
	for family, sizes := range volumeLimits {
		last := 0
		for _, size := range order {
			if limit := sizes[size]; limit != 0 {
				assert.Greater(t, limit, last, "%s.%s", family, size)
				last = limit
				checked++
			}
		}
	}
	assert.Greater(t, checked, 90)
}

func TestWhatAWSAnsweredToOthersIsWhatTheSettingsSay(t *testing.T) {
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	assert.Greater(t, len(published.Volumes()), 20)
	for _, row := range published.Volumes() {
		iops, throughput := volumePerformance(number(row[1]), row[0]+".search")
		accepted := true
		for i, takes := range []Range{iops, throughput} {
			if text := row[2+i]; text != "" {
				accepted = accepted && number(text) >= takes.Least && number(text) <= takes.Most
			}
		}
		assert.Equal(t, row[4] == "accepted", accepted, "%v: found %v IOPS, %v MiB/s", row, iops, throughput)
	}
}

// Both settings are optional: a default fits the volume, the type and the other setting.
func TestWhatIsLeftOutFits(t *testing.T) {
	checked := 0
	for family, sizes := range volumeLimits {
		for name, limit := range sizes {
			for gib := 1; gib <= 40; gib++ {
				for _, days := range []int{1, 2, 5, 10, 30, 90, 180, 365} {
					l := Logging{GiBPerDay: gib, RetentionDays: days, Domain: Domain{InstanceType: family + "." + name + ".search", InstanceCount: 1}}
					if l.VolumeSizeGiB() > limit {
						continue
					}
					iops, throughput := l.VolumePerformance()
					for _, set := range []Domain{
						{}, {IOPS: iops.Least}, {IOPS: iops.Most}, {ThroughputMiB: throughput.Least}, {ThroughputMiB: throughput.Most},
					} {
						l.Domain.IOPS, l.Domain.ThroughputMiB = set.IOPS, set.ThroughputMiB
						i, mib := l.VolumeIOPS(), l.VolumeThroughputMiB()
						if 4*mib > i || i < iops.Least || i > iops.Most || mib < throughput.Least || mib > throughput.Most {
							t.Fatalf("%s, %d GiB, set %+v: found %d IOPS of %v, %d MiB/s of %v", l.Domain.InstanceType, l.VolumeSizeGiB(), set, i, iops, mib,
								throughput)
						}
						checked++
					}
				}
			}
		}
	}
	assert.Greater(t, checked, 50_000)
}

// A type that is forgotten would be held to be without a limit. OpenSearch's own families are no types of EC2.
func TestEachTypeOfEC2HasLimitsOfPerformance(t *testing.T) {
	for family, sizes := range volumeLimits {
		for name := range sizes {
			_, known := performanceLimits[family][name]
			assert.Equal(t, family[0] != 'o', known, "%s.%s", family, name)
		}
	}
}
