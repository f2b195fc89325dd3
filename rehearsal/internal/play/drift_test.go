package play

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"expense/rehearsal/internal/stage"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// searchForDrift tells drift from a failure on a stack that is up, and leaves it so. What the workflow makes of the engine's exit codes
// is decided by the engine's real ones.
func searchForDrift(t *testing.T, s *stage.Stage) {
	for _, program := range []string{"bash", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not on PATH", program)
		}
	}
	script, err := filepath.Abs("../../../.github/scripts/drift.sh")
	require.NoError(t, err)
	folder := t.TempDir()
	// No issue is open, and what is opened is written down.
	const gh = "#!/bin/sh\ncase \"$*\" in \"issue list\"*) echo '[]' ;; *) echo \"$*\" >>\"$GH_LOG\" ;; esac\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "gh"), []byte(gh), 0o700))
	search := func(env ...string) (code int, issues, said string) {
		log := filepath.Join(t.TempDir(), "log")
		out, err := s.Shell(t.Context(), "PATH="+folder+":$PATH bash "+script+" 2>&1", append(env,
			"STACK=dev", "REPOSITORY=o/r", "RUN_URL=https://example.com", "GH_LOG="+log, "GITHUB_STEP_SUMMARY="+filepath.Join(folder, "summary"))...)
		var failure *exec.ExitError
		if errors.As(err, &failure) {
			code, out = failure.ExitCode(), []byte(err.Error())
		} else {
			require.NoError(t, err)
		}
		data, _ := os.ReadFile(log)
		return code, string(data), string(out)
	}

	code, issues, said := search()
	assert.Zero(t, code, said)
	assert.Empty(t, issues)

	code, issues, said = search("PULUMI_CONFIG_PASSPHRASE=wrong")
	assert.NotZero(t, code, said)
	assert.Empty(t, issues)

	client, err := kubernetes.NewForConfig(s.ControlPlane.RESTConfig())
	require.NoError(t, err)
	require.NoError(t, client.AppsV1().Deployments("project").Delete(t.Context(), "web", metav1.DeleteOptions{}))
	code, issues, said = search()
	assert.Zero(t, code, said)
	assert.Contains(t, issues, "issue create --repo o/r --label drift --title Drift in dev", said)
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview", "--refresh"))
}
