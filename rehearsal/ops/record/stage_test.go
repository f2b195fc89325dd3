package record

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/stage/stagetest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The stack of the real engine answers as the program alone in front of the model, so a replay without an engine is enough. The engine's
// event logs are read to the end.
func TestTheRehearsalAgainstTheProgramAloneShowsNoDifference(t *testing.T) {
	options := stagetest.Options(t)
	options.SaveAtEnd = true
	s := stagetest.New(t, options)
	log := func(command string) Log {
		file := filepath.Join(s.Dir, command+".json")
		require.NoError(t, s.Pulumi(t.Context(), command, "--yes", "--skip-preview", "--event-log", file))
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		return Log{command, bytes.NewReader(data)}
	}
	up := log("up")
	settings, err := s.Settings()
	require.NoError(t, err)
	state, err := s.State(t.Context())
	require.NoError(t, err)
	side := Side{AWS: (&awsapi.API{Model: s.Model}).Config(), State: state, Settings: settings, Project: project}
	r := recordOf(t, side)
	c := Compare(recordOf(t, play(t, "dev", open(t, "dev")).side(t)), r, knownList(t))
	require.NoError(t, c.Err())
	assert.Greater(t, c.Compared, 300)
	assert.NotEmpty(t, r.Header.Versions["aws"])

	side.Logs = []Log{up, log("destroy")}
	require.NoError(t, r.Add(side))
	verbs := map[string]int{}
	for _, o := range r.Operations {
		verbs[o.Verb]++
		assert.NotEqual(t, -1, o.Model, o.Type)
	}
	assert.Greater(t, verbs["create"], 100)
	assert.Equal(t, verbs["create"], verbs["delete"])
	assert.Empty(t, r.Failures)
}
