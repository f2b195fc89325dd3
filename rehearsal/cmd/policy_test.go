package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"testing"

	"expense/rehearsal/ops/record"
	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var writePolicy = flag.Bool("policy", false, "write .github/iam/verify.json from the checks' actions")

// An action that the document forgets leaves a check or a record without an answer, and one too many is one too many. `go test ./cmd -run
// TestTheDocument -args -policy` writes it.
func TestTheDocumentAllowsWhatVerifyAndRecordNeed(t *testing.T) {
	const file = "../../.github/iam/verify.json"
	var actions []string
	for _, c := range verify.Checks() {
		actions = append(actions, c.Actions...)
	}
	slices.Sort(actions)
	reads := regexp.MustCompile(`^[a-z0-9]+:(Batch)?(Describe|Get|List)[A-Za-z]+$`)
	var look, change []string
	for _, action := range slices.Compact(actions) {
		switch {
		case reads.MatchString(action):
			look = append(look, action)
		case assert.Contains(t, []string{"autoscaling:TerminateInstanceInAutoScalingGroup"}, action, "say here what it may change"):
			change = append(change, action)
		}
	}
	more := slices.DeleteFunc(record.Actions(), func(action string) bool { return slices.Contains(look, action) })
	for _, action := range more {
		assert.Regexp(t, reads, action)
	}
	require.NotEmpty(t, more)
	require.NotEmpty(t, look)
	require.NotEmpty(t, change)
	type statement struct {
		Sid, Effect      string
		Action, Resource []string
		Condition        map[string]map[string][]string
	}
	equals := func(key string, values ...string) map[string]map[string][]string {
		return map[string]map[string][]string{"StringEquals": {key: values}}
	}
	document := struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{
		// What is global is in us-east-1
		// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-requestedregion).
		{"Look", "Allow", look, []string{"*"}, equals("aws:RequestedRegion", "REGION_NAME", "us-east-1")},
		{"Record", "Allow", more, []string{"*"}, equals("aws:RequestedRegion", "REGION_NAME", "us-east-1")},
		{"Nodes", "Allow", change, []string{"arn:aws:autoscaling:REGION_NAME:ACCOUNT_ID:autoScalingGroup:*"},
			equals("aws:ResourceTag/eks:cluster-name", "CLUSTER_NAME")},
	}}
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetIndent("", "  ")
	require.NoError(t, encoder.Encode(document))
	if *writePolicy {
		require.NoError(t, os.WriteFile(file, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, want.String(), string(got), "write it with: cd rehearsal && go test ./cmd -run TestTheDocument -args -policy")
}
