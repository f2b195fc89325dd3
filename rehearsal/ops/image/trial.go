package image

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"expense/internal/config"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// tmpMiB is the size of /tmp of a trial, settled how many seconds an app without a port has to run.
const (
	tmpMiB  = 64
	settled = 5
)

// try runs an app once as the cluster would: its user, a read-only root, no capabilities, /tmp, PORT. What it then lacks that a cluster
// gives it, as secrets and neighbours, may be why it breaks; so of an app that has such this is said only.
func (w *work) try(ctx context.Context, p part, local string) (err error) {
	args, clean, err := w.trialArgs(p, local)
	if err != nil {
		return err
	}
	defer clean()
	id, err := w.run(ctx, call{}, "docker", args...)
	if err != nil {
		return err
	}
	id = strings.TrimSpace(id)
	defer func() { err = errors.Join(err, w.remove(ctx, id)) }()
	if _, err := w.run(ctx, call{}, "docker", "start", id); err != nil {
		return fmt.Errorf("its trial does not start: %w; allowed: a command that the image has and that user %d may run", err, p.app.User)
	}
	broke, certain := w.watch(ctx, p, id)
	switch lacks := w.lacks(p); {
	case ctx.Err() != nil:
		return ctx.Err()
	case broke == nil:
		w.say("%s: runs as user %d with a read-only root and no capabilities.", p.name, p.app.User)
	case lacks == "" || certain:
		return fmt.Errorf("its trial, as the cluster would run it, broke: %w", broke)
	default:
		w.say("%s: its trial broke, which may be because it has no %s here: %v", p.name, lacks, broke)
	}
	return nil
}

// lacks says what a cluster gives an app, and the trial does not.
func (w *work) lacks(p part) string {
	var out []string
	called := slices.ContainsFunc(slices.Collect(maps.Values(w.settings.Workloads.Apps)), func(other config.App) bool {
		return slices.Contains(other.Inbound, p.name) || slices.Contains(other.Inbound, "*")
	})
	for what, lacks := range map[string]bool{
		"secrets": len(p.app.Secrets) > 0, "role": len(p.app.IAM) > 0, "way out": len(p.app.Outbound) > 0, "neighbours": called,
	} {
		if lacks {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// trialArgs make the container. Words of the settings stand behind the = of a flag or behind the image: they cannot be flags.
func (w *work) trialArgs(p part, local string) (args []string, clean func(), err error) {
	user := fmt.Sprint(p.app.User)
	args = []string{"create", "--platform=" + w.platform, "--user=" + user + ":" + user, "--read-only", "--cap-drop=ALL",
		"--security-opt=no-new-privileges", "--tmpfs=" + folder("/tmp", tmpMiB)}
	for _, writable := range p.app.Writable { // one of /tmp takes the place of the first
		args = append(args, "--tmpfs="+folder(writable.Path, writable.SizeMiB))
	}
	if p.app.Logs.Dir != "" {
		args = append(args, "--tmpfs="+folder(p.app.Logs.Dir, tmpMiB))
	}
	if _, port, has := p.app.Checked(); has {
		args = append(args, fmt.Sprintf("--publish=127.0.0.1::%d", port))
	}
	env := w.env(p)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		args = append(args, "--env="+name+"="+env[name])
	}
	files, clean, err := w.files(p)
	if err != nil {
		return nil, nil, err
	}
	args = append(args, files...)
	var command []string
	for _, word := range slices.Concat(p.app.Command, p.app.Args) {
		command = append(command, config.Expand(word, env))
	}
	if len(p.app.Command) == 0 {
		return slices.Concat(args, []string{local}, command), clean, nil
	}
	return slices.Concat(args, []string{"--entrypoint=" + command[0], local}, command[1:]), clean, nil
}

// env are an app's variables as a pod has them, without secret ones: $(NAME) of those stays as it is written.
func (w *work) env(p part) map[string]string {
	env := map[string]string{}
	if _, port, has := p.app.Checked(); has {
		env["PORT"] = strconv.Itoa(port)
	}
	if len(p.app.IAM) > 0 {
		env["AWS_REGION"] = w.settings.Region
	}
	for _, name := range config.Ordered(p.app.Env) {
		env[name] = config.Expand(p.app.Env[name], env)
	}
	if p.app.Logs.Dir != "" {
		env["LOG_DIR"] = p.app.Logs.Dir // last, as in a pod
	}
	return env
}

// files are the flags that mount an app's files. Each is a copy of the text, in a folder of the project: a Docker in a virtual machine
// sees no others, and no path of the settings is mounted.
func (w *work) files(p part) (flags []string, clean func(), err error) {
	root := filepath.Join(w.Project, ".out", "image")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, nil, err
	}
	temporary, err := os.MkdirTemp(root, p.name+"-")
	if err != nil {
		return nil, nil, err
	}
	for n, path := range slices.Sorted(maps.Keys(p.app.Files)) {
		source := filepath.Join(temporary, strconv.Itoa(n))
		// The container's user is another than this one's, and a new file has what the umask leaves.
		err = errors.Join(err, os.WriteFile(source, []byte(p.app.Files[path].Content), 0o644), os.Chmod(source, 0o644))
		// Its value is a line of CSV (https://docs.docker.com/engine/storage/bind-mounts/#options-for---mount).
		var mount strings.Builder
		line := csv.NewWriter(&mount)
		err = errors.Join(err, line.Write([]string{"type=bind", "source=" + source, "target=" + path, "readonly"}))
		line.Flush()
		flags = append(flags, "--mount="+strings.TrimSuffix(mount.String(), "\n"))
	}
	clean = func() { _ = os.RemoveAll(temporary) }
	// The daemon may be another user too.
	if err = errors.Join(err, os.Chmod(temporary, 0o755)); err != nil {
		clean()
		return nil, nil, err
	}
	return flags, clean, nil
}

// folder is a writable one, from which programs may run too, as in the cluster.
func folder(path string, mib int) string {
	return fmt.Sprintf("%s:rw,exec,mode=1777,size=%dm", path, mib)
}

// state is a container's, as docker shows it (https://docs.docker.com/reference/api/engine/version/v1.57/, ContainerState).
type state struct {
	Running  bool
	ExitCode int
}

// watch waits until the app answers, for as long as the cluster would. certain tells that no secret and no neighbour would help.
func (w *work) watch(ctx context.Context, p part, id string) (broke error, certain bool) {
	start, err := time.ParseDuration(p.app.Health.Start)
	if err != nil {
		return fmt.Errorf("health.start %q: %w", p.app.Health.Start, err), true
	}
	_, port, has := p.app.Checked()
	looks := settled
	if has {
		looks = max(1, int(start/time.Second))
	}
	for range looks {
		var s state
		out, err := w.run(ctx, call{}, "docker", "inspect", "--format", "{{json .State}}", id)
		if err == nil {
			err = json.Unmarshal([]byte(out), &s)
		}
		if err != nil {
			return err, true
		}
		if !s.Running {
			return w.ended(ctx, p, id, s)
		}
		if has {
			out, err := w.run(ctx, call{}, "docker", "port", id, fmt.Sprintf("%d/tcp", port))
			if err != nil {
				return err, true
			}
			address, _, _ := strings.Cut(out, "\n")
			if broke = probe(ctx, strings.TrimSpace(address), p.app.Health); broke == nil {
				return nil, false
			}
		}
		if err := w.Pause(ctx, time.Second); err != nil {
			return err, true
		}
	}
	if broke == nil {
		return nil, false
	}
	return fmt.Errorf("after %v it does not answer on port %d: %w; it has to listen on the port that PORT says, on all addresses, not on "+
		"127.0.0.1 alone; its last lines:\n%s", start, port, broke, w.logs(ctx, id)), false
}

// ended says why an app ended.
func (w *work) ended(ctx context.Context, p part, id string, s state) (broke error, certain bool) {
	lines := w.logs(ctx, id)
	has := func(text string) bool { return strings.Contains(strings.ToLower(lines), text) }
	hint := ""
	// The texts are strerror(3)'s of EROFS and ENOEXEC.
	switch {
	case has("read-only file system"):
		hint, certain = "; its root is read-only: add the folder that it writes to as writable: [/FOLDER]", true
	case has("exec format error"):
		hint, certain = "; the program is not for "+w.platform, true
	case has("permission denied"):
		hint = fmt.Sprintf("; it runs as user %d: give it the files with COPY --chown=%[1]d, or add writable: [/FOLDER]", p.app.User)
	}
	return fmt.Errorf("it ended with %d%s; its last lines:\n%s", s.ExitCode, hint, lines), certain
}

// logs are a container's last lines.
func (w *work) logs(ctx context.Context, id string) string {
	// Its standard error is standard error here.
	out, _ := w.run(ctx, call{both: true}, "docker", "logs", "--tail", "20", id)
	return strings.TrimRight(out, "\n")
}

// answers is how long one look at a port takes at most.
const answers = 2 * time.Second

// probe asks as the kubelet does: an HTTP request for a path, good from 200 to 399, or the standard health service of gRPC
// (https://kubernetes.io/docs/concepts/workloads/pods/probes/), or else a connection. Docker's proxy accepts a connection for a
// program that does not listen, and closes it at once.
func probe(ctx context.Context, address string, health config.Health) error {
	ctx, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	if health.GRPC {
		connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer connection.Close()
		answer, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{})
		if err == nil && answer.Status != healthpb.HealthCheckResponse_SERVING {
			err = fmt.Errorf("its health service says %s", answer.Status)
		}
		return err
	}
	if path := health.Path; path != "" {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			return err
		}
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode < 200 || answer.StatusCode > 399 {
			return fmt.Errorf("%s is answered with %d", path, answer.StatusCode)
		}
		return nil
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetReadDeadline(time.Now().Add(answers / 2))
	if _, err = connection.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errors.New("nobody listens")
	}
	return err
}
