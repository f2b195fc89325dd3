package manifests

import (
	"fmt"
	"go/format"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A lack that Go can do is a change of what workloads.NewApp makes: the entry keeps what the words have, so that all that looks at the
// settings still knows the app.

// restricted are fields that the API server refuses in the namespace
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted).
var restricted = regexp.MustCompile(`\.(hostNetwork|hostPID|hostIPC|hostPort|hostUsers|privileged|capabilities\.add|procMount|sysctls|` +
	`seLinuxOptions|windowsOptions|appArmorProfile\.type|` +
	`volumes\[[0-9]+\]\.(awsElasticBlockStore|azure\w+|cephfs|cinder|fc|flexVolume|flocker|` +
	`gcePersistentDisk|gitRepo|glusterfs|hostPath|iscsi|nfs|photonPersistentDisk|portworxVolume|quobyte|rbd|scaleIO|storageos|` +
	`vsphereVolume))(\W|$)`)

// inGo says whether Go is printed for a lack.
func (g *gathering) inGo(l lack) bool {
	if restricted.MatchString(l.path) {
		return false
	}
	if e := g.of(l.o); e != nil && e.o == l.o {
		path := strings.TrimPrefix(l.path, e.base)
		switch {
		case strings.HasPrefix(path, "metadata.") && !strings.HasPrefix(path, "metadata.annotations"),
			strings.HasPrefix(path, "spec.ephemeralContainers"), strings.HasPrefix(path, "spec.restartPolicy"),
			strings.HasPrefix(path, "spec.imagePullSecrets"):
			return false
		}
		i, isContainer := index(path, "spec.containers")
		if !isContainer || i == e.container {
			return g.own(e, path)
		}
		return g.movable(e, e.spec.Containers[i])
	} else if e != nil {
		switch l.o.value.(type) {
		case *corev1.Service:
			return l.path != "spec.selector" && l.path != "spec.type" && l.path != "spec.ports" && strings.HasPrefix(l.path, "spec.")
		case *autoscalingv2.HorizontalPodAutoscaler:
			return strings.HasPrefix(l.path, "spec.")
		}
	}
	_, is := l.o.value.(*networkingv1.NetworkPolicy)
	return is && strings.HasPrefix(l.path, "spec.")
}

// own says whether a field of the pod or of the app's container can be set behind the words.
func (g *gathering) own(e *entry, path string) bool {
	if !strings.HasPrefix(path, "spec.initContainers") {
		return !strings.HasSuffix(path, ".name") && !strings.HasSuffix(path, "mountPath")
	}
	return !slices.ContainsFunc(e.spec.InitContainers, func(c corev1.Container) bool { return !g.movable(e, c) })
}

// movable says whether a container beside the app's own can be written with package pod: the app's ConfigMap and Secret have other names
// than in the manifests.
func (g *gathering) movable(e *entry, c corev1.Container) bool {
	for _, m := range c.VolumeMounts {
		for _, v := range e.spec.Volumes {
			if v.Name == m.Name && (v.ConfigMap != nil || v.Secret != nil) {
				return false
			}
		}
	}
	return len(c.EnvFrom) == 0 && !slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool {
		return v.ValueFrom != nil && v.ValueFrom.FieldRef == nil
	})
}

// of is the entry that an object belongs to.
func (g *gathering) of(o *object) *entry {
	for _, e := range g.entries {
		if e.o == o || slices.Contains(e.services, o) {
			return e
		}
		if a, is := o.value.(*autoscalingv2.HorizontalPodAutoscaler); is && a.Spec.ScaleTargetRef.Name == e.workload {
			return e
		}
	}
	return nil
}

// index is the place in a list that a path leads to.
func index(path, list string) (int, bool) {
	rest, is := strings.CutPrefix(path, list+"[")
	if !is {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	return i, err == nil
}

// golang is the Go for all lacks.
func (g *gathering) golang() (string, error) {
	var out strings.Builder
	for _, e := range g.entries {
		var lacks []lack
		for _, l := range g.lacks {
			if g.of(l.o) == e {
				lacks = append(lacks, l)
			}
		}
		if len(lacks) == 0 {
			continue
		}
		text, err := g.option(e, lacks)
		if err != nil {
			return "", err
		}
		file := strings.ReplaceAll(e.name, "-", "_")
		fmt.Fprintf(&out, "\nprogram/app_%s.go has what the words lack. In addApp of program/apps.go, before workloads.NewApp:\n"+
			"\tif app == %q {\n\t\toptions = append(options, %s)\n\t}\n\n%s", file, e.name, optionName(e.name), text)
	}
	var policies []*object
	for _, l := range g.lacks {
		if _, is := l.o.value.(*networkingv1.NetworkPolicy); is && !slices.Contains(policies, l.o) {
			policies = append(policies, l.o)
		}
	}
	for _, o := range policies {
		text, err := g.policyFile(o)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "\nprogram/policy_%s.go has a policy that the words lack. In addApps of program/apps.go, at its end:\n"+
			"\tif err := s.add%sPolicy(); err != nil {\n\t\treturn err\n\t}\n\n%s", strings.ReplaceAll(o.name, "-", "_"), title(o.name), text)
	}
	return out.String(), nil
}

func optionName(app string) string {
	name := title(app)
	return strings.ToLower(name[:1]) + name[1:] + "InGo"
}

var betweenWords = regexp.MustCompile(`[^A-Za-z0-9]+`)

func title(name string) string {
	var out string
	for _, part := range betweenWords.Split(name, -1) {
		if part != "" {
			out += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return out
}

// option is a file with an option of workloads.NewApp.
func (g *gathering) option(e *entry, lacks []lack) (string, error) {
	var deployment, service, scaler []string
	var paths []string
	for _, l := range lacks {
		paths = append(paths, l.path)
		switch value := l.o.value.(type) {
		case *corev1.Service:
			key := top(strings.TrimPrefix(l.path, "spec."))
			service = append(service, assign("spec", reflect.ValueOf(value.Spec), key))
		case *autoscalingv2.HorizontalPodAutoscaler:
			key := top(strings.TrimPrefix(l.path, "spec."))
			scaler = append(scaler, assign("spec", reflect.ValueOf(value.Spec), key))
		}
	}
	deployment = g.deployment(e, lacks)
	var b strings.Builder
	fmt.Fprintf(&b, "// %s has what the words of %s lack:\n//\n", optionName(e.name), e.name)
	for _, path := range paths {
		fmt.Fprintf(&b, "//   - %s\n", visible(path))
	}
	fmt.Fprintf(&b, "var %s = pulumi.Transformations([]pulumi.ResourceTransformation{\n", optionName(e.name))
	b.WriteString("func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {\nswitch made := args.Props.(type) {\n")
	for _, c := range []struct {
		of    string
		lines []string
	}{
		{"appsv1.Deployment", deployment}, {"corev1.Service", slices.Compact(service)},
		{"autoscalingv2.HorizontalPodAutoscaler", slices.Compact(scaler)},
	} {
		if len(c.lines) > 0 {
			fmt.Fprintf(&b, "case *%sArgs:\n%s\n", c.of, within("spec", "made.Spec", c.of+"SpecArgs", c.lines...))
		}
	}
	b.WriteString("default:\nreturn nil\n}\nreturn &pulumi.ResourceTransformationResult{Props: args.Props, Opts: args.Opts}\n},\n})\n")
	return source(b.String())
}

// deployment are the lines that change a Deployment's spec.
func (g *gathering) deployment(e *entry, lacks []lack) (out []string) {
	var pod, container []string
	more := &beside{}
	annotations, ownAnnotations := false, false
	done := map[string]bool{}
	for _, l := range lacks {
		if l.o != e.o {
			continue
		}
		path := l.path
		inPod := strings.HasPrefix(path, e.base)
		path = strings.TrimPrefix(path, e.base)
		if n, is := index(path, "spec.containers"); is && inPod {
			if n == e.container {
				container = append(container, g.inContainer(e, strings.TrimPrefix(path, fmt.Sprintf("spec.containers[%d].", n)), done)...)
			} else {
				more.containers = append(more.containers, e.spec.Containers[n])
			}
			continue
		}
		key := top(strings.TrimPrefix(path, "spec."))
		switch {
		case done[path], done[key] && inPod:
		case strings.HasPrefix(path, "metadata.annotations"):
			annotations, ownAnnotations = annotations || inPod, ownAnnotations || !inPod
		case !inPod:
			out = append(out, assign("spec", reflect.Indirect(reflect.ValueOf(l.o.value)).FieldByName("Spec"), key))
		case key == "initContainers":
			more.init = e.spec.InitContainers
			done[key] = true
		case key == "volumes":
			if n, is := index(path, "spec.volumes"); is && !done[fmt.Sprint("volume", n)] {
				done[fmt.Sprint("volume", n)] = true
				more.volumes = append(more.volumes, e.spec.Volumes[n])
			}
		case key == "securityContext":
			inner := top(strings.TrimPrefix(path, "spec.securityContext."))
			pod = append(pod, within("security", "in.SecurityContext", "corev1.PodSecurityContextArgs",
				assign("security", reflect.ValueOf(*e.spec.SecurityContext), inner)))
		default:
			done[key] = true
			pod = append(pod, assign("in", reflect.ValueOf(*e.spec), key))
		}
	}
	for _, m := range e.c().VolumeMounts { // those of volumes that are added
		if slices.ContainsFunc(more.volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			container = append(container, "own.VolumeMounts = append(own.VolumeMounts.(corev1.VolumeMountArray), "+literal(reflect.ValueOf(m))+")")
		}
	}
	if len(container) > 0 {
		pod = append(pod, "containers := in.Containers.(corev1.ContainerArray)\n"+
			within("own", "containers[0]", "corev1.ContainerArgs", container...))
	}
	pod = append(pod, more.lines(e)...)
	if annotations {
		pod = append(pod, within("metadata", "template.Metadata", "metav1.ObjectMetaArgs", "annotations := "+g.annotations(e.o, e.base),
			"if former, is := metadata.Annotations.(pulumi.StringMap); is {\nmaps.Copy(annotations, former)\n}",
			"metadata.Annotations = annotations"))
	}
	if ownAnnotations {
		out = append(out, within("metadata", "made.Metadata", "metav1.ObjectMetaArgs", "metadata.Annotations = "+g.annotations(e.o, "")))
	}
	if len(pod) > 0 {
		out = append(out, within("template", "spec.Template", "corev1.PodTemplateSpecArgs",
			within("in", "template.Spec", "corev1.PodSpecArgs", scoped(pod)...)))
	}
	return out
}

// within are lines that change what an expression has, by a name for it.
func within(name, expression, typ string, lines ...string) string {
	return fmt.Sprintf("%s := %s.(%s)\n%s\n%[2]s = %[1]s", name, expression, typ, strings.Join(lines, "\n"))
}

// assign is a line that sets a field to the manifest's value.
func assign(to string, of reflect.Value, key string) string {
	return fmt.Sprintf("%s.%s = %s", to, upper(key), literal(named(of, key)))
}

// scoped puts pieces that declare names into blocks of their own, where they are more than one.
func scoped(pieces []string) (out []string) {
	for _, piece := range pieces {
		if strings.Contains(piece, ":=") {
			piece = "{\n" + piece + "\n}"
		}
		out = append(out, piece)
	}
	return out
}

// annotations are those of the pod or of its owner that have no decision of their own.
func (g *gathering) annotations(o *object, base string) string {
	all := o.value.(metav1.Object).GetAnnotations()
	if d, is := o.value.(*appsv1.Deployment); is && base != "" {
		all = d.Spec.Template.Annotations
	}
	var out []string
	for _, f := range o.fields {
		key, is := strings.CutPrefix(f.path, base+"metadata.annotations[")
		if d, _ := decide(o.root(), f); is && d.is == lacking {
			key = strings.TrimSuffix(key, "]")
			out = append(out, fmt.Sprintf("%q: pulumi.String(%q),", key, all[key])) // The text of a field is shortened.
		}
	}
	return "pulumi.StringMap{\n" + strings.Join(out, "\n") + "\n}"
}

// inContainer are the lines for one lack of the app's container.
func (g *gathering) inContainer(e *entry, path string, done map[string]bool) []string {
	c, key := e.c(), top(path)
	list := func(name, element string, n int, value any) []string {
		at := fmt.Sprint(name, n)
		if done[at] {
			return nil
		}
		done[at] = true
		return []string{fmt.Sprintf("own.%s = append(own.%[1]s.(corev1.%s), %s)", name, element, literal(reflect.ValueOf(value)))}
	}
	if n, is := index(path, "env"); is {
		if from := c.Env[n].ValueFrom; from != nil && from.FieldRef != nil {
			from.FieldRef.APIVersion = "v1" // as package pod has it
		}
		return list("Env", "EnvVarArray", n, c.Env[n])
	}
	if n, is := index(path, "ports"); is {
		return list("Ports", "ContainerPortArray", n, c.Ports[n])
	}
	if n, is := index(path, "volumeMounts"); is {
		return list("VolumeMounts", "VolumeMountArray", n, c.VolumeMounts[n])
	}
	if key == "securityContext" {
		inner := top(strings.TrimPrefix(path, "securityContext."))
		if done[path] {
			return nil
		}
		done[path] = true
		return scoped([]string{within("security", "own.SecurityContext", "corev1.SecurityContextArgs",
			assign("security", reflect.ValueOf(*c.SecurityContext), inner))})
	}
	if done[key] {
		return nil
	}
	done[key] = true
	return []string{assign("own", reflect.ValueOf(*c), key)}
}

// beside are what package pod renders beside the app's own container.
type beside struct {
	init, containers []corev1.Container
	volumes          []corev1.Volume
}

func (b *beside) lines(e *entry) (out []string) {
	var parts []string
	var set []string
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"InitContainers", b.init}, {"Containers", b.containers}} {
		if len(list.containers) == 0 {
			continue
		}
		var all []string
		for i, c := range list.containers {
			all = append(all, podContainer(e, c))
			if rest := podRest(c); len(rest) > 0 {
				at := fmt.Sprintf("more.%s.(corev1.ContainerArray)[%d]", list.name, i)
				set = append(set, scoped([]string{within("own", at, "corev1.ContainerArgs", rest...)})...)
			}
		}
		parts = append(parts, fmt.Sprintf("%s: []pod.Container{\n%s},", list.name, strings.Join(all, "")))
	}
	var volumes []string
	for _, v := range b.volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			volumes = append(volumes, fmt.Sprintf("{Name: %q, Claim: pulumi.String(%q)},\n", v.Name, v.PersistentVolumeClaim.ClaimName))
		case v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil:
			volumes = append(volumes, fmt.Sprintf("{Name: %q, Empty: &pod.Empty{LimitMiB: %d, Memory: true}},\n", v.Name,
				(v.EmptyDir.SizeLimit.Value()+1<<20-1)>>20))
		default:
			set = append(set, "in.Volumes = append(in.Volumes.(corev1.VolumeArray), "+literal(reflect.ValueOf(v))+")")
		}
	}
	if len(volumes) > 0 {
		parts = append(parts, "Volumes: []pod.Volume{\n"+strings.Join(volumes, "")+"},")
	}
	if len(parts) == 0 {
		return set
	}
	lines := "more := pod.Spec{\n" + strings.Join(parts, "\n") + "\n}.Render()\n" + strings.Join(set, "\n") + "\n"
	if len(b.init) > 0 {
		lines += "in.InitContainers = append(more.InitContainers.(corev1.ContainerArray), in.InitContainers.(corev1.ContainerArray)...)\n"
	}
	if len(b.containers) > 0 {
		lines += "in.Containers = append(in.Containers.(corev1.ContainerArray), more.Containers.(corev1.ContainerArray)...)\n"
	}
	if len(volumes) > 0 {
		lines += "in.Volumes = append(in.Volumes.(corev1.VolumeArray), more.Volumes.(corev1.VolumeArray)...)\n"
	}
	return []string{strings.TrimSuffix(lines, "\n")}
}

// podContainer is a container of package pod.
func podContainer(e *entry, c corev1.Container) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\nName: %q, Image: %q,\n", c.Name, c.Image)
	if len(c.Command) > 0 {
		fmt.Fprintf(&b, "Command: %#v,\n", c.Command)
	}
	if len(c.Args) > 0 {
		fmt.Fprintf(&b, "Args: %s,\n", strings.Replace(literal(reflect.ValueOf(c.Args)), "pulumi.StringArray", "[]pulumi.StringInput", 1))
	}
	if len(c.Env) > 0 {
		b.WriteString("Env: []pod.Variable{\n")
		for _, v := range c.Env {
			if v.ValueFrom != nil {
				fmt.Fprintf(&b, "{Name: %q, Field: %q},\n", v.Name, v.ValueFrom.FieldRef.FieldPath)
			} else {
				fmt.Fprintf(&b, "{Name: %q, Expanded: %q},\n", v.Name, v.Value)
			}
		}
		b.WriteString("},\n")
	}
	if len(c.Ports) > 0 {
		b.WriteString("Ports: []pod.Port{")
		for _, p := range c.Ports {
			fmt.Fprintf(&b, "{Name: %q, Number: %d},", p.Name, p.ContainerPort)
		}
		b.WriteString("},\n")
	}
	if len(c.VolumeMounts) > 0 {
		b.WriteString("Mounts: []pod.Mount{\n")
		for _, m := range c.VolumeMounts {
			fmt.Fprintf(&b, "{Volume: %q, Path: %q", volumeHere(e, m.Name), m.MountPath)
			if m.SubPath != "" {
				fmt.Fprintf(&b, ", SubPath: %q", m.SubPath)
			}
			if m.ReadOnly {
				b.WriteString(", ReadOnly: true")
			}
			b.WriteString("},\n")
		}
		b.WriteString("},\n")
	}
	if c.RestartPolicy != nil {
		b.WriteString("Sidecar: true,\n")
	}
	b.WriteString("LogsOnFailure: true,\n")
	of := func(list corev1.ResourceList, name corev1.ResourceName, otherwise string) string {
		if q, is := list[name]; is {
			return q.String()
		}
		return otherwise
	}
	limit := of(c.Resources.Limits, corev1.ResourceMemory, of(c.Resources.Requests, corev1.ResourceMemory, "128Mi"))
	fmt.Fprintf(&b, "Resources: pod.Resources{CPU: %q, Memory: %q, MemoryLimit: %q},\n},\n",
		of(c.Resources.Requests, corev1.ResourceCPU, of(c.Resources.Limits, corev1.ResourceCPU, "50m")),
		of(c.Resources.Requests, corev1.ResourceMemory, limit), limit)
	return b.String()
}

// volumeHere is the name of a volume in the app's pod: a folder of writable has the program's.
func volumeHere(e *entry, name string) string {
	i := 0
	hasTmp := slices.ContainsFunc(e.c().VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/tmp" })
	if !hasTmp {
		i++
	}
	for _, m := range e.c().VolumeMounts {
		for _, v := range e.spec.Volumes {
			if v.Name != m.Name || v.EmptyDir == nil || v.EmptyDir.Medium != corev1.StorageMediumDefault {
				continue
			}
			if v.Name == name {
				return fmt.Sprintf("writable-%d", i)
			}
			i++
		}
	}
	return name
}

// podRest are the fields of a container that package pod does not have.
func podRest(c corev1.Container) (out []string) {
	value := reflect.ValueOf(c)
	for _, key := range []string{"workingDir", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "stdin", "stdinOnce", "tty",
		"volumeDevices", "resizePolicy", "restartPolicyRules", "terminationMessagePath"} {
		if !named(value, key).IsZero() {
			out = append(out, assign("own", value, key))
		}
	}
	return out
}

// policyFile is a file with a network policy.
func (g *gathering) policyFile(o *object) (string, error) {
	spec := o.value.(*networkingv1.NetworkPolicy).Spec.DeepCopy()
	here := func(s *metav1.LabelSelector) {
		if s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
			return
		}
		var names []string
		for _, e := range g.selected(o, "spec.podSelector", s) {
			names = append(names, e.name)
		}
		*s = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "app.kubernetes.io/name", Operator: metav1.LabelSelectorOpIn, Values: names},
		}}
	}
	here(&spec.PodSelector)
	for _, rule := range spec.Ingress {
		for i := range rule.From {
			if rule.From[i].NamespaceSelector == nil {
				here(rule.From[i].PodSelector)
			}
		}
	}
	for _, rule := range spec.Egress {
		for i := range rule.To {
			if rule.To[i].NamespaceSelector == nil {
				here(rule.To[i].PodSelector)
			}
		}
	}
	name := title(o.name)
	return source(fmt.Sprintf("// add%[1]sPolicy makes the policy %[2]s of the manifests.\nfunc (s *stack) add%[1]sPolicy() error {\n"+
		"_, err := networkingv1.NewNetworkPolicy(s.ctx, %[2]q, &networkingv1.NetworkPolicyArgs{\n"+
		"Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(%[2]q), Namespace: s.namespace.Name},\nSpec: %[3]s,\n"+
		"}, s.inCluster())\nreturn err\n}\n",
		name, o.name, literal(reflect.ValueOf(*spec))))
}

// imports are the packages by the names that printed Go has for them.
var imports = map[string]string{
	"maps": "maps", "pod": "expense/internal/pod", "pulumi": "github.com/pulumi/pulumi/sdk/v3/go/pulumi",
	"appsv1": sdk + "apps/v1", "autoscalingv2": sdk + "autoscaling/v2", "corev1": sdk + "core/v1", "metav1": sdk + "meta/v1",
	"networkingv1": sdk + "networking/v1",
}

const sdk = "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/"

// source is a file of package program.
func source(body string) (string, error) {
	var groups [3][]string
	for _, name := range slices.Sorted(maps.Keys(imports)) {
		path := imports[name]
		if !regexp.MustCompile(`\b` + name + `\.`).MatchString(body) {
			continue
		}
		line, group := strconv.Quote(path), 2
		switch {
		case name == "maps":
			group = 0
		case name == "pod":
			group = 1
		case strings.HasPrefix(path, sdk):
			line = name + " " + line
		}
		groups[group] = append(groups[group], line)
	}
	var all []string
	for _, group := range groups {
		if len(group) > 0 {
			all = append(all, strings.Join(group, "\n"))
		}
	}
	text, err := format.Source([]byte("package program\n\nimport (\n" + strings.Join(all, "\n\n") + "\n)\n\n" + body))
	if err != nil {
		return "", fmt.Errorf("printed Go: %w", err)
	}
	return string(text), nil
}

func top(path string) string {
	return path[:len(path)-len(strings.TrimLeftFunc(path, func(r rune) bool { return r != '.' && r != '[' }))]
}

func upper(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// named is a struct's field by its name in JSON.
func named(value reflect.Value, key string) reflect.Value {
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if name == key {
			return value.Field(i)
		}
		if name == "" && value.Field(i).Kind() == reflect.Struct {
			if found := named(value.Field(i), key); found.IsValid() {
				return found
			}
		}
	}
	return reflect.Value{}
}

// literal is a value of the API's types in Pulumi's.
func literal(value reflect.Value) string {
	if value.Kind() == reflect.Pointer {
		return literal(value.Elem())
	}
	switch v := value.Interface().(type) {
	case resource.Quantity:
		return fmt.Sprintf("pulumi.String(%q)", v.String())
	case intstr.IntOrString:
		if v.Type == intstr.Int {
			return fmt.Sprintf("pulumi.Int(%d)", v.IntVal)
		}
		return fmt.Sprintf("pulumi.String(%q)", v.StrVal)
	}
	switch value.Kind() {
	case reflect.String:
		return fmt.Sprintf("pulumi.String(%q)", value.String())
	case reflect.Bool:
		return fmt.Sprintf("pulumi.Bool(%t)", value.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("pulumi.Int(%d)", value.Int())
	case reflect.Map:
		var out []string
		for _, key := range value.MapKeys() {
			out = append(out, fmt.Sprintf("%q: %s,\n", key.String(), literal(value.MapIndex(key))))
		}
		slices.Sort(out)
		return "pulumi.StringMap{\n" + strings.Join(out, "") + "}"
	case reflect.Slice:
		var out []string
		for i := range value.Len() {
			out = append(out, literal(value.Index(i))+",")
		}
		array := map[reflect.Kind]string{reflect.String: "pulumi.StringArray", reflect.Int64: "pulumi.IntArray", reflect.Int32: "pulumi.IntArray"}
		if name, plain := array[value.Type().Elem().Kind()]; plain {
			return name + "{" + strings.Join(out, "") + "}"
		}
		return typeName(value.Type().Elem()) + "Array{\n" + strings.Join(out, "\n") + "\n}"
	}
	return typeName(value.Type()) + "Args{\n" + strings.Join(literalFields(value), "") + "}"
}

func literalFields(value reflect.Value) (out []string) {
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		field := value.Field(i)
		switch {
		case field.IsZero():
		case name == "":
			out = append(out, literalFields(field)...)
		default:
			out = append(out, fmt.Sprintf("%s: %s,\n", upper(name), literal(field)))
		}
	}
	return out
}

// typeName is a type's name in Pulumi's packages.
func typeName(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	return parts[len(parts)-2] + parts[len(parts)-1] + "." + t.Name()
}
