// Package faults plays lives of the dev stack in which one thing goes wrong at one operation: the service refuses or does not answer in
// time, the engine is killed, somebody presses Ctrl-C. What docs/recovery.md says must then lead to the same stack as if nothing had
// happened, and to an empty account after its destruction.
package faults

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/stage"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
)

// The commands in which something goes wrong. Change is the `pulumi up` that changes things in place, Update the one that
// replaces the node group.
const (
	Up      = "up"
	Change  = "change"
	Update  = "update"
	Destroy = "destroy"
)

// commands are all of a life, in their order.
var commands = []string{Up, Change, Update, Destroy}

// app has what of an app is an operation: a repository, a role, a ConfigMap, a release command, a load balancer.
var app = []string{
	"build.dir=examples/backend", "image=shop:1", "command[0]=/shop", "user=1000", "port=8080", "replicas=1",
	"iam[0].actions[0]=s3:GetObject", "iam[0].resources[0]=arn:aws:s3:::shop/*", `files["/etc/shop/a.yaml"].content=a: 1`,
	"release[0]=/shop", "release[1]=migrate", "public.plain=true", "public.from[0]=203.0.113.0/24",
}

// changes are the settings that a command changes, with the values before and after; "" is no value.
var changes = []struct{ command, setting, before, after string }{
	{Change, "expense:cluster.nodeGroups.expense.maxSize", "5", "7"}, // of both zones
	{Change, "expense:cluster.addonVersions.kube-proxy", "", "v1.0.1-eksbuild.1"},
	{Change, "expense:logging.gibPerDay", "1", "5"},
	{Change, "expense:workloads.apps.shop.image", "shop:1", "shop:2"},
	{Update, "expense:cluster.nodeGroups.expense.instanceTypes[0]", "m5.large", "m6i.large"},
}

// changed are the arguments that they change, by type. After the command they are compared with what AWS has.
var changed = map[string]map[string]resource.PropertyPath{
	Change: {
		nodeGroup:                      {"scalingConfig", "maxSize"},
		"aws:eks/addon:Addon":          {"addonVersion"},
		"aws:opensearch/domain:Domain": {"ebsOptions", "volumeSize"},
	},
	Update: {nodeGroup: {"instanceTypes", 0}},
}

// stack is the one whose lives are played.
const stack = "dev"

// Case is what goes wrong, and where.
type Case struct {
	// Command is one of commands.
	Command   string
	Operation Operation
	Kind      Kind
}

// Name identifies the case: command, kind, verb, type and name of the resource.
func (c Case) Name() string {
	urn := resource.URN(c.Operation.URN)
	return fmt.Sprintf("%s/%s/%s/%s/%s", c.Command, c.Kind, c.Operation.Verb, urn.Type(), urn.Name())
}

// Stage is where lives are played, one after the other.
type Stage struct {
	stage    *stage.Stage
	play     *play.Play
	injector *injector
	page     page
	// altered are the commands whose settings the life has.
	altered map[string]bool
	// finals are what there is after each command of a life without faults.
	finals map[string]final
	// operations are those of each command.
	operations map[string][]Operation
}

// objects are the kinds of Kubernetes objects that are counted.
var objects = map[string]schema.GroupVersionResource{
	"ConfigMap":             corev1.SchemeGroupVersion.WithResource("configmaps"),
	"Secret":                corev1.SchemeGroupVersion.WithResource("secrets"),
	"Pod":                   corev1.SchemeGroupVersion.WithResource("pods"),
	"PersistentVolumeClaim": corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"),
	"Service":               corev1.SchemeGroupVersion.WithResource("services"),
	"Deployment":            appsv1.SchemeGroupVersion.WithResource("deployments"),
	"Job":                   batchv1.SchemeGroupVersion.WithResource("jobs"),
}

// final is what there is at the end of a command.
type final struct {
	URNs    []string       // of the state
	Account map[string]int // number of things by type, maker and status
	Objects map[string]int // number of Kubernetes objects by kind
}

// Open sets a stage up and plays a life without faults, to learn its operations and what must be there after each command.
func Open(ctx context.Context, options stage.Options) (*Stage, error) {
	page, err := readPage(options.Project)
	if err != nil {
		return nil, err
	}
	i := newInjector()
	options.Stack, options.Intercept = stack, i.intercept
	s, err := stage.New(ctx, options)
	if err != nil {
		return nil, err
	}
	i.engine, i.model = s, s.Model
	f := &Stage{
		page: page, altered: map[string]bool{}, stage: s, play: play.New(s, stack), injector: i,
		finals: map[string]final{}, operations: map[string][]Operation{},
	}
	if err := f.undisturbed(ctx); err != nil {
		f.Close()
		return nil, fmt.Errorf("a life without faults: %w", failure(err))
	}
	return f, nil
}

// Close ends the stage.
func (s *Stage) Close() { s.stage.Stop() }

// undisturbed notes the operations of each command and what there is after it.
func (s *Stage) undisturbed(ctx context.Context) error {
	if err := s.play.Init(ctx); err != nil {
		return err
	}
	args := []string{"config", "set-all", "--path"}
	for _, word := range app {
		args = append(args, "--plaintext", "expense:workloads.apps.shop."+word)
	}
	if err := s.stage.Pulumi(ctx, args...); err != nil {
		return err
	}
	for _, command := range commands {
		if err := s.prepare(ctx, command); err != nil {
			return err
		}
		s.injector.arm(Operation{}, "")
		if err := s.run(ctx, command, writtenOnce...); err != nil {
			return err
		}
		s.operations[command] = s.injector.operations()
		if _, err := s.injector.disarm(); err != nil {
			return err
		}
		if command != Destroy {
			end, err := s.final(ctx, command)
			if err != nil {
				return err
			}
			s.finals[command] = end
		}
	}
	return s.empty(ctx)
}

// Life is the life of a stack in which something goes wrong in one or several of its commands, once in each.
type Life []Case

// Lives have every operation of every command go wrong in every way. Faults of different commands go into one life, since what is there
// after each command is checked before the next.
func (s *Stage) Lives() []Life {
	var lives []Life
	for _, command := range commands {
		operations := slices.Clone(s.operations[command])
		slices.SortFunc(operations, func(a, b Operation) int { return strings.Compare(a.URN+a.Verb, b.URN+b.Verb) })
		i := 0
		for _, operation := range operations {
			for _, kind := range Kinds {
				if !operation.possible(kind) {
					continue
				}
				for len(lives) <= i {
					lives = append(lives, nil)
				}
				lives[i] = append(lives[i], Case{command, operation, kind})
				i++
			}
		}
	}
	return lives
}

// prepare makes what a command starts from, if it is not there.
func (s *Stage) prepare(ctx context.Context, command string) error {
	for _, c := range changes {
		if c.command == command {
			s.altered[command] = true
			if err := s.stage.Pulumi(ctx, "config", "set", "--path", c.setting, c.after); err != nil {
				return err
			}
		}
	}
	return s.injector.problem(command != Destroy)
}

// writtenOnce are for commands in which nothing goes wrong: they write the state at their end, and not twice for each operation, which
// takes most of the engine's time.
var writtenOnce = []string{"PULUMI_SKIP_CHECKPOINTS=true"}

// run runs a command, with variables added to its environment.
func (s *Stage) run(ctx context.Context, command string, variables ...string) error {
	if command == Destroy {
		return s.stage.PulumiWith(ctx, variables, "destroy", "--yes", "--skip-preview")
	}
	return s.stage.PulumiWith(ctx, variables, "up", "--yes", "--skip-preview")
}

// Play plays a life, and returns how many of its cases were survived. An error is about the next case, and says what was wrong. The
// stage cannot be used after it.
func (s *Stage) Play(ctx context.Context, life Life) (survived int, err error) {
	for _, command := range commands {
		if survived < len(life) && life[survived].Command == command {
			if err := s.disturbed(ctx, life[survived]); err != nil {
				return survived, err
			}
			survived++
			continue
		}
		if command == Change || command == Update {
			continue
		}
		if err := s.run(ctx, command, writtenOnce...); err != nil {
			return min(survived, len(life)-1), fmt.Errorf("%s without a fault: %w", command, failure(err))
		}
	}
	if err := s.empty(ctx); err != nil {
		return min(survived, len(life)-1), err
	}
	return survived, nil
}

// disturbed runs the command of a case with its fault, mends it as docs/recovery.md says, and checks the end.
func (s *Stage) disturbed(ctx context.Context, c Case) error {
	if err := s.prepare(ctx, c.Command); err != nil {
		return err
	}
	var printed bytes.Buffer
	s.stage.Out = &printed
	s.injector.arm(c.Operation, c.Kind)
	wrong := s.run(ctx, c.Command)
	came, err := s.injector.disarm()
	switch {
	case err != nil:
		return err
	case !came:
		return fmt.Errorf("the command did not get to the operation: %w", failure(wrong))
	case wrong == nil && c.Kind != Interrupted:
		return errors.New("the command succeeded in spite of the fault")
	}
	if c.Kind == KilledBefore || c.Kind == KilledAfter {
		if err := s.recover(ctx); err != nil {
			return fmt.Errorf("recovery: %w", failure(err))
		}
	}
	if err := s.mend(ctx, c); err != nil {
		return err
	}
	if err := s.injector.problem(false); err != nil || c.Command == Destroy {
		return err // Play looks for what is left
	}
	end, err := s.final(ctx, c.Command)
	if err != nil {
		return err
	}
	if c.Kind == Interrupted || c.Kind == Taken {
		// Their names are new each time. An object whose creation was interrupted may be there twice, as docs/recovery.md says, and an
		// object that somebody else made stays.
		for key, count := range s.finals[c.Command].Objects {
			if strings.HasSuffix(key, " ConfigMap") || strings.HasSuffix(key, " Secret") {
				end.Objects[key] = min(end.Objects[key], count)
			}
		}
	}
	if diff := s.finals[c.Command].differs(end); diff != "" {
		return fmt.Errorf("it is not as without the fault: %s; Pulumi printed:\n%s", diff, &printed)
	}
	if c.Command == Update {
		return nil // the bare pods went with their nodes, and the state does not know
	}
	if err := s.stage.PulumiWith(ctx, writtenOnce, "refresh", "--yes", "--skip-preview", "--expect-no-changes"); err != nil {
		return fmt.Errorf("the state is not what is there: %w", failure(err))
	}
	return nil
}

// mend runs what docs/recovery.md says after a command that failed.
func (s *Stage) mend(ctx context.Context, c Case) error {
	command := s.page.again
	switch {
	case c.Command == Destroy || c.Kind == KilledBefore || c.Kind == KilledAfter:
		if err := s.repeat(func() error { return s.run(ctx, c.Command, writtenOnce...) }); err != nil {
			return fmt.Errorf("the same command again: %w", failure(err))
		}
		return nil
	case c.Kind == CameUpFailed:
		shown := strings.Replace(s.page.anew, "URN", c.Operation.URN, 1)
		command = strings.ReplaceAll(shown, "'", "")
		err := s.run(ctx, c.Command, writtenOnce...)
		if err == nil {
			return errors.New("the same command again was green with what came up failed")
		}
		// For a cluster the error is EKS's, which names no command.
		if said := failure(err).Error(); !strings.Contains(said, shown) && !strings.Contains(c.Operation.URN, "aws:eks/cluster:Cluster") {
			return fmt.Errorf("the same command again does not say %s: %w", shown, failure(err))
		}
	}
	if err := s.again(ctx, command); err != nil {
		return fmt.Errorf("%s: %w", command, failure(err))
	}
	return nil
}

// empty checks that nothing is left, and makes the stage ready for another life.
func (s *Stage) empty(ctx context.Context) error {
	if _, err := s.play.Leftovers(ctx); err != nil {
		return err
	}
	s.stage.Model.Reset()
	s.injector.forget()
	for _, c := range changes {
		if !s.altered[c.command] {
			continue
		}
		args := []string{"config", "set", "--path", c.setting, c.before}
		if c.before == "" {
			args = []string{"config", "rm", "--path", c.setting}
		}
		if err := s.stage.Pulumi(ctx, args...); err != nil {
			return err
		}
	}
	clear(s.altered)
	return nil
}

// recover runs the commands of docs/recovery.md for an engine that was killed. The injector says what a person would see on AWS: what
// was made.
func (s *Stage) recover(ctx context.Context) error {
	begun, err := s.stage.Shell(ctx, s.page.killed[0])
	if err != nil && strings.Contains(err.Error(), "failed to load checkpoint: EOF") {
		// The rehearsal's state is in another folder than the home.
		unlock := strings.ReplaceAll(s.page.unlock, "STACK", stack)
		if _, err := s.stage.Shell(ctx, unlock, "HOME="+filepath.Join(s.stage.Dir, "state")); err != nil {
			return err
		}
		begun, err = s.stage.Shell(ctx, s.page.killed[0])
	}
	if err != nil {
		return err
	}
	var found []string
	for _, line := range strings.Split(string(begun), "\n") {
		urn, id, _ := strings.Cut(line, " ")
		if id = cmp.Or(id, s.injector.idOf(urn)); id != "" && strings.HasPrefix(urn, "urn:") {
			found = append(found, urn, id)
		}
	}
	if len(found) > 0 {
		if _, err := s.stage.Shell(ctx, s.page.killed[1], "FOUND="+strings.Join(found, " ")); err != nil {
			return err
		}
	}
	_, err = s.stage.Shell(ctx, s.page.killed[2])
	return err
}

// page has the commands of docs/recovery.md.
type page struct {
	again, anew string   // after a command that failed, and where something came up failed
	killed      []string // step by step, for an engine that was killed
	unlock      string   // for a checkpoint that cannot be read
	room        string   // for a Kubernetes object that exists already
	repeat      []string // what errors say after which the same helps again
}

func readPage(project string) (page, error) {
	data, err := os.ReadFile(filepath.Join(project, "docs", "recovery.md"))
	if err != nil {
		return page{}, err
	}
	p := page{unlock: remedy(string(data), "failed to load checkpoint: EOF"), room: remedy(string(data), "already exists")}
	first, rest, _ := strings.Cut(string(data), "\n## When the engine was killed\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	first, _, _ = strings.Cut(first, "\n## ")
	failed := blocks(first)
	p.killed = blocks(section)
	if len(failed) != 2 || len(p.killed) != 3 || !strings.HasPrefix(p.unlock, "rm ") || !strings.HasPrefix(p.room, "kubectl delete ") {
		return page{}, fmt.Errorf("docs/recovery.md: for a command that failed found %d blocks of commands, expected 2; for an engine that "+
			"was killed found %d, expected 3; against EOF found %q, expected rm; for what exists found %q, expected kubectl delete",
			len(failed), len(p.killed), p.unlock, p.room)
	}
	for _, row := range strings.Split(first, "\n") {
		if cells := strings.Split(row, "|"); strings.HasSuffix(row, "| nothing more |") {
			for i, word := range strings.Split(cells[1], "`") {
				if i%2 == 1 {
					p.repeat = append(p.repeat, word)
				}
			}
		}
	}
	p.again, p.anew = strings.TrimSpace(failed[0]), strings.TrimSpace(failed[1])
	return p, nil
}

// blocks are a text's blocks of commands.
func blocks(text string) (out []string) {
	for i, part := range strings.Split(text, "```") {
		if code, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 {
			out = append(out, code)
		}
	}
	return out
}

// remedy is the last command in an error's row of the table in docs/recovery.md, or nothing.
func remedy(page, about string) string {
	_, row, _ := strings.Cut(page, "| `"+about+"` |")
	row, _, _ = strings.Cut(row, "\n")
	parts := strings.Split(row, "`")
	return parts[max(len(parts)-2, 0)]
}

func (s *Stage) final(ctx context.Context, command string) (final, error) {
	f := final{Account: map[string]int{}, Objects: map[string]int{}}
	state, err := s.stage.State(ctx)
	if err != nil {
		return f, err
	}
	for _, r := range state.Resources {
		f.URNs = append(f.URNs, string(r.URN))
	}
	slices.Sort(f.URNs)
	for _, item := range s.stage.Model.Inventory() {
		key := fmt.Sprintf("%s %s %s", item.Type, item.Origin, item.Status)
		if path := changed[command][item.Type]; path != nil {
			inputs, _, _ := s.stage.Model.Read(item.Type, item.ID)
			value, _ := path.Get(resource.NewProperty(inputs))
			key += fmt.Sprintf(" %v=%v", path, value)
		}
		f.Account[key]++
	}
	client, err := metadata.NewForConfig(s.stage.ControlPlane.RESTConfig())
	if err != nil {
		return f, err
	}
	for _, namespace := range []string{"project", "logging", "kube-system"} {
		for kind, of := range objects {
			if kind == "Pod" && command == Update { // the bare pods went with their nodes, until a refresh makes `up` see that
				continue
			}
			list, err := client.Resource(of).Namespace(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return f, err
			}
			for _, o := range list.Items {
				// What another object made is that one's business, and may be about to go.
				if len(o.OwnerReferences) == 0 {
					f.Objects[namespace+" "+kind]++
				}
			}
		}
	}
	return f, nil
}

// differs says how another end differs, "" if it does not.
func (f final) differs(other final) string {
	var lines []string
	for _, urn := range f.URNs {
		if !slices.Contains(other.URNs, urn) {
			lines = append(lines, "the state lacks "+urn)
		}
	}
	for i, urn := range other.URNs {
		if !slices.Contains(f.URNs, urn) || i > 0 && other.URNs[i-1] == urn {
			lines = append(lines, "the state has one too many of "+urn)
		}
	}
	for _, counts := range [][2]map[string]int{{f.Account, other.Account}, {f.Objects, other.Objects}} {
		keys := maps.Clone(counts[0])
		maps.Copy(keys, counts[1])
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if counts[0][key] != counts[1][key] {
				lines = append(lines, fmt.Sprintf("%d x %s, not %d", counts[1][key], key, counts[0][key]))
			}
		}
	}
	return strings.Join(lines, "; ")
}

// failure is an error with the end of what the CLI printed.
func failure(err error) error {
	var failed *stage.PulumiError
	if !errors.As(err, &failed) {
		return err
	}
	// The diagnostics, without the outputs after them.
	_, text, _ := strings.Cut(failed.Output, "\nDiagnostics:\n")
	text, _, _ = strings.Cut(text, "\nOutputs:\n")
	if text == "" {
		text = failed.Output
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return fmt.Errorf("%w\n%s", err, strings.Join(lines[max(0, len(lines)-25):], "\n"))
}
