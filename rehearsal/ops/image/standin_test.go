package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// world is what docker and aws stand in for. It is in a file: they may be this test's own program by another name.
type world struct {
	// Fail has what a command says that ends with an error, by its first words.
	Fail map[string]string
	// Image is what was built or pulled, Files are files in it.
	Image inspected
	Files map[string]string
	// States are the container's in turn, Address is where its port is, Logs are its lines.
	States  []string
	Address string
	Logs    string
	// Tags are digests in the repository; none is there if it is nil. MediaType is the manifests'.
	Tags      map[string]string
	MediaType string
	// Pushed is the digest of what is pushed.
	Pushed string
	// Calls are the commands so far.
	Calls []string

	out, err io.Writer
}

const (
	digestA  = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB  = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	host     = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
	manifest = "application/vnd.oci.image.manifest.v1+json"
)

func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); name == "docker" || name == "aws" {
		os.Exit(standIn(exec.Cmd{Args: os.Args, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
	}
	os.Exit(m.Run())
}

func load(file string) (w world) {
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &w)
	}
	if err != nil {
		panic(err)
	}
	return w
}

func (w world) save(file string) {
	data, err := json.Marshal(w)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// standIn answers as the programs are documented to; where, is at each answer.
func standIn(c exec.Cmd) int {
	name, args := filepath.Base(c.Args[0]), c.Args[1:]
	variable := func(name string) (value string) {
		for _, text := range c.Environ() {
			if of, is := strings.CutPrefix(text, name+"="); is {
				value = of
			}
		}
		return value
	}
	file := variable("WORLD")
	w := load(file)
	w.out, w.err = c.Stdout, c.Stderr
	line := name + " " + strings.Join(args, " ")
	if name == "aws" {
		line += " as " + variable("AWS_ACCESS_KEY_ID")
	}
	if slices.Contains(args, "--password-stdin") {
		password, _ := io.ReadAll(c.Stdin)
		line += " with " + strings.TrimSpace(string(password))
	}
	w.Calls = append(w.Calls, line)
	defer func() { w.save(file) }()
	for command, says := range w.Fail {
		if strings.HasPrefix(line, command) {
			fmt.Fprintln(w.err, says)
			return 1
		}
	}
	if name == "aws" {
		return w.aws(args)
	}
	return w.docker(args)
}

func (w *world) docker(args []string) int {
	switch args[0] {
	case "version", "buildx", "tag", "login", "logout", "start", "rm", "pull":
	case "push": // https://docs.docker.com/reference/cli/docker/image/push/
		_, tag, _ := strings.Cut(args[1], ":")
		w.Tags[tag] = w.Pushed
	case "image": // https://docs.docker.com/reference/cli/docker/image/inspect/
		data, _ := json.Marshal([]any{w.Image})
		fmt.Fprintln(w.out, string(data))
	case "create": // https://docs.docker.com/reference/cli/docker/container/create/
		fmt.Fprintln(w.out, "c0ffee")
	case "cp": // https://docs.docker.com/reference/cli/docker/container/cp/; the error is moby's (daemon/errors.go, containerFileNotFound)
		path := strings.TrimPrefix(args[1], "c0ffee:")
		content, found := w.Files[path]
		if !found {
			fmt.Fprintf(w.err, "Error response from daemon: Could not find the file %s in container c0ffee\n", path)
			return 1
		}
		archive := tar.NewWriter(w.out)
		_ = archive.WriteHeader(&tar.Header{Name: filepath.Base(path), Mode: 0o644, Size: int64(len(content))})
		_, _ = archive.Write([]byte(content))
		_ = archive.Close()
	case "inspect": // https://docs.docker.com/reference/cli/docker/inspect/
		fmt.Fprintln(w.out, w.States[0])
		if len(w.States) > 1 {
			w.States = w.States[1:]
		}
	case "port": // https://docs.docker.com/reference/cli/docker/container/port/
		fmt.Fprintln(w.out, w.Address)
	case "logs":
		fmt.Fprint(w.err, w.Logs)
	default:
		panic(args)
	}
	return 0
}

// aws answers as the reference of the aws CLI shows: https://docs.aws.amazon.com/cli/latest/reference/ecr/. An error is botocore's
// (https://github.com/boto/botocore/blob/develop/botocore/exceptions.py, ClientError) with the code of the API reference.
func (w *world) aws(args []string) int {
	option := func(name string) string { return args[slices.Index(args, name)+1] }
	refuse := func(code, operation, message string) int {
		fmt.Fprintf(w.err, "\nAn error occurred (%s) when calling the %s operation: %s\n", code, operation, message)
		return 254
	}
	switch args[1] {
	case "get-login-password":
		fmt.Fprintln(w.out, "the-password")
	case "describe-repositories":
		name := option("--repository-names")
		if w.Tags == nil {
			return refuse("RepositoryNotFoundException", "DescribeRepositories",
				"The repository with name '"+name+"' does not exist in the registry with id '111122223333'")
		}
		fmt.Fprintf(w.out, `{"repositories": [{"registryId": "111122223333", "repositoryName": %q, "repositoryUri": %q}]}`, name, host+"/"+name)
	case "describe-images":
		type detail map[string]any
		var details []detail
		for tag, digest := range w.Tags {
			if slices.Contains(args, "--filter") || option("--image-ids") == "imageTag="+tag {
				details = append(details, detail{"imageDigest": digest, "imageTags": []string{tag}, "imageManifestMediaType": w.MediaType,
					"imagePushedAt": "2026-11-2" + digest[7:8] + "T00:00:00+00:00"})
			}
		}
		if details == nil && !slices.Contains(args, "--filter") {
			return refuse("ImageNotFoundException", "DescribeImages", "The image with imageId {imageDigest:'null', imageTag:'x'} does not exist "+
				"within the repository with name 'mine/backend' in the registry with id '111122223333'")
		}
		slices.SortFunc(details, func(a, b detail) int {
			return strings.Compare(a["imagePushedAt"].(string), b["imagePushedAt"].(string))
		})
		data, _ := json.Marshal(map[string]any{"imageDetails": details})
		fmt.Fprintln(w.out, string(data))
	default:
		panic(args)
	}
	return 0
}

// stack is a project in git with a stack that has apps.
type stack struct {
	t       *testing.T
	folder  string
	world   string
	options Options
	out     *strings.Builder
	signIns int
	again   bool
}

const start = `# A stack of mine.
config:
  aws:region: us-east-1
  expense:cluster:
    name: mine
    nodeGroups:
      one: {amiType: AL2023_x86_64_STANDARD}

  expense:logging: {gibPerDay: 1} # little
  expense:workloads:
    # The services.
    apps:
`

const backend = `      backend: # ours
        build: {dir: images/backend, args: {VERSION: "1"}} # in this repository

        # Who may call it.
        inbound: [web]
`

// aStack has the apps of a text in its file, and a world in which all is well.
func aStack(t *testing.T, apps string, change func(w *world)) *stack {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not on PATH")
	}
	s := &stack{t: t, folder: t.TempDir(), out: &strings.Builder{}}
	s.world = filepath.Join(t.TempDir(), "world")
	self, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	for name, target := range map[string]string{"docker": self, "aws": self, "git": git} {
		require.NoError(t, os.Symlink(target, filepath.Join(bin, name)))
	}
	for name, value := range map[string]string{
		// With the race detector a program waits for a second when it ends (https://go.dev/doc/articles/race_detector#Options).
		"GORACE": "atexit_sleep_ms=0",
		"PATH":   bin, "WORLD": s.world, "GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull, "GIT_AUTHOR_NAME": "a",
		"GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
	} {
		t.Setenv(name, value)
	}
	runProgram = func(c *exec.Cmd) error {
		if target, _ := os.Readlink(c.Path); target != self {
			return c.Run()
		}
		if code := standIn(*c); code != 0 {
			return fmt.Errorf("exit status %d", code)
		}
		return nil
	}
	t.Cleanup(func() { runProgram = (*exec.Cmd).Run })
	// What is made for others to read is, whatever the user wants of new files.
	umask := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(umask) })
	w := world{
		Fail:   map[string]string{},
		Files:  map[string]string{"/etc/passwd": "root:x:0:0::/:/bin/sh\napp:x:1234:1234::/:\n", "/bin/sh": "", "/usr/bin/mkfifo": ""},
		States: []string{`{"Running": true}`}, Address: greeting(t), Tags: map[string]string{}, MediaType: manifest, Pushed: digestA,
	}
	w.Image = inspected{Architecture: "amd64", Os: "linux"}
	w.Image.Config.User = "app:app"
	w.Image.Config.Entrypoint, w.Image.Config.Cmd = []string{"/app/server"}, []string{"--verbose"}
	w.Image.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}}
	w.Image.Config.Env = []string{"PATH=/usr/bin:/bin"}
	if change != nil {
		change(&w)
	}
	w.save(s.world)
	s.write("Pulumi.yaml", "name: expense\nruntime: go\n")
	s.write("Pulumi.dev.yaml", start+apps)
	s.write("images/backend/Dockerfile", "FROM scratch\n")
	s.write("logging/capture/Dockerfile", "FROM scratch\n")
	s.git("init", "--quiet")
	s.git("add", "--all")
	s.git("commit", "--quiet", "--message", "All")
	s.options = Options{
		Project: s.folder, Stack: "dev", Name: "backend", Mode: Push, Out: s.out, Progress: io.Discard,
		SignIn: func(context.Context) ([]string, error) {
			s.signIns++
			return append(os.Environ(), "AWS_ACCESS_KEY_ID=AKIDSTACK"), nil
		},
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	return s
}

func (s *stack) write(name, text string) {
	path := filepath.Join(s.folder, name)
	require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o644))
}

func (s *stack) git(args ...string) string {
	command := exec.Command("git", args...)
	command.Dir = s.folder
	out, err := command.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

// run runs with the options, and gives the stack's file and the calls.
func (s *stack) run() (file string, calls []string, err error) {
	before := len(load(s.world).Calls)
	s.again, err = Run(s.t.Context(), s.options)
	data, readErr := os.ReadFile(filepath.Join(s.folder, "Pulumi.dev.yaml"))
	require.NoError(s.t, readErr)
	return string(data), load(s.world).Calls[before:], err
}

// tag is that of the app backend.
func (s *stack) tag() string {
	w, err := open(s.options)
	require.NoError(s.t, err)
	tag, err := w.tag(s.t.Context(), w.part("backend").build)
	require.NoError(s.t, err)
	return tag
}
