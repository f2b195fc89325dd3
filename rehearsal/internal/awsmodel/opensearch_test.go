package awsmodel

import (
	"slices"
	"strconv"
	"testing"

	"expense/internal/config"
	"expense/internal/published"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVolumesAreAnsweredAsAWSAnsweredOthers(t *testing.T) {
	for _, row := range published.Volumes() {
		volume := in{"ebsEnabled": true, "volumeType": "gp3"}
		for i, name := range []string{"volumeSize", "iops", "throughput"} {
			if row[1+i] != "" {
				n, err := strconv.Atoi(row[1+i])
				require.NoError(t, err)
				volume[name] = n
			}
		}
		w := newWorld(Options{})
		at, err := w.build(map[string]func(*world, in){
			"domain": both(set("clusterConfig.instanceType", row[0]+".search"), set("ebsOptions", volume)),
		})
		switch want := row[4]; want {
		case "accepted":
			assert.NoError(t, err, "%v", row)
		case "refused":
			assert.Equal(t, "LimitExceededException", Code(err), "%v", row)
		default:
			assert.ErrorContains(t, err, "LimitExceededException: "+want, "%v", row)
			assert.Equal(t, "domain", at)
		}
	}
}

// The settings' numbers are typed from the same pages as the model's, but not the same numbers: here they are compared.
func TestTheModelTakesWhatTheSettingsTakeAndNothingElse(t *testing.T) {
	checked, types := 0, 0
	for family, sizes := range dataTypes {
		if family == "t2" {
			continue // has no gp3, and the settings do not take it
		}
		for name, limit := range sizes {
			types++
			kind := family + "." + name + ".search"
			for gib := 1; gib <= 40; gib++ {
				for _, days := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 365} {
					l := config.Logging{GiBPerDay: gib, RetentionDays: days, Domain: config.Domain{InstanceType: kind, InstanceCount: 1}}
					size := l.VolumeSizeGiB()
					if float64(size) > limit {
						continue
					}
					iops, throughput := l.VolumePerformance()
					for _, c := range []struct {
						iops, throughput int
						taken            bool
					}{
						{l.VolumeIOPS(), l.VolumeThroughputMiB(), true},
						{iops.Least, throughput.Least, true}, {iops.Most, throughput.Most, true},
						{iops.Least - 1, throughput.Least, false}, {iops.Most + 1, throughput.Least, false},
						{iops.Most, throughput.Least - 1, false}, {iops.Most, throughput.Most + 1, false},
						{4*throughput.Most - 1, throughput.Most, false},
					} {
						if err := gp3(kind, float64(size), float64(c.iops), float64(c.throughput)); (err == nil) != c.taken {
							t.Fatalf("%s, %d GiB, %d IOPS, %d MiB/s: found %v, the settings take %v and %v", kind, size, c.iops, c.throughput, err, iops, throughput)
						}
						checked++
					}
				}
			}
		}
	}
	assert.Greater(t, types, 110)
	assert.Greater(t, checked, 100_000)
}

// A type that is forgotten would be held to be without a limit of its own.
func TestEachTypeOfEC2HasLimitsOfPerformance(t *testing.T) {
	for family, sizes := range dataTypes {
		for name := range sizes {
			_, known := ebsOptimized[family+"."+name]
			assert.Equal(t, !slices.Contains([]string{"t2", "or1", "or2", "om2"}, family), known, "%s.%s", family, name)
		}
	}
}
