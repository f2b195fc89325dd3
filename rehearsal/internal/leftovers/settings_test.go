package leftovers

import (
	"os"
	"path/filepath"
	"testing"

	"expense/internal/program"
	"expense/rehearsal/internal/doctor"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is looked for is what the program makes: its tags, and the names that its settings give or default to.
func TestTagsAndNamesAreTheProgramsOwn(t *testing.T) {
	f := &finder{Options: Options{Stack: dev}}
	assert.True(t, f.stacks(program.Tags("dev")))
	assert.Len(t, program.Tags("dev"), 2)
	for _, stack := range []string{"dev", "prod"} {
		got, err := Settings("../../..", stack)
		require.NoError(t, err)
		settings, _, err := doctor.Settings("../../..", stack)
		require.NoError(t, err)
		assert.Equal(t, Stack{Name: stack, Region: settings.Region, Cluster: settings.Cluster.Name, Domain: settings.Logging.Domain.Name}, got)
	}
}

func TestAStackWithoutARegionIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte("config: {}\n"), 0o600))
	_, err := Settings(dir, "dev")
	assert.ErrorContains(t, err, "pulumi config set aws:region us-east-1 --stack dev")
}
