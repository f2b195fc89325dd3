package tests

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// image is what is known of an image, as far as it decides whether what the program mounts and hands over is used.
type image struct {
	// files must still be there under the mounts: what its start needs, and what a configuration of ours names. One that
	// ends in a slash is a folder.
	files []string
	// tools are the commands on its PATH that may be used, by a script of ours too.
	tools []string
	// entrypoint is what runs where the pod has no command, with what it reads; nil if no pod may leave it to that.
	entrypoint func(t *testing.T, c container)
}

// images are the facts, by the last part of the repository's name.
var images = map[string]image{
	// github.com/nginx/docker-nginx stable/debian/Dockerfile: Debian, so dash and coreutils. No pod leaves the start to its
	// docker-entrypoint.sh, which passes over scripts in silence; conf.d is not included by our nginx.conf.
	"nginx": {
		files: []string{"/etc/nginx/mime.types", "/usr/share/nginx/html/"},
		tools: []string{"sh", "cat", "mv", "sleep", "wc", "nginx"},
	},
	// github.com/AlmaLinux/container-images Containerfiles/9/Containerfile.default: bash, coreutils-single, findutils.
	"almalinux": {tools: []string{"sh", "cat", "date", "find", "mkfifo", "mv", "rm", "sleep", "uname", "wc"}},
	// github.com/fluent/fluentd-kubernetes-daemonset docker-image/v1.19/debian-opensearch/Dockerfile and entrypoint.sh, on
	// github.com/fluent/fluentd-docker-image v1.19/debian/Dockerfile, on Docker's ruby:3.4-slim.
	"fluentd-kubernetes-daemonset": {
		files: []string{
			"/usr/bin/tini", "/fluentd/entrypoint.sh", "/fluentd/Gemfile", "/fluentd/vendor/bundle/ruby/3.4.0/", "/home/fluent/",
			"/fluentd/etc/", "/fluentd/plugins/", "/usr/lib/libjemalloc.so.2",
		},
		tools: []string{"sh", "mkdir", "touch", "ruby"},
		entrypoint: func(t *testing.T, c container) {
			// exec fluentd -c /fluentd/etc/${FLUENTD_CONF} -p /fluentd/plugins
			c.reads(t, "/fluentd/etc/"+c.env["FLUENTD_CONF"])
			// A filter of the type X is filter_X.rb there, an input in_X.rb, an output out_X.rb (github.com/fluent/fluentd v1.19.3
			// lib/fluent/registry.rb, plugin.rb).
			config, err := os.ReadFile(c.root + "/fluentd/etc/" + c.env["FLUENTD_CONF"])
			require.NoError(t, err)
			require.Equal(t, 3, strings.Count(string(config), "@type expense"))
			for _, kind := range []string{"in", "filter", "out"} {
				c.reads(t, "/fluentd/plugins/"+kind+"_expense.rb")
			}
			// Its start makes a folder in Dir.tmpdir (lib/fluent/supervisor.rb), which refuses a folder that is everybody's
			// and not sticky (github.com/ruby/ruby lib/tmpdir.rb).
			tmp, err := os.Stat(c.root + "/tmp")
			require.NoError(t, err)
			assert.NotZero(t, tmp.Mode()&fs.ModeSticky, "%s: /tmp is not sticky", c)
		},
	},
	// github.com/awslabs/aws-sigv4-proxy Dockerfile: FROM scratch, ENTRYPOINT ./aws-sigv4-proxy in /.
	"aws-sigv4-proxy": {
		files: []string{"/aws-sigv4-proxy", "/etc/ssl/certs/ca-certificates.crt"},
		entrypoint: func(t *testing.T, c container) {
			c.reads(t, "/aws-sigv4-proxy")
		},
	},
	// github.com/kubernetes/autoscaler cluster-autoscaler/Dockerfile.amd64: distroless/static, WORKDIR /. Nothing of ours is
	// mounted there: the token is its service account's, which the API server adds.
	"cluster-autoscaler": {files: []string{"/cluster-autoscaler", "/etc/ssl/certs/ca-certificates.crt"}},
	// logging/capture/Dockerfile and examples/backend/Dockerfile: FROM scratch, and nothing but the program.
	"capture": {files: []string{"/capture"}},
	"backend": {files: []string{"/backend"}},
}

// notFiles are texts in a configuration that look like a file's path.
var notFiles = []string{"/healthz"} // where nginx answers the kubelet

// stack is the Kubernetes objects of one run of the program, and where their volumes are laid out.
type stack struct {
	dir string
	// data are the contents of the config maps and secrets, by kind and name.
	data map[string]map[string]any
}

// container is one of a pod's, on the root file system that it would see: the image's files and, over them, the mounts.
type container struct {
	pod, name, root string
	image           image
	spec            map[string]any
	env             map[string]string
	command         []string // with the arguments; empty: the image's entrypoint
	mounts          map[string]mount
	// shift finds the permissions that count: the group's where the kubelet gives volumes to it, everybody's otherwise.
	shift int
}

type mount struct {
	volume   string // its folder
	readOnly bool
}

func (c container) String() string { return c.pod + ", container " + c.name }

// volume lays a volume out as the kubelet does, and says whether it is read-only by its kind. It is written by hand after
// github.com/kubernetes/kubernetes v1.35.4, to whose files the comments point: the real code would bring that module into
// the program's. One run of the real atomic writer and change of ownership gave the same names, links and modes.
func (s stack) volume(t *testing.T, dir string, spec any, volume map[string]any) (readOnly bool) {
	fsGroup := at(spec, "securityContext.fsGroup") != nil
	require.NoError(t, os.MkdirAll(dir, 0o700))
	mode := func(value any, otherwise int) fs.FileMode {
		if number, ok := value.(float64); ok {
			otherwise = int(number)
		}
		return fs.FileMode(otherwise)
	}
	files := map[string]fileOfVolume{}
	switch {
	case volume["emptyDir"] != nil:
		// pkg/volume/emptydir/empty_dir.go: 0777; a tmpfs is sticky by itself.
		bits := fs.FileMode(0o777)
		if at(volume, "emptyDir.medium") == "Memory" {
			bits |= fs.ModeSticky
		}
		require.NoError(t, os.Chmod(dir, bits))
	case volume["persistentVolumeClaim"] != nil:
		// A new ext4: root's, 0755. The driver leaves its ownership to the kubelet (github.com/kubernetes-sigs/aws-ebs-csi-driver
		// charts/aws-ebs-csi-driver/templates/csidriver.yaml, fsGroupPolicy: File).
		require.NoError(t, os.Chmod(dir, 0o755))
	case volume["configMap"] != nil || volume["secret"] != nil:
		kind, name := "configMap", at(volume, "configMap.name")
		if name == nil {
			kind, name = "secret", at(volume, "secret.secretName")
		}
		data, known := s.data[fmt.Sprint(kind, " ", name)]
		require.True(t, known, "volume %s: the program has no %s %v", volume["name"], kind, name)
		otherwise := int(mode(at(volume, kind+".defaultMode"), 0o644)) // pkg/apis/core/v1/defaults.go
		items := list(at(volume, kind+".items"))
		for _, item := range items {
			require.Contains(t, data, item["key"], "volume %s", volume["name"])
			files[fmt.Sprint(item["path"])] = fileOfVolume{fmt.Sprint(data[fmt.Sprint(item["key"])]), mode(item["mode"], otherwise)}
		}
		for key, text := range data {
			if len(items) == 0 {
				files[key] = fileOfVolume{fmt.Sprint(text), fs.FileMode(otherwise)}
			}
		}
		readOnly = true
	case volume["projected"] != nil:
		for _, source := range list(at(volume, "projected.sources")) {
			require.NotNil(t, source["serviceAccountToken"], "volume %s: only tokens are laid out here", volume["name"])
			bits := fs.FileMode(0o644)
			if fsGroup { // pkg/volume/projected/projected.go, collectData
				bits = 0o600
			}
			files[fmt.Sprint(at(source, "serviceAccountToken.path"))] = fileOfVolume{"token", bits}
		}
		readOnly = true
	default:
		require.Fail(t, "unknown volume", "%v: how does the kubelet lay it out?", volume)
	}
	if readOnly {
		writeAtomically(t, dir, files)
	}
	if fsGroup {
		giveToGroup(t, dir, readOnly)
	}
	return readOnly
}

type fileOfVolume struct {
	text string
	mode fs.FileMode
}

// writeAtomically is pkg/volume/util/atomic_writer.go: the files are in a hidden folder, the names are links.
func writeAtomically(t *testing.T, dir string, files map[string]fileOfVolume) {
	require.NoError(t, os.Chmod(dir, 0o777)) // the emptyDir around it
	hidden, err := os.MkdirTemp(dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	require.NoError(t, err)
	require.NoError(t, os.Chmod(hidden, 0o755))
	require.NoError(t, os.Symlink(filepath.Base(hidden), filepath.Join(dir, "..data")))
	for name, file := range files {
		require.NotContains(t, name, "/", "a path of several parts is not laid out here")
		full := filepath.Join(hidden, name)
		require.NoError(t, os.WriteFile(full, []byte(file.text), 0o600))
		require.NoError(t, os.Chmod(full, file.mode))
		require.NoError(t, os.Symlink("..data/"+name, filepath.Join(dir, name)))
	}
}

// giveToGroup is pkg/volume/volume_linux.go, changeFilePermission, without the change of the group itself.
func giveToGroup(t *testing.T, dir string, readOnly bool) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mask := fs.FileMode(0o660)
		if readOnly {
			mask = 0o440
		}
		if entry.IsDir() {
			mask |= 0o110 | fs.ModeSetgid
		}
		return os.Chmod(path, info.Mode()|mask)
	}))
}

// newContainer mounts a pod's volumes over the image's files. A mounted folder is a link to the volume's, and a mounted file
// is the file itself under another name, which is what a bind mount comes to for who opens it.
func newContainer(t *testing.T, root, pod string, podSpec any, spec map[string]any, volumes map[string]mount) container {
	facts, known := images[repositoryOf(spec["image"])]
	require.True(t, known, "%s, container %s: nothing is known of the image %v", pod, spec["name"], spec["image"])
	c := container{pod: pod, name: fmt.Sprint(spec["name"]), root: root, image: facts, spec: spec, env: map[string]string{},
		mounts: map[string]mount{}}
	if at(podSpec, "securityContext.fsGroup") != nil {
		c.shift = 3
	}
	for _, variable := range list(spec["env"]) {
		if variable["value"] != nil {
			c.env[fmt.Sprint(variable["name"])] = fmt.Sprint(variable["value"])
		}
	}
	c.command = append(words(spec["command"]), words(spec["args"])...)
	for _, file := range facts.files {
		if strings.HasSuffix(file, "/") {
			require.NoError(t, os.MkdirAll(root+file, 0o755))
			continue
		}
		require.NoError(t, os.MkdirAll(path.Dir(root+file), 0o755))
		require.NoError(t, os.WriteFile(root+file, []byte("of the image"), 0o755))
	}
	for _, m := range list(spec["volumeMounts"]) {
		where := fmt.Sprint(m["mountPath"])
		for other := range c.mounts {
			require.False(t, strings.HasPrefix(where+"/", other+"/") || strings.HasPrefix(other+"/", where+"/"),
				"%s: %s and %s are mounted in one another", c, where, other)
		}
		volume, known := volumes[fmt.Sprint(m["name"])]
		require.True(t, known, "%s: no volume %v", c, m["name"])
		c.mounts[where] = mount{volume: volume.volume, readOnly: volume.readOnly || m["readOnly"] == true}
		source := volume.volume
		if sub, ok := m["subPath"].(string); ok {
			source = filepath.Join(source, sub)
		}
		resolved, err := filepath.EvalSymlinks(source) // the kubelet binds what the path leads to
		if !assert.NoError(t, err, "%s: %s: the kubelet would make a folder of root's", c, where) {
			continue
		}
		info, err := os.Stat(resolved)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(path.Dir(root+where), 0o755))
		require.NoError(t, os.RemoveAll(root+where))
		if info.IsDir() {
			require.NoError(t, os.Symlink(resolved, root+where))
		} else {
			require.NoError(t, os.Link(resolved, root+where))
		}
	}
	for _, file := range facts.files {
		_, err := os.Stat(root + file)
		assert.NoError(t, err, "%s: a mount covers the image's %s", c, file)
	}
	return c
}

// repositoryOf is the last part of an image's repository.
func repositoryOf(image any) string {
	return path.Base(imageVersion.ReplaceAllString(fmt.Sprint(image), ""))
}

var imageVersion = regexp.MustCompile(`(:[^:/@]+)?(@.*)?$`)

func words(value any) []string {
	items, _ := value.([]any)
	var out []string
	for _, item := range items {
		out = append(out, fmt.Sprint(item))
	}
	return out
}

// under is the mount that a path is in.
func (c container) under(file string) (mount, bool) {
	for where, m := range c.mounts {
		if strings.HasPrefix(file+"/", where+"/") {
			return m, true
		}
	}
	return mount{}, false
}

// allowed says whether the container's user may do what the bits (4 read, 2 write, 1 execute or enter) say with a file of a
// volume, and get there.
func (c container) allowed(t *testing.T, m mount, file string, bits fs.FileMode) bool {
	resolved, err := filepath.EvalSymlinks(file)
	require.NoError(t, err)
	for ; ; bits, resolved = 1, filepath.Dir(resolved) {
		info, err := os.Stat(resolved)
		require.NoError(t, err)
		if info.Mode().Perm()>>c.shift&bits != bits {
			return false
		}
		// A file that is mounted by itself is reached without the volume's folders.
		if resolved == m.volume || !strings.HasPrefix(resolved, m.volume+"/") {
			return true
		}
	}
}

// reads fails unless the container has a regular file there which it may read.
func (c container) reads(t *testing.T, file string) {
	info, err := os.Stat(c.root + file)
	if assert.NoError(t, err, "%s", c) && assert.True(t, info.Mode().IsRegular(), "%s: %s is no file", c, file) {
		if m, mounted := c.under(file); mounted {
			assert.True(t, c.allowed(t, m, c.root+file, 4), "%s: %s may not be read", c, file)
		}
	}
}

// absolute are the paths in a command, a value, a script or a configuration.
var absolute = regexp.MustCompile(`(^|[\s"'=;,(>])(/[A-Za-z0-9._][A-Za-z0-9._/-]*)`)

// paths are the paths that the program gives a container: in its command, environment and probes, and in mounted scripts and
// configurations. Ruby and JSON files are not searched, because their paths come from the environment and the arguments.
func (c container) paths(t *testing.T) []string {
	texts := slices.Concat(c.command, slices.Collect(maps.Values(c.env)))
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		texts = append(texts, words(at(c.spec, probe+".exec.command"))...)
	}
	for where := range c.mounts {
		inFolder, err := filepath.Glob(c.root + where + "/*")
		require.NoError(t, err)
		for _, file := range append(inFolder, c.root+where) {
			if ext := path.Ext(file); ext == ".sh" || ext == ".conf" {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				texts = append(texts, commentLine.ReplaceAllString(string(text), ""))
			}
		}
	}
	found := map[string]bool{}
	for _, text := range texts {
		for _, match := range absolute.FindAllStringSubmatch(text, -1) {
			found[strings.TrimSuffix(match[2], "/")] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

var commentLine = regexp.MustCompile(`(?m)^\s*#.*$`)

// has fails unless the container has a path or can make it: the root file system is read-only and the user is nobody's, so
// what is not in a mount must be the image's.
func (c container) has(t *testing.T, file string) {
	if strings.HasPrefix(file, "/dev/") || strings.HasPrefix(file, "/proc/") || slices.Contains(notFiles, file) {
		return // The runtime mounts these two in every container.
	}
	m, mounted := c.under(file)
	if !mounted {
		assert.True(t, slices.ContainsFunc(c.image.files, func(f string) bool { return strings.TrimSuffix(f, "/") == file }),
			"%s: %s is in no mount, and the image is not known to have it", c, file)
		return
	}
	at, missing := c.root+file, false
	for _, err := os.Stat(at); err != nil; _, err = os.Stat(at) {
		at, missing = path.Dir(at), true
	}
	info, err := os.Stat(at)
	require.NoError(t, err)
	bits := fs.FileMode(4)
	if info.IsDir() {
		bits |= 1
	}
	if m.readOnly {
		assert.False(t, missing, "%s: %s is not there, and its mount is read-only", c, file)
	} else if info.IsDir() || info.Mode()&0o111 == 0 { // a program is run
		bits |= 2
	}
	assert.True(t, c.allowed(t, m, at, bits), "%s: %s has the mode %v: its user may not use it", c, file, info.Mode())
}

// inside is a text with the paths below the mounts as this machine knows them.
func (c container) inside(text string) string {
	return absolute.ReplaceAllStringFunc(text, func(match string) string {
		parts := absolute.FindStringSubmatch(match)
		if _, mounted := c.under(parts[2]); mounted {
			return parts[1] + c.root + parts[2]
		}
		return match
	})
}

// run is a command as the container would run it: with its environment, and with no other commands than its image has.
func (c container) run(t *testing.T, command []string) *exec.Cmd {
	bin := t.TempDir()
	for _, tool := range c.image.tools {
		if tool == "nginx" || tool == "ruby" {
			continue
		}
		there, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(there, filepath.Join(bin, tool)))
	}
	// In nginx's place: says where it is, as nginx.conf asks it to, and hears USR1.
	stand := "#!/bin/sh\ntrap 'echo reopened >\"$NGINX_PID_FILE.reopened\"' USR1\necho $$ >\"$NGINX_PID_FILE\"\nwhile :; do sleep 0.1; done\n"
	if slices.Contains(c.image.tools, "nginx") {
		require.NoError(t, os.WriteFile(filepath.Join(bin, "nginx"), []byte(stand), 0o755))
	}
	args := make([]string, len(command))
	for i, word := range command {
		args[i] = c.inside(word)
		if slices.Contains(c.image.files, word) {
			args[i] = c.root + word
		}
	}
	if !strings.Contains(command[0], "/") {
		require.Contains(t, c.image.tools, command[0], "%s: is it on the image's PATH?", c)
		args[0] = filepath.Join(bin, command[0])
	}
	out := exec.Command(args[0], args[1:]...)
	out.Env = []string{"PATH=" + bin, "HOSTNAME=" + c.name, "LOG_CHECK_SECONDS=0.1", "NGINX_PID_FILE=" + c.root + "/tmp/nginx.pid"}
	for name, value := range c.env {
		out.Env = append(out.Env, name+"="+c.inside(value))
	}
	out.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() {
		if out.Process != nil {
			_ = syscall.Kill(-out.Process.Pid, syscall.SIGKILL)
			_ = out.Wait()
		}
	})
	return out
}

// pods lays out every pod of the program with everything on, up to the point where its containers start.
func pods(t *testing.T) (all []container, sizes map[string]string) {
	settings := stackFile(t, "example")
	set(t, settings, "expense:logging.dashboards.enabled", true)
	registrations, err := run(t, "example", settings)
	require.NoError(t, err)
	s, sizes := stack{dir: t.TempDir(), data: map[string]map[string]any{}}, map[string]string{}
	for _, r := range registrations {
		name := at(r.Inputs, "metadata.name")
		if name == nil {
			name = r.Name + "-0123abcd" // the recorder's
		}
		switch r.Type {
		case "kubernetes:core/v1:ConfigMap":
			s.data[fmt.Sprint("configMap ", name)], _ = r.Inputs["data"].(map[string]any)
		case "kubernetes:core/v1:Secret":
			s.data[fmt.Sprint("secret ", name)], _ = r.Inputs["stringData"].(map[string]any)
		}
	}
	for i, r := range registrations {
		spec := podSpec(r)
		if spec == nil {
			continue
		}
		volumes := map[string]mount{}
		for _, v := range list(at(spec, "volumes")) {
			name := fmt.Sprint(v["name"])
			dir := filepath.Join(s.dir, strconv.Itoa(i), "volumes", name)
			volumes[name] = mount{volume: dir, readOnly: s.volume(t, dir, spec, v)}
			if size, ok := at(v, "emptyDir.sizeLimit").(string); ok {
				sizes[dir] = size
			}
		}
		// In the order of their start, as each finds what those before it have made.
		for _, described := range slices.Concat(list(at(spec, "initContainers")), list(at(spec, "containers"))) {
			c := newContainer(t, filepath.Join(s.dir, strconv.Itoa(i), fmt.Sprint(described["name"])), r.String(), spec, described, volumes)
			all = append(all, c)
			if c.name == "capture" {
				require.NoError(t, os.Remove(c.root+"/capture"))
				build := exec.Command("go", "build", "-o", c.root+"/capture", "../logging/capture")
				build.Env = append(os.Environ(), "CGO_ENABLED=0")
				said, err := build.CombinedOutput()
				require.NoError(t, err, "%s: %s", c, said)
			}
			if c.name == "log-files" || c.name == "capture" {
				said, err := c.run(t, c.command).CombinedOutput()
				require.NoError(t, err, "%s: %s", c, said)
			}
		}
	}
	return all, sizes
}

// Mounts agree with images: every file that the program gives a container exists and may be used by the container's user, and no mount
// covers a file that the image needs.
func TestEveryContainerFindsWhatItIsTold(t *testing.T) {
	all, _ := pods(t)
	known, mounts, named := map[string]bool{}, 0, 0
	for _, c := range all {
		known[repositoryOf(c.spec["image"])] = true
		mounts += len(c.mounts)
		for _, file := range c.paths(t) {
			c.has(t, file)
			named++
		}
		switch {
		case len(words(c.spec["command"])) == 0:
			if assert.NotNil(t, c.image.entrypoint, "%s: it has no command, and what its image's entrypoint does is not known", c) {
				c.image.entrypoint(t, c)
			}
		case strings.Contains(c.command[0], "/"):
			c.reads(t, path.Join("/", c.command[0])) // all of the images with such a command start in /
		default:
			assert.Contains(t, c.image.tools, c.command[0], "%s: is it on the image's PATH?", c)
		}
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(images)), slices.Collect(maps.Keys(known)), "the facts and the images in use")
	assert.GreaterOrEqual(t, len(all), 13, "containers")
	t.Logf("%d containers of %d images, %d mounts, %d paths", len(all), len(known), mounts, named)
}

// The scripts that are files `make lint` checks; these are part of a container's command or probe.
func TestTheScriptsInPodsAreLinted(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not on PATH")
	}
	all, _ := pods(t)
	scripts := map[string]string{}
	for _, c := range all {
		for _, command := range [][]string{
			c.command, words(at(c.spec, "livenessProbe.exec.command")), words(at(c.spec, "readinessProbe.exec.command")),
			words(at(c.spec, "startupProbe.exec.command")),
			words(at(c.spec, "lifecycle.preStop.exec.command")),
		} {
			if len(command) > 2 && command[0] == "sh" && strings.HasPrefix(command[1], "-") && strings.HasSuffix(command[1], "c") {
				scripts[command[2]] = c.String()
			}
		}
	}
	require.Len(t, scripts, 2, "the sidecar's and alma's")
	for script, where := range scripts {
		lint := exec.Command("shellcheck", "--shell=sh", "-")
		lint.Stdin = strings.NewReader(script)
		said, err := lint.CombinedOutput()
		assert.NoError(t, err, "%s: %s", where, said)
	}
}

// Whoever is told to rotate does so, once it is started as the kubelet starts it; and the volume holds twice what is left.
func TestEveryLogIsRotatedByWhatTheContainerRuns(t *testing.T) {
	all, sizes := pods(t)
	rotated := 0
	for _, c := range all {
		if c.env["LOG_MAX_BYTES"] == "" {
			continue
		}
		if !assert.NotEmpty(t, c.command, "%s: nothing of ours is started", c) {
			continue
		}
		most, err := strconv.ParseInt(c.env["LOG_MAX_BYTES"], 10, 64)
		require.NoError(t, err)
		logs, err := filepath.Glob(c.root + c.env["LOG_DIR"] + "/*.log")
		require.NoError(t, err)
		require.NotEmpty(t, logs, "%s: no file was made before its start", c)
		for _, log := range logs {
			require.NoError(t, os.Truncate(log, most+1))
		}
		for _, file := range c.image.files {
			if slices.Contains(c.command, file) { // in the application's place
				require.NoError(t, os.WriteFile(c.root+file, []byte("#!/bin/sh\nwhile :; do echo line; sleep 0.1; done\n"), 0o755))
			}
		}
		command := c.run(t, c.command)
		require.NoError(t, command.Start())
		for _, log := range logs {
			require.Eventually(t, func() bool { _, err := os.Stat(log + ".1"); return err == nil }, 2*time.Minute, 10*time.Millisecond,
				"%s: %s is over its limit and stays", c, filepath.Base(log))
			assert.NoFileExists(t, log+".2", "%s: rotated twice", c)
			rotated++
		}
		if slices.Contains(c.image.tools, "nginx") {
			heard := c.root + "/tmp/nginx.pid.reopened"
			require.Eventually(t, func() bool { _, err := os.Stat(heard); return err == nil }, 2*time.Minute, 10*time.Millisecond,
				"%s: it was not told", c)
		}
		if probe := words(at(c.spec, "livenessProbe.exec.command")); len(probe) > 0 {
			require.Eventually(t, func() bool { return c.run(t, probe).Run() == nil }, 2*time.Minute, 100*time.Millisecond, "%s: its probe fails", c)
		}

		volume := c.mounts[c.env["LOG_DIR"]].volume
		limit, err := strconv.ParseInt(strings.TrimSuffix(sizes[volume], "Mi"), 10, 64)
		require.NoError(t, err, "%s: %s", c, sizes[volume])
		generations, err := strconv.ParseInt(c.env["LOG_GENERATIONS"], 10, 64)
		require.NoError(t, err)
		inVolume, err := filepath.Glob(volume + "/*/*.log.1")
		require.NoError(t, err)
		assert.GreaterOrEqual(t, limit<<20, 2*most*(generations+1)*int64(len(inVolume)), "%s: what rotation leaves", c)
	}
	assert.Equal(t, 8, rotated, "two logs of nginx in three pods, and the captured output of one container with a shell and one without")
}
