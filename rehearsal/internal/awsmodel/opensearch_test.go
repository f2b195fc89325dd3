package awsmodel

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"expense/internal/config"
	"expense/internal/published"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
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
		at, err := w.build(edits{
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
	checked := 0
	for kind, node := range dataNodes {
		for gib := 1; gib <= 40; gib++ {
			for _, days := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 365} {
				l := config.Logging{GiBPerDay: gib, RetentionDays: days, Domain: config.Domain{InstanceType: kind, InstanceCount: 1}}
				size := l.VolumeSizeGiB()
				if float64(size) > node.most {
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
						t.Fatalf("%s, %d GiB, %d IOPS, %d MiB/s: found %v, the settings take %v and %v", kind, size, c.iops,
							c.throughput, err, iops, throughput)
					}
					checked++
				}
			}
		}
	}
	assert.Greater(t, len(dataNodes), 110)
	assert.Greater(t, checked, 100_000)
}

// A type that is forgotten would be held to be without a limit of its own.
func TestEachTypeOfEC2HasLimitsOfPerformance(t *testing.T) {
	for kind, node := range dataNodes {
		_, own := optimized[node.family]
		assert.Equal(t, !own, node.iops > 0 && node.throughput > 0, kind)
	}
}

// step is the inputs of a step of the world as they are now, with a change.
func (w *world) changed(name string, changes ...func(*world, in)) (typ string, inputs resource.PropertyMap) {
	s := steps[slices.IndexFunc(steps, func(s step) bool { return s.name == name })]
	i := s.inputs(w)
	both(changes...)(w, i)
	return s.typ, resource.NewPropertyMapFromMap(i)
}

func (w *world) update(t *testing.T, name string, changes ...func(*world, in)) (outputs props, err error) {
	typ, inputs := w.changed(name, changes...)
	out, err := w.m.Update(t.Context(), typ, w.id(name), inputs)
	return props{out}, err
}

// OpenSearch turns a log off that it is told to, and goes on with one that is left out, which a refresh then shows.
func TestALogThatIsLeftOutGoesOn(t *testing.T) {
	w := whole(t, Options{})
	published := func(p props) map[string]bool {
		on := map[string]bool{}
		for _, l := range p.objs("logPublishingOptions") {
			on[l.str("logType")] = l.flag("enabled", true)
		}
		return on
	}
	out, err := w.update(t, "domain", set("logPublishingOptions", []any{}))
	require.NoError(t, err)
	ins, outs, _ := w.m.Read(tDomain, w.id("domain"))
	for _, p := range []props{out, {ins}, {outs}} {
		assert.Equal(t, map[string]bool{"ES_APPLICATION_LOGS": true}, published(p))
	}
	out, err = w.update(t, "domain",
		set("logPublishingOptions",
			[]any{in{"logType": "ES_APPLICATION_LOGS", "enabled": false, "cloudwatchLogGroupArn": w.arn("domainLogs")}}))
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"ES_APPLICATION_LOGS": false}, published(out))
}

// While a domain changes it takes no other change, and no other policy. The domain itself may be deleted.
func TestADomainInTheMiddleOfAChange(t *testing.T) {
	const refused = "ValidationException: A change/update is in progress"
	larger := set("ebsOptions.volumeSize", 20)
	policy := func(_ *world, i in) {
		i["accessPolicies"] = strings.ReplaceAll(i["accessPolicies"].(string), "ESHttpPost", "ESHttpGet")
	}
	newer := set("engineVersion", "OpenSearch_3.1")
	busy := func(w *world) { w.m.objects[tDomain][w.id("domain")].busy = w.m.Now() + time.Minute }
	for _, c := range []struct {
		step, operation string
		change          func(*world, in)
	}{{"domain", "UpdateDomainConfig", larger}, {"domainPolicy", "UpdateDomainConfig", policy}, {"domain", "UpgradeDomain", newer}} {
		w := whole(t, Options{})
		busy(w)
		_, err := w.update(t, c.step, c.change)
		require.ErrorContains(t, err, "operation error OpenSearch: "+c.operation)
		require.ErrorContains(t, err, refused)
		w.m.Pass(time.Minute)
		_, err = w.update(t, c.step, c.change)
		require.NoError(t, err)
	}
	w := whole(t, Options{})
	busy(w)
	require.ErrorContains(t, w.m.Delete(t.Context(), tDomainPolicy, w.id("domainPolicy")), refused)
	w.m.Pass(time.Minute)
	require.NoError(t, w.m.Delete(t.Context(), tDomainPolicy, w.id("domainPolicy")))
	busy(w)
	require.NoError(t, w.m.Delete(t.Context(), tDomain, w.id("domain")))
	// Of a domain that somebody deleted by hand.
	require.ErrorContains(t, w.m.Delete(t.Context(), tDomainPolicy, w.id("domainPolicy")),
		"ResourceNotFoundException: Domain not found: expense")
}
