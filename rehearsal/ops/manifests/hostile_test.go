package manifests

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// aPod is a pod that the words of an app have. Its name is web, and more goes behind its container.
func aPod(more string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  securityContext: {runAsUser: 1000}\n  containers:\n" +
		"  - name: web\n    image: ghcr.io/acme/web:1.2\n    command: [/web]\n" + more
}

// tried is what a manifest gets in a project of its own.
func tried(t *testing.T, text string, change func(*Options)) (said string, err error) {
	dir := project(t)
	file := filepath.Join(dir, "k8s.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	before, err := os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	var out bytes.Buffer
	o := Options{Project: dir, Stack: "dev", Path: file, Out: &out, Image: image}
	if change != nil {
		change(&o)
	}
	if err = Run(t.Context(), o); err != nil {
		after, failed := os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
		require.NoError(t, failed)
		assert.Equal(t, string(before), string(after), "an error writes nothing")
		assert.Empty(t, out.String())
	}
	return out.String(), err
}

func TestAliasesWithoutEndAreRefused(t *testing.T) {
	bomb := "x0: &x0 [{apiVersion: v1, kind: Pod, metadata: {name: a}}]\n"
	for i := 1; i < 8; i++ {
		more := strings.Repeat(fmt.Sprintf(", {apiVersion: v1, kind: List, items: *x%d}", i-1), 10)
		bomb += fmt.Sprintf("x%d: &x%[1]d [%s]\n", i, more[2:])
	}
	for name, text := range map[string]string{
		"a circle": "apiVersion: v1\nkind: List\nitems: &all\n- {apiVersion: v1, kind: List, items: *all}\n",
		"a bomb":   bomb + "apiVersion: v1\nkind: List\nitems: *x7\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tried(t, text, nil)
			assert.ErrorContains(t, err, "k8s.yaml:1: found more than 1000000 values, or values more than 100 deep")
		})
	}
}

func TestAListHasItems(t *testing.T) {
	said, err := tried(t, "apiVersion: v1\nkind: List\nitems:\n- &pod\n  "+strings.ReplaceAll(strings.TrimSpace(aPod("")), "\n", "\n  ")+
		"\n---\napiVersion: v1\nkind: List\nitems: a\n", nil)
	assert.ErrorContains(t, err, "k8s.yaml:18: List: items: found text; allowed: a list of objects")
	assert.Empty(t, said)
}
