package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// On a machine without credentials everything that needs none is said, and then what is missing.
func TestWithoutCredentialsTheRestIsSaid(t *testing.T) {
	for key, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
		// Nobody answers there, so no registry is asked.
		"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "",
	} {
		t.Setenv(key, value)
	}
	var out bytes.Buffer
	code, err := diagnose(t.Context(), &out, "../..", "dev")
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	for _, want := range []string{"problem          settings: cluster.publicAccessCidrs: found nothing", "ok               region: us-east-1",
		"could not check  credentials:", "aws sso login"} {
		assert.Contains(t, out.String(), want)
	}
}

func TestDoctorRefusesAStackWithoutAFile(t *testing.T) {
	code, err := diagnose(t.Context(), &bytes.Buffer{}, "../..", "pord")
	assert.Equal(t, 1, code)
	assert.ErrorContains(t, err, "found no file Pulumi.pord.yaml")
}

// STS is asked in the file's region, although other settings are wrong, and a role that it refuses is named.
func TestSTSIsAskedInTheFilesRegion(t *testing.T) {
	asked := ""
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusForbidden)
		_, err := io.WriteString(w,
			`<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
		assert.NoError(t, err)
	}))
	t.Cleanup(listener.Close)
	for key, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_ENDPOINT_URL": listener.URL,
	} {
		t.Setenv(key, value)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: expense\nruntime: go\n"), 0o600))
	for keys, want := range map[string]string{
		"": "sign in with: aws sso login",
		"  aws:assumeRole:\n    roleArn: arn:aws-us-gov:iam::111122223333:role/Deploy\n": "credentials: aws:assumeRole.roleArn " +
			"arn:aws-us-gov:iam::111122223333:role/Deploy: ",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte("config:\n  aws:region: us-gov-west-1\n"+keys), 0o600))
		var out bytes.Buffer
		code, err := diagnose(t.Context(), &out, dir, "dev")
		require.NoError(t, err)
		assert.Equal(t, 1, code)
		assert.Contains(t, asked, "/us-gov-west-1/sts/")
		assert.Contains(t, out.String(), want)
		assert.Equal(t, keys == "", strings.Contains(out.String(), "aws sso login"))
	}
}

// A profile that a colleague has and this machine lacks is no reason to say nothing.
func TestAProfileThatIsMissingIsSaid(t *testing.T) {
	dir := t.TempDir()
	for key, value := range map[string]string{"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""} {
		t.Setenv(key, value)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: expense\nruntime: go\n"), 0o600))
	for keys, want := range map[string]string{
		"  aws:profile: work\n":   "could not check  credentials: aws:profile work: this machine has no such profile",
		"  aws:accessKey: AKID\n": "could not check  credentials: the credentials of the environment may be of another account",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte("config:\n  aws:region: us-east-1\n"+keys), 0o600))
		var out bytes.Buffer
		code, err := diagnose(t.Context(), &out, dir, "dev")
		require.NoError(t, err)
		assert.Equal(t, 1, code)
		assert.Contains(t, out.String(), want)
		assert.Contains(t, out.String(), "settings: cluster.version: found nothing")
		assert.NotContains(t, out.String(), "AKID;")
	}
}
