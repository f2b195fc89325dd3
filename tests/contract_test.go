package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type source struct{ name, text string }

// sources are the product's Go files, tests excepted.
func sources(t *testing.T) []source {
	var out []source
	for _, folder := range []string{"../main.go", "../program", "../cluster", "../workloads", "../logging", "../internal"} {
		require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			out = append(out, source{path, string(data)})
			return err
		}))
	}
	return out
}

// The three rooms do not know each other; the program hands values across.
func TestImportsFlowOneWay(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, file := range sources(t) {
		room := strings.Split(strings.TrimPrefix(file.name, "../"), "/")[0]
		for _, other := range []string{"cluster", "workloads", "logging"} {
			if room == other || room == "program" || room == "main.go" {
				continue
			}
			assert.NotContains(t, file.text, `"expense/`+other+`"`, file.name)
			checked++
		}
		assert.NotContains(t, file.text, `"expense/rehearsal`, file.name)
		assert.NotContains(t, file.text, `"expense/tools`, file.name)
	}
	assert.Greater(t, checked, 20)
}

// A field of the settings' that the sidecar sets too would be lost, or put its own in a pod's name.
func TestAFieldCannotTakeThePlaceOfWhatTheSidecarSets(t *testing.T) {
	t.Parallel()
	conf, err := os.ReadFile("../logging/files/fluent.conf")
	require.NoError(t, err)
	names := map[string]bool{"container": true, "stream": true, "json": true}
	for _, name := range []string{"cluster", "namespace", "pod", "node", "zone"} {
		require.Regexp(t, `(?m)^  `+name+` "`, string(conf), "a parameter of the filter")
		names[name] = true
	}
	for _, key := range []string{"path_key", "id_key"} {
		names[regexp.MustCompile(`(?m)^\s*` + key + ` (\S+)`).FindStringSubmatch(string(conf))[1]] = true
	}
	assert.Greater(t, len(names), 8)
	for name := range names {
		settings := stackFile(t, "dev")
		set(t, settings, "expense:logging.fields", map[string]string{name: "x"})
		_, err := run(t, "dev", settings)
		assert.ErrorContains(t, err, "logging.fields."+name+": found a field of the sidecar's own")
	}
}
