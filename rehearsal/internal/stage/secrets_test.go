package stage

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOfSecretsTheNamesAreCopied(t *testing.T) {
	plain, secrets, err := withoutSecrets([]byte(`secretsprovider: awskms://alias/pulumi?region=us-east-1
encryptedkey: AQID
encryptionsalt: v1:AAAA
environment: [base]
config:
  aws:allowedAccountIds: ["000011112222", 000011112222]
  aws:profile:
    secure: v1:abc
  expense:secrets:
    web:
      API_TOKEN: &token
        secure: v1:def
      again: *token
      a.b:
        secure: v1:ghi
      plain: secure
  expense:list:
    - x
    - secure: v1:jkl
    - {secure: {deep: yes}}
`))
	require.NoError(t, err)
	assert.Equal(t, []string{"aws:profile", "expense:secrets.web.API_TOKEN", `expense:secrets.web["a.b"]`, "expense:list[1]"}, secrets)
	assert.Equal(t, `config:
    aws:allowedAccountIds: ["000011112222", 000011112222]
    aws:profile: not-a-real-token
    expense:secrets:
        web:
            API_TOKEN: &token not-a-real-token
            again: *token
            a.b: not-a-real-token
            plain: secure
    expense:list:
        - x
        - not-a-real-token
        - {secure: {deep: yes}}
`, string(plain))
	plain, secrets, err = withoutSecrets([]byte("# nothing\n"))
	require.NoError(t, err)
	assert.Empty(t, secrets)
	assert.Equal(t, "# nothing\n", string(plain))
}

// The file's salt belongs to a passphrase that the rehearsal does not know. A preview must work without it.
func TestAFileWithSecretsIsConfiguredWithoutItsPassphrase(t *testing.T) {
	tools, err := filepath.Abs("../../../.tools/bin")
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(tools, "pulumi")); errors.Is(err, os.ErrNotExist) {
		t.Skip("pulumi is not built: run `make tools`")
	}
	path := tools + string(os.PathListSeparator) + os.Getenv("PATH")
	environment := func(dir, passphrase string) []string {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "state"), 0o700))
		return append(withoutCloud(os.Environ()), "PATH="+path, "PULUMI_HOME="+filepath.Join(dir, "home"),
			"PULUMI_BACKEND_URL=file://"+filepath.Join(dir, "state"),
			"PULUMI_CONFIG_PASSPHRASE="+passphrase, "PULUMI_SKIP_UPDATE_CHECK=true")
	}
	theirs, project := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(project, "Pulumi.yaml"), []byte("name: expense\nruntime: go\n"), 0o600))
	for _, args := range [][]string{
		{"stack", "init", "dev"},
		{
			"config", "set-all", "--stack", "dev", "--path", "--plaintext", "aws:region=us-east-1", "--secret", "expense:secrets.web.API_TOKEN=mine",
			"--secret", `expense:secrets.web["a.b"]=mine`,
		},
	} {
		command := exec.Command(filepath.Join(tools, "pulumi"), append(args, "--non-interactive")...)
		command.Dir, command.Env = project, environment(theirs, "theirs")
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	file, err := os.ReadFile(filepath.Join(project, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(file), "encryptionsalt: ")
	require.Contains(t, string(file), "secure: ")

	dir := t.TempDir()
	s := &Stage{Dir: dir, Tools: tools, Out: &bytes.Buffer{}, env: environment(dir, "rehearsal"), stack: "dev"}
	require.NoError(t, os.Mkdir(s.project(), 0o700))
	require.NoError(t, s.copyFiles(project, "dev", "expense"))
	require.NoError(t, s.Pulumi(t.Context(), "stack", "init", "dev"), s.Out)
	// Twice, as a preview does: for the base and for the change.
	for range 2 {
		require.NoError(t, s.copyFiles(project, "dev", "expense"))
		require.NoError(t, s.Configure(t.Context()), s.Out)
		for _, path := range []string{"expense:secrets.web.API_TOKEN", `expense:secrets.web["a.b"]`} {
			got, err := s.Output(t.Context(), "config", "get", "--path", path)
			require.NoError(t, err)
			assert.Equal(t, word+"\n", string(got))
		}
		copied, err := os.ReadFile(filepath.Join(s.project(), "Pulumi.dev.yaml"))
		require.NoError(t, err)
		assert.NotContains(t, string(copied), word, "encrypted again")
	}
	same, err := os.ReadFile(filepath.Join(project, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	assert.Equal(t, string(file), string(same))
}
