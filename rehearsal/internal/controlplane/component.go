package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"expense/rehearsal/internal/port"
)

const (
	// startLimit is how long one component may take to become healthy. It takes 1 to 2 seconds on an idle machine; the
	// limit is for a machine that is busy compiling.
	startLimit = 60 * time.Second

	pollInterval = 50 * time.Millisecond

	// quotedLines is how much of a component's log an error quotes.
	quotedLines = 15
)

// component is one process of the control plane.
type component struct {
	name   string // the subcommand of the kubernetes program
	port   *port.Kept
	health string // URL that answers 200 once the component is ready
	args   []string
	log    string // path

	process  *os.Process
	unwanted atomic.Bool   // Stop has been called
	ended    chan struct{} // closed when the process is gone
	exit     error         // what the process ended with, once ended is closed
}

// newComponent describes a component that will listen at port's address and report its health at scheme://ADDRESS/path.
func newComponent(name string, port *port.Kept, scheme, path string, args []string) *component {
	return &component{name: name, port: port, health: scheme + "://" + port.Address + path, args: args}
}

// start starts the process. If it ends by itself, at any time, failed receives why; failed must have room for it.
func (c *component) start(binary, dir string, failed chan<- error) error {
	c.log = filepath.Join(dir, c.name+".log")
	log, err := os.Create(c.log)
	if err != nil {
		return fmt.Errorf("%s: log file: %w", c.name, err)
	}
	defer func() { _ = log.Close() }() // the process has its own handle

	cmd := exec.Command(binary, append([]string{c.name}, c.args...)...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	// Nothing is inherited: etcd takes settings from ETCD_*, Go's HTTP client from *_PROXY. Collecting garbage later saves an eighth of
	// the processors' time.
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "GOGC=400"}
	// Ctrl-C reaches every process in the terminal's foreground group. The owner wants to tidy up first, with the
	// control plane still there.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// The program ends when its standard input does, and the system closes our end of the pipe even if we are killed.
	if _, err := cmd.StdinPipe(); err != nil {
		return fmt.Errorf("%s: standard input: %w", c.name, err)
	}
	c.port.Lend()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	c.process = cmd.Process
	c.ended = make(chan struct{})
	go func() {
		c.exit = cmd.Wait()
		close(c.ended)
		if !c.unwanted.Load() {
			failed <- c.endError()
		}
	}()
	return nil
}

// await returns when url, which shows that the component works, answers 200.
func (c *component) await(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		problem := ask(ctx, client, url)
		if problem == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-c.ended:
			return c.endError()
		case <-ctx.Done():
			return fmt.Errorf("%s: not healthy yet when waiting ended (%w): %w; its log, %s, ends with:\n%s",
				c.name, context.Cause(ctx), problem, c.log, c.logEnd())
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s, want 200", url, response.Status)
	}
	return nil
}

// kill ends the process and waits until it is gone.
func (c *component) kill() {
	c.unwanted.Store(true)
	_ = c.process.Kill() // fails only if it has ended by itself
	<-c.ended
}

// endError says that the process has ended, and quotes its log.
func (c *component) endError() error {
	return fmt.Errorf("%s has ended by itself (%s); its log, %s, ends with:\n%s", c.name, exitText(c.exit), c.log, c.logEnd())
}

func exitText(exit error) string {
	if exit == nil {
		return "exit status 0"
	}
	return exit.Error()
}

func (c *component) logEnd() []byte {
	content, err := os.ReadFile(c.log)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-quotedLines):], []byte("\n"))
}
