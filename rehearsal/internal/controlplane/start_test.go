package controlplane

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests in this file need no Kubernetes: a shell script plays the program.

func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubernetes")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+lines), 0o755))
	return path
}

func TestStartNamesTheRemedyWithoutAProgram(t *testing.T) {
	_, err := Start(t.Context(), Options{Binary: filepath.Join(t.TempDir(), "kubernetes"), Dir: t.TempDir()})
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "make tools")
}

func TestStartWantsAnEmptyFolder(t *testing.T) {
	program := script(t, "")
	_, err := Start(t.Context(), Options{Binary: program, Dir: filepath.Join(t.TempDir(), "missing")})
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = Start(t.Context(), Options{Binary: program, Dir: filepath.Dir(program)})
	assert.ErrorContains(t, err, "holds kubernetes already, it must be empty")
}

func TestStartQuotesTheLogOfTheComponentThatFails(t *testing.T) {
	program := script(t, "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo \"line $i of $1\"; done; exit 3\n")
	_, err := Start(t.Context(), Options{Binary: program, Dir: t.TempDir()})
	assert.ErrorContains(t, err, "etcd has ended by itself (exit status 3)")
	assert.ErrorContains(t, err, "etcd.log")
	assert.ErrorContains(t, err, "line 40 of etcd")
	assert.NotContains(t, err.Error(), "line 25 of etcd", "the end of the log is enough")
}

func TestStartGivesUpWithItsContextAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	program := script(t, "echo $$ >pid; echo waiting; exec cat\n")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := Start(ctx, Options{Binary: program, Dir: dir})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "etcd: not healthy yet")
	assert.ErrorContains(t, err, "waiting")

	content, err := os.ReadFile(filepath.Join(dir, "pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)
	assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "the process is gone, and waited for")
}

func TestCredentialsAreForTheOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	c, err := prepare(Options{Binary: script(t, ""), Dir: dir})
	require.NoError(t, err)
	c.URL = "https://127.0.0.1:6443"
	require.NoError(t, c.writeCredentials(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 10)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), entry.Name())
	}
}

func TestCertificatesSayWhoMayDoWhat(t *testing.T) {
	authority, err := newAuthority()
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)

	client, _, err := authority.issueClient("jane", "readers", "writers")
	require.NoError(t, err)
	certificate := parse(t, client)
	assert.Equal(t, "jane", certificate.Subject.CommonName)
	assert.ElementsMatch(t, []string{"readers", "writers"}, certificate.Subject.Organization)
	_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	assert.NoError(t, err)
	_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	assert.Error(t, err, "a person's certificate does not make a server")

	server, _, err := authority.issueServer()
	require.NoError(t, err)
	for _, name := range []string{"127.0.0.1", "localhost"} {
		_, err = parse(t, server).Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
		assert.NoError(t, err, name)
	}
	_, err = parse(t, server).Verify(x509.VerifyOptions{Roots: roots, DNSName: "example.com"})
	assert.Error(t, err)
}

func parse(t *testing.T, content []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(content)
	require.NotNil(t, block)
	certificate, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return certificate
}
