package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	stackconfig "expense/internal/config"
	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/stage/stagetest"
	"expense/rehearsal/ops/leftovers"
	"expense/rehearsal/ops/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stack is recorded while it is up and once more when it is gone, with the engine's logs of both.
func TestARecordIsMadeAfterUpAndGoesOnAfterDestroy(t *testing.T) {
	options := stagetest.Options(t)
	options.SaveAtEnd = true
	s := stagetest.New(t, options)
	project := filepath.Join(s.Dir, "project")
	for _, folder := range []string{"program", "cluster", "logging", "workloads", "internal", "rehearsal"} { // for their words
		require.NoError(t, os.Symlink(filepath.Join(options.Project, folder), filepath.Join(project, folder)))
	}
	logs := filepath.Join(project, events, "dev")
	require.NoError(t, os.MkdirAll(logs, 0o700))
	pulumi := func(command, time string) {
		require.NoError(t, s.Pulumi(t.Context(), command, "--yes", "--skip-preview", "--event-log",
			filepath.Join(logs, time+"-"+command+".json")))
	}
	var out bytes.Buffer
	r := &recording{
		project: project, stack: "dev", folder: filepath.Join(t.TempDir(), "record"), out: &out,
		signIn: func(ctx context.Context, _ leftovers.Stack) (aws.Config, error) {
			target, err := play.Target(ctx, s)
			if err != nil {
				return aws.Config{}, err
			}
			return target.AWS, nil
		},
		export: func(ctx context.Context, _, _ string) ([]byte, error) { return s.Output(ctx, "stack", "export") },
	}

	_, _, err := r.inAccount(t.Context())
	require.ErrorContains(t, err, "no record was made while it had some: make one after: make up-logged STACK=dev")

	// What an older command wrote does not count.
	require.NoError(t, os.WriteFile(filepath.Join(logs, "1-up.json"), []byte("{"), 0o600))
	pulumi("up", "2")
	target, err := play.Target(t.Context(), s)
	require.NoError(t, err)
	r.rehearse = func(context.Context, string, string, string) (record.Side, func(), error) {
		return record.Side{AWS: target.AWS, State: target.State, Settings: target.Settings, Project: options.Project}, func() {}, nil
	}
	seen, account, err := r.inAccount(t.Context())
	require.NoError(t, err)
	assert.Equal(t, s.Model.Account(), account)
	made := len(seen.Operations)
	assert.Greater(t, made, 100)
	// Nothing takes its time on a stage.
	seen.Operations = nil
	code, err := r.against(t.Context(), seen, account)
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.Contains(t, out.String(), " values compared, 0 differ")
	assert.Contains(t, out.String(), "attach it to an issue")
	assert.Equal(t, record.AnAccount, seen.Header.Target)
	own := *r
	own.out = &bytes.Buffer{}
	code, err = own.against(t.Context(), nil, "")
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.NotContains(t, fmt.Sprint(own.out), "attach")
	assert.FileExists(t, filepath.Join(r.folder, "README.md"))

	subnet := s.Model.Objects("aws:ec2/subnet:Subnet")[0]
	require.True(t, s.Model.Set("aws:ec2/subnet:Subnet", subnet.ID, "mapPublicIpOnLaunch", true))
	code, err = r.against(t.Context(), seen, account)
	require.ErrorContains(t, err, "MapPublicIpOnLaunch: the model has true, AWS false (ec2:DescribeSubnets)")
	assert.Equal(t, 3, code)
	page, err := os.ReadFile(filepath.Join(r.folder, "differences", "ec2-subnet.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "- model: true\n+ AWS:   false\n")

	pulumi("destroy", "3")
	after, _, err := r.inAccount(t.Context())
	require.NoError(t, err)
	assert.Equal(t, len(seen.Things), len(after.Things))
	require.Len(t, after.Operations, made)
	assert.Equal(t, "delete", after.Operations[0].Verb)
	require.ErrorContains(t, after.Add(record.Side{InAccount: true}), "already")
}

// What destroy did belongs to the record of its stack only.
func TestTheRecordOfAnotherStackDoesNotGoOnAfterDestroy(t *testing.T) {
	project := t.TempDir()
	one := newRecording(project, "dev")
	files, err := (&record.Record{
		Header: record.Header{Target: record.AnAccount}, Things: []record.Thing{{Type: "aws:ec2/vpc:Vpc"}},
	}).Files(nil)
	require.NoError(t, err)
	require.NoError(t, record.Write(one.folder, files))
	kept := filepath.Join(project, "state.json")
	require.NoError(t, os.WriteFile(kept, []byte(`{"version":3,"deployment":{}}`), 0o600))

	other := newRecording(project, "prod")
	_, err = other.afterwards(&record.Side{InAccount: true, Settings: &stackconfig.Config{}, Project: "../.."}, kept)
	require.ErrorContains(t, err, "stack prod has no resources, and its record")
}
