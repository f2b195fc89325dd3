package eksctl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// head is what each file has. fill completes what follows it.
const head = "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\n"

const seven = head + "metadata:\n  name: expense\n  region: us-east-1\nmanagedNodeGroups:\n" +
	"  - name: expense\n    instanceType: m5.large\n    desiredCapacity: 3\n    spot: true\n"

func TestAMistakeIsNamedWithItsLineAndAProposal(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "found an empty file; allowed: a ClusterConfig"},
		"only a comment": {"# nothing\n", "found an empty file"},
		"a list":         {"- a\n", "line 1: found a list; allowed: a ClusterConfig, a map"},
		"no YAML":        {head + "metadata:\n  name: \"expense\nregion: x\n", "found no YAML"},
		"no JSON":        {`{"apiVersion": "eksctl.io/v1alpha5",, }`, "found no YAML"},
		"tab": {
			head + "metadata:\n\tname: expense\n",
			"line 4: found a tab in front of the text; allowed: spaces; replace each tab by two",
		},
		"two documents": {seven + "---\n" + seven, "line 12: found 2 documents; allowed: one ClusterConfig"},
		"no version": {
			strings.Replace(seven, "apiVersion: eksctl.io/v1alpha5\n", "", 1),
			"apiVersion: found nothing; allowed: eksctl.io/v1alpha5",
		},
		"an older version": {
			strings.Replace(seven, "v1alpha5", "v1alpha4", 1),
			`line 1: apiVersion: found "eksctl.io/v1alpha4"; allowed: eksctl.io/v1alpha5`,
		},
		"Kind": {
			strings.Replace(seven, "kind:", "Kind:", 1),
			"line 2: Kind: found an unknown key; allowed: one of eksctl's 31; did you mean kind?",
		},
		"a Deployment": {
			strings.Replace(seven, "ClusterConfig", "Deployment", 1),
			`line 2: kind: found "Deployment"; allowed: ClusterConfig`,
		},
		"a key of elsewhere": {
			seven + "cidr: 10.0.0.0/16\n",
			"line 11: cidr: found an unknown key; allowed: one of eksctl's 31; did you mean it below vpc?",
		},
		"a key of nowhere": {
			seven + "privateCluster: {foo: 1}\n",
			"foo: found an unknown key; allowed: additionalEndpointServices, enabled, skipEndpointCreation",
		},
		"a misspelt key in what is not supported": {
			seven + "nodeGroups:\n  - {name: a, instanceTpye: m5.large}\n",
			"line 12: nodeGroups[0].instanceTpye: found an unknown key; allowed: one of eksctl's 54; did you mean instanceType?",
		},
		"a number for text": {strings.Replace(seven, "name: expense\n  region", "name: 007\n  region", 1), `name: "007"`},
		"a version": {
			strings.Replace(seven, "metadata:", "metadata:\n  version: 1.30", 1),
			`line 4: metadata.version: found 1.30 (a number); allowed: text; put it in quotes: version: "1.30"`,
		},
		"text for a number": {
			strings.Replace(seven, "3", `"3"`, 1),
			"desiredCapacity: found \"3\" (text); allowed: a whole number; write it without quotes: desiredCapacity: 3",
		},
		"a fraction": {strings.Replace(seven, "Capacity: 3", `Capacity: 2.5`, 1), "found 2.5 (a number); allowed: a whole number"},
		"yes": {
			strings.Replace(seven, "spot: true", "spot: yes", 1),
			`line 10: managedNodeGroups[0].spot: found "yes" (text); allowed: true or false; write spot: true`,
		},
		"a text for a list": {
			seven + "availabilityZones: us-east-1a\n",
			"line 11: availabilityZones: found text; allowed: a list of texts; write it as [us-east-1a]",
		},
		"a map for a list": {
			seven + "addons:\n  name: coredns\n",
			"addons: found a map; allowed: a list of maps; begin each element with a dash and a space",
		},
		"a list for a map": {seven + "vpc: [a]\n", "line 11: vpc: found a list; allowed: a map"},
		"a list for a text": {
			strings.Replace(seven, "m5.large", "[m5.large]", 1),
			"instanceType: found a list; allowed: text; write it without brackets and dashes",
		},
		"a text for a map": {seven + "vpc: a\n", "line 11: vpc: found text; allowed: a map"},
		"a number for a label": {
			seven + "    labels: {tier: 1}\n",
			`line 11: managedNodeGroups[0].labels.tier: found 1 (a number); allowed: text; put it in quotes: tier: "1"`,
		},
		"a key twice": {
			seven + "    spot: false\n",
			"line 11: managedNodeGroups[0].spot: found the key again; allowed: each key once; line 10 has it",
		},
		"an alias of itself":  {head + "metadata: &a\n  name: *a\n", "found "},
		"too many by aliases": {head + bomb, "found more than 20000 values"},
		"a date":              {strings.Replace(seven, "name: expense\n  region", "name: 2026-01-01\n  region", 1), "(a date); allowed: text"},
		"no name":             {strings.Replace(seven, "  name: expense\n  region", "  region", 1), "metadata.name: found nothing"},
		"no region": {
			strings.Replace(seven, "  region: us-east-1\n", "", 1),
			"metadata.region: found nothing; allowed: a region such as us-east-1",
		},
		"no groups": {strings.Split(seven, "managedNodeGroups")[0], "managedNodeGroups: found nothing; allowed: one group at least"},
		"an unknown region": {
			strings.Replace(seven, "us-east-1", "us-nowhere-1", 1),
			`line 5: metadata.region, here aws:region: found "us-nowhere-1"`,
		},
		"a zone of its account": {
			seven + "availabilityZones: [use1-az3, use1-az1]\n",
			`line 11: availabilityZones, here network.zones[0]: found "use1-az3"; allowed: a zone in which EKS`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			written, said, err := fromText(t, c.text, nil)
			assert.ErrorContains(t, err, c.want)
			assert.Empty(t, written)
			assert.Empty(t, said)
		})
	}
}

var bomb = func() string {
	text := "metadata: {annotations: {}}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		before := string(n[0] - 1)
		text += "a" + n + ": &a" + n + " [" + strings.Repeat("*a"+before+", ", 9) + "*a" + before + "]\n"
	}
	return text
}()

// All that is wrong is told at once, by line.
func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, _, err := run(t, "testdata/mistakes.yml", nil)
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if at, _, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && strings.HasPrefix(at, "line ") {
			lines = append(lines, at)
		}
	}
	assert.Equal(t, []string{"line 5", "line 6", "line 8", "line 9", "line 10", "line 13", "line 15", "line 19", "line 20", "line 21",
		"line 23", "line 24"}, lines)
}

// JSON has tabs where YAML has none.
func TestJSONMayHaveTabs(t *testing.T) {
	written, _, err := run(t, "testdata/graviton.json", nil)
	assert.NoError(t, err)
	assert.Contains(t, written, "AL2023_ARM_64_STANDARD")
}
