package logging

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const domainARN = "arn:aws:es:us-east-1:111122223333:domain/expense"

// project is the set-up of a stack with the least settings.
var project = SetupInput{Region: "us-east-1", DataStream: "project-logs", RetentionDays: 3, RolloverMiB: 1280}

// calls are the actions that a policy allows a principal, by resource.
func calls(t *testing.T, policy, principal string) map[string][]string {
	var doc struct {
		Statement []struct {
			Principal map[string]string
			Action    []string
			Resource  []string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(policy), &doc))
	out := map[string][]string{}
	for _, s := range doc.Statement {
		if s.Principal["AWS"] == principal {
			for _, resource := range s.Resource {
				out[resource] = append(out[resource], s.Action...)
			}
		}
	}
	return out
}

// The writer adds documents, and reads, changes and deletes nothing.
func TestTheWriterOnlyWrites(t *testing.T) {
	policy, err := accessPolicy(domainARN, project, "master", "writer", "reader")
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{
		domainARN + "/":      {"es:ESHttpGet"},
		domainARN + "/_bulk": {"es:ESHttpPost"},
	}, calls(t, policy, "writer"))
}

// The proxy reaches the dashboards, and no index: a request below an index's name could write.
func TestTheReaderStaysBelowTheDashboards(t *testing.T) {
	policy, err := accessPolicy(domainARN, project, "master", "writer", "reader")
	require.NoError(t, err)
	for resource := range calls(t, policy, "reader") {
		assert.Contains(t, []string{domainARN + "/_dashboards", domainARN + "/_dashboards/*"}, resource)
	}
	assert.Len(t, calls(t, policy, "reader"), 2)
}

// The master may do everything inside the domain, so IAM allows it only the calls of the set-up. It cannot read lines or delete anything.
func TestTheMasterSetsUpAndDoesNothingElse(t *testing.T) {
	in := project
	in.AuditLogs, in.Dashboards = true, true
	policy, err := accessPolicy(domainARN, in, "master", "writer", "reader")
	require.NoError(t, err)
	requests, err := setupRequests(in)
	require.NoError(t, err)
	want := map[string][]string{}
	for _, r := range requests {
		resource, _, _ := strings.Cut(domainARN+r.Path, "?")
		if r.EachIndex {
			want[resource] = []string{"es:ESHttpGet"}
			resource = domainARN + "/.ds-project-logs-*/_settings"
		}
		if r.Versioned {
			want[resource] = append(want[resource], "es:ESHttpGet")
		}
		if r.Unless != nil {
			want[domainARN+"/project-logs/_mapping"] = []string{"es:ESHttpGet"}
		}
		if action := "es:ESHttp" + map[string]string{"PUT": "Put", "POST": "Post"}[r.Method]; !slices.Contains(want[resource], action) {
			want[resource] = append(want[resource], action)
		}
	}
	assert.Equal(t, want, calls(t, policy, "master"))
	assert.Len(t, want, len(requests)+1) // two have a second path, and one path is called twice
	assert.NotContains(t, want, domainARN+"/*")
}
