package opensearchtest

import (
	"io"
	"log"
	"net"
	"os"
	"sync"
	"syscall"
)

var quiet = log.New(io.Discard, "", 0)

// closedListener has its port and refuses connections to it until open.
type closedListener struct {
	socket *os.File
	addr   net.Addr
	opened chan struct{}
	closed chan struct{}
	once   sync.Once
	end    sync.Once
	real   net.Listener
}

func listenClosed() (*closedListener, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	socket := os.NewFile(uintptr(fd), "listener")
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		_ = socket.Close()
		return nil, err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	return &closedListener{
		socket: socket, addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: bound.(*syscall.SockaddrInet4).Port},
		opened: make(chan struct{}), closed: make(chan struct{}),
	}, nil
}

func (l *closedListener) open() {
	l.once.Do(func() {
		var err error
		if err = syscall.Listen(int(l.socket.Fd()), syscall.SOMAXCONN); err == nil {
			l.real, err = net.FileListener(l.socket)
		}
		if err != nil {
			panic(err) // a socket that was bound
		}
		close(l.opened)
	})
}

func (l *closedListener) Accept() (net.Conn, error) {
	select {
	case <-l.opened:
		return l.real.Accept()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *closedListener) Close() error {
	l.end.Do(func() { close(l.closed) })
	_ = l.socket.Close()
	select {
	case <-l.opened:
		return l.real.Close()
	default:
		return nil
	}
}

func (l *closedListener) Addr() net.Addr { return l.addr }
