package main

import (
	"errors"
	"fmt"
	"testing"

	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/stage"

	"github.com/stretchr/testify/assert"
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

func TestPreviewRefusesAStackWithoutAFile(t *testing.T) {
	_, err := compare(t.Context(), "../..", "", "pord")
	assert.ErrorContains(t, err, "STACK is one of dev, example, prod, or all")
}
