package record

import (
	"testing"
	"time"
	"os"

	"github.com/stretchr/testify/require"
)

var day = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)

func make_(t *testing.T, p *played) *Record {
	r, err := Make(t.Context(), p.side(t), day)
	require.NoError(t, err)
	return r
}
func TestTry(t *testing.T) {
	r := make_(t, play(t, "dev", settings(t, "dev", everything("x"))))
	f, err := r.Files(nil)
	require.NoError(t, err)
	require.NoError(t, Write("/tmp/rec/out", f))
	_ = os.Stdout
	c := Compare(r, r, nil)
	require.NoError(t, c.Err())
}
