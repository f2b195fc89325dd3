package stage

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const ones, twos = "@sha256:1111111111111111111111111111111111111111111111111111111111111111",
	"@sha256:2222222222222222222222222222222222222222222222222222222222222222"

func TestTheImagesOfAppsAreMadeUp(t *testing.T) {
	images, err := imagesOf([]byte(`
config:
  aws:region: eu-west-1
  expense:cluster: {name: shop}
  expense:workloads:
    apps:
      a-b: {build: {dir: a}, logs: output}
      c: {build: {dir: c}, image: "example.com/c:1", logs: {capture: static}}
      d: {image: "example.com/d:1"}
`))
	require.NoError(t, err)
	assert.Equal(t, []string{
		`expense:workloads.apps["a-b"].image=111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/a-b` + ones,
		"expense:logging.captureImage=111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/capture" + twos,
	}, images)
	images, err = imagesOf([]byte("config:\n  aws:region: us-east-1\n"))
	require.NoError(t, err)
	assert.Empty(t, images)
}

// The committed example leaves both images to its user.
func TestTheExampleGetsItsImages(t *testing.T) {
	data, err := os.ReadFile("../../../Pulumi.example.yaml")
	require.NoError(t, err)
	images, err := imagesOf(data)
	require.NoError(t, err)
	assert.Len(t, images, 2)
	// An image in the file is the user's own.
	images, err = imagesOf([]byte(strings.Replace(string(data), "      backend:\n", "      backend:\n        image: mine:1\n", 1)))
	require.NoError(t, err)
	assert.Len(t, images, 1)
}
