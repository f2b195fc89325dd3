package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const variableNames = "an environment variable's name: letters, digits and '_', not starting with a digit"

// most is the size of a ConfigMap and of a Secret (https://kubernetes.io/docs/concepts/configuration/configmap/).
const mostData = 1 << 20

// mostVariable is the size of one variable with its name (MAX_ARG_STRLEN in https://man7.org/linux/man-pages/man2/execve.2.html).
const mostVariable = 128<<10 - 1

// SecretAsEnv and SecretAsFile are the values of App.Secrets.
const (
	SecretAsEnv  = "env"
	SecretAsFile = "file"
)

// reference is a variable in a value, or an escaped dollar
// (https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
var reference = regexp.MustCompile(`\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// ownVariables are those that the program sets for an app, each with its reason.
func (a App) ownVariables() map[string]string {
	out := map[string]string{}
	if len(a.Ports) > 0 {
		out["PORT"] = "the checked port"
	}
	if a.Logs.From != LogsNone {
		for _, name := range []string{"LOG_DIR", "LOG_GENERATIONS", "LOG_MAX_BYTES"} {
			out[name] = "where and how logs are written"
		}
	}
	if len(a.IAM) > 0 {
		for _, name := range []string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_REGION"} {
			out[name] = "how SDKs find the role of iam"
		}
	}
	return out
}

// environment checks the variables, in plain text and from secrets.
func (r *report) environment(at string, a App) {
	own := a.ownVariables()
	name := func(where, name string) {
		switch why, taken := own[name]; {
		case !variableName.MatchString(name) || len(name) > 253:
			r.add(where, "this name", variableNames, "")
		case taken:
			r.add(where, "a variable that the program sets: "+why, "other names than "+strings.Join(slices.Sorted(maps.Keys(own)), ", "), "")
		}
	}
	known := maps.Clone(own)
	maps.DeleteFunc(known, func(name, _ string) bool { return strings.HasPrefix(name, "LOG_") }) // listed last
	if a.LeftOut() {
		known["PORT"] = ""
	}
	for _, key := range slices.Sorted(maps.Keys(a.Secrets)) {
		where := child(at+".secrets", key)
		if oneOf(r, where, a.Secrets[key], []string{SecretAsEnv, SecretAsFile}) && a.Secrets[key] == SecretAsEnv {
			name(where, key)
			known[key] = ""
			if _, twice := a.Env[key]; twice {
				r.add(child(at+".env", key), "a variable that secrets has too", "a name in one of the two", "")
			}
		}
	}
	for key := range a.Env {
		known[key] = ""
	}
	for _, key := range slices.Sorted(maps.Keys(a.Env)) {
		where, value := child(at+".env", key), a.Env[key]
		name(where, key)
		if len(key)+len("=")+len(value) > mostVariable || strings.ContainsRune(value, 0) {
			r.add(where, fmt.Sprintf("a value of %d bytes", len(value)), "up to 128 KiB with its name, without the character NUL", "use files")
		}
		for _, other := range references(value) {
			if _, is := known[other]; !is {
				r.add(where, "$("+other+"), which is no variable", "$(NAME) of another variable of env or of a secret with env",
					"write $$("+other+") for the text")
			}
		}
		if leadsTo(a.Env, key, key, map[string]bool{}) {
			r.add(where, quote(value)+", which leads back to "+key, "variables that do not refer to each other in a circle", "")
		}
	}
}

// references are the names of the variables in a value.
func references(value string) (names []string) {
	for _, m := range reference.FindAllStringSubmatch(value, -1) {
		if m[1] != "" {
			names = append(names, m[1])
		}
	}
	return names
}

// leadsTo says whether the value of a variable refers to the goal, also by others.
func leadsTo(env map[string]string, from, goal string, seen map[string]bool) bool {
	if seen[from] {
		return false
	}
	seen[from] = true
	return slices.ContainsFunc(references(env[from]), func(next string) bool { return next == goal || leadsTo(env, next, goal, seen) })
}

// place is a path in a container where something is mounted. setting is empty for what the program mounts.
type place struct {
	path, setting string
	// closed has nothing of others in it: a file, or a folder that nobody can write to.
	closed bool
}

// places are the mounts of an app.
func (a App) places(at, name string) (out []place) {
	for _, file := range slices.Sorted(maps.Keys(a.Files)) {
		out = append(out, place{file, child(at+".files", file), true})
	}
	tmp := false
	for i, w := range a.Writable {
		out = append(out, place{w.Path, fmt.Sprintf("%s.writable[%d].path", at, i), false})
		tmp = tmp || w.Path == "/tmp"
	}
	if !tmp {
		out = append(out, place{path: "/tmp"})
	}
	switch a.Logs.From {
	case LogsFiles:
		out = append(out, place{path: a.Logs.Dir, setting: at + ".logs.dir"})
	case LogsOutput:
		out = append(out, place{path: "/var/log/output"}, place{"/opt/fluentd", "", true}, place{"/opt/capture", "", true})
	}
	if slices.Contains(slices.Collect(maps.Values(a.Secrets)), SecretAsFile) {
		out = append(out, place{"/var/run/secrets/" + name, "", true})
	}
	return append(out, place{"/var/run/secrets/aws.identity", "", true}, place{"/var/run/secrets/pods.eks.amazonaws.com", "", true})
}

// content checks files and folders, and that none is in the way of another.
func (r *report) content(at, name string, a App) {
	size := 0
	for _, file := range slices.Sorted(maps.Keys(a.Files)) {
		where, f := child(at+".files", file), a.Files[file]
		r.absolute(where, file)
		content, source := r.given[where+".content"], r.given[where+".source"]
		switch {
		case content && source:
			r.add(where, "content and source", "one of the two", "")
		case !content && !source && r.given[where]:
			r.add(where, "nothing", "content or source", "")
		case !utf8.ValidString(f.Content):
			r.add(where, "bytes that are not UTF-8", "text", "put other files into the image")
		}
		size += len(f.Content)
	}
	if size > mostData {
		r.add(at+".files", fmt.Sprintf("%d bytes in all", size), "up to 1 MiB", "put larger files into the image")
	}
	for i, w := range a.Writable {
		where := fmt.Sprintf("%s.writable[%d]", at, i)
		if r.require(where+".path", "the absolute path of a folder", "") {
			r.absolute(where+".path", w.Path)
		}
		r.between(where+".sizeMiB", w.SizeMiB, 1, 65536, " MiB")
	}
	places := a.places(at, name)
	for _, command := range [][]string{a.Command, a.Release} {
		for _, p := range places {
			if len(command) > 0 && p.setting != "" && p.path != "" && strings.HasPrefix(path.Clean(command[0]), p.path+"/") {
				r.add(p.setting, p.path+", which hides "+quote(command[0])+" of the image", "folders without the image's programs", "")
			}
		}
	}
	for i, p := range places {
		for _, q := range places[:i] {
			r.apart(p, q)
		}
	}
}

// apart notes a place that is also another, or in one that is closed.
func (r *report) apart(p, q place) {
	setting := func(a, b place) string { return cmp.Or(a.setting, b.setting) }
	if p.path == q.path && setting(p, q) != "" {
		r.add(setting(p, q), "a path where something else is mounted", "each path once", "")
	}
	for _, pair := range [][2]place{{p, q}, {q, p}} {
		inner, outer := pair[0], pair[1]
		if outer.closed && strings.HasPrefix(inner.path, outer.path+"/") && setting(inner, outer) != "" {
			r.add(setting(inner, outer), inner.path+" in "+outer.path+", where nothing else can be", "paths that are not in each other's way", "")
		}
	}
}

// absolute checks a path in a container. A runtime mounts nothing in /proc
// (https://github.com/opencontainers/runc/blob/v1.3.3/libcontainer/rootfs_linux.go, checkProcMount), /sys is read-only, and what is over
// /dev hides its devices.
func (r *report) absolute(at, p string) {
	const allowed = "an absolute path without a slash at its end, '..' and ':', not /dev, and not in /proc or /sys"
	for _, kernel := range []string{"/proc", "/sys"} {
		if p == kernel || strings.HasPrefix(p, kernel+"/") {
			r.add(at, quote(p), allowed, "")
		}
	}
	// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container: no ':'.
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || p == "/dev" || strings.ContainsAny(p, ":\x00") || len(p) > 4095 {
		r.add(at, quote(p), allowed, "")
	}
}

// sources reads the files with a source. project is the folder of the stack's file.
func (r *report) sources(c *Config, project string) {
	for _, name := range slices.Sorted(maps.Keys(c.Workloads.Apps)) {
		files := c.Workloads.Apps[name].Files
		for _, file := range slices.Sorted(maps.Keys(files)) {
			at := child(child(appsPath, name)+".files", file) + ".source"
			if f := files[file]; r.given[at] && r.ok(at) {
				f.Content = r.read(at, project, f.Source)
				files[file] = f
			}
		}
	}
}

// read reads a text file in the project. Links that lead out of it are not followed.
func (r *report) read(at, project, name string) string {
	const allowed = "the path of a text file of up to 1 MiB, in the folder of the stack's file"
	if !filepath.IsLocal(name) || strings.Contains(name, `\`) {
		r.add(at, quote(name), allowed, "")
		return ""
	}
	root, err := os.OpenRoot(project)
	if err != nil {
		r.add(at, quote(name)+", and no folder of the stack's file", allowed, "")
		return ""
	}
	defer root.Close()
	info, err := fs.Stat(root.FS(), path.Clean(name))
	switch {
	case err != nil:
		r.add(at, quote(name)+", which cannot be read", allowed, "")
		return ""
	case !info.Mode().IsRegular():
		r.add(at, quote(name)+", which is no file", allowed, "")
		return ""
	case info.Size() > mostData:
		r.add(at, fmt.Sprintf("%s, of %d bytes", quote(name), info.Size()), allowed, "")
		return ""
	}
	data, err := root.ReadFile(name)
	if err != nil {
		r.add(at, quote(name)+", which cannot be read", allowed, "")
	}
	return string(data)
}

// declared compares the secrets that apps declare with the values below expense:secrets.
func (r *report) declared(c *Config) {
	const path = "secrets"
	if !r.ok(path, appsPath) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.secretSizes)) {
		at := child(path, name)
		app, known := c.Workloads.Apps[name]
		size := 0
		for _, key := range slices.Sorted(maps.Keys(r.secretSizes[name])) {
			size += r.secretSizes[name][key]
			if _, is := app.Secrets[key]; known && !is {
				r.add(child(at, key), "a value that the app does not take", "keys of "+child(appsPath, name)+".secrets",
					"add it there as env or file, or remove it with: pulumi config rm --path '"+namespace+":"+child(at, key)+"'")
			}
		}
		if !known && name != WebName {
			r.add(at, "values, and no app of this name", "web and names of workloads.apps",
				"remove them with: pulumi config rm --path '"+namespace+":"+at+"'")
		}
		if size > mostData {
			r.add(at, fmt.Sprintf("%d bytes in all", size), "up to 1 MiB", "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Workloads.Apps)) {
		for _, key := range slices.Sorted(maps.Keys(c.Workloads.Apps[name].Secrets)) {
			if _, given := r.secretSizes[name][key]; !given {
				r.add(child(child(appsPath, name)+".secrets", key), "no value for it", "a value for each",
					"set it with: pulumi config set --secret --path '"+namespace+":"+child(child(path, name), key)+"' VALUE")
			}
		}
	}
}
