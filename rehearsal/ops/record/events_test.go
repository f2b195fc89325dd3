package record

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// events is an event log.
type events struct {
	t *testing.T
	bytes.Buffer
}

func (e *events) add(event apitype.EngineEvent) {
	require.NoError(e.t, json.NewEncoder(e).Encode(event))
}

// step is an operation that took its time; failed tells that it did not end well.
func (e *events) step(op apitype.OpType, r apitype.ResourceV3, began, seconds int, failed string) {
	resource := &apitype.StepEventStateMetadata{Custom: true}
	meta := apitype.StepEventMetadata{Op: op, URN: string(r.URN), Type: string(r.Type), New: resource}
	if op == apitype.OpDelete {
		meta.Old, meta.New = resource, nil
	}
	e.add(apitype.EngineEvent{Timestamp: began, ResourcePreEvent: &apitype.ResourcePreEvent{Metadata: meta}})
	if failed == "" {
		e.add(apitype.EngineEvent{Timestamp: began + seconds, ResOutputsEvent: &apitype.ResOutputsEvent{Metadata: meta}})
		return
	}
	e.add(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{URN: meta.URN, Severity: "error", Message: failed}})
	e.add(apitype.EngineEvent{Timestamp: began + seconds, ResOpFailedEvent: &apitype.ResOpFailedEvent{Metadata: meta}})
}

func (e *events) end() { e.add(apitype.EngineEvent{SummaryEvent: &apitype.SummaryEvent{}}) }

// find is a resource of the state.
func find(t *testing.T, p *played, typ, name string) apitype.ResourceV3 {
	for _, r := range p.state.Resources {
		if string(r.Type) == typ && strings.Contains(r.URN.Name(), name) {
			return r
		}
	}
	require.FailNow(t, "no such resource", "%s %s", typ, name)
	return apitype.ResourceV3{}
}

func TestTimesAndErrorsAreFromTheEventLog(t *testing.T) {
	p := play(t, "dev", all(t, "x"))
	cluster, domain := find(t, p, "aws:eks/cluster:Cluster", ""), find(t, p, "aws:opensearch/domain:Domain", "")
	vpc, nodes := find(t, p, "aws:ec2/vpc:Vpc", ""), find(t, p, "aws:eks/nodeGroup:NodeGroup", "use1-az1")
	model := modelTimes(p.state)("create", string(cluster.URN), string(cluster.Type))
	require.Greater(t, model, 100)

	up := &events{t: t}
	up.add(apitype.EngineEvent{Timestamp: 50, ResourcePreEvent: &apitype.ResourcePreEvent{Planning: true, Metadata: apitype.StepEventMetadata{
		Op: apitype.OpCreate, URN: string(vpc.URN), Type: string(vpc.Type),
	}}})
	up.add(apitype.EngineEvent{Timestamp: 50, ResOutputsEvent: &apitype.ResOutputsEvent{Planning: true, Metadata: apitype.StepEventMetadata{
		Op: apitype.OpCreate, URN: string(vpc.URN), Type: string(vpc.Type), New: &apitype.StepEventStateMetadata{Custom: true},
	}}})
	up.step(apitype.OpCreate, vpc, 100, 3, "")
	up.step(apitype.OpCreate, cluster, 110, model+30, "")
	up.step(apitype.OpCreate, domain, 110, 7200, "")
	up.step(apitype.OpSame, find(t, p, "aws:kms/key:Key", ""), 110, 500, "")
	up.step(apitype.OpCreate, nodes, 900, 60, "creating EKS Node Group (zebrax:expense-use1-az1-2026): operation error EKS: CreateNodegroup, "+
		"https response error StatusCode: 400, RequestID: 0f0f0f0f-1111-2222-3333-444455556666, InvalidParameterException: The role "+
		"arn:aws:iam::"+p.Model.Account()+":role/boss of Zebediah-9 cannot be assumed.")
	up.end()
	down := &events{t: t}
	down.step(apitype.OpDelete, vpc, 100, 400, "")
	down.end()
	side := p.side(t)
	side.Logs = []Log{{"up", up}, {"down", down}}
	r := recordOf(t, side)

	assert.Equal(t, []Operation{
		{"create", "aws:ec2/vpc:Vpc", "expense", 3, modelTimes(p.state)("create", string(vpc.URN), string(vpc.Type))},
		{"create", "aws:eks/cluster:Cluster", "expense-eksCluster", model + 30, model},
		{"create", "aws:opensearch/domain:Domain", "expense", 7200, modelTimes(p.state)("create", string(domain.URN), string(domain.Type))},
		{"delete", "aws:ec2/vpc:Vpc", "expense", 400, 1},
	}, r.Operations)
	require.Len(t, r.Failures, 1)
	f := r.Failures[0]
	assert.Equal(t, []string{"create", "aws:eks/nodeGroup:NodeGroup", "expense-<zone:1>", "EKS CreateNodegroup", "InvalidParameterException"},
		[]string{f.Verb, f.Type, f.Name, f.Operation, f.Code})
	assert.Contains(t, f.Text, "The role arn:<partition>:iam::<account>:role/<word:")
	assert.Contains(t, f.Text, "cannot be assumed.")
	for _, real := range []string{"zebrax", "Zebediah", "boss", p.Model.Account(), "0f0f0f0f"} {
		assert.NotContains(t, f.Text, real)
	}

	c := Compare(r, recordOf(t, p.side(t)), nil)
	var late []string
	for _, d := range c.Differences {
		late = append(late, d.Type+" "+d.Path)
	}
	assert.ElementsMatch(t, []string{"aws:opensearch/domain:Domain (create)", "aws:ec2/vpc:Vpc (delete)"}, late)
	readme := string(c.Pages(r)["README.md"])
	assert.Less(t, strings.Index(readme, "## Differences"), strings.Index(readme, "## Errors"))
	assert.Contains(t, readme, "EKS CreateNodegroup InvalidParameterException")
}

func TestALogWithoutAnEndSaysSo(t *testing.T) {
	p := play(t, "dev", open(t, "dev"))
	log := &events{t: t}
	log.step(apitype.OpCreate, find(t, p, "aws:ec2/vpc:Vpc", ""), 1, 1, "")
	side := p.side(t)
	side.Logs = []Log{{"up", log}}
	r := recordOf(t, side)
	require.Len(t, r.Operations, 1)
	require.Len(t, r.Failures, 1)
	assert.Contains(t, r.Failures[0].Text, "the command was killed")

	side.Logs = []Log{{"up.json", strings.NewReader("{")}}
	_, err := Make(t.Context(), side, day)
	require.ErrorContains(t, err, "up.json: event log")
}
