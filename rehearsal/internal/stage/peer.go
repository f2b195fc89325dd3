package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// sameUser lets only this user's processes connect. The engine reaches an attached provider by its port and has no credentials for
// it, and the rehearsal runs scripts from the cluster, such as the set-up's: other users of the machine must not write there.
// On a system without a list of connections and their users, such as macOS, everybody may connect.
type sameUser struct {
	credentials.TransportCredentials
	// table is the list of connections.
	table string
}

func onlySameUser() credentials.TransportCredentials {
	return sameUser{insecure.NewCredentials(), "/proc/net/tcp"}
}

// ServerHandshake refuses another user's connection.
func (s sameUser) ServerHandshake(connection net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if err := checkPeer(s.table, connection.RemoteAddr(), connection.LocalAddr(), os.Getuid()); err != nil {
		connection.Close()
		return nil, nil, err
	}
	return s.TransportCredentials.ServerHandshake(connection)
}

// Clone is part of gRPC's interface.
func (s sameUser) Clone() credentials.TransportCredentials {
	return sameUser{s.TransportCredentials.Clone(), s.table}
}

// ClientHandshake always fails: these are a server's credentials.
func (s sameUser) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("credentials of a server")
}

// checkPeer looks for the peer's end of a connection in a table of /proc/net/tcp's form
// (https://docs.kernel.org/networking/proc_net_tcp.html): local and remote address with the port in hexadecimal are the second and third
// field, the user's ID is the eighth, the socket's inode the tenth. A socket that its process has closed has no inode and is shown as
// root's.
// The ports alone are compared, because kernels write addresses differently. All connections with these ports must be the user's.
func checkPeer(table string, peer, own net.Addr, user int) error {
	file, err := os.Open(table)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	from, to := peer.(*net.TCPAddr), own.(*net.TCPAddr)
	found := false
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", from.Port)) || !strings.HasSuffix(
			fields[2], fmt.Sprintf(":%04X", to.Port),
		) {
			continue
		}
		if fields[9] == "0" {
			return fmt.Errorf("who connected to %s has closed the connection: whose it was is not known", own)
		}
		if fields[7] != strconv.Itoa(user) {
			return fmt.Errorf("a process of user %s connected to %s: this user's alone may", fields[7], own)
		}
		found = true
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s connected to %s and is not in %s", peer, own, table)
	}
	return nil
}
