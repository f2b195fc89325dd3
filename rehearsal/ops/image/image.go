// Package image builds the images of a stack's apps for its nodes, tries them as the cluster would run them, pushes them to the stack's
// repositories, and writes into the stack's file what the program needs to know of them. It calls docker, git and the aws CLI.
//
// It was never run with a Docker daemon or on AWS: the tests have stand-ins for docker and aws that answer as is documented.
package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"expense/internal/config"

	"go.yaml.in/yaml/v3"
)

// Mode is how far a run goes.
type Mode string

const (
	// Push builds what the registry has not, tries and pushes it, and writes the settings. Without a name, Try has built and tried it.
	Push Mode = "push"
	// Try builds and tries, without AWS. It writes nothing.
	Try Mode = "try"
	// Take writes the images that the registry has, and builds nothing.
	Take Mode = "take"
	// Fill pulls the images of the settings that come by the stack's pull-through caches. It is for a network without a way out.
	Fill Mode = "fill"
)

// Options are what a run needs.
type Options struct {
	Project, Stack string
	// Name is an app or config.CaptureName, "" for Fill. Else "" is each app that the workflows build: those with build and without image.
	// They write no other setting than the image, which is for that run only. So all others have to be in the file.
	Name string
	Mode Mode
	// Out gets what is done, Progress what docker says meanwhile.
	Out, Progress io.Writer
	// SignIn gives the environment in which the aws CLI has the credentials of the stack's file.
	SignIn func(ctx context.Context) ([]string, error)
	// Pause waits between two looks at a container.
	Pause func(ctx context.Context, d time.Duration) error
}

// work is one run.
type work struct {
	Options
	settings *config.Config
	// file is the stack's file as it was read, name its name. lines are what is written into it at the end, and notes said then.
	file  []byte
	name  string
	lines []setting
	notes []string
	// platform is that of the nodes, as linux/amd64.
	platform string
	// aws is the environment of the aws CLI, nil before the first call.
	aws []string
	// hosts are the registries that docker is signed in to.
	hosts map[string]bool
}

// part is an image of the stack.
type part struct {
	name  string
	build config.Build
	// app is nil for config.CaptureName.
	app *config.App
	// image is what the settings have, at is where: a path and a key, and the key that a new one follows.
	image string
	at    setting
}

// Run does what the options say. What it writes into the stack's file, it writes at the end. again tells that an app without a name in
// the options has no repository yet: `pulumi up` makes it.
func Run(ctx context.Context, o Options) (again bool, err error) {
	w, err := open(o)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, w.signOut(ctx)) }()
	if o.Mode == Fill {
		return false, w.fill(ctx)
	}
	parts, err := w.parts()
	if err != nil {
		return false, err
	}
	if o.Mode != Take && len(parts) > 0 {
		if err := w.findDocker(ctx); err != nil {
			return false, err
		}
	}
	for _, p := range parts {
		err := w.one(ctx, p)
		if o.Name == "" && errors.Is(err, errNoRepository) {
			w.say("%s: %v", p.name, err)
			again = true
		} else if err != nil {
			return false, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return again, w.save()
}

// taken matches the paths of the settings that a build and a trial take: the app, and what of it.
var taken = regexp.MustCompile(`^workloads\.apps(?:\.([^.[]+)|\[[^]]*\])?` +
	`(\.(?:build|command|args|user|env|files|writable|health\.|ports?|logs\.dir)\b.*)?$`)

// matters tells whether a problem is one of the image. What is wrong elsewhere is not, nor is what this is about to write: a command, a
// user, a port.
func (o Options) matters(p config.Problem) bool {
	match := taken.FindStringSubmatch(p.Path)
	switch {
	case match == nil || match[1] != "" && o.Name != "" && match[1] != o.Name:
		return false
	case match[2] == ".command" || match[2] == ".user":
		return p.Found != "nothing"
	}
	return !strings.HasPrefix(p.Found, "$(PORT), ")
}

// open reads the stack's file.
func open(o Options) (*work, error) {
	values, encrypted, err := config.File(o.Project, o.Stack)
	if err != nil {
		return nil, err
	}
	w := &work{Options: o, settings: config.Draft(o.Project, values), name: "Pulumi." + o.Stack + ".yaml", hosts: map[string]bool{}}
	if w.file, err = os.ReadFile(filepath.Join(o.Project, w.name)); err != nil {
		return nil, err
	}
	if w.settings.Account, err = config.ReadAccount(values, encrypted); err != nil {
		return nil, err
	}
	if w.settings.Region == "" {
		return nil, fmt.Errorf("%s: found no aws:region; set it with: pulumi config set aws:region us-east-1 --stack %s", w.name, o.Stack)
	}
	// What is wrong elsewhere is no matter of an image.
	var problems, ours config.Problems
	if _, err = config.ReadIn(o.Project, values, encrypted); err != nil && !errors.As(err, &problems) {
		return nil, err
	}
	for _, p := range problems {
		if o.matters(p) {
			ours = append(ours, p)
		}
	}
	if len(ours) > 0 {
		return nil, ours
	}
	switch architectures := w.settings.Cluster.Architectures(); len(architectures) {
	case 0:
		return nil, fmt.Errorf("%s: found no node group without taints, which an app's pods need", w.name)
	case 1:
		w.platform = "linux/" + architectures[0]
	default:
		return nil, fmt.Errorf("%s: found node groups of %s without taints, and an app's pods may be on each; allowed: one architecture; "+
			"give the groups of the other a taint of NO_SCHEDULE, or build an image of both elsewhere and write it as the app's image", w.name,
			strings.Join(architectures, " and "))
	}
	return w, nil
}

// part is the image of a name.
func (w *work) part(name string) part {
	if name == config.CaptureName {
		at := setting{path: []string{"config", "expense:logging"}, key: "captureImage", after: "image"}
		build := config.Build{Dir: "logging/capture", Dockerfile: "Dockerfile"}
		return part{name: name, build: build, image: w.settings.Logging.CaptureImage, at: at}
	}
	app := w.settings.Workloads.Apps[name]
	at := setting{path: []string{"config", "expense:workloads", "apps", name}, key: "image", after: "build"}
	return part{name: name, build: app.Build, app: &app, image: app.Image, at: at}
}

// parts are the images of this run.
func (w *work) parts() (out []part, err error) {
	var built, captured []string
	for _, name := range slices.Sorted(maps.Keys(w.settings.Workloads.Apps)) {
		app := w.settings.Workloads.Apps[name]
		if app.Build.Wanted() {
			built = append(built, name)
		}
		if app.Logs.From == config.LogsOutput && app.Logs.Capture == config.CaptureStatic {
			captured = append(captured, name)
		}
	}
	switch {
	case w.Name == config.CaptureName || slices.Contains(built, w.Name):
		return []part{w.part(w.Name)}, nil
	case w.Name != "":
		return nil, fmt.Errorf("%s: found no app %q with build; allowed: %s", w.name, w.Name,
			strings.Join(append(built, config.CaptureName), ", "))
	}
	if len(captured) > 0 && len(built) > 0 {
		built = append(built, config.CaptureName)
	}
	for _, name := range built {
		out = append(out, w.part(name))
	}
	return out, nil
}

// one does all for one image.
func (w *work) one(ctx context.Context, p part) error {
	tag, err := w.tag(ctx, p.build)
	if err != nil {
		return err
	}
	local := w.settings.Cluster.Repository(p.name) + ":" + tag
	if w.Name == "" && p.image != "" {
		if strings.Contains(p.image, ":"+tag+"@") {
			w.say("%s: its image is of what %s is.", p.name, p.build.Dir)
			return nil
		}
		w.say("%s: %s is no longer what its image %s was built of. Build it with: make image NAME=%s STACK=%s; or remove the line, "+
			"and the workflow builds it.", p.name, p.build.Dir, p.image, p.name, w.Stack)
		if w.Mode != Try {
			return nil
		}
	}
	if w.Mode == Try {
		_, err := w.make(ctx, p, local)
		return err
	}
	// Before anything is begun: what cannot be written is not pushed. A line without a value can be typed before.
	line := p.at
	line.value = ""
	if err := w.editable(line); err != nil {
		return err
	}
	r, err := w.repository(ctx, p.name)
	if err != nil {
		return err
	}
	digest, err := w.digest(ctx, r, tag)
	if err != nil {
		return err
	}
	if w.Mode == Take {
		if digest == "" {
			if tag, digest, err = w.newest(ctx, r); err != nil || digest == "" {
				w.say("%s: no image of %s is pushed yet.", p.name, p.build.Dir)
				return err
			}
			w.say("%s: %s as it is here has no image yet. This takes the newest, %s.", p.name, p.build.Dir, tag)
		}
		w.write(p, nil, r.URI+":"+tag+"@"+digest)
		return nil
	}
	var lines []setting
	if digest == "" {
		if w.Name == "" {
			lines, err = w.made(ctx, p, local)
		} else {
			lines, err = w.make(ctx, p, local)
		}
		if err == nil {
			err = w.editable(append([]setting{line}, lines...)...)
		}
		if err == nil {
			digest, err = w.push(ctx, r, local, tag)
		}
	} else {
		w.say("%s: %s has the tag %s already. This takes its image.", p.name, r.Name, tag)
		lines, err = w.known(ctx, p, r, digest)
	}
	if err != nil {
		return err
	}
	w.write(p, lines, r.URI+":"+tag+"@"+digest)
	return nil
}

// editable tells what of the lines cannot be written.
func (w *work) editable(lines ...setting) error {
	if _, err := edit(w.file, lines...); err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	return nil
}

// make builds an image and tries it. It gives what the settings lack.
func (w *work) make(ctx context.Context, p part, local string) ([]setting, error) {
	if err := w.build(ctx, p.build, local); err != nil {
		return nil, err
	}
	lines, err := w.made(ctx, p, local)
	if err != nil || p.app == nil {
		return nil, err
	}
	return lines, w.try(ctx, p, local)
}

// made gives what the settings lack of an image that is built and tried. A workflow does that before it has credentials: nothing that a
// Dockerfile runs is then beside them, and what is pushed is what was tried.
func (w *work) made(ctx context.Context, p part, local string) ([]setting, error) {
	i, err := w.inspect(ctx, local)
	if said(err, "No such image") { // https://github.com/moby/moby/blob/03885e1b/daemon/images/image.go (ErrImageDoesNotExist)
		return nil, fmt.Errorf("found no image %s; build it first, without credentials, with the mode try: %w", local, err)
	}
	if err != nil || p.app == nil {
		return nil, err
	}
	return w.complete(ctx, p, i)
}

// known gives what the settings lack of an image that is pushed. It is pulled, unless the settings were written for it.
func (w *work) known(ctx context.Context, p part, r repository, digest string) ([]setting, error) {
	if p.app == nil || strings.HasSuffix(p.image, "@"+digest) && p.app.User != 0 && len(p.app.Command) > 0 {
		return nil, nil
	}
	reference := r.URI + "@" + digest
	if err := w.signInTo(ctx, r); err != nil {
		return nil, err
	}
	if _, err := w.run(ctx, call{show: true}, "docker", "pull", "--platform="+w.platform, reference); err != nil {
		return nil, err
	}
	i, err := w.inspect(ctx, reference)
	if err != nil {
		return nil, err
	}
	return w.complete(ctx, p, i)
}

// write notes the image, and what else the entry lacks.
func (w *work) write(p part, lines []setting, image string) {
	p.at.value = image
	for _, line := range append([]setting{p.at}, lines...) {
		w.lines = append(w.lines, line)
		w.note("%s: %s: %s", w.name, p.name, line.line())
	}
	if w.Mode == Push && w.Name != "" {
		w.next(p, image)
	}
}

// next says what to type.
func (w *work) next(p part, image string) {
	if app := p.app; app != nil && app.Logs.From == config.LogsOutput && app.Logs.Capture == config.CaptureStatic &&
		w.settings.Logging.CaptureImage == "" {
		w.note("Next: make image NAME=%s STACK=%s, because the image has not what copies its output.", config.CaptureName, w.Stack)
	}
	w.note("Next: pulumi up --stack %s", w.Stack)
	if p.image != "" && p.image != image {
		w.note("To go back, write in its place: %s: %s", p.at.key, p.image)
		if p.app != nil && len(p.app.Release) > 0 { // A Job per image and command, of which the last one is there.
			w.note("That runs the release command of the image before once more. What this image's has changed for good, as a migration that " +
				"only goes forward, stays: see that the version before works with it.")
		}
	}
}

// save writes the file, whole or not at all, as it is by now: somebody may have edited it during the build.
func (w *work) save() error {
	path, err := filepath.EvalSymlinks(filepath.Join(w.Project, w.name))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := edit(data, w.lines...)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	if !bytes.Equal(changed, data) {
		if err := replace(path, changed); err != nil {
			return err
		}
	}
	for _, note := range w.notes {
		w.say("%s", note)
	}
	return nil
}

// replace writes a file anew, with the rights that it has.
func replace(path string, data []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	// Its rights are the owner's alone, and the umask would be taken from others.
	if err = errors.Join(err, temporary.Chmod(info.Mode().Perm()), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// given tells whether an app's entry has a key, by its path.
func (w *work) given(app string, keys ...string) bool {
	var at any
	if yaml.Unmarshal(w.file, &at) != nil {
		return false
	}
	for _, key := range append([]string{"config", "expense:workloads", "apps", app}, keys...) {
		entry, _ := at.(map[string]any)
		at = entry[key]
	}
	return at != nil
}

// note is said when the file is written.
func (w *work) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

func (w *work) say(format string, args ...any) { fmt.Fprintf(w.Out, format+"\n", args...) }
