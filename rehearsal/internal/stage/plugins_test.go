package stage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Real plugins replace the stand-ins for Kubernetes and the eks component, never the one for AWS.
func TestRealPlugins(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{
		"resource-kubernetes-v4.33.0", "resource-kubernetes-v4.19.0", "resource-aws-v6.83.4", "resource-eks-v3.9.1.partial.lock",
	} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, name), 0o700))
	}
	for _, name := range []string{"resource-kubernetes-v4.33.0", "resource-kubernetes-v4.19.0", "resource-aws-v6.83.4"} {
		for _, file := range []string{"PulumiPlugin.yaml", "pulumi-resource"} {
			require.NoError(t, os.WriteFile(filepath.Join(folder, name, file), nil, 0o700))
		}
	}
	assert.Equal(t, "resource-kubernetes-v4.19.0, resource-kubernetes-v4.33.0", realPlugin(folder, "kubernetes"))
	assert.Empty(t, realPlugin(folder, "eks"), "an installation that did not end")
	assert.Empty(t, realPlugin(folder, "aws"))
	assert.Empty(t, realPlugin("", "kubernetes"))
}
