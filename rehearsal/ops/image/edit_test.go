package image

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const commented = `# A stack of mine.
config:
  aws:region: us-east-1

  expense:workloads:
    # The services.
    apps:
      backend: # ours
        # Where it is built.
        build:
          dir: images/backend # the folder

          args: {VERSION: "1"} # and more
        # Who may call it.
        inbound: [web]

      "front": {build: {dir: images/front}, port: 8080}
      worker:
        image: "old@sha256:1"   # by make image
        build: {dir: images/worker}
        user:
        logs: output
        env:
          TEXT: |
            image: not this one
  expense:secrets:
    backend:
      KEY:
        secure: v1:abc
`

func of(app, key string, value any, after string) setting {
	return setting{[]string{"config", "expense:workloads", "apps", app}, key, value, after}
}

// changes are the lines that an edit took away and brought.
func changes(before, after string) (gone, come []string) {
	count := func(text string) map[string]int {
		found := map[string]int{}
		for line := range strings.Lines(text) {
			found[line]++
		}
		return found
	}
	for line := range strings.Lines(before) {
		if count(after)[line] < count(before)[line] {
			gone = append(gone, line)
		}
	}
	for line := range strings.Lines(after) {
		if count(before)[line] < count(after)[line] {
			come = append(come, line)
		}
	}
	return gone, come
}

func TestAnEditChangesOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		setting    setting
		gone, come string
		// before and after are the lines around what came.
		before string
	}{
		"a new key": {of("backend", "image", "new@sha256:2", "build"), "", "        image: new@sha256:2\n",
			"          args: {VERSION: \"1\"} # and more\n"},
		"without the key that it follows": {of("backend", "user", 1000, "image"), "", "        user: 1000\n", "      backend: # ours\n"},
		"a key of the text that begins otherwise": {of("backend", "command", []string{"/app/server", "a: b", "--x=[1]"}, "inbound"), "",
			"        command: [/app/server, 'a: b', '--x=[1]']\n", "        inbound: [web]\n"},
		"a map on one line": {of("front", "image", "new@sha256:2", "build"),
			"      \"front\": {build: {dir: images/front}, port: 8080}\n",
			"      \"front\": {image: new@sha256:2, build: {dir: images/front}, port: 8080}\n", ""},
		"a value of such a map": {of("front", "port", 9090, ""), "      \"front\": {build: {dir: images/front}, port: 8080}\n",
			"      \"front\": {build: {dir: images/front}, port: 9090}\n", ""},
		"a quoted value": {of("worker", "image", "new@sha256:2", "build"), "        image: \"old@sha256:1\"   # by make image\n",
			"        image: new@sha256:2   # by make image\n", ""},
		"a key without a value": {of("worker", "user", 1000, ""), "        user:\n", "        user: 1000\n", ""},
		"a map for a text": {of("worker", "logs", map[string]string{"from": "output", "capture": "static"}, ""), "        logs: output\n",
			"        logs: {capture: static, from: output}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"\n", "\r\n"} {
				text := func(s string) string { return strings.ReplaceAll(s, "\n", end) }
				got, err := edit([]byte(text(commented)), c.setting)
				require.NoError(t, err)
				gone, come := changes(text(commented), string(got))
				assert.Equal(t, text(c.gone), strings.Join(gone, ""))
				assert.Equal(t, text(c.come), strings.Join(come, ""))
				assert.Contains(t, string(got), text(c.before+c.come), "at another place")
			}
		})
	}
}

// The same twice changes nothing, and several follow each other.
func TestEditsFollowEachOther(t *testing.T) {
	got := []byte(commented)
	for range 2 {
		for _, s := range []setting{
			of("backend", "image", "new@sha256:2", "build"), of("backend", "command", []string{"/server"}, "image"),
			of("backend", "user", 1000, "command"),
		} {
			var err error
			got, err = edit(got, s)
			require.NoError(t, err)
		}
	}
	gone, come := changes(commented, string(got))
	assert.Empty(t, gone)
	assert.Equal(t, []string{"        image: new@sha256:2\n", "        command: [/server]\n", "        user: 1000\n"}, come)
	assert.Contains(t, string(got), strings.Join(come, ""))
}

func TestAFileWithoutALastLineEnd(t *testing.T) {
	const file = "config:\n  a:\n    build: {dir: x}"
	got, err := edit([]byte(file), setting{[]string{"config", "a"}, "image", "new", "build"})
	require.NoError(t, err)
	assert.Equal(t, file+"\n    image: new", string(got))
}

// What stands in for several lines, or has a name or a type, is written by the user. Nothing is changed then.
func TestWhatCannotBeEditedIsSaid(t *testing.T) {
	const touches = "cannot be set without touching other lines"
	for file, want := range map[string]string{
		"":                                     "found an empty file",
		"config:\n  b: 1":                      "found no map a",
		"x: &x {build: 1}\nconfig:\n  a: *x\n": "found no map a",
		"config:\n  a:\n    image: >-\n      old\n      text\n": touches,
		"config:\n  a:\n    image: old\n      text\n":           touches,
		"config:\n  a:\n    image: \"old\n      text\"\n":       touches,
		"config:\n  a:\n    image: &x old\n  b: *x\n":           touches,
		"config:\n  a:\n    image: !!str old\n":                 touches,
		"x: &x old\nconfig:\n  a:\n    image: *x\n":             touches,
		"config:\n  a: &x\n    build: 1\n  b: *x\n":             touches,
		"config:\n  a: &x {build: 1}\n  b: *x\n":                touches,
		"config:\n  a: {build: 1, image}\n":                     touches,
		"config:\n  a:\n    ? image\n    : old\n":               touches,
		"config:\n  a:\n    image:\n      {old: 1}\n":           touches,
		"config:\n  a:\n    image: a\n    image: b\n":           "already defined",
		"config: 1\n---\nconfig:\n  a:\n    image: old\n":       "found no map config",
	} {
		got, err := edit([]byte(file), setting{[]string{"config", "a"}, "image", "new", "build"},
			setting{[]string{"config", "a"}, "user", 1000, "image"})
		require.ErrorContains(t, err, want, file)
		assert.Nil(t, got)
		assert.Contains(t, err.Error(), "; write by hand:\n  config.a: image: new\n  config.a: user: 1000", file)
	}
}

// Whatever is around a value stays.
func TestAnEditLeavesWhatIsAround(t *testing.T) {
	for file, want := range map[string]string{
		"config:\n  a:\n    image: \"x # y\" # why\n":    "config:\n  a:\n    image: new # why\n",
		"config:\n  a:\n    image: 'it''s' # why\n":      "config:\n  a:\n    image: new # why\n",
		"config:\n  a:\n    image: # none yet\n":         "config:\n  a:\n    image: new # none yet\n",
		"config:\n  a:\n    image: ~ # none yet\n":       "config:\n  a:\n    image: new # none yet\n",
		"config:\n  a:\n    \"image\" :\n    user: 1\n":  "config:\n  a:\n    \"image\" : new\n    user: 1\n",
		"config:\n  a:\n    image:\n      old # there\n": "config:\n  a:\n    image:\n      new # there\n",
		"config:\n  a:\n    image:\told\t# tabs\n":       "config:\n  a:\n    image:\tnew\t# tabs\n",
		"config: {a: {image: old, user: 1}} # all\n":     "config: {a: {image: new, user: 1}} # all\n",
		"config: {a: {image: , user: 1}} # all\n":        "config: {a: {image: new , user: 1}} # all\n",
		"config: {a: {}}":    "config: {a: {image: new}}",
		"config:\n  a: {}\n": "config:\n  a: {image: new}\n",
		"config:\n  a: {\n    build: {dir: x}, # why\n  }\n":      "config:\n  a: {image: new, \n    build: {dir: x}, # why\n  }\n",
		"config:\n  a:\n    build: {dir: x\n    }\n    u: 1":      "config:\n  a:\n    image: new\n    build: {dir: x\n    }\n    u: 1",
		"config:\n  a:\n    build:\n      dir: |\n        x\n":    "config:\n  a:\n    image: new\n    build:\n      dir: |\n        x\n",
		"x: &x {image: old}\nconfig:\n  a:\n    <<: *x\n":         "x: &x {image: old}\nconfig:\n  a:\n    image: new\n    <<: *x\n",
		"---\nconfig:\n  a:\n    build: 1\n---\nimage: 5\n":       "---\nconfig:\n  a:\n    build: 1\n    image: new\n---\nimage: 5\n",
		"\ufeffconfig:\n  a:\n    image: \u00e4\u00f6 # \u00fc\n": "\ufeffconfig:\n  a:\n    image: new # \u00fc\n",
		"# \u2028config:\r  a:\r    build: 1\r":                   "# \u2028config:\r  a:\r    build: 1\r    image: new\r",
		"config:\n  a:\r\n    build: 1\n":                         "config:\n  a:\r\n    build: 1\n    image: new\n",
	} {
		got, err := edit([]byte(file), setting{[]string{"config", "a"}, "image", "new", "build"})
		require.NoError(t, err, file)
		assert.Equal(t, want, string(got))
	}
	got, err := edit([]byte(commented), of("worker", "logs", map[string]string{"capture": "static"}, ""))
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(commented, "        logs: output\n", "        logs: {capture: static}\n", 1), string(got))
	_, err = edit([]byte(commented), of("backend", "command", []string{"sh", "-c", "a\nb 'c' \"d\" # e, ]\ttab"}, ""))
	require.NoError(t, err, "on one line")
}

// The result parses, has the setting and all else as it was. Of the file's bytes one stretch in one line differs, or one line came.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		commented, "config: {backend: {image: old, logs: output}} # x", "config:\n  backend:\n    image: \"a # b\" # c\r\n",
		"config:\n  backend:\n    image: &x |\n      old\n    logs: *x", "config:\n  backend: &x {build: 1}\n  b: *x\n...\n---\na: 1\n",
		"config:\n  'backend':\n    <<: {image: 1}\n    ? image\n    :  {  } # none\n",
		"\ufeffconfig:\r  backend:\r    image:\u2028    logs: ~\r",
		"config:\n  backend:\n    env:\n      A: |\n        image: x\n    image:\n      old\n    secure: v1:abc\n",
	} {
		for value := range 3 {
			f.Add(seed, value, "config", "backend", "image", "build")
		}
		f.Add(seed, 1, "config", "backend", "logs", "image")
	}
	f.Fuzz(func(t *testing.T, file string, value int, first, second, key, after string) {
		s := setting{[]string{first, second}, key, []any{"example.com/a:b@sha256:1", []string{"sh", "-c", "a b"}, 1000}[max(0, value)%3], after}
		var before map[string]any
		if yaml.Unmarshal([]byte(file), &before) != nil {
			return
		}
		got, err := edit([]byte(file), s)
		if err != nil {
			assert.Nil(t, got)
			return
		}
		var now map[string]any
		require.NoError(t, yaml.Unmarshal(got, &now))
		inner := now[first].(map[string]any)[second].(map[string]any)
		assert.Equal(t, flow(s.value), flow(inner[key]))
		if old, had := before[first].(map[string]any)[second].(map[string]any)[key]; had {
			inner[key] = old
		} else {
			delete(inner, key)
		}
		assert.Equal(t, before, now, "something else changed")
		gone, come := differ(lines([]byte(file)), lines(got))
		if len(gone) == 1 && len(come) == 2 { // behind a last line without an end
			assert.Equal(t, gone[0], strings.TrimSuffix(come[0], lineEnd.FindString(come[0])))
			gone, come = nil, come[1:]
		}
		assert.LessOrEqual(t, len(gone), 1)
		assert.LessOrEqual(t, len(come), 1)
	})
}

// differ gives the lines between those that two texts have in common.
func differ(before, after []string) (gone, come []string) {
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	return before, after
}
