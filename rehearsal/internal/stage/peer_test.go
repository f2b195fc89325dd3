package stage

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"expense/rehearsal/internal/eksprovider"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Otherwise another user of the machine could write scripts that the rehearsal then runs.
func TestAnotherUsersConnectionIsRefused(t *testing.T) {
	peer, own := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 0xABCD}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 0x1234}
	table := func(rows ...string) string {
		file := filepath.Join(t.TempDir(), "tcp")
		text := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
		for i, row := range rows {
			text += fmt.Sprintf("   %d: %s        0 4144454 2 000000009cd6e32c 100 0 0 10 0\n", i, row)
		}
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	const (
		mine     = "0100007F:ABCD 0100007F:1234 01 00000000:00000000 00:00000000 00000000  1000"
		others   = "0100007F:ABCD 0100007F:1234 01 00000000:00000000 00:00000000 00000000  1001"
		server   = "0100007F:1234 0100007F:ABCD 01 00000000:00000000 00:00000000 00000000  1000"
		listener = "0100007F:1234 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000"
	)
	const closed = "0100007F:ABCD 0100007F:1234 04 00000000:00000000 00:00000000 00000000     0        0 0 2"
	for name, c := range map[string]struct {
		rows []string
		want string
	}{
		"mine":                      {[]string{listener, server, mine}, ""},
		"others":                    {[]string{listener, server, others}, "a process of user 1001 connected to 127.0.0.1:4660"},
		"others behind mine":        {[]string{mine, others}, "a process of user 1001"},
		"one that has closed":       {[]string{listener, server, closed}, "has closed the connection"},
		"one that is gone":          {[]string{listener, server}, "is not in"},
		"a table of nothing at all": {nil, "is not in"},
	} {
		err := checkPeer(table(c.rows...), peer, own, 1000)
		if c.want == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, c.want, name)
		}
	}
	assert.NoError(t, checkPeer(filepath.Join(t.TempDir(), "none"), peer, own, 1000), "macOS has no such table")
}

// A refused connection gets no answer at all.
func TestARefusedConnectionIsClosed(t *testing.T) {
	table := filepath.Join(t.TempDir(), "tcp")
	require.NoError(t, os.WriteFile(table, nil, 0o600))
	port, stop, err := eksprovider.Serve(t.Context(), eksprovider.Options{}, grpc.Creds(sameUser{insecure.NewCredentials(), table}))
	require.NoError(t, err)
	defer stop()
	connection, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer connection.Close()
	_, err = pulumirpc.NewResourceProviderClient(connection).GetPluginInfo(t.Context(), &emptypb.Empty{})
	assert.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
}

// The engine runs as this user.
func TestThisUserIsLetIn(t *testing.T) {
	port, stop, err := eksprovider.Serve(t.Context(), eksprovider.Options{}, grpc.Creds(onlySameUser()))
	require.NoError(t, err)
	defer stop()
	connection, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer connection.Close()
	info, err := pulumirpc.NewResourceProviderClient(connection).GetPluginInfo(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	assert.Equal(t, eksprovider.Version, info.GetVersion())
}
