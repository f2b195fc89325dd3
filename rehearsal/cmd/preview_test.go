package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/stage"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A workflow tells from the code whether there is a preview to show.
func TestTheGuardHasAnExitCodeOfItsOwn(t *testing.T) {
	failure := &stage.PulumiError{Args: []string{"preview"}, Output: "error: found no zone", Err: errors.New("exit status 1")}
	for _, c := range []struct {
		verdict     change.Verdict
		err         error
		interrupted bool
		code        int
		say         string
	}{
		{code: 0},
		{verdict: change.Verdict{Acknowledged: []change.Finding{{}}}, code: 0},
		{verdict: change.Verdict{Stopped: []change.Finding{{}}}, code: 3, say: "the guard stops"},
		{verdict: change.Verdict{Unused: []change.Acknowledgement{{}}}, code: 3, say: "the guard stops"},
		{err: errors.New("no such revision"), code: 1, say: "no such revision"},
		{err: fmt.Errorf("stack dev: %w", failure), code: 1, say: "found no zone"},
		{err: failure, interrupted: true, code: 130, say: "interrupted"},
	} {
		code, err := outcome(change.Result{Verdict: c.verdict}, c.err, c.interrupted)
		assert.Equal(t, c.code, code)
		if c.say == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, c.say)
		}
	}
}

// What the terminal says is on the page too.
func TestThePageShowsEveryStackAndTheVerdict(t *testing.T) {
	var resources []estimate.Resource
	for _, name := range []string{"expense", "another"} {
		resources = append(resources, estimate.Resource{URN: "urn:pulumi:dev::expense::aws:kms/key:Key::" + name, Type: "aws:kms/key:Key", Name: name, Custom: true})
	}
	after := estimate.Of(resources, time.Now())
	stack := change.Stack{Name: "dev", Resources: resources, Estimate: &estimate.Comparison{Before: &after, After: after, Apply: &estimate.Timeline{}}}
	stopped := stack
	stopped.Name = "prod"
	stopped.Changes = []change.Change{{URN: resources[0].URN, Type: resources[0].Type, Name: "expense", Operation: change.Delete}}
	result := change.Result{Base: "0123456 x", Stacks: []change.Stack{stack, stopped}}
	result.Verdict = change.Guard(result.Stacks, nil)
	var html bytes.Buffer
	require.NoError(t, previewed(result).HTML(&html))
	for _, text := range []string{"0123456 x", ">dev<", ">prod<", "KMS key another", "$2.00", "The guard stops this change", awsmodel.NotModelled[0].Area} {
		assert.Contains(t, html.String(), text)
	}
}

func TestPreviewRefusesAStackWithoutAFile(t *testing.T) {
	_, err := compare(t.Context(), "../..", "", "pord")
	assert.ErrorContains(t, err, "STACK is one of dev, prod, or all")
}
