//go:build linux

package main

import (
	"os"
	"strconv"
	"syscall"
)

// logFile is a file and its renamed generations. Whatever the command puts into their places, lines go into the file and nowhere else.
type logFile struct {
	path        string
	most        int64
	generations int

	// open is nil if there is no such file and none can be made.
	open          *os.File
	device, inode uint64
	size          int64
}

// begin makes ready for a line of the length.
func (f *logFile) begin(length int) {
	if !f.inPlace() {
		f.reopen()
	}
	if f.size > 0 && f.size+int64(length) > f.most {
		f.rotate()
		f.reopen()
	}
}

func (f *logFile) write(text []byte) {
	if f.open != nil {
		n, _ := f.open.Write(text)
		f.size += int64(n)
	}
}

// inPlace says whether the open file is still the one of the name.
func (f *logFile) inPlace() bool {
	var found syscall.Stat_t
	return f.open != nil && syscall.Lstat(f.path, &found) == nil && uint64(found.Dev) == f.device && found.Ino == f.inode
}

// reopen opens what is there, or a new file. It does not follow a link and does not wait for a FIFO's reader, which may be there a moment
// after it was looked at.
func (f *logFile) reopen() {
	if f.open != nil {
		_ = f.open.Close()
	}
	f.open, f.size = nil, 0
	onlyAFile(f.path)
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return
	}
	var found syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &found); err != nil || found.Mode&syscall.S_IFMT != syscall.S_IFREG {
		_ = file.Close()
		return
	}
	f.open, f.device, f.inode, f.size = file, uint64(found.Dev), found.Ino, found.Size
}

// rotate renames the file and its generations. The oldest one is replaced.
func (f *logFile) rotate() {
	for n := 1; n <= f.generations; n++ {
		onlyAFile(f.generation(n))
	}
	for n := f.generations; n > 0; n-- {
		_ = os.Rename(f.generation(n-1), f.generation(n))
	}
}

func (f *logFile) generation(n int) string {
	if n == 0 {
		return f.path
	}
	return f.path + "." + strconv.Itoa(n)
}

// onlyAFile removes what is there and no file: into a link lines would be written elsewhere, and a folder cannot be replaced by a file.
func onlyAFile(path string) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		_ = os.RemoveAll(path)
	}
}
