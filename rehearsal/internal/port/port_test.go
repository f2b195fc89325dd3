package port

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Of about 28,000 ports that the system gives away, 500 are kept: 20,000 questions for any port would meet one about 350 times.
func TestNobodyIsGivenAKeptPort(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux's rules")
	}
	kept := map[string]*Kept{}
	for range 500 {
		k, err := Keep()
		require.NoError(t, err)
		t.Cleanup(k.Close)
		require.NotContains(t, kept, k.Address)
		kept[k.Address] = k
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	for range 10_000 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NotContains(t, kept, listener.Addr().String())
		require.NoError(t, listener.Close())

		client, err := net.Dial("tcp", server.Addr().String())
		require.NoError(t, err)
		require.NotContains(t, kept, client.LocalAddr().String())
		require.NoError(t, client.(*net.TCPConn).SetLinger(0)) // none waits for its end
		require.NoError(t, client.Close())
		accepted, err := server.Accept()
		require.NoError(t, err)
		require.NoError(t, accepted.Close())
	}
}

func TestAKeptPortRefusesUntilSomebodyListens(t *testing.T) {
	k, err := Keep()
	require.NoError(t, err)
	t.Cleanup(k.Close)
	_, err = net.Dial("tcp", k.Address)
	require.ErrorContains(t, err, "refused")

	k.Lend()
	for range 2 { // a program may be started again
		listener, err := net.Listen("tcp", k.Address)
		require.NoError(t, err)
		client, err := net.Dial("tcp", k.Address)
		require.NoError(t, err)
		_, err = net.Listen("tcp", k.Address)
		assert.ErrorContains(t, err, "in use")
		require.NoError(t, client.Close())
		require.NoError(t, listener.Close())
	}
}

func TestItsOwnerListensOnIt(t *testing.T) {
	k, err := Keep()
	require.NoError(t, err)
	listener, err := k.Listen()
	require.NoError(t, err)
	k.Close()
	client, err := net.Dial("tcp", k.Address)
	require.NoError(t, err)
	require.NoError(t, client.Close())
	require.NoError(t, listener.Close())
	_, err = net.Dial("tcp", k.Address)
	require.ErrorContains(t, err, "refused")
}

func TestAChildDoesNotInheritIt(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc")
	}
	k, err := Keep()
	require.NoError(t, err)
	t.Cleanup(k.Close)
	ours, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(k.socket.Fd())))
	require.NoError(t, err)
	theirs, err := exec.Command("sh", "-c", "ls -l /proc/self/fd").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(theirs), ours)
}
