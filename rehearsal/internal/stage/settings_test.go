package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"expense/internal/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The settings are read from the copy that Pulumi works with, encrypted values included. A setting that it lacks has the program's
// default.
func TestTheSettingsAreTheCopysWithTheProgramsDefaults(t *testing.T) {
	s := &Stage{Dir: t.TempDir(), stack: "dev"}
	require.NoError(t, os.Mkdir(s.project(), 0o700))
	require.NoError(t, s.copyFiles("../../..", "dev", "expense"))
	_, err := s.Settings()
	require.ErrorContains(t, err, "cluster.publicAccessCidrs: found nothing", "as in the project")

	file := filepath.Join(s.project(), "Pulumi.dev.yaml")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	text := strings.NewReplacer(
		"publicAccess: true", "publicAccess: true\n        publicAccessCidrs: [203.0.113.7/32]", "minReplicas: 2\n", "\n",
	).
		Replace(string(data)) + "    expense:secrets:\n        web:\n            API_TOKEN:\n                secure: v1:abc:def\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	settings, err := s.Settings()
	require.NoError(t, err)
	assert.Equal(t, []string{"use1-az1", "use1-az2"}, settings.Network.Zones)
	assert.Equal(t, config.Spot, settings.Cluster.NodeGroups["expense"].CapacityType)
	assert.Equal(
		t, []int{config.Defaults().Workloads.Web.MinReplicas, 4}, []int{settings.Workloads.Web.MinReplicas, settings.Workloads.Web.MaxReplicas},
	)
}

// An app in the file has its sources beside the copy, and a word for each secret that it takes: the program reads both.
func TestWhatAnAppNamesIsThereToo(t *testing.T) {
	project := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(project, "conf"), 0o700))
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(project, name), []byte(text), 0o600))
	}
	write("Pulumi.yaml", "name: expense\nruntime: go\nconfig:\n  secrets: {}\n")
	write("conf/app.yaml", "a: b\n")
	write("Pulumi.dev.yaml", `config:
  expense:workloads:
    apps:
      backend:
        files:
          /etc/app.yaml: {source: conf/app.yaml}
          /etc/none: {source: none}
          /etc/passwd: {source: ../../../etc/passwd}
        secrets: {TOKEN: env, tls.key: file}
`)
	s := &Stage{Dir: t.TempDir(), stack: "dev"}
	require.NoError(t, os.Mkdir(s.project(), 0o700))
	require.NoError(t, s.copyFiles(project, "dev", "expense"))
	copied, err := os.ReadFile(filepath.Join(s.project(), "conf", "app.yaml"))
	require.NoError(t, err)
	assert.Equal(t, "a: b\n", string(copied))
	all, err := s.apps()
	require.NoError(t, err)
	assert.Equal(t, []string{"expense:secrets.backend.TOKEN", `expense:secrets.backend["tls.key"]`}, all.declared())
}
