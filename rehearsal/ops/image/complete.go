package image

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"expense/internal/config"
)

// complete fills in what an app's entry lacks and its image has, and gives the lines for it. An entry that contradicts the image is an
// error.
func (w *work) complete(ctx context.Context, p part, i inspected) (lines []setting, err error) {
	add := func(key string, value any, after string) {
		lines = append(lines, setting{path: append(slices.Clone(p.at.path[:3]), p.name), key: key, value: value, after: after})
	}
	searched := []string{"/etc/passwd", shell}
	for _, folder := range searchPath(i.Config.Env) {
		searched = append(searched, path.Join(folder, "sh"), path.Join(folder, "mkfifo"))
	}
	files, err := w.look(ctx, i.reference, searched...)
	if err != nil {
		return nil, err
	}
	command, err := p.command(i)
	if err != nil {
		return nil, err
	}
	if command != nil {
		p.app.Command = command
		add("command", command, "image")
	} else if own := unexpanded(slices.Concat(i.Config.Entrypoint, i.Config.Cmd)); len(p.app.Args) == 0 && !slices.Equal(own, p.app.Command) {
		w.say("%s: starts with command: %s, and not with the image's own, %s.", p.name, flow(p.app.Command), flow(own))
	}
	if p.app.User == 0 {
		if p.app.User, err = userOf(i.Config.User, files, p.build); err != nil {
			return nil, err
		}
		add("user", p.app.User, "command")
	}
	port, err := w.port(p, i)
	if err != nil {
		return nil, err
	}
	if port != 0 {
		p.app.Ports = map[string]int{"http": port}
		add("port", port, "user")
	}
	capture, err := w.capture(p, i, files)
	if capture != nil {
		lines = append(lines, *capture)
	}
	if err == nil && w.Name == "" && len(lines) > 0 {
		// The workflow's copy of the file is gone after its run, and previews do not build.
		var missing []string
		for _, line := range lines {
			missing = append(missing, line.line())
		}
		err = fmt.Errorf("its image is built by the workflow, and its entry in %s lacks: %s; add that", w.name, strings.Join(missing, ", "))
	}
	return lines, err
}

// command is the image's own, nil if the entry has one. In Kubernetes args take the place of CMD alone, and command of both
// (https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/).
func (p part) command(i inspected) ([]string, error) {
	own := slices.Clone(i.Config.Entrypoint)
	if len(p.app.Args) == 0 {
		own = append(own, i.Config.Cmd...)
	}
	switch {
	case len(p.app.Command) > 0:
		return nil, nil
	case len(own) > 0:
		return unexpanded(own), nil
	case len(p.app.Args) > 0:
		return nil, fmt.Errorf("found args, and neither an ENTRYPOINT in the image nor command; write the program as command")
	}
	return nil, fmt.Errorf("found neither ENTRYPOINT nor CMD in the image, nor command in the entry; write one, as %s",
		`ENTRYPOINT ["/app/server"]`)
}

// unexpanded are words that Kubernetes leaves as the image has them, as $(hostname) for a shell.
func unexpanded(words []string) (out []string) {
	for _, word := range words {
		out = append(out, config.Unexpanded(word))
	}
	return out
}

// nobody is the user that an image of root is advised to have. It is above the numbers that distributions give out.
const nobody = 10001

// userOf is the number of the image's user: a number, a name, or either with a group
// (https://docs.docker.com/reference/dockerfile/#user). Kubernetes cannot know a name's number
// (https://kubernetes.io/docs/tasks/configure-pod-container/security-context/).
func userOf(user string, files map[string]string, b config.Build) (int, error) {
	name, _, _ := strings.Cut(user, ":")
	number, err := strconv.Atoi(name)
	for line := range strings.Lines(files["/etc/passwd"]) {
		// passwd(5): name, password, number
		if fields := strings.Split(line, ":"); err != nil && len(fields) > 2 && fields[0] == name {
			number, err = strconv.Atoi(fields[2])
		}
	}
	root := fmt.Sprintf("allowed: a user with a number from 1 to 65535; add to the last stage of %s/%s:\n", b.Dir, b.Dockerfile)
	switch _, hasShell := files[shell]; {
	case name == "" || err == nil && number == 0:
		if hasShell { // Without a shell there is nothing that needs the user's name.
			root += fmt.Sprintf("  RUN echo 'app:x:%d:%[1]d::/:/sbin/nologin' >>/etc/passwd\n", nobody)
		}
		return 0, fmt.Errorf("the image's user is root; %s  USER %d", root, nobody)
	case err != nil:
		return 0, fmt.Errorf("the image's USER is %q, which its /etc/passwd has not; write the number, as USER %d", name, nobody)
	case number < 0 || number > 65535:
		return 0, fmt.Errorf("the image's user is %d; allowed: 1 to 65535; write USER %d, or user in the entry", number, nobody)
	}
	return number, nil
}

// port is the one that the image exposes, 0 if the entry has one, or says that it has none, or the image exposes none: a Dockerfile cannot
// take back the EXPOSE of its base.
func (w *work) port(p part, i inspected) (int, error) {
	var exposed []int
	for _, text := range slices.Sorted(maps.Keys(i.Config.ExposedPorts)) {
		if number, protocol, _ := strings.Cut(text, "/"); protocol == "tcp" || protocol == "" {
			port, err := strconv.Atoi(number)
			if err != nil {
				return 0, fmt.Errorf("the image's EXPOSE has %q, which is no port", text)
			}
			exposed = append(exposed, port)
		}
	}
	list := strings.Trim(fmt.Sprint(exposed), "[]")
	_, checked, has := p.app.Checked()
	switch {
	case has && len(exposed) > 0 && !slices.Contains(exposed, checked):
		return 0, fmt.Errorf("the port is %d in the entry, and the image's EXPOSE has %s; allowed: the same; correct one of them", checked, list)
	case has || len(exposed) == 0 || w.given(p.name, "ports"):
		return 0, nil
	case len(exposed) > 1:
		return 0, fmt.Errorf("the image's EXPOSE has the ports %s, and the entry none; write which are the app's, as ports: {http: %d}, or "+
			"ports: {} for none", list, exposed[0])
	case exposed[0] < 1024 || exposed[0] > 65535:
		return 0, fmt.Errorf("the image's EXPOSE has the port %d; allowed: 1024 to 65535, for the pod has no right to others; have it listen on "+
			"another and write that as port, or write ports: {} if the app has none", exposed[0])
	}
	return exposed[0], nil
}

// shell is what a RUN in a Dockerfile needs.
const shell = "/bin/sh"

// searchPath is where an image's programs are; without PATH where a shell looks
// (https://github.com/moby/moby/blob/v28.2.2/oci/defaults.go has the same for containers).
func searchPath(env []string) []string {
	for _, variable := range env {
		if text, found := strings.CutPrefix(variable, "PATH="); found {
			return strings.Split(text, ":")
		}
	}
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
}

// capture is how the output is copied if the script cannot: the image has not what it needs, or stops by a signal that its command
// would ignore (logging/files/capture-output.sh).
func (w *work) capture(p part, i inspected, files map[string]string) (*setting, error) {
	if p.app.Logs.From != config.LogsOutput || p.app.Logs.Capture == config.CaptureStatic {
		return nil, nil
	}
	why := ""
	finds := func(program string) bool {
		return slices.ContainsFunc(searchPath(i.Config.Env), func(folder string) bool {
			_, found := files[path.Join(folder, program)]
			return found
		})
	}
	// A name with or without SIG, or a number (https://docs.docker.com/reference/dockerfile/#stopsignal).
	signal := strings.TrimPrefix(i.Config.StopSignal, "SIG")
	switch {
	case !finds("sh") || !finds("mkfifo"): // The sidecar starts both by these names.
		why = "the image has no sh or no mkfifo on its PATH"
	case slices.Contains([]string{"INT", "2", "QUIT", "3"}, signal):
		why = "the image stops by " + i.Config.StopSignal + ", which a script's command ignores"
	default:
		return nil, nil
	}
	if w.given(p.name, "logs", "capture") {
		return nil, fmt.Errorf("logs.capture is %s, and %s; allowed: %s", config.CaptureShell, why, config.CaptureStatic)
	}
	p.app.Logs.Capture = config.CaptureStatic
	w.say("%s: %s, so a program of ours copies its output.", p.name, why)
	entry := append(slices.Clone(p.at.path[:3]), p.name)
	if w.given(p.name, "logs", "from") || w.given(p.name, "logs", "fields") {
		return &setting{path: append(entry, "logs"), key: "capture", value: config.CaptureStatic, after: "from"}, nil
	}
	return &setting{path: entry, key: "logs", value: map[string]string{"capture": config.CaptureStatic}, after: "port"}, nil
}
