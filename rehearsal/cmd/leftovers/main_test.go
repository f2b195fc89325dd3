package main

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"expense/rehearsal/internal/awshttp"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/leftovers"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newCommand is a run for stack dev, with one volume left behind, in front of a person who types an answer.
func newCommand(t *testing.T, answer string) (c *command, model *awsmodel.Model, out *bytes.Buffer) {
	model, out = awsmodel.New(awsmodel.Options{}), &bytes.Buffer{}
	model.Plant("aws:ebs/volume:Volume", "vol-1", "", awsmodel.InCluster, map[string]any{"size": 10, "tags": map[string]any{"pulumi:project": "expense", "pulumi:stack": "dev"}})
	listener := httptest.NewServer(&awshttp.Server{Model: model})
	t.Cleanup(listener.Close)
	return &command{
		project: "../../..", stack: "dev", out: out, in: strings.NewReader(answer), terminal: true,
		signIn: func(context.Context, leftovers.Stack) (aws.Config, error) {
			return aws.Config{BaseEndpoint: &listener.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")}, nil
		},
		state: func(context.Context, string, string) (*leftovers.State, error) {
			return leftovers.ParseState([]byte(`{"deployment":{}}`))
		},
	}, model, out
}

// A workflow tells from the code what was found; a person is asked before anything goes.
func TestNothingIsRemovedWithoutAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		set    func(*command)
		code   int
		left   int
		say    string
	}{
		"only listed":          {code: 3, left: 1, say: "1 left over (0.80 USD a month"},
		"agreed":               {answer: "dev\n", set: func(c *command) { c.remove = true }, code: 0, left: 0, say: "volume vol-1 is removed"},
		"another stack's name": {answer: "prod\n", set: func(c *command) { c.remove = true }, code: 3, left: 1, say: "Nothing is removed."},
		"no answer":            {set: func(c *command) { c.remove = true }, code: 3, left: 1, say: "Nothing is removed."},
		"not asked":            {set: func(c *command) { c.remove, c.yes, c.terminal = true, true, false }, code: 0, left: 0, say: "Nothing is left over."},
	} {
		t.Run(name, func(t *testing.T) {
			command, model, out := newCommand(t, c.answer)
			if c.set != nil {
				c.set(command)
			}
			code, err := command.run(t.Context())
			require.NoError(t, err)
			assert.Equal(t, c.code, code)
			assert.Len(t, model.Inventory(), c.left)
			assert.Contains(t, out.String(), c.say)
		})
	}
}

func TestWithoutATerminalNothingIsRemovedUnasked(t *testing.T) {
	command, model, _ := newCommand(t, "dev\n")
	command.remove, command.terminal = true, false
	code, err := command.run(t.Context())
	assert.Equal(t, 1, code)
	assert.ErrorContains(t, err, "-yes")
	assert.Len(t, model.Inventory(), 1)
}

func TestWithoutAStateNothingIsCalledALeftover(t *testing.T) {
	command, model, out := newCommand(t, "dev\n")
	command.remove = true
	command.state = func(context.Context, string, string) (*leftovers.State, error) {
		return nil, errors.New("no stack named dev found")
	}
	code, err := command.run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	assert.Len(t, model.Inventory(), 1)
	assert.Contains(t, out.String(), "no stack named dev found")
	assert.Contains(t, out.String(), "1 that could be either")
	assert.NotContains(t, out.String(), "Nothing is left over")
}

func TestAStackWithoutAFileIsRefused(t *testing.T) {
	command, _, _ := newCommand(t, "")
	command.stack = "pord"
	_, err := command.run(t.Context())
	assert.ErrorContains(t, err, "found no file Pulumi.pord.yaml")
}
