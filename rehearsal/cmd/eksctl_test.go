package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Without credentials and without the built tools the stack's file is written all the same.
func TestFromEksctlWritesTheStacksFile(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nothing", "AWS_SHARED_CREDENTIALS_FILE": "/nothing", "AWS_ACCESS_KEY_ID": "",
		"AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
	} {
		t.Setenv(name, value)
	}
	project := t.TempDir()
	data, err := os.ReadFile("../../Pulumi.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(project, "Pulumi.yaml"), data, 0o600))
	file, err := filepath.Abs("../ops/eksctl/testdata/seven-lines.yml")
	require.NoError(t, err)

	code, err := eksctlCommand(t.Context(), project, []string{"-stack", "expense", "-file", file})
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.FileExists(t, filepath.Join(project, "Pulumi.expense.yaml"))

	code, err = eksctlCommand(t.Context(), project, []string{"-stack", "expense", "-file", file})
	assert.ErrorContains(t, err, "never overwritten")
	assert.Equal(t, 1, code)
	_, err = eksctlCommand(t.Context(), project, nil)
	assert.ErrorContains(t, err, "make from-eksctl FILE=eks.yml STACK=expense")
}
