package image

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// What stands in for several lines is written by the user.
func TestWhatCannotBeEditedIsSaid(t *testing.T) {
	for file, want := range map[string]string{
		"":                                     "found an empty file",
		"config:\n  b: 1":                      "found no map a; write by hand: image: new",
		"x: &x {build: 1}\nconfig:\n  a: *x\n": "found no map a; write by hand: image: new",
		"config:\n  a:\n    image: >-\n      old\n      text\n": "cannot be set without touching other lines; write by hand: image: new",
	} {
		_, err := edit([]byte(file), setting{[]string{"config", "a"}, "image", "new", "build"})
		assert.EqualError(t, err, "config.a.image: "+want, file)
	}
}
