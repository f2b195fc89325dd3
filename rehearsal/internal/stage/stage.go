// Package stage sets up a rehearsal: the program, the real Pulumi CLI and a real Kubernetes control plane on one side, the
// stand-ins for AWS on the other, all on loopback and in one temporary folder. The caller decides what to play.
package stage

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/awsprovider"
	"expense/rehearsal/internal/controlplane"
	"expense/rehearsal/internal/eksprovider"
	"expense/rehearsal/internal/incluster"
	"expense/rehearsal/internal/kubeprovider"
	"expense/rehearsal/internal/state"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
)

// Options say what to set up.
type Options struct {
	// Project is the folder with the program, Pulumi.yaml and the stack's file. The program is built into its folder bin,
	// as by `pulumi up`; nothing else is written there.
	Project string
	// Stack is the name of the stack and of its file, Pulumi.STACK.yaml.
	Stack string
	// Tools is the folder with pulumi, pulumi-language-go and the control plane's binary.
	Tools string
	// Out receives what Pulumi prints.
	Out io.Writer
	// Account is the ID of the model's account. Default: the one that the stack's file names, so that its settings are rehearsed as they
	// are, or else the model's own.
	Account string
	// Plugins is a folder of real plugins, laid out as ~/.pulumi/plugins, or empty. A plugin for eks or kubernetes replaces the
	// stand-in. AWS stays the model.
	Plugins string
	// Intercept, if set, is called for every request of the engine to the stand-ins for AWS and Kubernetes.
	Intercept grpc.UnaryServerInterceptor
	// SaveAtEnd has the engine write the state only at the end of a command. That is cheaper, but needs commands that nobody interrupts.
	SaveAtEnd bool
}

// Stage is a rehearsal that has been set up.
type Stage struct {
	// Dir is the rehearsal's folder: the project's copy, Pulumi's state, the control plane's data.
	Dir          string
	Model        *awsmodel.Model
	ControlPlane *controlplane.ControlPlane
	Controllers  *incluster.Controllers
	// Tools is the folder with the built tools, Source the folder of the project whose program is used.
	Tools, Source string
	// Out receives what Pulumi prints.
	Out io.Writer

	stack string
	// secrets are the paths of the secrets in the stack's file.
	secrets []string
	// images are the settings that `make image` writes into the stack's file.
	images []string
	env    []string
	stop   []func()

	mu      sync.Mutex
	running *exec.Cmd // the command of the CLI that runs
}

//go:embed aws.sh
var awsCLI string

// New sets a stage up. If it fails, it stops what it has started.
func New(ctx context.Context, options Options) (_ *Stage, err error) {
	dir, err := os.MkdirTemp("", "rehearsal-")
	if err != nil {
		return nil, err
	}
	s := &Stage{Dir: dir, Tools: options.Tools, Out: options.Out}
	s.stop = append(s.stop, func() { os.RemoveAll(dir) })
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()

	for _, folder := range []string{"bin", "controlplane", "project", "state"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, err
		}
	}
	s.ControlPlane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: filepath.Join(dir, "controlplane"), Binary: filepath.Join(options.Tools, "kubernetes"),
	})
	if err != nil {
		return nil, err
	}
	s.stop = append(s.stop, s.ControlPlane.Stop)
	// The program itself reports wrong keys, and a region that is none.
	account, region, _ := config.FileAccount(options.Project, options.Stack)
	options.Account = cmp.Or(options.Account, account.ID())
	if !slices.Contains(awsmodel.Regions(), region) {
		region = ""
	}
	if err := s.startProviders(ctx, options, region); err != nil {
		return nil, err
	}
	if err := s.Use(ctx, options.Project, options.Stack); err != nil {
		return nil, err
	}
	return s, nil
}

// startProviders starts the model and the three stand-ins for providers, and sets the environment in which Pulumi finds them.
func (s *Stage) startProviders(ctx context.Context, options Options, region string) error {
	bridge := &bridge{controlPlane: s.ControlPlane}
	s.Model = awsmodel.New(awsmodel.Options{Region: region, Account: options.Account, Cluster: bridge})
	controllers, err := incluster.Start(ctx, s.ControlPlane.RESTConfig(), s.Model)
	if err != nil {
		return fmt.Errorf("in-cluster stand-ins: %w", err)
	}
	s.Controllers, bridge.controllers = controllers, controllers
	s.stop = append(s.stop, controllers.Stop)

	bin := filepath.Join(s.Dir, "bin")
	aws := filepath.Join(bin, "aws")
	server := []grpc.ServerOption{grpc.Creds(onlySameUser())}
	if options.Intercept != nil {
		server = append(server, grpc.UnaryInterceptor(options.Intercept))
	}
	var attached []string
	for _, provider := range []struct {
		name  string
		serve func() (int, func(), error)
	}{
		{"aws", func() (int, func(), error) { return awsprovider.Serve(ctx, s.Model, server...) }},
		{"eks", func() (int, func(), error) {
			return eksprovider.Serve(ctx, eksprovider.Options{Patience: time.Second, AWS: aws}, server[0])
		}},
		{"kubernetes", func() (int, func(), error) { return kubeprovider.Serve(ctx, aws, server...) }},
	} {
		if plugin := realPlugin(options.Plugins, provider.name); plugin != "" {
			fmt.Fprintf(s.Out, "In place of the stand-in for %s: %s\n", provider.name, plugin)
			continue
		}
		port, stop, err := provider.serve()
		if err != nil {
			return fmt.Errorf("%s stand-in: %w", provider.name, err)
		}
		s.stop = append(s.stop, stop)
		attached = append(attached, fmt.Sprintf("%s:%d", provider.name, port))
	}

	if options.Plugins != "" && len(attached) == 3 {
		return fmt.Errorf("folder %s has no plugin in place of a stand-in: it needs resource-kubernetes-v%s or resource-eks-v%s, as "+
			"~/.pulumi/plugins has after `pulumi plugin install resource kubernetes %s`",
			options.Plugins, kubeprovider.Version, eksprovider.Version, kubeprovider.Version)
	}

	token, err := json.Marshal(map[string]any{
		"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential",
		"status": map[string]string{"token": s.ControlPlane.AdminToken},
	})
	if err != nil {
		return err
	}
	home := filepath.Join(s.Dir, "home")
	s.env = append(withoutCloud(os.Environ()),
		"PATH="+strings.Join([]string{bin, options.Tools, os.Getenv("PATH")}, string(os.PathListSeparator)),
		"PULUMI_HOME="+home,
		"PULUMI_BACKEND_URL=file://"+filepath.ToSlash(filepath.Join(s.Dir, "state")),
		"PULUMI_CONFIG_PASSPHRASE=rehearsal",
		"PULUMI_SKIP_UPDATE_CHECK=true",
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true",
		"PULUMI_DEBUG_PROVIDERS="+strings.Join(attached, ","),
		"PULUMI_DEBUG_COMMANDS=true", // for --event-log, which it hides otherwise
		"PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS=true",
		"PULUMI_SKIP_CHECKPOINTS="+strconv.FormatBool(options.SaveAtEnd),
	)
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	if options.Plugins != "" {
		// The component asks for an older kubernetes plugin than the program does. With this the engine uses the newest for both.
		s.env = append(s.env, "PULUMI_ENABLE_LEGACY_PLUGIN_SEARCH=true")
		if err := os.Symlink(options.Plugins, filepath.Join(home, "plugins")); err != nil {
			return err
		}
	}
	return errors.Join(
		// A file where the CLI would make the folder of its logs, which nobody reads here. It then writes none.
		os.WriteFile(filepath.Join(home, "logs"), nil, 0o600),
		os.WriteFile(aws, []byte(awsCLI), 0o700),
		os.WriteFile(filepath.Join(bin, "token.json"), token, 0o600),
	)
}

// realPlugin lists the folder's plugins of a name; the engine takes the newest. It never finds one for AWS: no rehearsal may reach an
// account.
func realPlugin(folder, name string) string {
	var found []string
	if folder != "" && name != "aws" {
		paths, _ := filepath.Glob(filepath.Join(folder, "resource-"+name+"-v*", "*")) // the pattern is well formed
		for _, path := range paths {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return strings.Join(slices.Compact(found), ", ")
}

// withoutCloud removes from an environment the variables that point at a real account, cluster or Pulumi backend.
func withoutCloud(environment []string) []string {
	var out []string
	for _, entry := range environment {
		if !strings.HasPrefix(entry, "AWS_") && !strings.HasPrefix(entry, "PULUMI_") && !strings.HasPrefix(entry, "KUBECONFIG=") {
			out = append(out, entry)
		}
	}
	return out
}

// Use puts a version of the project on the stage. From then on Pulumi runs the program of that folder, with its files, against the
// present state. The two Pulumi files and those that apps name are copied, so that what Pulumi writes to the stack's file (its salt, the
// settings of Configure) stays in the rehearsal; each Use needs a Configure. Of the stack's secrets only the names are copied.
func (s *Stage) Use(ctx context.Context, project, stack string) error {
	s.Source, s.stack = project, stack
	program := filepath.Join(project, "bin", "expense")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", program, ".")
	build.Dir, build.Env = project, append(os.Environ(), "GOGC=400") // compiled in less time, with more memory
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("program: go build: %w\n%s", err, out)
	}
	return s.copyFiles(project, stack, program)
}

// copyFiles copies the two Pulumi files for a program that has been built.
func (s *Stage) copyFiles(project, stack, program string) error {
	for _, file := range []string{"Pulumi.yaml", "Pulumi." + stack + ".yaml"} {
		data, err := os.ReadFile(filepath.Join(project, file))
		if err != nil {
			return err
		}
		if file == "Pulumi.yaml" {
			data, err = runBinary(data, program)
		} else {
			var apps error
			s.images, apps = imagesOf(data)
			data, s.secrets, err = withoutSecrets(data)
			err = errors.Join(err, apps)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(s.project(), file), data, 0o600); err != nil {
			return err
		}
	}
	return s.copySources(project)
}

// secretOfWeb matches the paths of web's secrets, the former ones too. A stack may not use both names.
var secretOfWeb = regexp.MustCompile(`^expense:(secrets\.web|webSecret)[.[]`)

// Configure sets what a stack's file leaves to its user, as the README says, and a word for each of its secrets and of its apps'.
func (s *Stage) Configure(ctx context.Context) error {
	args := []string{"config", "set-all", "--path", "--plaintext", "expense:cluster.publicAccessCidrs[0]=203.0.113.7/32"}
	for _, image := range s.images {
		args = append(args, "--plaintext", image)
	}
	program, err := workspace.LoadProject(filepath.Join(s.project(), "Pulumi.yaml"))
	if err != nil {
		return err
	}
	secrets := slices.Clone(s.secrets)
	if !slices.ContainsFunc(secrets, secretOfWeb.MatchString) {
		token := "expense:secrets.web.API_TOKEN"
		if _, known := program.Config["secrets"]; !known {
			token = "expense:webSecret.API_TOKEN" // the base of a preview may know only the former name
		}
		secrets = append(secrets, token)
	}
	all, err := s.apps()
	if err != nil {
		return err
	}
	secrets = append(secrets, all.declared()...)
	slices.Sort(secrets)
	for _, path := range slices.Compact(secrets) {
		args = append(args, "--secret", path+"="+word)
	}
	return s.Pulumi(ctx, args...)
}

// runBinary changes a project file so that it runs a program that is built already.
func runBinary(data []byte, program string) ([]byte, error) {
	var settings map[string]any
	if err := yaml.Unmarshal(data, &settings); err != nil {
		return nil, err
	}
	settings["runtime"] = map[string]any{"name": "go", "options": map[string]any{"binary": program}}
	return yaml.Marshal(settings)
}

// Name is the stack's name.
func (s *Stage) Name() string { return s.stack }

func (s *Stage) project() string { return filepath.Join(s.Dir, "project") }

// Stop ends everything and removes the folder.
func (s *Stage) Stop() {
	for i := len(s.stop) - 1; i >= 0; i-- {
		s.stop[i]()
	}
	s.stop = nil
}

// Pulumi runs one command of the CLI in the project and shows its output. When ctx ends the CLI is interrupted as by
// Ctrl-C, and gets a minute to finish what it began.
func (s *Stage) Pulumi(ctx context.Context, args ...string) error {
	return s.PulumiWith(ctx, nil, args...)
}

// PulumiWith is Pulumi with variables added to the environment.
func (s *Stage) PulumiWith(ctx context.Context, variables []string, args ...string) error {
	command := s.command(ctx, args...)
	command.Env = append(slices.Clone(s.env), variables...)
	var tail bytes.Buffer
	command.Stdout = io.MultiWriter(s.Out, &tail)
	command.Stderr = command.Stdout
	if err := s.run(command); err != nil {
		return &PulumiError{Args: args, Output: tail.String(), Err: err}
	}
	return nil
}

// Shell runs a script in the project as its user would, with pulumi at hand, and returns what it prints on standard output.
func (s *Stage) Shell(ctx context.Context, script string, variables ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	command.Dir, command.Env = s.project(), append(slices.Clone(s.env), variables...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, out, stderr.String())
	}
	return out, nil
}

func (s *Stage) run(command *exec.Cmd) error {
	if err := command.Start(); err != nil {
		return err
	}
	s.mu.Lock()
	s.running = command
	s.mu.Unlock()
	err := command.Wait()
	s.mu.Lock()
	s.running = nil
	s.mu.Unlock()
	return err
}

// Kill ends the CLI that runs, and the program with it, as a power failure would: nothing more is written.
func (s *Stage) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return errors.New("no command of the CLI runs")
	}
	return syscall.Kill(-s.running.Process.Pid, syscall.SIGKILL)
}

// Interrupt tells the CLI that runs to end, as Ctrl-C does.
func (s *Stage) Interrupt() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return errors.New("no command of the CLI runs")
	}
	return s.running.Process.Signal(os.Interrupt)
}

// Output runs one command of the CLI and returns what it prints on standard output.
func (s *Stage) Output(ctx context.Context, args ...string) ([]byte, error) {
	command := s.command(ctx, args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, &PulumiError{Args: args, Output: string(out) + stderr.String(), Err: err}
	}
	return out, nil
}

// State is Pulumi's state of the stack.
func (s *Stage) State(ctx context.Context) (apitype.DeploymentV3, error) {
	export, err := s.Output(ctx, "stack", "export")
	if err != nil {
		return apitype.DeploymentV3{}, err
	}
	return state.Read(export)
}

// Settings are the stack's, with the program's defaults.
func (s *Stage) Settings() (*config.Config, error) {
	values, encrypted, err := config.File(s.project(), s.stack)
	if err != nil {
		return nil, err
	}
	return config.ReadIn(s.project(), values, encrypted)
}

func (s *Stage) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(s.Tools, "pulumi"), append(args, "--non-interactive")...)
	command.Dir, command.Env = s.project(), s.env
	// A group of its own: the terminal's Ctrl-C reaches it once, through Cancel.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	return command
}

// PulumiError is a command of the CLI that failed, with all that it printed.
type PulumiError struct {
	Args   []string
	Output string
	Err    error
}

func (e *PulumiError) Error() string {
	return fmt.Sprintf("pulumi %s: %v", strings.Join(e.Args, " "), e.Err)
}

func (e *PulumiError) Unwrap() error { return e.Err }
