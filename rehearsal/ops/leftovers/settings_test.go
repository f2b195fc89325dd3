package leftovers

import (
	"os"
	"path/filepath"
	"testing"

	"expense/internal/config"
	"expense/program"
	"expense/rehearsal/ops/doctor"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is looked for is what the program makes: its tags, and the names that its settings give or default to.
func TestTagsAndNamesAreTheProgramsOwn(t *testing.T) {
	f := &finder{Options: Options{Stack: dev}}
	assert.True(t, f.stacks(program.Tags("dev", nil)))
	assert.True(t, f.stacks(program.Tags("dev", map[string]string{"team": "web"})))
	assert.Len(t, program.Tags("dev", nil), 2)
	for _, stack := range []string{"dev", "prod"} {
		got, err := Settings("../../..", stack)
		require.NoError(t, err)
		settings, _, err := doctor.Settings("../../..", stack)
		require.NoError(t, err)
		assert.Equal(t, Stack{Name: stack, Region: settings.Region, Cluster: settings.Cluster.Name, Domain: settings.Logging.Domain.Name,
			Protected: stack == "prod"}, got)
	}
}

func TestAStackWithoutARegionIsRefused(t *testing.T) {
	_, err := Settings(project(t, "config: {}\n"), "dev")
	assert.ErrorContains(t, err, "pulumi config set aws:region us-east-1 --stack dev")
}

// project is a project with a stack's file.
func project(t *testing.T, file string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: expense\nruntime: go\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte(file), 0o600))
	return dir
}

// What removes things must not do it in another account than the stack's.
func TestItIsLookedInTheStacksAccountOnly(t *testing.T) {
	stack, err := Settings(project(t, "config:\n  aws:region: us-east-1\n  aws:profile: work\n  aws:allowedAccountIds: ['999999999999']\n  "+
		"expense:cluster:\n    name: shop\n"), "dev")
	require.NoError(t, err)
	assert.Equal(t, Stack{
		Name: "dev", Region: "us-east-1", Cluster: "shop", Domain: "expense", Account: config.Account{Profile: "work",
			AllowedIDs: []string{"999999999999"}},
	}, stack)
	_, err = Settings(project(t, "config:\n  aws:region: us-east-1\n  aws:endpoints: x\n"), "dev")
	assert.ErrorContains(t, err, "aws:endpoints: found a key that is not passed on")

	options := newAccount().options()
	options.Stack.Account = stack.Account
	_, err = Find(t.Context(), options)
	assert.ErrorContains(t, err, "the credentials are of account 111122223333; aws:allowedAccountIds allows: 999999999999")
}
