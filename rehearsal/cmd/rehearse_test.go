package main

import (
	"bytes"
	"errors"
	"testing"

	"expense/rehearsal/internal/play"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThePageSaysWhatFailed(t *testing.T) {
	failed := &play.Play{Stack: "dev", Steps: []play.Step{{Name: "what went wrong", Err: errors.New("1 things are left")}}}
	var html bytes.Buffer
	require.NoError(t, played(failed).HTML(&html))
	assert.Contains(t, html.String(), "what went wrong")
	assert.Contains(t, html.String(), "1 things are left")
}
