// Package port keeps ports of the loopback interface for programs that are told theirs before they start.
package port

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
)

// Kept is a TCP port of 127.0.0.1 that is bound and refuses connections. On Linux the system gives it to nobody who asks for any port,
// and not to a connection that goes out, but a program that names it may listen there as long as nobody else does: both set SO_REUSEADDR,
// as Go's, nginx's and Ruby's listeners do (https://man7.org/linux/man-pages/man7/socket.7.html; inet_bind_conflict in Linux's
// net/ipv4/inet_connection_sock.c). It is therefore kept until the program has ended. Other systems, such as macOS, need Lend first.
type Kept struct {
	// Address is 127.0.0.1:PORT.
	Address string

	socket *os.File
}

// Keep keeps a free port until Close.
func Keep() (*Kept, error) {
	// No child may inherit it: the port would be kept until the child's end.
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("free port: %w", err)
	}
	k := &Kept{socket: os.NewFile(uintptr(fd), "port")}
	if err := k.bind(fd); err != nil {
		k.Close()
		return nil, fmt.Errorf("free port: %w", err)
	}
	return k, nil
}

func (k *Kept) bind(fd int) error {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return err
	}
	k.Address = fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
	return nil
}

// Lend lets a program listen that is started next. Where two sockets may not be bound to one address, it gives the port up, and
// somebody else may be faster.
func (k *Kept) Lend() {
	if runtime.GOOS != "linux" {
		k.Close()
	}
}

// Listen listens on the port itself. Close does not end that.
func (k *Kept) Listen() (net.Listener, error) {
	if err := syscall.Listen(int(k.socket.Fd()), syscall.SOMAXCONN); err != nil {
		return nil, err
	}
	return net.FileListener(k.socket)
}

// Close gives the port up.
func (k *Kept) Close() { _ = k.socket.Close() } // a second time changes nothing
