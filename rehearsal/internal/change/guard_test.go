package change

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func changes(c ...Change) []Stack { return []Stack{{Name: "dev", Changes: c}} }

func TestTheGuardStopsWhatTakesAwayDataOrThePlatform(t *testing.T) {
	types := 0
	for _, kind := range Kinds {
		assert.True(t, strings.HasPrefix(kind.Source, "https://") && kind.Meanwhile != "", kind.Name)
		if kind.Property != "" && !kind.Balanced {
			continue
		}
		for _, typ := range kind.Types {
			types++
			for _, c := range []struct {
				change Change
				stops  bool
			}{
				{Change{Operation: Delete}, true},
				{Change{Operation: Replace, DeletedFirst: true}, true},
				{Change{Operation: Replace}, kind.Name != "node group"},
				{Change{Operation: Update}, false},
				{Change{Operation: Create}, false},
			} {
				c.change.Type, c.change.Balanced = typ, kind.Balanced
				verdict := Guard(changes(c.change), nil)
				assert.Equal(t, !c.stops, verdict.Passes(), "%s: %s", typ, c.change.Cause())
				if c.stops {
					assert.Equal(t, kind.Name, verdict.Stopped[0].Kind)
				}
			}
		}
	}
	assert.Equal(t, 11, types)
	assert.True(t, Guard(changes(Change{Type: "aws:iam/role:Role", Operation: Delete}), nil).Passes())
}

// A Service inside the cluster has no address that somebody outside knows. One that had a load balancer loses it with its type.
func TestTheGuardStopsWhatTakesAwayAnAddress(t *testing.T) {
	service := Change{Type: "kubernetes:core/v1:Service", Name: "web", Operation: Delete}
	assert.True(t, Guard(changes(service), nil).Passes())
	service.Balanced = true
	assert.Equal(t, "load balancer", Guard(changes(service), nil).Stopped[0].Kind)
	service.Operation, service.Properties = Update, []Property{{Path: "spec.type", Old: "LoadBalancer", New: "ClusterIP"}}
	assert.False(t, Guard(changes(service), nil).Passes())
	service.Properties[0].Path = "spec.loadBalancerSourceRanges[0]"
	assert.True(t, Guard(changes(service), nil).Passes())
}

// Another key for a cluster looks like a harmless update. An acknowledgement of it covers no other update.
func TestTheGuardStopsAnotherKeyOfACluster(t *testing.T) {
	cluster := Change{Type: "aws:eks/cluster:Cluster", Name: "expense", Operation: Update, Properties: []Property{
		{Path: "version", Old: "1.35", New: "1.36"}, {Path: "encryptionConfig.provider.keyArn", Old: "[expense]", New: Unknown},
	}}
	stopped := Guard(changes(cluster), nil).Stopped
	require.Len(t, stopped, 1)
	assert.Equal(t, "key of the control plane", stopped[0].Kind)
	assert.Equal(t, "update: encryptionConfig.provider.keyArn -> [unknown]", stopped[0].Cause)
	cluster.Properties = cluster.Properties[:1]
	assert.True(t, Guard(changes(cluster), nil).Passes())
}

var vpc = Change{
	Type: "aws:ec2/vpc:Vpc", Name: "expense", Operation: Replace, Properties: []Property{
		{Path: "cidrBlock", Old: "192.168.0.0/16", New: "10.0.0.0/16", Forces: true}, {Path: "tags.Name", Old: "a", New: "b"},
	},
}

const vpcLine = "replace, successor first: cidrBlock: 192.168.0.0/16 -> 10.0.0.0/16"

func TestAnAcknowledgementLetsPassWhatItNames(t *testing.T) {
	ack := Acknowledgement{Stack: "dev", Resource: "aws:ec2/vpc:Vpc expense", Change: vpcLine, Reason: "dev is empty"}
	verdict := Guard(changes(vpc), []Acknowledgement{ack})
	assert.True(t, verdict.Passes())
	require.Len(t, verdict.Acknowledged, 1)
	assert.Equal(t, "dev is empty", verdict.Acknowledged[0].Reason)

	// Anything else about it, and it is both not covered and not needed.
	for name, other := range map[string]Acknowledgement{
		"another resource": {Stack: "dev", Resource: "aws:ec2/vpc:Vpc other", Change: vpcLine},
		"another value":    {Stack: "dev", Resource: ack.Resource, Change: strings.ReplaceAll(vpcLine, "10.0.", "10.1.")},
		"another order":    {Stack: "dev", Resource: ack.Resource, Change: strings.ReplaceAll(vpcLine, "successor", "deleted")},
		"a deletion":       {Stack: "dev", Resource: ack.Resource, Change: "delete"},
	} {
		verdict := Guard(changes(vpc), []Acknowledgement{other})
		assert.Len(t, verdict.Stopped, 1, name)
		assert.Equal(t, []Acknowledgement{other}, verdict.Unused, name)
	}
}

func TestOneAcknowledgementCoversOneResource(t *testing.T) {
	ack := Acknowledgement{Stack: "dev", Resource: vpc.Resource(), Change: vpcLine}
	verdict := Guard(changes(vpc, vpc), []Acknowledgement{ack})
	assert.Len(t, verdict.Stopped, 1)
	assert.Len(t, verdict.Acknowledged, 1)
}

func TestAnUnusedAcknowledgementFails(t *testing.T) {
	ack := Acknowledgement{Stack: "dev", Resource: vpc.Resource(), Change: vpcLine}
	assert.False(t, Guard(changes(), []Acknowledgement{ack}).Passes())
	// Nobody looked at prod.
	ack.Stack = "prod"
	assert.True(t, Guard(changes(), []Acknowledgement{ack}).Passes())
}

// What the guard prints is what the file takes, once it has a reason.
func TestTheGuardsLinesAreValidInTheFile(t *testing.T) {
	awkward := Change{Type: "kubernetes:core/v1:Namespace", Name: "project", Operation: Replace,
		Properties: []Property{{Path: `metadata.labels["a: b"]`, Old: "it's: #1", New: Secret, Forces: true}}}
	stopped := Guard(changes(vpc, awkward), nil).Stopped
	require.Len(t, stopped, 2)
	file := strings.ReplaceAll(entries(stopped), `reason: ""`, "reason: wanted")
	added, err := Acknowledgements([]byte(file), nil, []string{"dev"})
	require.NoError(t, err)
	verdict := Guard(changes(vpc, awkward), added)
	assert.True(t, verdict.Passes())
	assert.Len(t, verdict.Acknowledged, 2)
}

func TestAnAcknowledgementIsForTheChangeThatAddsIt(t *testing.T) {
	entry := entries(Guard(changes(vpc), nil).Stopped)
	entry = strings.ReplaceAll(entry, `reason: ""`, "reason: wanted")
	for _, c := range []struct {
		file, base string
		added      int
	}{{entry, "", 1}, {entry, entry, 0}, {entry + entry, entry, 1}, {"", entry, 0}} {
		added, err := Acknowledgements([]byte(c.file), []byte(c.base), []string{"dev"})
		require.NoError(t, err)
		assert.Len(t, added, c.added)
	}
	// An earlier one may be of a stack that is gone.
	_, err := Acknowledgements([]byte(entry), []byte(entry), []string{"prod"})
	require.NoError(t, err)
}

func TestABadAcknowledgementIsRefusedWithAllItsProblems(t *testing.T) {
	_, err := Acknowledgements([]byte("- stack: pord\n  resource: vpc\n  reason: ' '\n"), nil, []string{"dev", "prod"})
	for _, want := range []string{
		`stack: found "pord", expected one of dev, prod`, "entry 1: resource", "entry 1: change", "entry 1: reason",
	} {
		assert.ErrorContains(t, err, want)
	}
	_, err = Acknowledgements([]byte("- stack: dev\n  because: x\n"), nil, []string{"dev"})
	assert.ErrorContains(t, err, "because")
	_, err = Acknowledgements([]byte("stack: dev\n"), nil, []string{"dev"})
	assert.ErrorContains(t, err, AcknowledgementsFile)
}
