package leftovers

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The state is asked for without its passphrase: nothing in it needs to be readable.
func TestAStacksStateIsExportedWithoutItsSecrets(t *testing.T) {
	tools, err := filepath.Abs("../../../.tools/bin")
	require.NoError(t, err)
	pulumi := filepath.Join(tools, "pulumi")
	if _, err := os.Stat(pulumi); errors.Is(err, os.ErrNotExist) {
		t.Skip("pulumi is not built: run `make tools`")
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "backend"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: expense\nruntime: go\n"), 0o600))
	for key, value := range map[string]string{
		"PATH": tools + string(os.PathListSeparator) + os.Getenv("PATH"), "PULUMI_HOME": filepath.Join(dir, "home"),
		"PULUMI_BACKEND_URL": "file://" + filepath.Join(dir, "backend"), "PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_CONFIG_PASSPHRASE": "",
	} {
		t.Setenv(key, value)
	}
	require.NoError(t, os.Unsetenv("PULUMI_CONFIG_PASSPHRASE"))
	_, err = ExportState(t.Context(), dir, "dev")
	assert.ErrorContains(t, err, "pulumi stack export --stack dev")
	assert.ErrorContains(t, err, "pulumi stack init dev")

	made := exec.Command(pulumi, "stack", "init", "dev", "--non-interactive")
	made.Dir, made.Env = dir, append(os.Environ(), "PULUMI_CONFIG_PASSPHRASE=secret")
	out, err := made.CombinedOutput()
	require.NoError(t, err, string(out))
	state, err := ExportState(t.Context(), dir, "dev")
	require.NoError(t, err)
	assert.Empty(t, state.refs)
}

func TestWithoutPulumiTheRemedyIsToInstallIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := ExportState(t.Context(), t.TempDir(), "dev")
	assert.ErrorContains(t, err, "https://www.pulumi.com/docs/install/")
}

func TestOnlyWhatAWSHasIsInTheState(t *testing.T) {
	state, err := ParseState([]byte(`{"deployment":{"resources":[
		{"type":"pulumi:pulumi:Stack","custom":false},
		{"type":"kubernetes:core/v1:Namespace","custom":true,"id":"vpc-1"},
		{"type":"aws:ec2/vpc:Vpc","custom":true,"id":"vpc-2","outputs":{"arn":"arn:aws:ec2:us-east-1:111122223333:vpc/vpc-2"}},
		{"type":"aws:cloudwatch/logResourcePolicy:LogResourcePolicy","custom":true,"id":"opensearch-expense","outputs":{}}]}}`))
	require.NoError(t, err)
	assert.Equal(t, []string{"vpc-2"}, state.vpcs)
	assert.True(t, state.has("vpc-2"))
	assert.True(t, state.has("aws:cloudwatch/logResourcePolicy:LogResourcePolicy opensearch-expense"))
	assert.False(t, state.has("vpc-1"))
	assert.False(t, state.has(""))
	assert.False(t, (*State)(nil).has("vpc-2"))
	_, err = ParseState([]byte("no JSON"))
	assert.ErrorContains(t, err, "stack export")
}

func TestAnEmptyStackKeepsItsSecretsProvider(t *testing.T) {
	dir := project(t, "config: {aws:region: us-east-1}\n")
	assert.Equal(t, "pulumi stack init dev", initCommand(dir, "dev"))
	assert.Equal(t, "pulumi stack init gone", initCommand(dir, "gone"))
	const key = "awskms://alias/pulumi?region=us-east-1"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte("secretsprovider: "+key+"\nconfig: {}\n"), 0o600))
	assert.Equal(t, "pulumi stack init dev --secrets-provider '"+key+"'", initCommand(dir, "dev"))
}
