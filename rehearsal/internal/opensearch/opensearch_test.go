package opensearch

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const archives = "../../../.tools/opensearch"

func started(t *testing.T) *Node {
	t.Helper()
	if reason := Missing(archives); reason != "" {
		t.Skip(reason)
	}
	n, err := Start(t.Context(), archives)
	require.NoError(t, err)
	t.Cleanup(n.Stop)
	return n
}

func TestANodeKnowsWhoAsksAndEnds(t *testing.T) {
	n := started(t)
	for user, expected := range map[string]int{Admin: http.StatusOK, "arn:aws:iam::111122223333:role/nobody": http.StatusForbidden} {
		status, answer, err := n.Do(user, "PUT", "/index-of-"+user[:5], nil)
		require.NoError(t, err)
		if user != Admin {
			assert.Contains(t, string(answer), "no permissions for [indices:admin/create] and User [name="+user+", backend_roles=["+user+"]")
		}
		assert.Equal(t, expected, status, "%s", answer)
	}
	answer, err := http.Get(n.URL)
	require.NoError(t, err)
	_ = answer.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, answer.StatusCode, "nobody in particular")

	status, _, err := n.Do(Admin, "POST", "/_bulk", []byte(strings.Repeat("x", 10<<20+1)))
	require.NoError(t, err)
	assert.Equal(t, http.StatusRequestEntityTooLarge, status)

	n.Stop()
	<-n.ended
	_, err = os.Stat(n.dir)
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = n.Do(Admin, "GET", "/", nil)
	assert.Error(t, err)
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	empty := t.TempDir()
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", empty)
	assert.Contains(t, Missing(archives), "Java")
	_, err := Start(t.Context(), empty)
	assert.ErrorContains(t, err, "Java")
	t.Setenv("JAVA_HOME", empty)
	assert.Contains(t, Missing(archives), empty)
	for version, missing := range map[string]string{
		"1.8.0_442": "Java 1", "10.0.2": "Java 10", "11.0.1": "make tools", "23": "make tools", "24.0.1": "Java 24", "": "no version",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(empty, "release"), []byte("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\""+version+"\"\n"), 0o600))
		assert.Contains(t, Missing(empty), missing, version)
	}
}

func TestTheVersionIsThatOfTheStacks(t *testing.T) {
	artifacts, err := os.ReadFile("../../../tools/opensearch/artifacts")
	require.NoError(t, err)
	settings, err := os.ReadFile("../../../Pulumi.yaml")
	require.NoError(t, err)
	version := regexp.MustCompile(`engineVersion +text, default OpenSearch_([0-9.]+)`).FindSubmatch(settings)
	require.NotNil(t, version)
	assert.Contains(t, string(artifacts), ":opensearch:"+string(version[1])+".")
}
