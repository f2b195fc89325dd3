package login

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"expense/internal/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const role = "arn:aws:iam::111122223333:role/Deploy"

// The profile is used although the environment has keys, and the role is assumed with its keys, in the stack's region.
func TestSignInTakesTheProfileAndAssumesTheRole(t *testing.T) {
	var asked []string
	denied := ""
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm())
		asked = append(asked, r.Form.Get("Action")+" "+r.Form.Get("RoleArn")+" "+r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "text/xml")
		if denied != "" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>no</Message></Error></ErrorResponse>`, denied)
			return
		}
		fmt.Fprint(w,
			`<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIDROLE</AccessKeyId>`+
				`<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>`+
				`<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	}))
	t.Cleanup(listener.Close)
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("[profile work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\nregion = "+
		"eu-west-1\n"), 0o600))
	for key, value := range map[string]string{
		"AWS_CONFIG_FILE": file, "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "s",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": listener.URL,
	} {
		t.Setenv(key, value)
	}
	for want, account := range map[string]config.Account{
		"AKIDENV": {}, "AKIDWORK": {Profile: "work"}, "AKIDROLE": {Profile: "work", RoleARN: role},
	} {
		cfg, err := SignIn(t.Context(), account, "us-east-1")
		require.NoError(t, err)
		credentials, err := cfg.Credentials.Retrieve(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, credentials.AccessKeyID)
	}
	require.Len(t, asked, 1)
	assert.Contains(t, asked[0], "AssumeRole "+role)
	assert.Contains(t, asked[0], "Credential=AKIDWORK/")
	assert.Contains(t, asked[0], "/us-east-1/sts/")

	// Without a region in the stack's file the environment's is taken.
	t.Setenv("AWS_REGION", "us-gov-west-1")
	_, err := SignIn(t.Context(), config.Account{RoleARN: role}, "")
	require.NoError(t, err)
	assert.Contains(t, asked[1], "/us-gov-west-1/sts/")

	// A role that is refused is no reason to sign in again, and credentials that have expired are none to look at the role.
	denied = "AccessDenied"
	_, err = SignIn(t.Context(), config.Account{RoleARN: role}, "us-east-1")
	require.ErrorContains(t, err, "aws:assumeRole.roleArn "+role+": ")
	assert.ErrorContains(t, err, "its trust policy has to allow the credentials, and they need sts:AssumeRole for it")
	assert.NotContains(t, err.Error(), "aws sso login")
	denied = "ExpiredToken"
	_, err = SignIn(t.Context(), config.Account{RoleARN: role, Profile: "work"}, "us-east-1")
	require.ErrorContains(t, err, "sign in with: aws sso login --profile work")
	assert.NotContains(t, err.Error(), "trust policy")

	for _, key := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(key, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	_, err = SignIn(t.Context(), config.Account{}, "us-east-1")
	require.ErrorContains(t, err, "found no credentials: ")
	assert.ErrorContains(t, err, "sign in with: aws sso login, or aws configure")

	_, err = SignIn(t.Context(), config.Account{Profile: "absent"}, "us-east-1")
	assert.ErrorContains(t, err, "aws:profile absent: this machine has no such profile; make it with: aws configure sso --profile absent")
}
