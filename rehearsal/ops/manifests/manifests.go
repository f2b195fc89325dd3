// Package manifests writes the Kubernetes manifests that a person applies with kubectl as apps of a stack's file. What the words of an app
// do not have is an error that lists it, or is printed as Go.
package manifests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"expense/internal/config"
)

// Options say what is read and where it goes.
type Options struct {
	// Project is the folder of the stack's file.
	Project, Stack string
	// Path is a manifest, or a folder of manifests.
	Path string
	// Go prints Go for what the words do not have.
	Go bool
	// Secret is NAME/KEY of a Secret whose value is written to Out, and nothing else is done.
	Secret string
	Out    io.Writer
	// Image says what is known of an image.
	Image func(ctx context.Context, ref string) (Image, error)
	// Check has an API server look at the objects, which are in JSON. nil does not.
	Check func(ctx context.Context, objects []Object) error
}

// Object is an object of a manifest for the API server.
type Object struct {
	// At is its place.
	At         string
	APIVersion string
	Kind       string
	Name       string
	JSON       []byte
}

var stackName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// Run adds the entries, or says all that stops it. On an error nothing is written.
func Run(ctx context.Context, o Options) error {
	if !stackName.MatchString(o.Stack) {
		return fmt.Errorf("found the stack %q; allowed: a name of letters, digits, '-' and '_', as in STACK=dev", o.Stack)
	}
	var ps, unread problems
	objects, err := o.read(&ps, &unread)
	if err != nil {
		return err
	}
	if o.Secret != "" {
		return o.secret(objects)
	}
	if len(ps) > 0 || len(objects) == 0 {
		return append(ps, unread...).error()
	}
	name := "Pulumi." + o.Stack + ".yaml"
	values, _, err := config.File(o.Project, o.Stack)
	if err != nil {
		return err
	}
	g := &gathering{stack: config.Draft(o.Project, values), objects: objects, image: o.looker(ctx), problems: unread}
	g.gather()
	if o.Check != nil {
		if err := o.check(ctx, objects); err != nil {
			g.problems = append(g.problems, strings.Split(err.Error(), "\n")...)
		}
	}
	data, err := os.ReadFile(filepath.Join(o.Project, name))
	if err != nil {
		return err
	}
	changed := data
	if len(g.entries) > 0 && !g.twice {
		changed, err = add(data, g.entries)
		if err != nil {
			return errors.Join(g.problems.error(), err)
		}
		found, err := o.load(g, name, data, changed)
		if err != nil {
			return err
		}
		g.problems = append(g.problems, found...)
	}
	g.problems = append(g.problems, o.lacking(g)...)
	if len(g.problems) > 0 {
		return g.problems.error()
	}
	said, err := o.report(g, name)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if len(g.entries) > 0 {
		if err := write(filepath.Join(o.Project, name), changed); err != nil {
			return err
		}
	}
	_, err = io.WriteString(o.Out, said)
	return err
}

// lacking are what is not in the words, unless Go is printed for it.
func (o Options) lacking(g *gathering) (out problems) {
	helps := false
	for _, l := range g.lacks {
		inGo := g.inGo(l)
		if inGo && o.Go {
			continue
		}
		helps = helps || inGo
		line := l.o.at(l.path) + ": not in the words of an app"
		if l.why != "" {
			line += ": " + l.why
		}
		if o.Go {
			line += "; no Go is printed for it"
		}
		out = append(out, line)
	}
	if helps {
		out = append(out, "GO=1 adds the entries, and prints Go for what the words lack")
	}
	return out
}

// error is nil without problems.
func (ps problems) error() error {
	if len(ps) == 0 {
		return nil
	}
	var b strings.Builder
	for _, p := range ps {
		b.WriteString("\n  " + visible(p))
	}
	return fmt.Errorf("nothing is written; %d to correct:%s", len(ps), &b)
}

func (o Options) read(ps, unread *problems) (objects []*object, err error) {
	if o.Path == "" {
		return nil, errors.New("found no FILE: name a manifest or a folder of them, as in make from-manifests FILE=k8s STACK=dev")
	}
	names, err := files(o.Path)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if visible(name) != name {
			return nil, fmt.Errorf("found the file name %q; allowed: names that can be seen: rename it", name)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		shown := name
		if within, err := filepath.Rel(o.Project, name); err == nil && filepath.IsLocal(within) {
			shown = within
		}
		objects = append(objects, read(shown, data, ps, unread)...)
	}
	if len(objects)+len(*ps)+len(*unread) == 0 {
		return nil, fmt.Errorf("found no object in %s: FILE names manifests", o.Path)
	}
	return objects, nil
}

// secret writes one value.
func (o Options) secret(objects []*object) error {
	name, key, _ := strings.Cut(o.Secret, "/")
	for _, s := range objects {
		if s.kind == "Secret" && s.name == name {
			if value, is := texts(s)[key]; is {
				// pulumi config set takes the last line end away.
				_, err := fmt.Fprintln(o.Out, value)
				return err
			}
		}
	}
	return fmt.Errorf("found no key %q of a Secret %q in %s", key, name, o.Path)
}

func (o Options) looker(ctx context.Context) func(string) (Image, error) {
	known := map[string]func() (Image, error){}
	return func(ref string) (Image, error) {
		if known[ref] == nil {
			image, err := Image{}, errors.New("no docker")
			if o.Image != nil {
				image, err = o.Image(ctx, ref)
			}
			known[ref] = func() (Image, error) { return image, err }
		}
		return known[ref]()
	}
}

// check has the API server look at all objects.
func (o Options) check(ctx context.Context, objects []*object) error {
	var all []Object
	for _, object := range objects {
		data, err := object.json()
		if err != nil {
			return err
		}
		all = append(all, Object{object.at(""), object.apiVersion, object.kind, object.name, data})
	}
	return o.Check(ctx, all)
}

// load has the loader look at the changed file. It gives the problems that the former file had not.
func (o Options) load(g *gathering, name string, before, after []byte) (problems, error) {
	former, err := o.loaded(name, before)
	if err != nil {
		return nil, err
	}
	found, err := o.loaded(name, after)
	if err != nil {
		return nil, err
	}
	var out problems
	for _, p := range found {
		if slices.Contains(former, p) {
			continue
		}
		at := name
		for _, e := range g.entries {
			rest, within := strings.CutPrefix(p.Path, settingPath("workloads.apps", e.name))
			if !within || rest != "" && !strings.ContainsAny(rest[:1], ".[") {
				continue
			}
			word := strings.FieldsFunc(rest, func(r rune) bool { return r == '.' || r == '[' })
			if rest == ".user" || rest == ".command" || strings.HasPrefix(rest, ".secrets") && p.Found == "no value for it" {
				at = "" // said before, or said when the entry is there
				break
			}
			if at = e.origin[""]; len(word) > 0 && e.origin[word[0]] != "" {
				at = e.origin[word[0]]
			}
		}
		if at != "" {
			out = append(out, at+": "+p.String())
		}
	}
	return out, nil
}

// loaded are the problems that the loader finds in a stack's file with that text.
func (o Options) loaded(name string, data []byte) (config.Problems, error) {
	dir, err := os.MkdirTemp("", "manifests-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program, err := os.ReadFile(filepath.Join(o.Project, "Pulumi.yaml"))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), program, 0o600),
		os.WriteFile(filepath.Join(dir, name), data, 0o600)); err != nil {
		return nil, err
	}
	values, encrypted, err := config.File(dir, o.Stack)
	if err != nil {
		return nil, err
	}
	_, err = config.ReadIn(o.Project, values, encrypted)
	var found config.Problems
	if err != nil && !errors.As(err, &found) {
		return nil, err
	}
	return found, nil
}

// write replaces a file at once. A link stays one.
func write(path string, data []byte) (err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = part.Write(data)
	if err = errors.Join(err, part.Chmod(info.Mode().Perm()), part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	return nil
}

// report says what was added, what is otherwise here, and what comes next.
func (o Options) report(g *gathering, name string) (string, error) {
	var b strings.Builder
	if len(g.entries) > 0 {
		var names []string
		for _, e := range g.entries {
			names = append(names, e.name)
		}
		fmt.Fprintf(&b, "%s has %d more of workloads.apps: %s.\n", name, len(g.entries), strings.Join(names, ", "))
	} else {
		fmt.Fprintf(&b, "%s stays as it is.\n", name)
	}
	counts := g.counts()
	fmt.Fprintf(&b, "Of %d fields %d are carried over, %d are so anyway, and these are otherwise here:\n",
		counts[""], counts[carried], counts[already])
	for _, n := range g.notes {
		fmt.Fprintf(&b, "  %s\n", visible(n.at+": here "+n.here))
	}
	if len(g.notes) == 0 {
		b.WriteString("  none\n")
	}
	b.WriteString("Next:\n")
	for _, e := range g.entries {
		for _, key := range sorted(e.secrets) {
			from := e.secrets[key]
			fmt.Fprintf(&b, "  .tools/bin/stack from-manifests -file %s -secret %s |\n    pulumi config set --secret --path %s --stack %s\n",
				shell(from.o.file), shell(from.o.name+"/"+from.key), shell(settingPath("expense:secrets", e.name, key)), o.Stack)
		}
	}
	fmt.Fprintf(&b, "  make preview-diff STACK=%s\n  pulumi up --stack %[1]s\n", o.Stack)
	if o.Check == nil {
		b.WriteString("No API server looked at the manifests: make tools builds one.\n")
	}
	if o.Go {
		text, err := g.golang()
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
