//go:build linux

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// longest is the most of a line that is kept in memory and in the file. fluentd reads half of it (../files/in_expense.rb, LINE).
const longest = 1 << 20

// unknown is output.left while the command runs.
const unknown = -1

// output is what the command writes, until the command's end. The end of the pipe may come later: a process that the command left behind
// can hold it open.
type output struct {
	pipe *os.File
	// left is how much is in the pipe that was there when the command ended.
	left int
}

// commandEnded interrupts a Read that waits. What a command wrote is in the pipe before it ends.
func (o *output) commandEnded() { _ = o.pipe.SetReadDeadline(time.Now()) }

func (o *output) Read(p []byte) (int, error) {
	if o.left == unknown {
		n, err := o.pipe.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := o.pipe.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
		o.left = waiting(o.pipe)
	}
	if o.left == 0 {
		return 0, io.EOF
	}
	n, err := o.pipe.Read(p[:min(len(p), o.left)])
	o.left -= n
	return n, err
}

// waiting is the number of bytes that can be read from a pipe (https://man7.org/linux/man-pages/man2/FIONREAD.2const.html).
func waiting(pipe *os.File) int {
	var bytes int32
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&bytes)))
	})
	return int(bytes)
}

// copier copies lines to the container's output and to the file. What one of them refuses the other still gets.
type copier struct {
	out io.Writer
	log *logFile
}

// copy copies all lines. Each is written at once, so that one that is interrupted is not torn. A last line without an end gets one.
func (c *copier) copy(from io.Reader) {
	in := bufio.NewReaderSize(from, longest)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case err == nil:
			c.line(line)
		case errors.Is(err, bufio.ErrBufferFull):
			c.line(line)
			c.rest(in)
		default:
			if len(line) > 0 {
				c.line(append(line, '\n'))
			}
			return
		}
	}
}

func (c *copier) line(text []byte) {
	_, _ = c.out.Write(text)
	c.log.begin(len(text))
	c.log.write(text)
}

// rest copies the rest of a line that is longer than what is kept. The file only gets its end.
func (c *copier) rest(in *bufio.Reader) {
	for {
		text, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			text = append(text, '\n')
		}
		_, _ = c.out.Write(text)
		if !errors.Is(err, bufio.ErrBufferFull) {
			c.log.write([]byte{'\n'})
			return
		}
	}
}
