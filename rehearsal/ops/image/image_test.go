package image

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"expense/internal/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// All in its order: what could stop it first, then the build, the trial, the push. This one starts the stand-ins as programs.
func TestAnImageIsBuiltTriedPushedAndWritten(t *testing.T) {
	s := aStack(t, backend, nil)
	runProgram = (*exec.Cmd).Run
	tag := s.tag()
	assert.Regexp(t, `^[0-9a-f]{12}-[0-9a-f]{8}$`, tag)
	assert.True(t, strings.HasPrefix(s.git("rev-parse", "HEAD:images/backend"), tag[:12]))
	file, calls, err := s.run()
	require.NoError(t, err)
	remote, local := host+"/mine/backend:"+tag, "mine/backend:"+tag
	ecr := " --region us-east-1 --output json as AKIDSTACK"
	images := "aws ecr describe-images --registry-id 111122223333 --repository-name mine/backend --image-ids imageTag=" + tag + ecr
	var kept []string
	for _, call := range calls { // The container's own are in the trial's tests.
		if words := strings.Fields(call); words[0] == "aws" || !strings.Contains("cp create start inspect port rm", words[1]) {
			kept = append(kept, call)
		}
	}
	assert.Equal(t, []string{
		"docker version --format {{.Server.Version}}",
		"docker buildx version",
		"aws ecr describe-repositories --repository-names mine/backend" + ecr,
		images,
		"docker buildx build --load --provenance=false --platform=linux/amd64 --file=./images/backend/Dockerfile " +
			"--label=org.opencontainers.image.revision=" + s.git("rev-parse", "HEAD") + " --tag=" + local +
			" --build-arg=VERSION=1 ./images/backend",
		"docker image inspect " + local,
		"aws ecr get-login-password --region us-east-1 as AKIDSTACK",
		"docker login --username AWS --password-stdin " + host + " with the-password",
		"docker tag " + local + " " + remote,
		"docker push " + remote,
		images,
		"docker logout " + host,
	}, kept)
	gone, come := changes(start+backend, file)
	assert.Empty(t, gone)
	assert.Equal(t, []string{
		"        image: " + remote + "@" + digestA + "\n", "        command: [/app/server, --verbose]\n", "        user: 1234\n",
		"        port: 8080\n",
	}, come)
	assert.Contains(t, s.out.String(), "Next: pulumi up --stack dev")
	assert.NotContains(t, s.out.String(), "To go back")
	assert.NoDirExists(t, filepath.Join(s.folder, ".out", "image", "backend-"))
	left, err := filepath.Glob(filepath.Join(s.folder, ".out", "image", "*"))
	require.NoError(t, err)
	assert.Empty(t, left, "files of the trial")
}

// The same folder is the same image. Another gets a line that leads back.
func TestTheSameIsNotBuiltTwice(t *testing.T) {
	s := aStack(t, backend, nil)
	first, _, err := s.run()
	require.NoError(t, err)
	s.git("commit", "--quiet", "--all", "--message", "The image")
	again, calls, err := s.run()
	require.NoError(t, err)
	assert.Equal(t, first, again)
	assert.NotContains(t, strings.Join(calls, "\n"), "build ")
	assert.NotContains(t, strings.Join(calls, "\n"), "docker login")
	assert.Contains(t, s.out.String(), "has the tag "+s.tag()+" already")
	assert.NotContains(t, s.out.String(), "To go back")

	old := s.tag()
	s.write("images/backend/main.go", "package main\n")
	s.git("add", "--all")
	s.git("commit", "--quiet", "--message", "More")
	w := load(s.world)
	w.Pushed = digestB
	w.save(s.world)
	changed, _, err := s.run()
	require.NoError(t, err)
	gone, come := changes(first, changed)
	assert.Equal(t, []string{"        image: " + host + "/mine/backend:" + old + "@" + digestA + "\n"}, gone)
	assert.Equal(t, []string{"        image: " + host + "/mine/backend:" + s.tag() + "@" + digestB + "\n"}, come)
	assert.Contains(t, s.out.String(), "To go back, write in its place: "+strings.TrimSpace(gone[0]))
	assert.NotContains(t, s.out.String(), "release command")
}

// Going back is no way back for what a release command has done.
func TestGoingBackRunsTheReleaseCommandAgain(t *testing.T) {
	s := aStack(t, backend+"        release: [/app/server, migrate]\n        image: example.com/a@"+digestB+"\n", nil)
	_, _, err := s.run()
	require.NoError(t, err)
	assert.Contains(t, s.out.String(), "To go back, write in its place: image: example.com/a@"+digestB+"\nThat runs the release command of "+
		"the image before once more. What this image's has changed for good, as a migration that only goes forward, stays")
}

// What the build is told is in the tag too: tags cannot be moved to another image.
func TestATagNamesAllThatTheImageIsBuiltOf(t *testing.T) {
	tags := map[string]bool{}
	for _, apps := range []string{
		backend, strings.Replace(backend, `"1"`, `"2"`, 1), strings.Replace(backend, "args", "target: last, args", 1),
		strings.Replace(backend, "args", "dockerfile: ./Dockerfile, args", 1),
	} {
		tags[aStack(t, apps, nil).tag()] = true
	}
	s := aStack(t, backend, nil)
	arm := strings.Replace(start, "x86_64", "ARM_64", 1)
	s.write("Pulumi.dev.yaml", arm+backend)
	tags[s.tag()] = true
	assert.Len(t, tags, 5)
	assert.Equal(t, aStack(t, backend, nil).tag(), aStack(t, backend, nil).tag(), "of two clones")
}

// The folder may be another repository's, beside this one.
func TestAFolderMayBeOfAnotherRepository(t *testing.T) {
	s := aStack(t, strings.Replace(backend, "images/backend", "../other/app", 1), nil)
	own := s.folder
	s.folder = filepath.Join(filepath.Dir(own), "other")
	s.write("app/Dockerfile", "FROM scratch\n")
	s.git("init", "--quiet")
	s.git("add", "--all")
	s.git("commit", "--quiet", "--message", "Other")
	tree, commit := s.git("rev-parse", "HEAD:app"), s.git("rev-parse", "HEAD")
	s.folder = own
	file, calls, err := s.run()
	require.NoError(t, err)
	assert.Contains(t, file, "/mine/backend:"+tree[:12]+"-")
	assert.Contains(t, strings.Join(calls, "\n"), "image.revision="+commit)
}

// Words of the settings are none of docker's flags, nor a folder the address of a repository.
func TestABuildHasNoFlagsOfTheSettings(t *testing.T) {
	s := aStack(t, strings.Replace(backend, `images/backend, args: {VERSION: "1"}`,
		`-, dockerfile: --push, target: last, args: {A: --network=host}`, 1), nil)
	s.write("-/--push", "FROM scratch\n")
	s.git("add", "--all")
	s.git("commit", "--quiet", "--message", "Odd")
	_, calls, err := s.run()
	require.NoError(t, err)
	var build []string
	for _, call := range calls {
		if strings.HasPrefix(call, "docker buildx build") {
			build = strings.Fields(call)[3:]
		}
	}
	assert.Equal(t, []string{"--load", "--provenance=false", "--platform=linux/amd64", "--file=./-/--push"}, build[:4])
	assert.Equal(t, []string{"--target=last", "--build-arg=A=--network=host", "./-"}, build[6:])
}

// What a trial would take is right before anything is begun: a file out of the project is none of its own.
func TestSettingsOfATrialAreRight(t *testing.T) {
	for setting, want := range map[string]string{
		"files: {/a: {source: /var/run/docker.sock}}": "workloads.apps.backend.files[\"/a\"].source: found \"/var/run/docker.sock\"",
		"files: {/a: {source: ../secret}}":            "workloads.apps.backend.files[\"/a\"].source: found \"../secret\"",
		"files: {/a: {source: out}}":                  "workloads.apps.backend.files[\"/a\"].source: found \"out\", which cannot be read",
		"files: {'/a:/b': {content: x}}":              "workloads.apps.backend.files[\"/a:/b\"]",
		"writable: ['/a:exec']":                       "workloads.apps.backend.writable[0].path",
		"logs: {dir: /proc/a, files: [a.log]}":        "workloads.apps.backend.logs.dir",
		"env: {A: $(A)}":                              "workloads.apps.backend.env.A",
		"user: 70000":                                 "workloads.apps.backend.user: found 70000",
		"command: ['']":                               "workloads.apps.backend.command[0]",
		"health: {start: 1s}":                         "workloads.apps.backend.health.start",
		"port: 80":                                    "workloads.apps.backend.port: found 80",
	} {
		s := aStack(t, backend+"        "+setting+"\n", nil)
		require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "secret"), filepath.Join(s.folder, "out")))
		_, calls, err := s.run()
		assert.ErrorContains(t, err, want)
		assert.Empty(t, calls)
	}
	for _, fine := range []string{"health: /", "env: {A: $(PORT)}", "graceSeconds: 0", "secrets: {A: env}"} {
		s := aStack(t, backend+"        "+fine+"\n      other: {build: {dir: /x}, files: {a: {}}}\n", func(w *world) { w.Address = answering(t) })
		_, _, err := s.run()
		assert.NoError(t, err, fine)
	}
}

// A tag that is there, in an entry that lacks the rest: the image is looked at where it is.
func TestAnImageThatIsThereCompletesAnEntry(t *testing.T) {
	s := aStack(t, backend, nil)
	w := load(s.world)
	w.Tags[s.tag()] = digestB
	w.save(s.world)
	file, calls, err := s.run()
	require.NoError(t, err)
	assert.Contains(t, file, "        user: 1234\n")
	assert.Contains(t, calls, "docker pull --platform=linux/amd64 "+host+"/mine/backend@"+digestB)
	assert.Contains(t, calls, "docker logout "+host)

	// By hand it has what is looked at first, and lacks what an image without a shell needs.
	s = aStack(t, backend+complete, func(w *world) { w.Files = nil })
	w = load(s.world)
	w.Tags[s.tag()] = digestB
	w.save(s.world)
	file, _, err = s.run()
	require.NoError(t, err)
	assert.Contains(t, file, "        logs: {capture: static}\n")
}

// The pod runs what docker would run of the image, captured or not.
func TestAPodRunsWhatTheImageRuns(t *testing.T) {
	for name, c := range map[string]struct {
		entrypoint, cmd []string
		entry           string
		want            []string
	}{
		"both":       {[]string{"/app/server"}, []string{"--verbose"}, "", []string{"/app/server", "--verbose"}},
		"ENTRYPOINT": {[]string{"node", "server.js"}, nil, "", []string{"node", "server.js"}},
		"CMD":        {nil, []string{"/app/server", ""}, "", []string{"/app/server", ""}},
		"a shell's": {[]string{"/bin/sh", "-c", "exec server --name=$(hostname) --pid=$$ $OPTIONS"}, nil, "",
			[]string{"/bin/sh", "-c", "exec server --name=$(hostname) --pid=$$ $OPTIONS"}},
		"of several lines": {nil, []string{"/bin/sh", "-c", "echo 'a: b' \\\n\t# c\nexec server\n"}, "",
			[]string{"/bin/sh", "-c", "echo 'a: b' \\\n\t# c\nexec server\n"}},
		"args":            {[]string{"/app/server"}, []string{"--verbose"}, "args: [--fast]", []string{"/app/server", "--fast"}},
		"command":         {[]string{"/app/server"}, []string{"--verbose"}, "command: [/app/other]", []string{"/app/other"}},
		"command of args": {[]string{"/app/server"}, nil, "{command: [/app/other], args: [$(PORT)]}", []string{"/app/other", "8080"}},
		"no text is one": {nil, []string{"yes", "null", "1", "~", "{a: b}", "-x", "&y", "*z", "#", "%", "@", "\x60"}, "",
			[]string{"yes", "null", "1", "~", "{a: b}", "-x", "&y", "*z", "#", "%", "@", "\x60"}},
	} {
		for _, logs := range []string{"output", "none"} {
			for _, hasShell := range []bool{true, false} {
				more := "        logs: " + logs + "\n"
				for _, line := range strings.Split(strings.Trim(c.entry, "{}"), "], ") {
					if line != "" {
						more += "        " + strings.TrimSuffix(line, "]") + "]\n"
					}
				}
				s := aStack(t, backend+more, func(w *world) {
					w.Image.Config.Entrypoint, w.Image.Config.Cmd = c.entrypoint, c.cmd
					if !hasShell {
						delete(w.Files, "/bin/sh")
					}
				})
				var tried []string
				inner := runProgram
				runProgram = func(c *exec.Cmd) error {
					if at := slices.IndexFunc(c.Args, func(arg string) bool { return strings.HasPrefix(arg, "--entrypoint=") }); at > 0 {
						tried = append([]string{strings.TrimPrefix(c.Args[at], "--entrypoint=")}, c.Args[at+2:]...)
					}
					return inner(c)
				}
				_, _, err := s.run()
				require.NoError(t, err, name)
				values, _, err := config.File(s.folder, "dev")
				require.NoError(t, err)
				app := config.Draft(s.folder, values).Workloads.Apps["backend"]
				var runs []string
				for _, word := range slices.Concat(app.Command, app.Args) {
					runs = append(runs, config.Expand(word, map[string]string{"PORT": "8080"}))
				}
				assert.Equal(t, c.want, runs, name)
				assert.Equal(t, c.want, tried, name)
				assert.Equal(t, !hasShell && logs == "output", app.Logs.Capture == config.CaptureStatic, name)
				assert.Equal(t, logs, app.Logs.From, name)
			}
		}
	}
}

// An image that a shell script cannot serve gets the program, and says what that needs.
func TestAnImageWithoutAShellIsCapturedByTheProgram(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(w *world)
		more, want string
	}{
		"no shell":      {func(w *world) { delete(w.Files, "/bin/sh") }, "", "        logs: {capture: static}\n"},
		"no PATH to it": {func(w *world) { w.Image.Config.Env = []string{"PATH=/usr/bin"} }, "", "        logs: {capture: static}\n"},
		"no mkfifo":     {func(w *world) { delete(w.Files, "/usr/bin/mkfifo") }, "", "        logs: {capture: static}\n"},
		"SIGQUIT":       {func(w *world) { w.Image.Config.StopSignal = "SIGQUIT" }, "", "        logs: {capture: static}\n"},
		"2":             {func(w *world) { w.Image.Config.StopSignal = "2" }, "", "        logs: {capture: static}\n"},
		"its fields": {func(w *world) { delete(w.Files, "/bin/sh") }, "        logs: {fields: {a: long}}\n",
			"        logs: {capture: static, fields: {a: long}}\n"},
		"its short form": {func(w *world) { delete(w.Files, "/bin/sh") }, "        logs: output\n", "        logs: {capture: static}\n"},
		"all is there":   {nil, "", ""},
		"no output":      {func(w *world) { delete(w.Files, "/bin/sh") }, "        logs: none\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := aStack(t, backend+c.more, c.change)
			file, _, err := s.run()
			require.NoError(t, err)
			_, come := changes(start+backend+c.more, file)
			if c.want == "" {
				assert.NotContains(t, strings.Join(come, ""), "capture")
				return
			}
			assert.Contains(t, come, c.want)
			assert.Contains(t, s.out.String(), "Next: make image NAME=capture STACK=dev")
		})
	}
}

func TestTheCaptureHasAnImageToo(t *testing.T) {
	s := aStack(t, backend, nil)
	s.options.Name = config.CaptureName
	file, calls, err := s.run()
	require.NoError(t, err)
	gone, come := changes(start+backend, file)
	assert.Equal(t, []string{"  expense:logging: {gibPerDay: 1} # little\n"}, gone)
	require.Len(t, come, 1)
	assert.Regexp(t, `^  expense:logging: \{captureImage: `+host+`/mine/capture:[0-9a-f]{12}-[0-9a-f]{8}@`+digestA+
		`, gibPerDay: 1\} # little\n$`, come[0])
	assert.NotContains(t, strings.Join(calls, "\n"), "docker create", "it is no app")
}

// What cannot be taken back is said beside what went wrong, and does not stop the rest.
func TestWhatStaysBehindIsSaid(t *testing.T) {
	s := aStack(t, backend, func(w *world) {
		w.Fail["docker push"], w.Fail["docker logout"] = "no space left", "Error saving credentials"
	})
	w, err := open(s.options)
	require.NoError(t, err)
	w.hosts = map[string]bool{"one": true, "two": true, "three": false}
	err = w.signOut(t.Context())
	require.ErrorContains(t, err, "docker is still signed in to one: docker logout one: exit status 1: Error saving credentials; "+
		"type: docker logout one")
	require.ErrorContains(t, err, "type: docker logout two")
	assert.NotContains(t, err.Error(), "three")
	_, _, err = s.run()
	require.ErrorContains(t, err, "no space left")
	require.ErrorContains(t, err, "Error saving credentials")

	s = aStack(t, backend, func(w *world) { w.Fail["docker rm"] = "device or resource busy" })
	_, _, err = s.run()
	require.ErrorContains(t, err, "device or resource busy")
}

// Who edits the file while the image is built loses nothing. The file may be a link, and has the rights that it had.
func TestTheFileIsWrittenAsItIsByThen(t *testing.T) {
	s := aStack(t, backend, nil)
	path, kept := filepath.Join(s.folder, "Pulumi.dev.yaml"), filepath.Join(s.folder, "kept.yaml")
	require.NoError(t, os.Rename(path, kept))
	require.NoError(t, os.Symlink("kept.yaml", path))
	require.NoError(t, os.Chmod(kept, 0o666))
	edited := strings.Replace(start+backend, "gibPerDay: 1", "gibPerDay: 2", 1)
	s.options.Pause = nil
	s.options.SignIn = func(context.Context) ([]string, error) {
		return os.Environ(), os.WriteFile(kept, []byte(edited), 0o666)
	}
	file, _, err := s.run()
	require.NoError(t, err)
	gone, come := changes(edited, file)
	assert.Empty(t, gone)
	assert.Len(t, come, 4)
	info, err := os.Lstat(kept)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o666), info.Mode())
	info, err = os.Lstat(path)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSymlink, info.Mode().Type())
	left, err := filepath.Glob(filepath.Join(s.folder, "kept.yaml.*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Each mistake has its words, and leaves all as it was.
func TestMistakesAreSaid(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(s *stack)
		change  func(w *world)
		apps    string
		want    []string
	}{
		"no docker": {prepare: func(s *stack) { s.without("docker") }, want: []string{"found no docker on PATH: install it, see https"}},
		"no aws":    {prepare: func(s *stack) { s.without("aws") }, want: []string{"found no aws on PATH: install it, see https"}},
		"no daemon": {change: func(w *world) {
			w.Fail["docker version"] = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
		}, want: []string{"its daemon does not answer", "sudo systemctl start docker"}},
		"no buildx": {change: func(w *world) {
			w.Fail["docker buildx version"] = "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information"
		}, want: []string{"found no buildx", "https://docs.docker.com/go/buildx/"}},
		"no credentials": {prepare: func(s *stack) {
			s.options.SignIn = func(context.Context) ([]string, error) { return nil, errors.New("found no credentials: sign in") }
		}, want: []string{"found no credentials: sign in"}},
		"no repository": {change: func(w *world) { w.Tags = nil },
			want: []string{"found no repository mine/backend in ECR of us-east-1, which the stack makes: pulumi up --stack dev"}},
		"may not": {change: func(w *world) {
			w.Fail["aws ecr describe-repositories"] = "An error occurred (AccessDeniedException) when calling the DescribeRepositories operation: no"
		}, want: []string{"AccessDeniedException"}},
		"another account": {prepare: func(s *stack) {
			s.write("Pulumi.dev.yaml", strings.Replace(start, "aws:region", "aws:allowedAccountIds: ['444455556666']\n  aws:region", 1)+backend)
		}, want: []string{"the credentials are of account 111122223333"}},
		"not committed": {prepare: func(s *stack) { s.write("images/backend/more", "") },
			want: []string{"images/backend has changes that are not committed", "?? images/backend/more"}},
		"not committed, and not shown": {prepare: func(s *stack) {
			s.git("config", "status.showUntrackedFiles", "no")
			s.write("images/backend/more", "")
		}, want: []string{"images/backend has changes that are not committed", "?? images/backend/more"}},
		"a folder with the stack's file": {apps: strings.Replace(backend, "images/backend", "images/..", 1),
			want: []string{"build.dir is images/.., which has Pulumi.dev.yaml in it", "allowed: a folder without it"}},
		"not in git": {prepare: func(s *stack) {
			s.write("Pulumi.dev.yaml", start+strings.Replace(backend, "images/backend", "images/new", 1))
		}, want: []string{"images/new is not in git's last commit"}},
		"a broken Dockerfile": {change: func(w *world) { w.Fail["docker buildx build"] = "ERROR: failed to solve: no such stage" },
			want: []string{"failed to solve: no such stage"}},
		"no emulator": {change: func(w *world) { w.Fail["docker buildx build"] = "exec /bin/sh: exec format error" },
			want: []string{"runs no programs of linux/amd64", "tonistiigi/binfmt"}},
		"another platform": {change: func(w *world) { w.Image.Architecture = "arm64" },
			want: []string{"the image is for linux/arm64; allowed: linux/amd64"}},
		"root": {change: func(w *world) { w.Image.Config.User = "" }, want: []string{"the image's user is root", "images/backend/Dockerfile:\n",
			"  RUN echo 'app:x:10001:10001::/:/sbin/nologin' >>/etc/passwd\n  USER 10001"}},
		"root by name": {change: func(w *world) { w.Image.Config.User = "root" }, want: []string{"the image's user is root"}},
		"root by number, in scratch": {change: func(w *world) { w.Image.Config.User, w.Files = "0:0", nil },
			want: []string{"the image's user is root; allowed: a user with a number from 1 to 65535; " +
				"add to the last stage of images/backend/Dockerfile:\n  USER 10001"}},
		"a user that is not there": {change: func(w *world) { w.Image.Config.User = "nobody" }, want: []string{`the image's USER is "nobody"`}},
		"a user too high":          {change: func(w *world) { w.Image.Config.User = "100000" }, want: []string{"is 100000; allowed: 1 to 65535"}},
		"a port that is not the entry's": {apps: backend + "        port: 9090\n",
			want: []string{"the port is 9090 in the entry, and the image's EXPOSE has 8080"}},
		"several ports": {change: func(w *world) { w.Image.Config.ExposedPorts["9090/tcp"] = struct{}{} },
			want: []string{"EXPOSE has the ports 8080 9090, and the entry none", "ports: {http: 8080}"}},
		"a low port": {change: func(w *world) { w.Image.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}} },
			want: []string{"EXPOSE has the port 80; allowed: 1024 to 65535"}},
		"no command": {change: func(w *world) { w.Image.Config.Entrypoint, w.Image.Config.Cmd = nil, nil },
			want: []string{"found neither ENTRYPOINT nor CMD"}},
		"args alone": {change: func(w *world) { w.Image.Config.Entrypoint = nil }, apps: backend + "        args: [x]\n",
			want: []string{"write the program as command"}},
		"a script that cannot run": {change: func(w *world) { delete(w.Files, "/bin/sh") }, apps: backend + "        logs: {capture: shell}\n",
			want: []string{"logs.capture is shell, and the image has no sh or no mkfifo on its PATH; allowed: static"}},
		"no login": {change: func(w *world) {
			w.Fail["docker login"] = "Error response from daemon: login attempt failed with status: 400 Bad Request"
		},
			want: []string{"400 Bad Request"}},
		"no push": {change: func(w *world) {
			w.Fail["docker push"] = "tag invalid: The image tag 'x' already exists and cannot be overwritten"
		},
			want: []string{"cannot be overwritten"}},
		"an index": {change: func(w *world) { w.MediaType = indices[0] }, want: []string{"found an index of several manifests"}},
		"no app":   {prepare: func(s *stack) { s.options.Name = "front" }, want: []string{`found no app "front" with build; allowed: backend`}},
		"both architectures": {prepare: func(s *stack) {
			s.write("Pulumi.dev.yaml", strings.Replace(start, "      one:", "      two: {amiType: AL2023_ARM_64_STANDARD}\n      one:", 1)+backend)
		}, want: []string{"found node groups of amd64 and arm64 without taints", "NO_SCHEDULE"}},
		"a file that cannot be edited": {prepare: func(s *stack) {
			s.write("Pulumi.dev.yaml", start+backend+"        image: >-\n          a\n          b\n")
		}, want: []string{"Pulumi.dev.yaml: config.expense:workloads.apps.backend.image: cannot be set",
			"write by hand:\n  config.expense:workloads.apps.backend: image: \"\""}},
		"a line that cannot be edited": {prepare: func(s *stack) {
			s.write("Pulumi.dev.yaml", "x: &x {from: output}\n"+start+backend+"        logs: *x\n")
		}, change: func(w *world) { delete(w.Files, "/bin/sh") }, want: []string{"backend.logs.capture: found no map logs; write by hand:\n" +
			"  config.expense:workloads.apps.backend: image: \"\"\n  config.expense:workloads.apps.backend: command: [/app/server, --verbose]\n",
			"\n  config.expense:workloads.apps.backend.logs: capture: static"}},
		"no stack": {prepare: func(s *stack) { s.options.Stack = "none" }, want: []string{"found no file Pulumi.none.yaml"}},
		"no region": {prepare: func(s *stack) {
			s.write("Pulumi.dev.yaml", strings.Replace(start, "  aws:region: us-east-1\n", "", 1)+backend)
		},
			want: []string{"found no aws:region"}},
		"a build that is none": {prepare: func(s *stack) { s.write("Pulumi.dev.yaml", start+"      backend: {build: {folder: x}}\n") },
			want: []string{"workloads.apps.backend.build.folder: found an unknown key"}},
	} {
		t.Run(name, func(t *testing.T) {
			apps := backend
			if c.apps != "" {
				apps = c.apps
			}
			s := aStack(t, apps, c.change)
			if c.prepare != nil {
				c.prepare(s)
			}
			before, err := os.ReadFile(filepath.Join(s.folder, "Pulumi.dev.yaml"))
			require.NoError(t, err)
			file, calls, err := s.run()
			require.Error(t, err)
			for _, want := range c.want {
				assert.Contains(t, err.Error(), want)
			}
			assert.Equal(t, string(before), file)
			all := strings.Join(calls, "\n")
			assert.Equal(t, strings.Count(all, "docker create"), strings.Count(all, "docker rm --force"), "a container stayed: %s", all)
			if strings.Contains(name, "edited") {
				assert.NotContains(t, all, "docker push")
			}
			if strings.Contains(all, "docker login") && name != "no login" {
				assert.Contains(t, all, "docker logout "+host)
			}
		})
	}
}

// without takes a program from PATH.
func (s *stack) without(name string) {
	require.NoError(s.t, os.Remove(filepath.Join(os.Getenv("PATH"), name)))
}
