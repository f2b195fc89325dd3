// Package opensearch runs a real OpenSearch with its security plugin, from the archives that `make tools` fetches: one node
// on loopback, a child process of the caller that ends with it, however it ends.
//
// The headers of a request name its user: the node trusts them, as a proxy's
// (https://docs.opensearch.org/latest/security/authentication-backends/proxy/). A user has one backend role, of the same name, as an
// IAM role on a managed domain has its ARN (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html). So the node
// is for tests only: every user of the machine may do everything on it.
//
// It takes requests of up to 10 MiB, unpacked, which is AWS's smallest limit
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#network-limits), and answers larger ones with 413.
// It lacks Index State Management, whose plugin is not published as a file.
package opensearch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Admin may do everything.
const Admin = "admin"

const (
	// startLimit is for a machine that is busy with other things: the node takes 9 seconds of a core.
	startLimit   = 10 * time.Minute
	pollInterval = 100 * time.Millisecond
	// quotedBytes is how much of the node's log an error quotes.
	quotedBytes = 3000
	// nobody runs the node where the caller is root: OpenSearch refuses root
	// (https://github.com/opensearch-project/OpenSearch/blob/2.19.1/server/src/main/java/org/opensearch/bootstrap/Bootstrap.java).
	nobody = 65534
)

// Node is a node that runs. It may be used by several goroutines.
type Node struct {
	// URL is its address: http://127.0.0.1:PORT.
	URL string

	dir     string
	audit   any // configuration of the audit log at the start
	process *exec.Cmd
	life    io.Closer     // ends the node when it is closed
	ended   chan struct{} // closed when the process is gone
	stop    sync.Once
}

// Missing says why no node can be started, or nothing if one can. Archives is the folder .tools/opensearch.
func Missing(archives string) string {
	if _, err := java(); err != nil {
		return "OpenSearch needs Java (Debian: default-jre-headless): " + err.Error()
	}
	for _, name := range []string{serverArchive, securityArchive} {
		if _, err := os.Stat(filepath.Join(archives, name)); err != nil {
			return "OpenSearch is not there, `make tools` fetches it with Maven: " + err.Error()
		}
	}
	return ""
}

// java is the folder of the Java that runs the node: JAVA_HOME, or else where the java on PATH is. OpenSearch 2.19 takes 11
// (https://docs.opensearch.org/latest/install-and-configure/install-opensearch/index/#java-compatibility), and asks for a
// security manager, which 24 and later refuse to start with (https://openjdk.org/jeps/486).
func java() (string, error) {
	home := os.Getenv("JAVA_HOME")
	if home == "" {
		path, err := exec.LookPath("java")
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		if err != nil {
			return "", err
		}
		home = filepath.Dir(filepath.Dir(path))
	}
	about, err := os.ReadFile(filepath.Join(home, "release"))
	if err != nil {
		return "", err
	}
	found := javaVersion.FindSubmatch(about)
	if found == nil {
		return "", fmt.Errorf("%s/release names no version", home)
	}
	if version, _ := strconv.Atoi(string(found[1])); version < 11 || version > 23 {
		return "", fmt.Errorf("%s is Java %d, expected 11 to 23; JAVA_HOME names another", home, version)
	}
	return home, nil
}

var javaVersion = regexp.MustCompile(`(?m)^JAVA_VERSION="(\d+)`)

// Start starts a node in a folder of its own and returns when it is healthy. Archives is the folder .tools/opensearch. Once
// Start has returned, ctx has no further effect.
func Start(ctx context.Context, archives string) (*Node, error) {
	if reason := Missing(archives); reason != "" {
		return nil, errors.New(reason)
	}
	dir, err := os.MkdirTemp("", "opensearch-")
	if err != nil {
		return nil, fmt.Errorf("opensearch: %w", err)
	}
	n := &Node{dir: dir, ended: make(chan struct{})}
	if err = install(archives, dir); err == nil {
		err = n.run()
	}
	if err == nil {
		err = n.await(ctx)
	}
	if err == nil {
		n.audit, err = n.Audit()
	}
	if err != nil {
		n.Stop()
		return nil, fmt.Errorf("opensearch: %w", err)
	}
	return n, nil
}

// guarded runs OpenSearch until its third file, a pipe, is closed, which the system does even if the caller is killed. Then it removes
// the folder and kills its process group.
const guarded = `(cat <&3 >/dev/null; rm -rf "$PWD"; kill -9 0) & exec bin/opensearch 3<&-`

// run starts the process.
func (n *Node) run() error {
	home, err := java()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(n.dir, "output"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	end, life, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = end.Close() }()
	n.life = life
	n.process = exec.Command("sh", "-c", guarded)
	n.process.Dir, n.process.Stdout, n.process.Stderr, n.process.ExtraFiles = n.dir, log, log, []*os.File{end}
	n.process.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir, "OPENSEARCH_TMPDIR=" + filepath.Join(n.dir, "tmp"), "OPENSEARCH_JAVA_HOME=" + home,
		// The second compiler, and a garbage collector with threads of its own, cost more than they save in a life of minutes.
		"OPENSEARCH_JAVA_OPTS=-Xms512m -Xmx512m -XX:-AlwaysPreTouch -XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC",
	}
	n.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		n.process.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := filepath.Walk(n.dir, func(path string, _ os.FileInfo, err error) error {
			return errors.Join(err, os.Lchown(path, nobody, nobody))
		}); err != nil {
			return err
		}
	}
	if err := n.process.Start(); err != nil {
		return err
	}
	go func() {
		_ = n.process.Wait()
		close(n.ended)
	}()
	return nil
}

// await returns when the node is healthy and knows who may do what.
func (n *Node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		if address, err := os.ReadFile(filepath.Join(n.dir, "logs", "http.ports")); err == nil && len(address) > 0 {
			n.URL = "http://" + strings.Fields(string(address))[0]
			if status, _, err := n.Do(Admin, "GET", "/_cluster/health?wait_for_status=green", nil); err == nil && status == http.StatusOK {
				return nil
			}
		}
		select {
		case <-poll.C:
		case <-n.ended:
			return fmt.Errorf("it has ended by itself; its log ends with:\n%s", n.logEnd())
		case <-ctx.Done():
			return fmt.Errorf("it is not healthy yet (%w); its log ends with:\n%s", context.Cause(ctx), n.logEnd())
		}
	}
}

func (n *Node) logEnd() []byte {
	content, err := os.ReadFile(filepath.Join(n.dir, "output"))
	if err != nil {
		return []byte(err.Error())
	}
	return content[max(0, len(content)-quotedBytes):]
}

// Stop ends the node, returns when it is gone, and removes its folder. It may be called more than once.
func (n *Node) Stop() {
	n.stop.Do(func() {
		if n.life != nil {
			_ = n.life.Close()
		}
		if n.process != nil && n.process.Process != nil {
			<-n.ended
		}
		_ = os.RemoveAll(n.dir)
	})
}

// Do makes a request as a user, the ARN of a role or Admin, with a body in JSON or none, and returns the answer's status and body.
// path has the query, too.
func (n *Node) Do(user, method, path string, body []byte) (int, []byte, error) {
	header := http.Header{}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	return n.Send(user, method, path, header, body)
}

// Send is Do with the request's own headers.
func (n *Node) Send(user, method, path string, header http.Header, body []byte) (int, []byte, error) {
	r, err := http.NewRequest(method, n.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	maps.Copy(r.Header, header)
	maps.Copy(r.Header, http.Header{"X-Proxy-User": {user}, "X-Proxy-Roles": {user}, "X-Forwarded-For": {"127.0.0.1"}})
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, content, err
}

// client uses no proxy of the environment.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
