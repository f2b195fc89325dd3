package manifests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// printed are the files of Go in an answer, by their paths.
func printed(t *testing.T, text string) map[string]string {
	out := map[string]string{}
	starts := regexp.MustCompile(`(?m)^(program/[a-z0-9_]+\.go) has `).FindAllStringSubmatchIndex(text, -1)
	for i, start := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		body := text[start[1]:end]
		from := regexp.MustCompile(`(?m)^package program$`).FindStringIndex(body)
		require.NotNil(t, from)
		out[text[start[2]:start[3]]] = body[from[0]:]
	}
	return out
}

// The Go that is printed is Go of the program.
func TestPrintedGoCompiles(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	require.NoError(t, err)
	overlay, dir := map[string]string{}, t.TempDir()
	for _, folder := range []string{"lacking", "bounds"} {
		files := printed(t, answer(t, project(t), filepath.Join("testdata", folder), true))
		require.NotEmpty(t, files)
		for path, text := range files {
			file := filepath.Join(dir, filepath.Base(path))
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			overlay[filepath.Join(root, path)] = file
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	// Nothing is linked, but all is compiled.
	cmd := exec.CommandContext(t.Context(), "go", "vet", "-overlay", file, "./program")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err, "%s", out)
}
