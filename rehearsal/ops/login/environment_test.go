package login

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The aws CLI takes these keys, and neither another session's token nor a profile.
func TestTheEnvironmentHasTheseCredentialsOnly(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "other", "AWS_SESSION_TOKEN": "stale", "AWS_PROFILE": "work", "KEPT": "yes",
	} {
		t.Setenv(name, value)
	}
	provide := func(token string) aws.Config {
		return aws.Config{Credentials: credentials.NewStaticCredentialsProvider("AKIDSTACK", "s", token)}
	}
	env, err := Environment(t.Context(), provide(""))
	require.NoError(t, err)
	assert.Contains(t, env, "KEPT=yes")
	assert.Contains(t, env, "AWS_PAGER=")
	assert.Contains(t, env, "AWS_ACCESS_KEY_ID=AKIDSTACK")
	assert.Contains(t, env, "AWS_SECRET_ACCESS_KEY=s")
	for _, not := range []string{"AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=other", "AWS_SESSION_TOKEN=stale", "AWS_PROFILE=work"} {
		assert.NotContains(t, env, not)
	}
	env, err = Environment(t.Context(), provide("token"))
	require.NoError(t, err)
	assert.Contains(t, env, "AWS_SESSION_TOKEN=token")
}
