package record

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bareMask knows no stack.
func bareMask(t *testing.T) *mask {
	p, err := readPublic(project)
	require.NoError(t, err)
	return &mask{public: p, seen: map[string]map[string]int{}}
}

// A family of instances stands only with its size: alone it has the form of anybody's name.
func TestNamesWithTheFormOfAFamilyAreMasked(t *testing.T) {
	m := bareMask(t)
	for _, name := range []string{"acme1", "kpmg2", "jim42", "bob7x", "acme1.large", "jim-0a1b2c3d"} {
		for _, text := range []string{name, "arn:aws:iam::aws:user/" + name, "owned by " + name} {
			assert.NotContains(t, bare(m.text(text)), name[:3])
			assert.NotContains(t, bare(m.prose(text)), name[:3])
		}
	}
	for _, text := range []string{"m5.large", "t3.small.search", "c7i.metal-24xl", "u-6tb1.56xlarge", "a m5.large here is", "1.35 v2"} {
		assert.NotContains(t, m.prose(text), markStart)
	}
}

// named are settings whose names have the form of families and of numbers.
func named() map[string]map[string]any {
	more := everything("x")
	more["cluster"]["name"], more["workloads"]["namespace"] = "acme1", "v4711"
	more["cluster"]["registry"] = map[string]any{"repositories": []any{"kpmg2"}, "cache": true}
	more["logging"]["domain"] = map[string]any{"name": "jim42"}
	return more
}

func TestNamesOfSettingsStandNeitherInTheRecordNorInItsInputs(t *testing.T) {
	values := settings(t, "dev", named())
	p := play(t, "dev", values)
	inputs, err := Inputs(project, p.Model.Account(), values)
	require.NoError(t, err)
	r := recordOf(t, p.side(t))
	require.NoError(t, Compare(r, recordOf(t, play(t, "dev", inputs).side(t)), knownList(t)).Err())
	files, err := r.Files(inputs)
	require.NoError(t, err)
	for file, data := range files {
		for _, name := range []string{"acme1", "v4711", "kpmg2", "jim42"} {
			assert.False(t, strings.Contains(string(data), name), "%s in %s", name, file)
		}
	}
}

func TestNamesInAnyScriptAreMasked(t *testing.T) {
	m := bareMask(t)
	m.own("zoo", "<cluster.name>")
	in := &inputs{public: m.public, account: playedAccount, names: map[string]string{}}
	for _, name := range []string{"東京チーム", "Müller", "Ørsted", "ångström", "Zoë", "m\u0301ark", "команда", "فريق", "🦓", "zooé", "cluster東京"} {
		for _, text := range []string{name, "arn:aws:iam::aws:role/" + name, "owned by " + name + ".", name + "@" + name + ".example"} {
			for _, got := range []string{bare(m.text(text)), bare(m.prose(text)), in.text("cluster.tags.owner", text)} {
				for _, r := range name {
					assert.False(t, r >= 0x80 && strings.ContainsRune(got, r), "%s in %s", name, got)
				}
				assert.NotContains(t, got, "<cluster.name>")
			}
		}
	}
	assert.Equal(t, "<word> <cluster.name>", bare(m.text("zooé zoo")))
}
