package stage_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"expense/rehearsal/internal/stage/stagetest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// talk begins HTTP/2 with a port and prints the length of the answer. A client that may connect gets the server's settings.
const talk = `trap '' PIPE
exec 3<>"/dev/tcp/127.0.0.1/$0"
printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0' >&3 2>/dev/null
head -c 9 <&3 2>/dev/null | wc -c`

// Only this user can connect to a provider of a rehearsal.
func TestEachProviderRefusesOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	s := stagetest.New(t, stagetest.Options(t))
	asked := 0
	list, err := s.Shell(t.Context(), `printf %s "$PULUMI_DEBUG_PROVIDERS"`)
	require.NoError(t, err)
	for _, provider := range strings.Split(string(list), ",") {
		name, port, _ := strings.Cut(provider, ":")
		for user, want := range map[uint32]string{0: "9", 65534: "0"} {
			command := exec.CommandContext(t.Context(), "bash", "-c", talk, port)
			command.Dir = "/"
			command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
			answer, err := command.Output()
			require.NoError(t, err, "%s: %s", name, answer)
			assert.Equal(t, want, strings.TrimSpace(string(answer)), "%s by user %d", name, user)
		}
		asked++
	}
	assert.Equal(t, 3, asked)
}
