package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type source struct{ name, text string }

// sources are the product's Go files, tests excepted.
func sources(t *testing.T) []source {
	var out []source
	for _, folder := range []string{"../main.go", "../cluster", "../workloads", "../logging", "../internal"} {
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
			if room == other || room == "internal" && strings.Contains(file.name, "/program/") || room == "main.go" {
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
