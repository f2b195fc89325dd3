// Package stagetest sets stages up for tests.
package stagetest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"expense/rehearsal/internal/stage"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Options are those of this repository's dev stack. Without the built tools the test is skipped.
func Options(t testing.TB) stage.Options {
	project, err := os.Getwd()
	require.NoError(t, err)
	for !exists(filepath.Join(project, "Pulumi.yaml")) {
		require.NotEqual(t, filepath.Dir(project), project, "found no Pulumi.yaml above the test")
		project = filepath.Dir(project)
	}
	tools := filepath.Join(project, ".tools", "bin")
	for _, tool := range []string{"pulumi", "pulumi-language-go", "kubernetes"} {
		if !exists(filepath.Join(tools, tool)) {
			t.Skipf("%s is not built: run `make tools`", tool)
		}
	}
	return stage.Options{Project: project, Stack: "dev", Tools: tools, Out: io.Discard}
}

// New is a stage that ends with the test, with the stack made and its settings set.
func New(t testing.TB, options stage.Options) *stage.Stage {
	s, err := stage.New(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Stop()
		assert.NoDirExists(t, s.Dir)
	})
	require.NoError(t, s.Pulumi(t.Context(), "stack", "init", options.Stack))
	require.NoError(t, s.Configure(t.Context()))
	return s
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}
