package image

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The aws CLI on PATH takes the calls and the answers of ECR's API, and its errors are those that are looked for
// (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/; a tag that is there, one that is not, and a repository that is not).
func TestTheAWSCLIIsUnderstood(t *testing.T) {
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("aws is not on PATH")
	}
	path := os.Getenv("PATH")
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		_, call, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		asked = append(asked, call)
		refuse := func(code string) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type": %q, "message": "it is not there"}`, code)
		}
		switch {
		case call == "GetAuthorizationToken":
			fmt.Fprintf(w, `{"authorizationData": [{"authorizationToken": %q}]}`, base64.StdEncoding.EncodeToString([]byte("AWS:the-password")))
		case call == "DescribeRepositories" && strings.Contains(string(body), `"mine/backend"`):
			fmt.Fprintf(w, `{"repositories": [{"registryId": "111122223333", "repositoryName": "mine/backend", `+
				`"repositoryUri": "%s/mine/backend"}]}`, host)
		case call == "DescribeRepositories":
			refuse("RepositoryNotFoundException")
		case strings.Contains(string(body), `"there"`):
			fmt.Fprintf(w, `{"imageDetails": [{"imageDigest": %q, "imageTags": ["there"], "imagePushedAt": 1.7E9}]}`, digestA)
		case strings.Contains(string(body), `"absent"`):
			refuse("ImageNotFoundException")
		default:
			fmt.Fprintf(w, `{"imageDetails": [{"imageDigest": %q, "imageTags": ["there"], "imagePushedAt": 1.7E9, "imageManifestMediaType": %q},
				{"imageDigest": %q, "imageTags": ["former"], "imagePushedAt": 1.6E9}]}`, digestA, manifest, digestB)
		}
	}))
	t.Cleanup(server.Close)
	s := aStack(t, backend, nil)
	bin := os.Getenv("PATH")
	require.NoError(t, os.Remove(filepath.Join(bin, "aws")))
	// What starts the CLI may need more than the stand-ins.
	t.Setenv("PATH", bin+":"+filepath.Dir(cli)+":"+path)
	s.options.SignIn = func(context.Context) ([]string, error) {
		mine := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
		return append(mine, "AWS_ENDPOINT_URL="+server.URL, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
			"AWS_MAX_ATTEMPTS=1", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"), nil
	}
	w, err := open(s.options)
	require.NoError(t, err)
	r, err := w.repository(t.Context(), "backend")
	require.NoError(t, err)
	assert.Equal(t, host, r.host())
	_, err = w.repository(t.Context(), "other")
	require.ErrorIs(t, err, errNoRepository)
	digest, err := w.digest(t.Context(), r, "there")
	require.NoError(t, err)
	assert.Equal(t, digestA, digest)
	digest, err = w.digest(t.Context(), r, "absent")
	require.NoError(t, err)
	assert.Empty(t, digest)
	tag, _, err := w.newest(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, "there", tag)
	require.NoError(t, w.signInTo(t.Context(), r))
	assert.Contains(t, strings.Join(load(s.world).Calls, "\n"), "--password-stdin "+host+" with the-password")
	assert.Len(t, asked, 6)
}
