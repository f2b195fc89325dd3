package manifests

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"expense/internal/config"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// note is what is otherwise here than in a manifest.
type note struct{ at, here string }

// lack is a field that the words of an app do not have.
type lack struct {
	o         *object
	path, why string
}

// secretKey is the key of a Secret whose value an app gets.
type secretKey struct {
	o        *object
	key, app string
}

// entry is what becomes an app: a Deployment or a pod, with what belongs to it.
type entry struct {
	o *object
	// workload is the manifest's name, and name the entry's.
	workload, name string
	// base leads to the pod in the object.
	base   string
	spec   *corev1.PodSpec
	labels map[string]string
	// container is the place of the app's own.
	container int
	app       config.App
	comment   string
	ports     []port
	services  []*object
	secrets   map[string]secretKey
	// origin are the places of the words, for problems that the loader finds.
	origin map[string]string
	// closed is an app whose callers a policy names, and root one that wants to run as root.
	closed, root bool
}

// port is one on which a container listens.
type port struct {
	name   string
	number int
}

func (e *entry) at(path string) string { return e.o.at(e.base + path) }

// inContainer is the path of a field of the app's container.
func (e *entry) inContainer(path string) string {
	return fmt.Sprintf("%sspec.containers[%d].%s", e.base, e.container, path)
}

func (e *entry) c() *corev1.Container { return &e.spec.Containers[e.container] }

// gathering puts together what belongs together.
type gathering struct {
	stack    *config.Config
	objects  []*object
	entries  []*entry
	notes    []note
	lacks    []lack
	problems problems
	// twice tells that two entries have one name.
	twice bool
	used  map[*object]bool
	image func(ref string) (Image, error)
}

func (g *gathering) note(at, here string, words ...any) {
	if n := (note{at, fmt.Sprintf(here, words...)}); !slices.Contains(g.notes, n) {
		g.notes = append(g.notes, n)
	}
}

func (g *gathering) lack(o *object, path, why string) {
	if !slices.Contains(o.lacking, path) {
		g.lacks = append(g.lacks, lack{o, path, why})
		o.lacking = append(o.lacking, path)
	}
}

// gather makes the entries.
func (g *gathering) gather() {
	g.used = map[*object]bool{}
	g.distinct()
	for _, o := range g.objects {
		if g.known(o) {
			continue
		}
		switch value := o.value.(type) {
		case *corev1.Namespace:
			g.namespace(o, value)
		case *corev1.Pod:
			g.entries = append(g.entries, &entry{
				o: o, workload: o.name, name: o.name, spec: &value.Spec, labels: value.Labels,
				app:     config.App{Replicas: config.Replicas{Min: 1, Max: 1}},
				comment: "A bare pod before. Here it comes back when it or its node is gone.",
			})
			g.note(o.at("kind"), "an app of one replica, which comes back when it or its node is gone: a bare pod does not")
		case *appsv1.Deployment:
			replicas := 1 // Kubernetes' default
			if value.Spec.Replicas != nil {
				replicas = int(*value.Spec.Replicas)
			}
			e := &entry{
				o: o, workload: o.name, name: o.name, base: "spec.template.", spec: &value.Spec.Template.Spec,
				labels: value.Spec.Template.Labels, app: config.App{Replicas: config.Replicas{Min: replicas, Max: replicas}},
			}
			if replicas < 1 {
				g.problems.add(o.at("spec.replicas"), fmt.Sprint(replicas), "1 or more", "leave the Deployment out of FILE, or raise it")
			}
			g.entries = append(g.entries, e)
		}
		for _, f := range o.fields {
			switch d, at := decide(o.root(), f); d.is {
			case changed:
				g.note(o.at(at), "%s", d.why)
			case lacking:
				g.lack(o, at, d.why)
			}
		}
	}
	for _, e := range g.entries {
		e.secrets, e.origin = map[string]secretKey{}, map[string]string{}
		g.choose(e)
	}
	g.services()
	for _, e := range g.entries {
		g.pod(e)
	}
	g.policies()
	for _, o := range g.objects {
		switch value := o.value.(type) {
		case *policyv1.PodDisruptionBudget:
			if len(g.selected(o, "spec.selector", value.Spec.Selector)) == 0 {
				g.problems.add(o.at("spec.selector"), "a selector of no pod in FILE", "the labels of a pod",
					"add its manifest to FILE, or leave this out")
			}
		case *corev1.ConfigMap, *corev1.Secret:
			if !g.used[o] {
				g.note(o.at("metadata.name"), "left out: no app reads it")
			}
		}
	}
	g.autoscalers()
	g.hosts()
	for _, e := range g.entries {
		slices.Sort(e.app.Inbound)
		e.app.Inbound = slices.Compact(e.app.Inbound)
		if slices.Contains(e.app.Inbound, "*") {
			e.app.Inbound = []string{"*"}
		}
	}
	slices.SortFunc(g.entries, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	for i, e := range g.entries[min(1, len(g.entries)):] {
		other := g.entries[i]
		if other.name != e.name {
			continue
		}
		if g.twice = true; other.o.kind != e.o.kind { // those of one kind are told
			g.problems.add(e.o.at("metadata.name"), "the name "+e.name+" again", "each name once", other.o.at("metadata.name")+" has it")
		}
	}
}

// distinct notes an object that is there twice, and objects of several namespaces.
func (g *gathering) distinct() {
	seen, first := map[string]*object{}, (*object)(nil)
	for _, o := range g.objects {
		key := o.kind + " " + o.name
		if other := seen[key]; other != nil {
			g.problems.add(o.at("metadata.name"), key+" again", "each object once", other.at("metadata.name")+" has it")
		}
		seen[key] = o
		namespace := o.namespaceName()
		switch {
		case namespace == "":
		case first == nil:
			first = o
			if namespace != g.stack.Workloads.Namespace {
				g.note(o.at("metadata"), "the namespace is %s, workloads.namespace of the stack, and not %s", g.stack.Workloads.Namespace, namespace)
			}
		case first.namespaceName() != namespace:
			g.problems.add(o.at("metadata"), "the namespace "+namespace, "one namespace, "+first.namespaceName(),
				"give each namespace's manifests to a stack of its own")
		}
	}
}

func (o *object) namespaceName() string {
	if o.kind == "Namespace" {
		return o.name
	}
	return o.namespace
}

// known says whether the program has the pod already: the two that a course on Kubernetes begins with.
func (g *gathering) known(o *object) bool {
	pod, is := o.value.(*corev1.Pod)
	if !is {
		return false
	}
	var images []string
	for _, c := range pod.Spec.Containers {
		name, _, _ := strings.Cut(c.Image[strings.LastIndex(c.Image, "/")+1:], "@")
		name, _, _ = strings.Cut(name, ":")
		images = append(images, name)
	}
	slices.Sort(images)
	found := o.name + " " + strings.Join(images, " ")
	if found != "nginx nginx" && found != "multi-container almalinux nginx" {
		return false
	}
	g.note(o.at("metadata.name"), "the program has this pod, see workloads; workloads.images has its images")
	return true
}

func (g *gathering) namespace(o *object, value *corev1.Namespace) {
	if found := value.Labels["environment"]; found != "" && found != g.stack.Workloads.Environment {
		g.note(o.at("metadata.labels[environment]"), "%s, workloads.environment of the stack", g.stack.Workloads.Environment)
	}
}

// choose finds the app's container: the one that a Service leads to, the one with the workload's name, or the first.
func (g *gathering) choose(e *entry) {
	if len(e.spec.Containers) == 0 {
		g.problems.add(e.at("spec.containers"), "no container", "one", "")
		e.spec.Containers = []corev1.Container{{}}
		return
	}
	if i := slices.IndexFunc(e.spec.Containers, func(c corev1.Container) bool { return len(c.Ports) > 0 }); i >= 0 {
		e.container = i
	}
	if i := slices.IndexFunc(e.spec.Containers, func(c corev1.Container) bool { return c.Name == e.workload }); i >= 0 {
		e.container = i
	}
	for i := range e.spec.Containers {
		if i != e.container {
			g.lack(e.o, fmt.Sprintf("%sspec.containers[%d]", e.base, i), "an app has one container")
		}
	}
}

// selected are the entries with the labels of a selector. A missing selector selects none.
func (g *gathering) selected(o *object, path string, selector *metav1.LabelSelector) (out []*entry) {
	matches, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		g.problems.add(o.at(path), err.Error(), "a label selector", "")
		return nil
	}
	for _, e := range g.entries {
		if matches.Matches(labels.Set(e.labels)) {
			out = append(out, e)
		}
	}
	return out
}

// object finds an object of a kind by its name.
func (g *gathering) object(kind, name string) *object {
	for _, o := range g.objects {
		if o.kind == kind && o.name == name {
			g.used[o] = true
			return o
		}
	}
	return nil
}

// referred is object for one that the manifests have to have.
func (g *gathering) referred(at, kind, name string, optional *bool) *object {
	o := g.object(kind, name)
	if o == nil && (optional == nil || !*optional) {
		g.problems.add(at, kind+" "+name+", which is not in FILE", kind+"s of FILE", "add its manifest to FILE: kubectl get "+
			strings.ToLower(kind)+" "+shell(name)+" -o yaml")
	}
	return o
}

// texts are the keys of a ConfigMap or a Secret with their texts.
func texts(o *object) map[string]string {
	out := map[string]string{}
	switch value := o.value.(type) {
	case *corev1.ConfigMap:
		maps.Copy(out, value.Data)
	case *corev1.Secret:
		for key, data := range value.Data {
			out[key] = string(data)
		}
		maps.Copy(out, value.StringData)
	}
	return out
}
