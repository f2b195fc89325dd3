package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const deploy = "arn:aws:iam::111122223333:role/Deploy"

// write makes a project with a stack's file.
func write(t *testing.T, keys string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: expense\nruntime: go\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte("config:\n"+keys), 0o600))
	return dir
}

// However the CLI writes a list or a map into the file, it is read.
func TestTheAccountIsReadAsTheCLIWritesIt(t *testing.T) {
	want := Account{Profile: "work", RoleARN: deploy, AllowedIDs: []string{"111122223333", "000011112222"}}
	const structured = "  aws:profile: work\n  aws:assumeRole:\n    roleArn: " + deploy +
		"\n  aws:allowedAccountIds: ['111122223333', '000011112222']\n"
	for name, keys := range map[string]string{
		"structured": structured,
		"texts": "  aws:profile: work\n  aws:assumeRole: '{\"roleArn\": \"" + deploy + "\"}'\n" +
			"  aws:allowedAccountIds: '[\"111122223333\", \"000011112222\"]'\n",
		"old": strings.NewReplacer("aws:profile", "aws:config:profile", "aws:assumeRole",
			"aws:config:assumeRole").Replace(structured),
		"beside what is wrong": structured + "  expense:cluster: nonsense\n  expense:webSecret:\n    TOKEN: plain\n",
	} {
		got, _, err := FileAccount(write(t, keys), "dev")
		require.NoError(t, err, name)
		assert.Equal(t, want, got, name)
	}
	_, _, err := FileAccount(write(t, "  aws:profil: work\n"), "dev")
	assert.ErrorContains(t, err, "did you mean profile?")
	_, _, err = FileAccount(write(t, "  aws:profile:\n    secure: v1:abc:def\n"), "dev")
	assert.ErrorContains(t, err, "an encrypted value")
	_, _, err = FileAccount(t.TempDir(), "dev")
	assert.ErrorContains(t, err, "found no file Pulumi.dev.yaml")
}
