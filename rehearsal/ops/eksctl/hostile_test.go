package eksctl

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// aCluster is a file that becomes a stack's. more goes behind its group.
func aCluster(more string) string {
	return "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: shop, region: us-east-1, version: \"1.35\"}\n" +
		"managedNodeGroups:\n  - {name: main, instanceType: m5.large, minSize: 2, maxSize: 4}\n" + more
}

func TestWhatTheLoaderRefusesIsToldBesideWhatIsNotSupported(t *testing.T) {
	_, _, err := fromText(t, strings.Replace(aCluster("karpenter: {version: \"1.0\"}\n"), "1.35", "1.18", 1), nil)
	require.ErrorContains(t, err, `line 3: metadata.version, here cluster.version: found "1.18"`)
	assert.ErrorContains(t, err, "line 6: karpenter: the Cluster Autoscaler sizes the groups")
}

func TestAFileWithoutManagedGroupsIsToldWhatToDo(t *testing.T) {
	_, _, err := fromText(t, strings.Replace(aCluster(""), "managedNodeGroups", "nodeGroups", 1), func(o *Options) { o.Anyway = true })
	require.ErrorContains(t, err, "line 5: managedNodeGroups: found nothing; allowed: one group at least; "+
		"rename nodeGroups to managedNodeGroups")
	text, _, _ := strings.Cut(aCluster(""), "managedNodeGroups")
	for _, groups := range []string{"", "managedNodeGroups: []\n"} {
		_, _, err = fromText(t, text+groups, nil)
		require.ErrorContains(t, err, "managedNodeGroups: found nothing; allowed: one group at least; add: ")
		_, remedy, _ := strings.Cut(err.Error(), "add: ")
		line, _, _ := strings.Cut(remedy, "\n")
		_, _, err = fromText(t, text+line+"\n", nil)
		assert.NoError(t, err, "the remedy works")
	}
}

func TestZonesOfAnotherRegionAreRefusedWithoutAnAccount(t *testing.T) {
	_, _, err := fromText(t, aCluster("availabilityZones: [us-east-1a, eu-west-1b]\n"), nil)
	assert.ErrorContains(t, err, `line 6: availabilityZones[1]: found "eu-west-1b"; allowed: a zone of us-east-1, as us-east-1a`)
}

func TestAWrongRegionIsOneLine(t *testing.T) {
	_, _, err := fromText(t, strings.Replace(aCluster(""), "us-east-1", "mars-1", 1), nil)
	require.ErrorContains(t, err, "1 to correct:\n  line 3: metadata.region, here aws:region: found \"mars-1\"")
}

func TestATerminalObeysNoKey(t *testing.T) {
	_, _, err := fromText(t, aCluster("\"\\e[31m\": 1\n"), nil)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "\x1b")
}

// Who ends the command while it asks AWS gets no file with other zones.
func TestWhoIsStoppedGetsNoFile(t *testing.T) {
	dir := t.TempDir()
	program, err := os.ReadFile("../../../Pulumi.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), program, 0o600))
	file := filepath.Join(dir, "eks.yml")
	require.NoError(t, os.WriteFile(file, []byte(aCluster("")), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	err = Run(ctx, Options{Project: dir, Stack: "shop", File: file, Today: day,
		SignIn: func(ctx context.Context, _ string) (aws.Config, error) { cancel(); return aws.Config{}, ctx.Err() }})
	require.ErrorIs(t, err, context.Canceled)
	assert.NoFileExists(t, filepath.Join(dir, "Pulumi.shop.yaml"))
}
