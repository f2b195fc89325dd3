package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/stage/stagetest"
	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve answers for a rehearsal that is left up, in a project's folder of its own.
func serve(t *testing.T, target func(context.Context) (*verify.Stack, error)) (project string) {
	project = t.TempDir()
	t.Chdir(project)
	require.NoError(t, os.MkdirAll(rehearsals, 0o700))
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := http.Server{Handler: answer(project, target)}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return project
}

// What is left up is checked by the process that has its model of AWS, and the command shows it as it comes.
func TestARehearsalThatIsLeftUpIsVerified(t *testing.T) {
	s := stagetest.New(t, stagetest.Options(t))
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview", "--suppress-progress"))
	project := serve(t, func(ctx context.Context) (*verify.Stack, error) { return play.Target(ctx, s) })
	var out bytes.Buffer
	code, err := ask(t.Context(), verify.Options{Level: verify.Touches, Only: []string{"nodes", "web-replaced", "node-drained"}}, &out)
	require.NoError(t, err)
	assert.Equal(t, 0, code, out.String())
	for _, want := range []string{
		"Checks stack dev, the rehearsal.", "ok        nodes", "begins    web-replaced", "2 ok, 0 failed, 0 not seen, 1 skipped.",
	} {
		assert.Contains(t, out.String(), want)
	}
	for _, file := range []string{"report.html", "verify.json", "junit.xml"} {
		assert.FileExists(t, filepath.Join(project, verified, file))
	}
}

func TestARehearsalThatCannotAnswerIsAnError(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := ask(t.Context(), verify.Options{}, &bytes.Buffer{})
	assert.ErrorContains(t, err, "make rehearse-down")

	serve(t, func(context.Context) (*verify.Stack, error) { return nil, errors.New("no state") })
	var out bytes.Buffer
	code, err := ask(t.Context(), verify.Options{}, &out)
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	assert.Equal(t, "verify: no state\n", out.String())
}
