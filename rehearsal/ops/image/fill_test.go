package image

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// filling is a stack with an image of each kind.
func filling(t *testing.T, images string) *stack {
	s := aStack(t, backend+"        image: "+host+"/mine/backend:x@"+digestA+"\n    images: {"+images+"}\n", nil)
	s.options.Name, s.options.Mode = "", Fill
	return s
}

// Only what comes by a cache of this stack is pulled.
func TestTheCachesAreFilled(t *testing.T) {
	nginx := host + "/mine/ecr-public/docker/library/nginx:1.30.5"
	s := filling(t, "nginx: '"+nginx+"', alma: '"+host+"/others/ecr-public/almalinux:9'")
	before, calls, err := s.run()
	require.NoError(t, err)
	var pulled []string
	for _, call := range calls {
		if strings.HasPrefix(call, "docker pull") {
			pulled = append(pulled, call)
		}
	}
	assert.Equal(t, []string{"docker pull --platform=linux/amd64 " + nginx}, pulled)
	assert.Contains(t, calls, "docker login --username AWS --password-stdin "+host+" with the-password")
	assert.Contains(t, calls, "docker logout "+host)
	after, _, err := s.run()
	require.NoError(t, err)
	assert.Equal(t, before, after)

	w := load(s.world)
	w.Fail["docker pull"] = "Error response from daemon: repository does not exist or may require authorization"
	w.save(s.world)
	_, _, err = s.run()
	require.ErrorContains(t, err, "the rule of the cache has to be there first: pulumi up --stack dev")

	s = filling(t, "alma: 'public.ecr.aws/docker/library/almalinux:9'")
	_, calls, err = s.run()
	require.ErrorContains(t, err, "that comes by a cache; allowed: images in ACCOUNT.dkr.ecr.us-east-1.amazonaws.com/mine/CACHE")
	assert.Empty(t, calls)
}
