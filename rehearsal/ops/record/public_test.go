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

// Inputs leave them out: a record with tags differs from its replay in these.
func TestNoTagOfTheSettingsStandsInTheRecord(t *testing.T) {
	more := everything("x")
	more["tags"] = map[string]any{"ibis9": "team lynx3", "cost center": "Zebediah", "owner": "emu7@kudu.example"}
	more["iam"] = map[string]any{"permissionsBoundary": "arn:aws:iam::444455556666:policy/oryx8"}
	values := settings(t, "dev", more)
	p := play(t, "dev", values)
	inputs, err := Inputs(project, p.Model.Account(), values)
	require.NoError(t, err)
	r := recordOf(t, p.side(t))
	tagged := 0
	files, err := r.Files(inputs)
	require.NoError(t, err)
	for file, data := range files {
		tagged += strings.Count(string(data), "owner")
		for _, name := range []string{"ibis9", "lynx3", "Zebediah", "emu7", "kudu", "oryx8"} {
			assert.False(t, strings.Contains(string(data), name), "%s in %s", name, file)
		}
	}
	assert.Greater(t, tagged, 10, "of the words that are public, each resource shows its tags")
}

func TestNamesInAnyScriptAreMasked(t *testing.T) {
	m := bareMask(t)
	m.own("zoo", "<cluster.name>")
	in := &inputs{public: m.public, account: playedAccount, names: map[string]string{}}
	for _, name := range []string{"東京チーム", "Müller", "Ørsted", "ångström", "Zoë",
		"m\u0301ark", "команда", "فريق", "🦓", "zooé", "cluster東京"} {
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

func TestAddressesAccountsAndTimesAreMaskedInEachForm(t *testing.T) {
	m := bareMask(t)
	m.always("123412341234", "<account>")
	in := &inputs{public: m.public, account: playedAccount, names: map[string]string{}}
	for text, secrets := range map[string][]string{
		"ip-10-20-30-40.ec2.internal":              {"20", "30-40"},
		"ec2-54-12-33-7.compute-1.amazonaws.com":   {"54", "12", "33"},
		"role_10.20.30.40":                         {"20", "30.40"},
		"from 2001:db8:0:1::5e.":                   {"2001", "db8", "5e"},
		"[2001:DB8::7]:443":                        {"2001", "DB8"},
		"SourceIp:2001:1234::1/64":                 {"2001", "1234"},
		"::ffff:10.20.30.40":                       {"10.20"},
		"fe80::1":                                  {"fe80"},
		"2026-11-27 09:08:07":                      {"09", "08", "07"},
		"2026-11-27 09:08:07.123456 +0000 UTC":     {"09", "08", "123456"},
		"Fri, 27 Nov 2026 09:08:07 GMT":            {"09", "08", "07"},
		"27/Nov/2026:09:08:07 +0000":               {"09", "08", "07"},
		"expense-2026-11-27-09-08":                 {"09", "08"},
		"account 1111-2222-3333 may not":           {"1111", "2222", "3333"},
		"role_1111-2222-3333":                      {"1111", "2222", "3333"},
		"account 1111 2222 3333":                   {"1111", "2222", "3333"},
		"zebediah-1 " + strings.Repeat("0a1b", 16): {"zebediah", "0a1b"},
		"zebra.example/x@sha256:" + hexDigits:      {"zebra", hexDigits},
	} {
		for _, got := range []string{bare(m.text(text)), bare(m.prose(text)), in.text("cluster.tags.note", text)} {
			if strings.HasPrefix(got, "masked") || got == playedImage {
				continue
			}
			for _, secret := range secrets {
				assert.NotContains(t, got, secret, text)
			}
		}
	}
	assert.Equal(t, bare(m.text("role 1111-2222-3333")), "role <account>")
	assert.Equal(t, m.text("1111-2222-3333"), m.text("111122223333"), "the same account")
	for _, text := range []string{"iam::aws:policy", "s3:::expense", "::/0", "2012-10-17"} {
		assert.Equal(t, text, bare(m.text(text)))
	}
	for path, text := range map[string]string{"workloads.apps.iam.actions": "Zebediah", "cluster.zones": "zebra1"} {
		assert.Equal(t, "masked", in.text(path, text)[:6])
	}
	assert.Equal(t, "2001:db8::1/128", in.text("cluster.publicAccessCidrs", "2001:1234::/48"))
}

var hexDigits = strings.Repeat("9a", 32)
