package manifests

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"expense/internal/config"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Image is what an image says of itself.
type Image struct {
	Entrypoint, Cmd []string
	User            string
}

// pod writes an app's container and pod as words.
func (g *gathering) pod(e *entry) {
	c := e.c()
	e.origin[""] = e.o.at("metadata.name")
	for word, field := range map[string]string{
		"image": "image", "command": "command", "args": "args", "port": "ports", "ports": "ports", "env": "env", "secrets": "env",
		"files": "volumeMounts", "writable": "volumeMounts", "resources": "resources", "health": "readinessProbe",
	} {
		e.origin[word] = e.o.at(e.inContainer(field))
	}
	e.origin["user"], e.origin["replicas"] = e.at("spec.securityContext"), e.o.at("spec.replicas")
	e.origin["graceSeconds"] = e.at("spec.terminationGracePeriodSeconds")

	e.app.Image, e.app.Command, e.app.Args = c.Image, c.Command, c.Args
	if seconds := e.spec.TerminationGracePeriodSeconds; seconds != nil && *seconds != 30 {
		e.app.GraceSeconds = int(*seconds)
		if *seconds == 0 { // ends at once, and is no grace here
			e.app.GraceSeconds = 1
			g.note(e.origin["graceSeconds"], "1, the least")
		}
	}
	g.user(e)
	g.ports(e)
	g.health(e)
	g.lifecycle(e)
	g.variables(e)
	g.mounts(e)
	g.resources(e)
	g.look(e)
	g.unsaid(e)
	for _, p := range e.probePorts() {
		*p.port = intstr.FromInt(e.numbered(*p.port)) // ports may have other names here
	}
}

func (g *gathering) user(e *entry) {
	var user *int64
	if s := e.spec.SecurityContext; s != nil {
		user = s.RunAsUser
	}
	if s := e.c().SecurityContext; s != nil && s.RunAsUser != nil {
		user = s.RunAsUser
		e.origin["user"] = e.o.at(e.inContainer("securityContext.runAsUser"))
	}
	switch {
	case user == nil:
	case *user == 0:
		e.root = true
		g.problems.add(e.origin["user"], "the user 0, root", "a number from 1 to 65535", "have the image's program run as another user, "+
			"and write its number as runAsUser")
	default:
		e.app.User = int(*user)
	}
}

// look completes what the manifest leaves to the image.
func (g *gathering) look(e *entry) {
	needsUser := e.app.User == 0 && !e.root
	needsCommand := len(e.app.Command) == 0
	if !needsUser && !needsCommand || e.app.Image == "" {
		return
	}
	image, err := g.image(e.app.Image)
	at := e.o.at(e.inContainer("image"))
	inspect := "docker image inspect --format '{{json .Config}}' " + shell(e.app.Image)
	if needsCommand {
		command := slices.Clone(image.Entrypoint)
		if len(e.app.Args) == 0 {
			command = append(command, image.Cmd...)
		}
		for _, word := range command {
			e.app.Command = append(e.app.Command, config.Unexpanded(word))
		}
		if len(command) == 0 {
			g.problems.add(at, "no command"+because(err), "the image's ENTRYPOINT as command, as a list, for its output is copied",
				"write it into the manifest; look it up with: "+inspect)
		} else {
			g.note(at, "command is %s, the image's own: its output is copied", shorten(fmt.Sprint(command)))
		}
	}
	if !needsUser {
		return
	}
	name, _, _ := strings.Cut(image.User, ":")
	if number, failed := strconv.Atoi(name); failed == nil && number > 0 {
		e.app.User = number
		g.note(at, "user is %d, the image's own", number)
		return
	}
	g.problems.add(at, "no securityContext.runAsUser"+because(err), "the number of the image's user, 1 to 65535, for no pod runs as root",
		"write it into the manifest; look it up with: "+inspect)
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ", and the image cannot be looked at (" + err.Error() + ")"
}

// numbered is the number of a port that a probe or a Service names.
func (e *entry) numbered(p intstr.IntOrString) int {
	if p.Type == intstr.Int {
		return p.IntValue()
	}
	for _, known := range e.ports {
		if known.name == p.StrVal {
			return known.number
		}
	}
	return 0
}

// ports writes the ports. The one that is probed, or that is public, has to be the checked one.
func (g *gathering) ports(e *entry) {
	checked, at := 0, ""
	for _, p := range e.probePorts() {
		number := e.numbered(*p.port)
		switch {
		case number == 0:
			g.problems.add(e.o.at(e.inContainer(p.path)), "the port "+p.port.String()+", which the container has not", "one of its ports", "")
		case checked != 0 && checked != number:
			g.lack(e.o, e.inContainer(p.path), "an app has one checked port, here "+fmt.Sprint(checked))
		default:
			checked, at = number, e.inContainer(p.path)
		}
		if number != 0 && !slices.ContainsFunc(e.ports, func(k port) bool { return k.number == number }) {
			e.ports = append(e.ports, port{number: number})
		}
	}
	if public := e.publicTarget(); public != 0 {
		if checked != 0 && checked != public {
			g.lack(e.o, at, fmt.Sprintf("the checked port is the public one, %d", public))
		}
		checked = public
	}
	if len(e.ports) == 1 {
		e.app.Port = e.ports[0].number
		return
	}
	for _, p := range e.ports {
		if e.app.Ports == nil {
			e.app.Ports = map[string]int{}
		}
		name := p.name
		// A Service's port may have a longer name than a container's, and two Services may each have one of the name.
		if _, taken := e.app.Ports[name]; taken || len(validation.IsValidPortName(name)) > 0 {
			if name = fmt.Sprintf("port-%d", p.number); p.name != "" {
				g.note(e.origin["ports"], "the port %d is named %s: %s is another one's name, or too long", p.number, name, p.name)
			}
		}
		e.app.Ports[name] = p.number
	}
	if _, number, ok := e.app.Checked(); ok && checked != 0 && number != checked {
		if other := e.app.Ports["http"]; other != 0 {
			delete(e.app.Ports, "http")
			e.app.Ports[fmt.Sprintf("port-%d", other)] = other
		}
		maps.DeleteFunc(e.app.Ports, func(_ string, n int) bool { return n == checked })
		e.app.Ports["http"] = checked
		g.note(e.origin["ports"], "the port %d is named http: so it is the checked one", checked)
	}
}

// asked is a probe that asks a port.
type asked struct {
	path string
	port *intstr.IntOrString
}

func (e *entry) probePorts() (out []asked) {
	c := e.c()
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
	}{{"readinessProbe", c.ReadinessProbe}, {"startupProbe", c.StartupProbe}, {"livenessProbe", c.LivenessProbe}} {
		switch {
		case p.probe == nil:
		case p.probe.HTTPGet != nil:
			out = append(out, asked{p.name + ".httpGet.port", &p.probe.HTTPGet.Port})
		case p.probe.TCPSocket != nil:
			out = append(out, asked{p.name + ".tcpSocket.port", &p.probe.TCPSocket.Port})
		case p.probe.GRPC != nil:
			grpc := intstr.FromInt32(p.probe.GRPC.Port)
			out = append(out, asked{p.name + ".grpc.port", &grpc})
		}
	}
	return out
}

func (g *gathering) health(e *entry) {
	c := e.c()
	for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.StartupProbe, c.LivenessProbe} {
		if probe == nil || e.app.Health.Path != "" || e.app.Health.GRPC {
			continue
		}
		if http := probe.HTTPGet; http != nil {
			e.app.Health.Path = "/" + strings.TrimPrefix(http.Path, "/")
		}
		e.app.Health.GRPC = probe.GRPC != nil
	}
	if p := c.StartupProbe; p != nil && p.HTTPGet != nil && "/"+strings.TrimPrefix(p.HTTPGet.Path, "/") != e.app.Health.Path {
		g.note(e.o.at(e.inContainer("startupProbe.httpGet.path")), "what the readiness probe asks: an app has one path")
	}
	seconds := 0
	switch {
	case c.StartupProbe != nil:
		seconds = mayTake(c.StartupProbe)
	case c.LivenessProbe != nil:
		seconds = mayTake(c.LivenessProbe)
	case c.ReadinessProbe != nil && c.ReadinessProbe.InitialDelaySeconds > 0:
		seconds = mayTake(c.ReadinessProbe) // it ends no container, but here one that has not started by then is ended
	}
	if seconds > 120 { // the default
		e.app.Health.Start = fmt.Sprintf("%ds", seconds)
		if seconds%60 == 0 {
			e.app.Health.Start = fmt.Sprintf("%dm", seconds/60)
		}
	}
}

// unsaid notes what a manifest leaves to Kubernetes' defaults, and is otherwise here (the API's types in k8s.io/api/core/v1).
func (g *gathering) unsaid(e *entry) {
	c := e.c()
	var all []string
	if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil {
		all = append(all, "a read-only root but for /tmp and writable")
	}
	if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil || len(c.SecurityContext.Capabilities.Drop) == 0 {
		all = append(all, "no capabilities")
	}
	if e.spec.AutomountServiceAccountToken == nil {
		all = append(all, "no token for the Kubernetes API")
	}
	if e.spec.EnableServiceLinks == nil {
		all = append(all, "no variables for each Service")
	}
	if len(all) > 0 {
		g.note(e.at("spec"), "%s", strings.Join(all, ", "))
	}
	if len(e.ports) > 0 && c.StartupProbe == nil && c.LivenessProbe == nil {
		g.note(e.o.at(e.inContainer("ports")), "a container is ended if its port does not answer within %s, or not any more: see health",
			orDefault(e.app.Health.Start, "2m"))
	}
	g.note(e.o.at(e.inContainer("image")), "its output is copied by /bin/sh and mkfifo of the image: without them set logs to none, or "+
		"logs.capture to static")
}

// mayTake is how long a container may take to start before Kubernetes ends it. 10 and 3 are the API's defaults.
func mayTake(p *corev1.Probe) int {
	period, failures := 10, 3
	if p.PeriodSeconds > 0 {
		period = int(p.PeriodSeconds)
	}
	if p.FailureThreshold > 0 {
		failures = int(p.FailureThreshold)
	}
	return int(p.InitialDelaySeconds) + period*failures
}

// sleeps is a command that only waits.
var sleeps = regexp.MustCompile(`^(?:(?:/bin/)?(?:sh|bash) -c )?(?:/bin/)?sleep [0-5]$`)

func (g *gathering) lifecycle(e *entry) {
	if l := e.c().Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Exec != nil {
		if sleeps.MatchString(strings.Join(l.PreStop.Exec.Command, " ")) {
			g.note(e.o.at(e.inContainer("lifecycle.preStop")), "who serves goes on for 5 seconds before its signal")
		} else {
			g.lack(e.o, e.inContainer("lifecycle.preStop.exec.command"), "")
		}
	}
}

// variable is one that a container gets.
type variable struct {
	text   string
	secret *secretKey
}

var reference = regexp.MustCompile(`\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// secretVariable is a variable whose value is a secret by its name.
var secretVariable = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIALS?|(API|ACCESS|PRIVATE|SECRET)_?KEY)$`)

// variables writes the environment. A later one takes the place of a former, as in Kubernetes.
func (g *gathering) variables(e *entry) {
	all := map[string]variable{}
	for i, from := range e.c().EnvFrom {
		at := fmt.Sprintf("envFrom[%d]", i)
		if ref := from.ConfigMapRef; ref != nil {
			if o := g.referred(e.o.at(e.inContainer(at+".configMapRef.name")), "ConfigMap", ref.Name, ref.Optional); o != nil {
				for key, text := range texts(o) {
					all[from.Prefix+key] = variable{text: config.Unexpanded(text)}
				}
			}
		}
		if ref := from.SecretRef; ref != nil {
			if o := g.referred(e.o.at(e.inContainer(at+".secretRef.name")), "Secret", ref.Name, ref.Optional); o != nil {
				for key := range texts(o) {
					all[from.Prefix+key] = variable{secret: &secretKey{o: o, key: key}}
				}
			}
		}
	}
	for i, v := range e.c().Env {
		at := e.inContainer(fmt.Sprintf("env[%d]", i))
		switch from := v.ValueFrom; {
		case from == nil:
			all[v.Name] = variable{text: reference.ReplaceAllStringFunc(v.Value, func(match string) string {
				// Kubernetes leaves what is not known yet.
				if _, known := all[strings.Trim(match, "$()")]; known || match == "$$" {
					return match
				}
				return "$" + match
			})}
		case from.ConfigMapKeyRef != nil:
			ref := from.ConfigMapKeyRef
			if o := g.referred(e.o.at(at), "ConfigMap", ref.Name, ref.Optional); o != nil {
				if text, is := g.key(at, e, o, ref.Key, ref.Optional); is {
					all[v.Name] = variable{text: config.Unexpanded(text)}
				}
			}
		case from.SecretKeyRef != nil:
			ref := from.SecretKeyRef
			if o := g.referred(e.o.at(at), "Secret", ref.Name, ref.Optional); o != nil {
				if _, is := g.key(at, e, o, ref.Key, ref.Optional); is {
					all[v.Name] = variable{secret: &secretKey{o: o, key: ref.Key}}
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if v := all[name]; v.secret == nil && secretVariable.MatchString(name) && v.text != "" {
			g.note(e.o.at(e.inContainer("env")), "%s in plain text, as in the manifest: what nobody should read belongs into a Secret", name)
		}
		if v := all[name]; v.secret != nil {
			g.secret(e, name, config.SecretAsEnv, *v.secret, e.inContainer("env"))
		} else {
			set(&e.app.Env, name, v.text)
		}
	}
	if e.app.Env["PORT"] != "" && e.app.Env["PORT"] == fmt.Sprint(e.app.Port) {
		delete(e.app.Env, "PORT") // the program sets it
	}
}

// key is a key of an object that has to be there.
func (g *gathering) key(at string, e *entry, o *object, key string, optional *bool) (string, bool) {
	text, is := texts(o)[key]
	if !is && (optional == nil || !*optional) {
		g.problems.add(e.o.at(at), "the key "+key+", which "+o.kind+" "+o.name+" has not",
			strings.Join(slices.Sorted(maps.Keys(texts(o))), ", "), "")
	}
	return text, is
}

// secret gives the app a value of a Secret.
func (g *gathering) secret(e *entry, name, as string, from secretKey, path string) {
	from.app = e.name
	if !utf8.ValidString(texts(from.o)[from.key]) {
		g.lack(from.o, "data["+from.key+"]", "values of secrets are text")
		return
	}
	if former, twice := e.secrets[name]; twice && (former.key != from.key || former.o != from.o || e.app.Secrets[name] != as) {
		g.lack(e.o, path, "the secret "+name+" has one value, as a variable or as a file")
		return
	}
	e.secrets[name] = from
	set(&e.app.Secrets, name, as)
}

func set[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// mounts writes what is mounted.
func (g *gathering) mounts(e *entry) {
	seen := map[string]bool{}
	for i, m := range e.c().VolumeMounts {
		at := e.inContainer(fmt.Sprintf("volumeMounts[%d]", i))
		n := slices.IndexFunc(e.spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if n < 0 {
			g.problems.add(e.o.at(at+".name"), "the volume "+m.Name+", which the pod has not", "one of spec.volumes", "")
			continue
		}
		v, where := e.spec.Volumes[n], fmt.Sprintf("%sspec.volumes[%d]", e.base, n)
		folder := path.Clean(m.MountPath)
		switch {
		case v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumDefault:
			if seen[m.Name] && m.SubPath == "" {
				g.lack(e.o, at, "a folder has one path")
				continue
			}
			w := config.Writable{Path: folder}
			if size := v.EmptyDir.SizeLimit; size != nil {
				w.SizeMiB = int((size.Value() + 1<<20 - 1) >> 20)
			} else {
				g.note(e.o.at(where+".emptyDir"), "64 MiB: a folder has a limit, see writable")
			}
			e.app.Writable = append(e.app.Writable, w)
		case v.ConfigMap != nil:
			if o := g.referred(e.o.at(where), "ConfigMap", v.ConfigMap.Name, v.ConfigMap.Optional); o != nil {
				data := texts(o)
				if m.SubPath == "" {
					g.note(e.o.at(at), "each file alone: what the image has beside them stays, and a change rolls the pods")
				}
				for key, file := range g.mounted(e, at, m, data, v.ConfigMap.Items) {
					set(&e.app.Files, file, config.AppFile{Content: data[key]})
				}
			}
		case v.Secret != nil:
			if o := g.referred(e.o.at(where), "Secret", v.Secret.SecretName, v.Secret.Optional); o != nil {
				g.secretFiles(e, at, folder, m, o, v.Secret.Items)
			}
		}
		seen[m.Name] = true
	}
}

// mounted are the paths of the files of a ConfigMap or a Secret, by their keys.
func (g *gathering) mounted(e *entry, at string, m corev1.VolumeMount, data map[string]string, items []corev1.KeyToPath) map[string]string {
	out := map[string]string{}
	for key := range data {
		if len(items) == 0 {
			out[key] = path.Join(m.MountPath, key)
		}
	}
	for _, item := range items {
		if _, is := data[item.Key]; !is {
			g.problems.add(e.o.at(at), "the key "+item.Key+", which the volume "+m.Name+" has not",
				strings.Join(slices.Sorted(maps.Keys(data)), ", "), "")
			continue
		}
		out[item.Key] = path.Join(m.MountPath, item.Path)
	}
	if m.SubPath == "" {
		return out
	}
	for key, file := range out {
		if file == path.Join(m.MountPath, m.SubPath) {
			return map[string]string{key: path.Clean(m.MountPath)}
		}
	}
	g.problems.add(e.o.at(at+".subPath"), m.SubPath+", which the volume "+m.Name+" has not", "one of its files", "")
	return nil
}

// secretFiles writes the files of a Secret. They are in a folder of the program's, so what the app is told of their paths changes too.
func (g *gathering) secretFiles(e *entry, at, folder string, m corev1.VolumeMount, o *object, items []corev1.KeyToPath) {
	here := "/var/run/secrets/" + e.name
	for key, file := range g.mounted(e, at, m, texts(o), items) {
		name := strings.TrimPrefix(file, folder+"/")
		if m.SubPath != "" {
			name = path.Base(file)
		}
		if strings.Contains(name, "/") {
			g.lack(e.o, at, "a secret's file is in one folder, "+here)
			continue
		}
		g.secret(e, name, config.SecretAsFile, secretKey{o: o, key: key}, at)
	}
	if folder == here {
		return
	}
	if m.SubPath != "" {
		here += "/" + path.Base(folder)
	}
	pattern := regexp.MustCompile(regexp.QuoteMeta(folder) + `(/|$|["' ,;])`)
	told := false
	replace := func(text string) string {
		told = told || pattern.MatchString(text)
		return pattern.ReplaceAllString(text, here+"$1")
	}
	for name, text := range e.app.Env {
		e.app.Env[name] = replace(text)
	}
	e.app.Command, e.app.Args = each(e.app.Command, replace), each(e.app.Args, replace)
	if told {
		g.note(e.o.at(at+".mountPath"), "%s, and so in env, command and args", here)
	} else {
		g.lack(e.o, at+".mountPath", "secrets are files in "+here+", and neither env nor command nor args tell the app of "+folder)
	}
}

func each(words []string, change func(string) string) (out []string) {
	for _, word := range words {
		out = append(out, change(word))
	}
	return out
}

// resources writes requests and the limit. A limit without a request is the request too, as in Kubernetes.
func (g *gathering) resources(e *entry) {
	r := e.c().Resources
	of := func(lists ...corev1.ResourceList) func(name corev1.ResourceName) string {
		return func(name corev1.ResourceName) string {
			for _, list := range lists {
				if q, is := list[name]; is {
					return quantity(q, name)
				}
			}
			return ""
		}
	}
	request, limit := of(r.Requests, r.Limits), of(r.Limits)
	e.app.Resources = config.AppResources{
		CPU: request(corev1.ResourceCPU), Memory: request(corev1.ResourceMemory), MemoryLimit: limit(corev1.ResourceMemory),
	}
	if e.app.Resources.CPU == "" || e.app.Resources.Memory == "" {
		g.note(e.o.at(e.inContainer("resources")), "requests of %s CPU and %s memory: each container has both",
			orDefault(e.app.Resources.CPU, "100m"), orDefault(e.app.Resources.Memory, "128Mi"))
	}
	if e.app.Resources.MemoryLimit == "" {
		g.note(e.o.at(e.inContainer("resources")), "a limit of memory, twice the request: each container has one")
	}
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// plain are the quantities that the settings take as they are.
var plain = regexp.MustCompile(`^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|Ki|Mi|Gi)?$`)

func quantity(q resource.Quantity, name corev1.ResourceName) string {
	text := q.String()
	if plain.MatchString(text) && (name == corev1.ResourceCPU || !strings.HasSuffix(text, "m")) {
		return text
	}
	if name == corev1.ResourceCPU {
		return fmt.Sprintf("%dm", q.MilliValue())
	}
	return fmt.Sprint(q.Value())
}
