package change

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type object = map[string]any

// secret and unknown are how the engine writes values that it does not show or know.
var (
	secret  = object{resource.SigKey: resource.SecretSig, "ciphertext": "[secret]"}
	unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
)

func step(op apitype.OpType, typ, name string, old, next object) apitype.StepEventMetadata {
	s := apitype.StepEventMetadata{Op: op, Type: typ, URN: "urn:pulumi:dev::expense::expense:cluster:Network$" + typ + "::" + name}
	if old != nil {
		s.Old = &apitype.StepEventStateMetadata{Inputs: old}
	}
	if next != nil {
		s.New = &apitype.StepEventStateMetadata{Inputs: next}
	}
	return s
}

// log is the event log of a preview with these steps.
func log(t *testing.T, steps ...apitype.StepEventMetadata) *bytes.Buffer {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	for _, s := range steps {
		require.NoError(t, encoder.Encode(apitype.EngineEvent{ResourcePreEvent: &apitype.ResourcePreEvent{Metadata: s}}))
	}
	require.NoError(t, encoder.Encode(apitype.EngineEvent{SummaryEvent: &apitype.SummaryEvent{}}))
	return &b
}

func read(t *testing.T, steps ...apitype.StepEventMetadata) Stack {
	stack, err := Read(log(t, steps...))
	require.NoError(t, err)
	return stack
}

func TestWhatStaysTheSameIsCountedOnly(t *testing.T) {
	stack := read(t, step(apitype.OpSame, "t", "a", object{"x": 1}, object{"x": 1}), step(apitype.OpSame, "t", "b", object{}, object{}))
	assert.Equal(t, Stack{Changes: []Change{}, Unchanged: 2}, stack)
	assert.Equal(t, "no change, 2 resources", stack.Counts())
}

func TestWarningsAreTold(t *testing.T) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	for _, d := range []apitype.DiagnosticEvent{{Message: "one\n", Severity: "warning"}, {Message: "no", Severity: "info"}} {
		require.NoError(t, encoder.Encode(apitype.EngineEvent{DiagnosticEvent: &d}))
	}
	_, err := log(t).WriteTo(&b)
	require.NoError(t, err)
	stack, err := Read(&b)
	require.NoError(t, err)
	assert.Equal(t, []string{"one"}, stack.Warnings)
}

func TestPropertiesHaveTheirPathsAndValues(t *testing.T) {
	update := step(apitype.OpUpdate, "t", "a",
		object{"tags": object{"a.b": "old", "gone": "x"}, "list": []any{object{"size": 3}}},
		object{"tags": object{"a.b": "new"}, "list": []any{object{"size": 5}}, "more": object{"k": "v"}})
	update.DetailedDiff = map[string]apitype.PropertyDiff{
		`tags["a.b"]`: {Kind: apitype.DiffUpdate, InputDiff: true}, "tags.gone": {Kind: apitype.DiffDelete, InputDiff: true},
		"list[0].size": {Kind: apitype.DiffUpdate, InputDiff: true}, "more": {Kind: apitype.DiffAdd, InputDiff: true},
	}
	stack := read(t, update)
	require.Len(t, stack.Changes, 1)
	assert.Equal(t, []Property{
		{Path: "list[0].size", Old: 3.0, New: 5.0},
		{Path: "more", New: object{"k": "v"}},
		{Path: "tags.gone", Old: "x"},
		{Path: `tags["a.b"]`, Old: "old", New: "new"},
	}, stack.Changes[0].Properties)
	assert.Equal(t, "a", stack.Changes[0].Name)
}

// What only the provider's answer holds, the inputs not: an object's automatic name.
func TestAnOldValueIsLookedUpInOutputsToo(t *testing.T) {
	update := step(apitype.OpUpdate, "t", "a", object{}, object{"name": "new"})
	update.Old.Outputs = object{"name": "old"}
	update.DetailedDiff = map[string]apitype.PropertyDiff{"name": {Kind: apitype.DiffUpdate}}
	assert.Equal(t, []Property{{Path: "name", Old: "old", New: "new"}}, read(t, update).Changes[0].Properties)
}

func TestSecretsStaySecretAndUnknownValuesUnknown(t *testing.T) {
	update := step(apitype.OpUpdate, "kubernetes:core/v1:Secret", "web",
		object{"stringData": secret, "id": "vpc-1"}, object{"stringData": secret, "id": unknown})
	changes := apitype.PropertyDiff{Kind: apitype.DiffUpdate}
	update.DetailedDiff = map[string]apitype.PropertyDiff{"stringData.TOKEN": changes, "stringData": changes, "id": changes}
	assert.Equal(t, []Property{
		{Path: "id", Old: "vpc-1", New: Unknown},
		{Path: "stringData", Old: Secret, New: Secret},
		{Path: "stringData.TOKEN", Old: Secret, New: Secret},
	}, read(t, update).Changes[0].Properties)
}

// An acknowledgement repeats values: they must be the same in every rehearsal.
func TestIDsThatAWSMakesAreTheirResources(t *testing.T) {
	subnet := step(apitype.OpSame, "aws:ec2/subnet:Subnet", "private", object{}, object{})
	subnet.Old.ID, subnet.Old.Outputs = "subnet-0123", object{"arn": "arn:aws:ec2:us-east-1:111122223333:subnet/subnet-0123"}
	role := step(apitype.OpSame, "aws:iam/role:Role", "node", object{"name": "node-ab12", "__defaults": []any{"name"}}, object{})
	role.Old.ID = "node-ab12"
	named := object{"name": "expense", "__defaults": []any{}}
	cluster := step(apitype.OpSame, "aws:eks/cluster:Cluster", "expense-eksCluster", named, object{})
	cluster.Old.ID = "expense"
	group := step(apitype.OpCreateReplacement, "aws:eks/nodeGroup:NodeGroup", "expense",
		object{"subnetIds": []any{"subnet-0123", "subnet-4567"}, "role": "node-ab12", "clusterName": "expense", "arn": "x"},
		object{"subnetIds": []any{"subnet-0123"}, "role": "other", "clusterName": "another", "arn": subnet.Old.Outputs["arn"]})
	group.Keys = []string{"arn", "clusterName", "role", "subnetIds"}
	stack := read(t, group, subnet, role, cluster)
	assert.Equal(t, "replace, successor first: arn: x -> [arn of aws:ec2/subnet:Subnet private]; clusterName: expense -> another; "+
		"role: [aws:iam/role:Role node] -> other; "+
		`subnetIds: ["[aws:ec2/subnet:Subnet private]","subnet-4567"] -> ["[aws:ec2/subnet:Subnet private]"]`, stack.Changes[0].Cause())
}

func TestTheOrderOfStepsTellsWhetherTheSuccessorComesFirst(t *testing.T) {
	create := step(apitype.OpCreateReplacement, "t", "a", object{"k": "x"}, object{"k": "y"})
	create.Keys, create.Diffs = []string{"k"}, []string{"k"}
	create.DetailedDiff = map[string]apitype.PropertyDiff{"k": {Kind: apitype.DiffUpdateReplace, InputDiff: true}}
	logical := create
	logical.Op = apitype.OpReplace
	remove := step(apitype.OpDeleteReplaced, "t", "a", object{"k": "x"}, nil)

	first := read(t, create, logical, remove)
	require.Len(t, first.Changes, 1)
	assert.Equal(t, "replace, successor first: k: x -> y", first.Changes[0].Cause())
	last := read(t, remove, logical, create)
	require.Len(t, last.Changes, 1)
	assert.Equal(t, "replace, deleted first: k: x -> y", last.Changes[0].Cause())
}

// A resource that is replaced because one that it needs is deleted first has no detailed difference.
func TestDifferencesAreFoundWithoutTheProvider(t *testing.T) {
	create := step(apitype.OpCreateReplacement, "t", "a",
		object{"spec": object{"same": "s", "env": []any{object{"name": "HOST", "value": "old"}}}},
		object{"spec": object{"same": "s", "env": []any{object{"name": "HOST", "value": unknown}}}})
	create.Keys = []string{"spec"}
	stack := read(t, step(apitype.OpDeleteReplaced, "t", "a", object{}, nil), create)
	assert.Equal(t, []Property{{Path: "spec.env[0].value", Old: "old", New: Unknown, Forces: true}}, stack.Changes[0].Properties)
	assert.Equal(t, "replace, deleted first: spec.env[0].value -> [unknown]", stack.Changes[0].Cause())
}

func TestProtectionThatComesOrGoesIsAChange(t *testing.T) {
	same := step(apitype.OpSame, "t", "a", object{}, object{})
	same.Old.Protect = true
	stack := read(t, same)
	require.Len(t, stack.Changes, 1)
	assert.Zero(t, stack.Unchanged)
	assert.Equal(t, []string{"(protect): true -> false"}, stack.Changes[0].summary())
}

func TestTheStacksOutputsAreAChange(t *testing.T) {
	outputs := step(apitype.OpSame, stackType, "expense-dev", object{}, object{})
	outputs.Old.Outputs = object{"token": secret, "groups": object{"a": "1", "b": "2"}}
	outputs.New.Outputs = object{"token": secret, "groups": object{"a": unknown, "b": "2"}}
	b := log(t, step(apitype.OpSame, stackType, "expense-dev", object{}, object{}))
	require.NoError(t, json.NewEncoder(b).Encode(apitype.EngineEvent{ResOutputsEvent: &apitype.ResOutputsEvent{Metadata: outputs}}))
	stack, err := Read(b)
	require.NoError(t, err)
	require.Len(t, stack.Changes, 1)
	assert.Zero(t, stack.Unchanged)
	assert.Equal(t, []string{"outputs.groups.a -> [unknown]"}, stack.Changes[0].summary())
}

func TestTheWorstComesFirstAndWhatFollowsLast(t *testing.T) {
	replace := func(name, path string, next any) apitype.StepEventMetadata {
		s := step(apitype.OpCreateReplacement, "t", name, object{path: "x"}, object{path: next})
		s.DetailedDiff = map[string]apitype.PropertyDiff{path: {Kind: apitype.DiffUpdateReplace, InputDiff: true}}
		return s
	}
	stack := read(t, step(apitype.OpCreate, "t", "new", nil, object{}), replace("a-follower", "id", unknown), replace("root", "cidr", "y"),
		step(apitype.OpDelete, "t", "old", object{}, nil))
	var names []string
	for _, c := range stack.Changes {
		names = append(names, c.Name)
	}
	assert.Equal(t, []string{"old", "root", "a-follower", "new"}, names)
	assert.Equal(t, "1 to delete, 2 to replace, 1 to create, 0 unchanged", stack.Counts())
}

// A list of changes that is not whole would let the guard pass what it must stop.
func TestAnEventLogThatIsNotWholeIsAnError(t *testing.T) {
	whole := log(t, step(apitype.OpCreate, "t", "a", nil, object{})).Bytes()
	lines := bytes.SplitAfter(whole, []byte("\n"))
	_, err := Read(bytes.NewReader(lines[0]))
	assert.ErrorContains(t, err, "did not finish")
	_, err = Read(bytes.NewReader(whole[:len(whole)/2]))
	assert.Error(t, err)
	_, err = Read(log(t, step(apitype.OpImport, "t", "a", nil, object{})))
	assert.ErrorContains(t, err, `operation "import"`)
}
