package stage

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreignState has a resource whose provider's plugin is on the attacker's server.
const foreignState = `{"version":3,"deployment":{"manifest":{"time":"2026-01-01T00:00:00Z","magic":"","version":""},"resources":[
{"urn":"urn:pulumi:dev::expense::pulumi:pulumi:Stack::expense-dev","custom":false,"type":"pulumi:pulumi:Stack"},
{"urn":"urn:pulumi:dev::expense::pulumi:providers:evil::evil","custom":true,"id":"0d7b1f6e-2f0a-4c52-9a51-1f0c6b8a7d33",
 "type":"pulumi:providers:evil","inputs":{"__internal":{"pluginDownloadURL":"%s"},"version":"1.0.0"},"outputs":{"version":"1.0.0"}},
{"urn":"urn:pulumi:dev::expense::evil:index:Thing::thing","custom":true,"id":"x","type":"evil:index:Thing",
 "provider":"urn:pulumi:dev::expense::pulumi:providers:evil::evil::0d7b1f6e-2f0a-4c52-9a51-1f0c6b8a7d33"}]}}`

// Somebody who can write a state could have the engine fetch and run a plugin from a server that the state names. With the variables
// that the workflows' install.sh sets, the engine fetches nothing.
func TestAStatesPluginIsNotFetchedInAWorkflow(t *testing.T) {
	tools, err := filepath.Abs("../../../.tools/bin")
	require.NoError(t, err)
	pulumi := filepath.Join(tools, "pulumi")
	if _, err := os.Stat(pulumi); errors.Is(err, os.ErrNotExist) {
		t.Skip("pulumi is not built: run `make tools`")
	}
	script, err := os.ReadFile("../../../.github/scripts/install.sh")
	require.NoError(t, err)
	var set []string
	for _, match := range regexp.MustCompile(`(?m)^    echo (PULUMI_\w+=true)$`).FindAllStringSubmatch(string(script), -1) {
		set = append(set, match[1])
	}
	require.NotEmpty(t, set)

	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.NotFound(w, nil)
	}))
	defer server.Close()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "backend"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: expense\nruntime: go\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "state"), fmt.Appendf(nil, foreignState, server.URL), 0o600))
	run := func(env []string, args ...string) (string, error) {
		command := exec.CommandContext(t.Context(), pulumi, append(args, "--stack", "dev", "--non-interactive")...)
		command.Dir = dir
		mine := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PULUMI_") })
		command.Env = slices.Concat(mine, []string{
			"PATH=" + tools + string(os.PathListSeparator) + os.Getenv("PATH"), "PULUMI_HOME=" + filepath.Join(dir, "home"),
			"PULUMI_BACKEND_URL=file://" + filepath.Join(dir, "backend"), "PULUMI_CONFIG_PASSPHRASE=secret", "PULUMI_SKIP_UPDATE_CHECK=true",
		}, env)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{{"stack", "init"}, {"stack", "import", "--file", filepath.Join(dir, "state")}} {
		out, err := run(nil, args...)
		require.NoError(t, err, out)
	}
	destroy := []string{"destroy", "--yes", "--skip-preview"}

	out, err := run(set, destroy...)
	assert.Error(t, err)
	assert.Contains(t, out, "no resource plugin 'pulumi-resource-evil' found")
	assert.Zero(t, asked.Load(), out)

	out, err = run(nil, destroy...)
	assert.Error(t, err)
	assert.Positive(t, asked.Load(), "the engine's own way: %s", out)
}
