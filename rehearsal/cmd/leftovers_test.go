package main

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/ops/leftovers"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newSearch is one for stack dev, with one volume left behind.
func newSearch() (s *search, model *awsmodel.Model, out *bytes.Buffer) {
	model, out = awsmodel.New(awsmodel.Options{}), &bytes.Buffer{}
	model.Plant("aws:ebs/volume:Volume", "vol-1", "", awsmodel.InCluster, map[string]any{"size": 10,
		"tags": map[string]any{"pulumi:project": "expense", "pulumi:stack": "dev"}})
	return &search{
		project: "../..", stack: "dev", out: out,
		signIn: func(context.Context, leftovers.Stack) (aws.Config, error) {
			return (&awsapi.API{Model: model}).Config(), nil
		},
		state: func(context.Context, string, string) (*leftovers.State, error) {
			return leftovers.ParseState([]byte(`{"deployment":{}}`))
		},
	}, model, out
}

// A workflow tells from the code what was found.
func TestWhatIsLeftOverIsListedAndStays(t *testing.T) {
	s, model, out := newSearch()
	code, err := s.run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 3, code)
	assert.Len(t, model.Inventory(), 1)
	assert.Contains(t, out.String(), "1 left over (0.80 USD a month")
	assert.Contains(t, out.String(), "\naws ec2 delete-volume --volume-id vol-1 --region us-east-1\n")
}

func TestWithoutAStateNothingIsCalledALeftover(t *testing.T) {
	s, _, out := newSearch()
	s.state = func(context.Context, string, string) (*leftovers.State, error) {
		return nil, errors.New("no stack named dev found")
	}
	code, err := s.run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	assert.Contains(t, out.String(), "no stack named dev found")
	assert.Contains(t, out.String(), "1 that could be either")
	assert.NotContains(t, out.String(), "Nothing is left over")
	assert.NotContains(t, out.String(), "delete-volume")
}

func TestLeftoversRefusesAStackWithoutAFile(t *testing.T) {
	s, _, _ := newSearch()
	s.stack = "pord"
	_, err := s.run(t.Context())
	assert.ErrorContains(t, err, "found no file Pulumi.pord.yaml")
}
