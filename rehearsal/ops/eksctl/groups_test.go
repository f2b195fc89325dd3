package eksctl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// groupOf is what a group of a file with these lines becomes, beside one that carries the cluster.
func groupOf(t *testing.T, lines ...string) (map[string]any, error) {
	written, _, err := fromText(t, seven+"  - name: one\n    "+strings.Join(lines, "\n    ")+"\n", nil)
	var file struct {
		Config map[string]struct {
			NodeGroups map[string]map[string]any `yaml:"nodeGroups"`
		}
	}
	if err == nil {
		var all struct {
			Config map[string]yaml.Node
		}
		require.NoError(t, yaml.Unmarshal([]byte(written), &all))
		cluster := file.Config["expense:cluster"]
		node := all.Config["expense:cluster"]
		require.NoError(t, node.Decode(&cluster))
		return cluster.NodeGroups["one"], nil
	}
	return nil, err
}

// As eksctl's defaults are, with room for two zones' nodes where no maximum is given.
func TestSizes(t *testing.T) {
	for lines, want := range map[string][3]int{
		"spot: true":                         {2, 2, 4},
		"desiredCapacity: 4":                 {4, 4, 6},
		"minSize: 3":                         {3, 3, 5},
		"maxSize: 7":                         {2, 2, 7},
		"minSize: 1\n    desiredCapacity: 2": {1, 2, 4},
		"minSize: 0\n    desiredCapacity: 0": {0, 0, 2},
		"minSize: 1\n    desiredCapacity: 2\n    maxSize: 2": {1, 2, 2},
	} {
		group, err := groupOf(t, lines)
		require.NoError(t, err, lines)
		assert.Equal(t, want, [3]int{group["minSize"].(int), group["desiredSize"].(int), group["maxSize"].(int)}, lines)
		assert.NotContains(t, group, "perZone", lines)
	}
	group, err := groupOf(t, "minSize: 1", "maxSize: 1")
	require.NoError(t, err)
	assert.Equal(t, false, group["perZone"], "no group in each of two zones")
}

func TestWhatAGroupCarries(t *testing.T) {
	for lines, want := range map[string]map[string]any{
		"volumeSize: 30": {"diskSizeGiB": 30},
		"spot: true":     {"capacityType": "SPOT", "instanceTypes": []any{"m5.large"}},
		"spot: false":    {"capacityType": "ON_DEMAND"},
		"instanceTypes: [c7g.large]\n    amiFamily: AmazonLinux2023": {"amiType": "AL2023_ARM_64_STANDARD"},
		"instanceType: g5g.xlarge":                                   {"amiType": "AL2023_ARM_64_NVIDIA"},
		"instanceType: p3.2xlarge":                                   {"amiType": "AL2023_x86_64_NVIDIA"},
		"instanceType: trn1.2xlarge":                                 {"amiType": "AL2023_x86_64_NEURON"},
		"instanceType: gr6.4xlarge":                                  {"amiType": "AL2023_x86_64_NVIDIA"},
		"instanceType: g4ad.xlarge":                                  {"amiType": nil},
		"labels: {a: b, example.com/c: d}":                           {"labels": map[string]any{"a": "b", "example.com/c": "d"}},
		"taints: [{key: a, value: b, effect: NoExecute}]": {
			"taints": []any{map[string]any{"key": "a", "value": "b", "effect": "NO_EXECUTE"}},
		},
		"updateConfig: {maxUnavailablePercentage: 20}":                    {"maxUnavailablePercentage": 20},
		"desiredCapacity: 4\n    updateConfig: {maxUnavailable: 1}":       {"maxUnavailablePercentage": 25},
		"desiredCapacity: 4\n    updateConfig: {maxUnavailable: 9}":       {"maxUnavailablePercentage": 100},
		"desiredCapacity: 500\n    updateConfig: {maxUnavailable: 1}":     {"maxUnavailablePercentage": 1},
		"nodeRepairConfig: {enabled: false}":                              {"nodeRepair": false},
		"instanceType: m5.large\n    maxPodsPerNode: 29":                  {"maxPods": nil},
		"instanceTypes: [m5.large, m5.xlarge]\n    maxPodsPerNode: 29":    {"maxPods": nil},
		"instanceType: m5.large\n    maxPodsPerNode: 0":                   {"maxPods": nil},
		"instanceType: m5.large\n    maxPodsPerNode: 20":                  {"maxPods": 20},
		"instanceType: m99i.large\n    maxPodsPerNode: 40":                {"maxPods": 40},
		"iam: {withAddonPolicies: {autoScaler: true, cloudWatch: false}}": {"iam": nil},
	} {
		group, err := groupOf(t, lines)
		require.NoError(t, err, lines)
		for key, value := range want {
			assert.Equal(t, value, group[key], "%s: %s", lines, key)
		}
	}
}

func TestWhatAGroupCannotBe(t *testing.T) {
	for _, c := range [][2]string{
		{
			"instanceType: m5.large\n    instanceTypes: [m5.large]",
			"line 12: managedNodeGroups[1].instanceType: found instanceType and instanceTypes",
		},
		{"taints: [{key: a, effect: Never}]", `taints[0].effect: found "Never"; allowed: NoSchedule, NoExecute or PreferNoSchedule`},
		{
			"updateConfig: {maxUnavailable: 1, maxUnavailablePercentage: 1}",
			"found maxUnavailable and maxUnavailablePercentage; allowed: one of the two",
		},
		{"desiredCapacity: 3\n    maxSize: 2", "line 12: managedNodeGroups[1].desiredCapacity, here cluster.nodeGroups.one.minSize: found 3"},
		{"amiFamily: Bottlerocket", "line 12: managedNodeGroups[1].amiFamily: images of Amazon Linux 2023 only"},
		{"amiFamily: WindowsServer2022CoreContainer", "managedNodeGroups[1].amiFamily: images of Amazon Linux 2023 only"},
		{
			"instanceType: m5.large\n    maxPodsPerNode: 110",
			"managedNodeGroups[1].maxPodsPerNode: pods beyond EKS's number for the type would get no addresses",
		},
		{
			"instanceTypes: [m5.large, t3.medium]\n    maxPodsPerNode: 29",
			"managedNodeGroups[1].maxPodsPerNode: pods beyond EKS's number for the type would get no addresses",
		},
		{"maxPodsPerNode: 5", "managedNodeGroups[1].maxPodsPerNode, here cluster.nodeGroups.one.maxPods: found 5; allowed: more than the 5 pods"},
		{"maxPodsPerNode: -1", "managedNodeGroups[1].maxPodsPerNode, here cluster.nodeGroups.one.maxPods: found -1"},
		{"volumeType: io1", "managedNodeGroups[1].volumeType: root volumes are gp3"},
		{"availabilityZones: [us-east-1a]", "managedNodeGroups[1].availabilityZones: a group is in all zones of the network"},
		{"instanceTypes: [m5.large, m6g.large]", "instanceTypes, here cluster.nodeGroups.one.instanceTypes[0]: found \"m5.large\", x86_64"},
	} {
		lines, want := c[0], c[1]
		_, err := groupOf(t, lines)
		assert.ErrorContains(t, err, want, lines)
	}
	_, _, err := fromText(t, seven+"  - {name: expense, instanceType: m5.large}\n  - {instanceType: m5.large}\n", nil)
	assert.ErrorContains(t, err,
		`line 11: managedNodeGroups[1].name: found "expense" again; allowed: each name once; managedNodeGroups[0] has it`)
	assert.ErrorContains(t, err, "line 12: managedNodeGroups[2].name: found nothing")
}
