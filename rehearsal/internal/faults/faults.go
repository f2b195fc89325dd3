// Package faults plays lives of the dev stack in which one thing goes wrong at one operation: the service refuses or does
// not answer in time, the engine is killed, somebody presses Ctrl-C. After it, what docs/recovery.md says must lead to the
// same stack as if nothing had happened, and to an empty account after its destruction.
package faults

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"expense/rehearsal/internal/stage"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The commands in which something goes wrong. Update is the `pulumi up` that replaces the node group.
const (
	Up      = "up"
	Update  = "update"
	Destroy = "destroy"
)

// stack is the one whose lives are played.
const stack = "dev"

// Case is one life: what goes wrong, where.
type Case struct {
	// Command is Up, Update or Destroy.
	Command   string    `json:"command"`
	Operation Operation `json:"operation"`
	Kind      Kind      `json:"kind"`
}

// Name identifies the case: command, kind, verb, type and name of the resource.
func (c Case) Name() string {
	urn := resource.URN(c.Operation.URN)
	return fmt.Sprintf("%s/%s/%s/%s/%s", c.Command, c.Kind, c.Operation.Verb, urn.Type(), urn.Name())
}

// Stage is where lives are played, one after the other.
type Stage struct {
	stage    *stage.Stage
	play     *stage.Play
	injector *injector
	commands []string // of docs/recovery.md, after a kill
	unlock   string   // of docs/recovery.md, for a file that a kill left empty
	room     string   // of docs/recovery.md, for an object that exists already
	// updated tells that the life's settings are no longer those of its beginning.
	updated bool
	// finals are what there is after a life's commands in which nothing goes wrong, by command.
	finals map[string]final
	// operations are those of each command.
	operations map[string][]Operation
}

// final is what there is at the end of a command.
type final struct {
	URNs    []string       // of the state
	Account map[string]int // number of things by type, maker and status
	Objects map[string]int // number of Kubernetes objects by kind
}

// Open sets a stage up and plays a life without faults, to know what is there to go wrong and what must come out.
func Open(ctx context.Context, options stage.Options) (*Stage, error) {
	commands, unlock, room, err := commands(options.Project)
	if err != nil {
		return nil, err
	}
	i := newInjector()
	options.Stack, options.Intercept = stack, i.intercept
	s, err := stage.New(ctx, options)
	if err != nil {
		return nil, err
	}
	i.engine = s
	f := &Stage{commands: commands, unlock: unlock, room: room, stage: s, play: stage.NewPlay(s, stack), injector: i, finals: map[string]final{}, operations: map[string][]Operation{}}
	if err := f.undisturbed(ctx); err != nil {
		f.Close()
		return nil, fmt.Errorf("a life without faults: %w", err)
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
	for _, command := range []string{Up, Update, Destroy} {
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

// Lives are all that can go wrong: every operation of every command, in every way. What goes wrong in different commands
// goes into one life, since what is there after each is checked before the next.
func (s *Stage) Lives() []Life {
	var lives []Life
	for _, command := range []string{Up, Update, Destroy} {
		operations := slices.Clone(s.operations[command])
		slices.SortFunc(operations, func(a, b Operation) int { return strings.Compare(a.URN+a.Verb, b.URN+b.Verb) })
		i := 0
		for _, operation := range operations {
			for _, kind := range Kinds {
				if !kind.happens(operation) {
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

// instanceTypes is the setting whose change replaces the node group.
const instanceTypes = "expense:cluster.nodeGroups.expense.instanceTypes[0]"

// prepare makes what a command starts from, if it is not there.
func (s *Stage) prepare(ctx context.Context, command string) error {
	if command == Update {
		s.updated = true
		return s.stage.Pulumi(ctx, "config", "set", "--path", instanceTypes, "m6i.large")
	}
	return nil
}

// withoutCopies keeps no copies of earlier states, which nobody reads.
const withoutCopies = "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS=true"

// writtenOnce are for commands in which nothing goes wrong: the state is written at their end only, and not twice for each
// operation, which is what the engine does most of the time. Nobody reads it before.
var writtenOnce = []string{withoutCopies, "PULUMI_EXPERIMENTAL=true", "PULUMI_SKIP_CHECKPOINTS=true"}

// run runs a command, with variables added to its environment.
func (s *Stage) run(ctx context.Context, command string, variables ...string) error {
	if command == Destroy {
		return s.stage.PulumiWith(ctx, variables, "destroy", "--yes", "--skip-preview")
	}
	return s.stage.PulumiWith(ctx, variables, "up", "--yes", "--skip-preview")
}

// Play plays a life, and returns how many of its cases were survived. An error is about the next one, and says what was
// not as it must be; the stage is then not to be used any more.
func (s *Stage) Play(ctx context.Context, life Life) (survived int, err error) {
	for _, command := range []string{Up, Update, Destroy} {
		if survived < len(life) && life[survived].Command == command {
			if err := s.disturbed(ctx, life[survived]); err != nil {
				return survived, err
			}
			survived++
			continue
		}
		if command == Update {
			continue // there is no need of one
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

// disturbed runs the command of a case with its fault, then what brings it to its end, and looks at that.
func (s *Stage) disturbed(ctx context.Context, c Case) error {
	if err := s.prepare(ctx, c.Command); err != nil {
		return err
	}
	s.injector.arm(c.Operation, c.Kind)
	wrong := s.run(ctx, c.Command, withoutCopies)
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
	again := s.again
	if c.Kind == KilledBefore || c.Kind == KilledAfter {
		again = func(ctx context.Context, command string) error { return s.run(ctx, command, writtenOnce...) }
	}
	if err := again(ctx, c.Command); err != nil {
		return fmt.Errorf("the same command again: %w", failure(err))
	}
	if c.Command == Destroy {
		return nil // Play looks for what is left
	}
	end, err := s.final(ctx, c.Command)
	if err != nil {
		return err
	}
	if c.Kind == Interrupted {
		// One whose making was interrupted may be there twice, as docs/recovery.md says: its name is new each time.
		for key, count := range s.finals[c.Command].Objects {
			if strings.HasSuffix(key, " ConfigMap") || strings.HasSuffix(key, " Secret") {
				end.Objects[key] = min(end.Objects[key], count)
			}
		}
	}
	if diff := s.finals[c.Command].differs(end); diff != "" {
		return fmt.Errorf("it is not as without the fault: %s", diff)
	}
	if c.Command == Update {
		return nil // the bare pods went with their nodes, and the state does not know
	}
	if err := s.stage.PulumiWith(ctx, writtenOnce, "refresh", "--yes", "--skip-preview", "--expect-no-changes"); err != nil {
		return fmt.Errorf("the state is not what is there: %w", failure(err))
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
	if !s.updated {
		return nil
	}
	s.updated = false
	return s.stage.Pulumi(ctx, "config", "set", "--path", instanceTypes, "m5.large")
}

// recover does what docs/recovery.md says for an engine that was killed, with its commands. In place of a person who looks
// on AWS it asks the injector what was made there.
func (s *Stage) recover(ctx context.Context) error {
	begun, err := s.stage.Shell(ctx, s.commands[0])
	if err != nil && strings.Contains(err.Error(), "failed to load checkpoint: EOF") {
		// The rehearsal's state is in another folder than the home.
		if _, err := s.stage.Shell(ctx, strings.ReplaceAll(s.unlock, "STACK", stack), "HOME="+filepath.Join(s.stage.Dir, "state")); err != nil {
			return err
		}
		begun, err = s.stage.Shell(ctx, s.commands[0])
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
		if _, err := s.stage.Shell(ctx, s.commands[1], "FOUND="+strings.Join(found, " ")); err != nil {
			return err
		}
	}
	_, err = s.stage.Shell(ctx, s.commands[2])
	return err
}

// commands are those of docs/recovery.md for an engine that was killed, step by step, the one for a checkpoint that cannot be
// read, and the one for a Kubernetes object that exists already.
func commands(project string) (blocks []string, unlock, room string, err error) {
	data, err := os.ReadFile(filepath.Join(project, "docs", "recovery.md"))
	if err != nil {
		return nil, "", "", err
	}
	unlock, room = remedy(string(data), "failed to load checkpoint: EOF"), remedy(string(data), "already exists")
	_, section, _ := strings.Cut(string(data), "\n## When the engine was killed\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for i, part := range strings.Split(section, "```") {
		if code, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 {
			blocks = append(blocks, code)
		}
	}
	if len(blocks) != 3 || !strings.HasPrefix(unlock, "rm ") || !strings.HasPrefix(room, "kubectl delete ") {
		return nil, "", "", fmt.Errorf("docs/recovery.md has %d blocks of commands for an engine that was killed, expected 3, against EOF %q, expected rm, and for what exists %q, expected kubectl delete", len(blocks), unlock, room)
	}
	return blocks, unlock, room, nil
}

// remedy is the last command in the row of docs/recovery.md's table that is about an error, or nothing.
func remedy(page, about string) string {
	_, row, _ := strings.Cut(page, "| `"+about+"` |")
	row, _, _ = strings.Cut(row, "\n")
	parts := strings.Split(row, "`")
	return parts[max(len(parts)-2, 0)]
}

func (s *Stage) export(ctx context.Context) (apitype.DeploymentV3, error) {
	var state struct {
		Deployment apitype.DeploymentV3 `json:"deployment"`
	}
	data, err := s.stage.Output(ctx, "stack", "export")
	if err != nil {
		return state.Deployment, err
	}
	return state.Deployment, json.Unmarshal(data, &state)
}

func (s *Stage) final(ctx context.Context, command string) (final, error) {
	f := final{Account: map[string]int{}, Objects: map[string]int{}}
	state, err := s.export(ctx)
	if err != nil {
		return f, err
	}
	for _, r := range state.Resources {
		f.URNs = append(f.URNs, string(r.URN))
	}
	slices.Sort(f.URNs)
	for _, item := range s.stage.Model.Inventory() {
		f.Account[fmt.Sprintf("%s %s %s", item.Type, item.Origin, item.Status)]++
	}
	client, err := kubernetes.NewForConfig(s.stage.ControlPlane.RESTConfig())
	if err != nil {
		return f, err
	}
	for _, namespace := range []string{"project", "logging", "kube-system"} {
		count := func(kind string, objects []metav1.ObjectMeta) {
			for _, o := range objects {
				// What another object made is that one's business, and may be about to go.
				if len(o.OwnerReferences) == 0 {
					f.Objects[namespace+" "+kind]++
				}
			}
		}
		options := metav1.ListOptions{}
		configMaps, err1 := client.CoreV1().ConfigMaps(namespace).List(ctx, options)
		secrets, err2 := client.CoreV1().Secrets(namespace).List(ctx, options)
		pods, err3 := client.CoreV1().Pods(namespace).List(ctx, options)
		claims, err4 := client.CoreV1().PersistentVolumeClaims(namespace).List(ctx, options)
		services, err5 := client.CoreV1().Services(namespace).List(ctx, options)
		deployments, err6 := client.AppsV1().Deployments(namespace).List(ctx, options)
		jobs, err7 := client.BatchV1().Jobs(namespace).List(ctx, options)
		if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
			return f, err
		}
		count("ConfigMap", metas(configMaps.Items, func(i int) metav1.ObjectMeta { return configMaps.Items[i].ObjectMeta }))
		count("Secret", metas(secrets.Items, func(i int) metav1.ObjectMeta { return secrets.Items[i].ObjectMeta }))
		if command != Update { // the bare pods go with their nodes, until a refresh makes `up` see that
			count("Pod", metas(pods.Items, func(i int) metav1.ObjectMeta { return pods.Items[i].ObjectMeta }))
		}
		count("PersistentVolumeClaim", metas(claims.Items, func(i int) metav1.ObjectMeta { return claims.Items[i].ObjectMeta }))
		count("Service", metas(services.Items, func(i int) metav1.ObjectMeta { return services.Items[i].ObjectMeta }))
		count("Deployment", metas(deployments.Items, func(i int) metav1.ObjectMeta { return deployments.Items[i].ObjectMeta }))
		count("Job", metas(jobs.Items, func(i int) metav1.ObjectMeta { return jobs.Items[i].ObjectMeta }))
	}
	return f, nil
}

func metas[T any](items []T, meta func(int) metav1.ObjectMeta) []metav1.ObjectMeta {
	out := make([]metav1.ObjectMeta, len(items))
	for i := range items {
		out[i] = meta(i)
	}
	return out
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
