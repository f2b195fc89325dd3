package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"expense/internal/config"
	"expense/internal/published"
	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/internal/stage/stagetest"
	"expense/rehearsal/ops/doctor"
	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// asked names the socket to which this binary, when a script runs it as aws or stack, hands its words.
const asked = "E2E_SOCKET"

type request struct{ Words []string }

type reply struct {
	Code      int
	Out, Errs string
}

func TestMain(m *testing.M) {
	if socket := os.Getenv(asked); socket != "" {
		os.Exit(relay(socket, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func relay(socket string, words []string) int {
	connection, err := net.Dial("unix", socket)
	if err == nil {
		err = json.NewEncoder(connection).Encode(request{words})
	}
	var r reply
	if err == nil {
		err = json.NewDecoder(connection).Decode(&r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	fmt.Print(r.Out)
	fmt.Fprint(os.Stderr, r.Errs)
	return r.Code
}

// account is a stage with a workflow's machine: the workflow's steps find pulumi, and an aws CLI and the tool that reach the model.
type account struct {
	t     *testing.T
	stage *stage.Stage
	api   *awsapi.API
	// verdict is what the checks end with, if that is not 0.
	verdict int
	// calls are the words of the tool and the aws CLI.
	calls []string
}

const runner = "203.0.113.9"

func newAccount(t *testing.T) *account {
	options := stagetest.Options(t)
	options.SaveAtEnd = true
	s, err := stage.New(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	a := &account{t: t, stage: s, api: &awsapi.API{Model: s.Model, Region: awsapi.Region{
		Quotas:     map[string]float64{"L-34B43A08": 64, "L-1216C47A": 64, "L-0263D0A3": 5, "L-F678F1CE": 5, "L-FE5A380F": 5, "L-1194D53C": 100},
		Offered:    map[string][]string{"m5.large": {"use1-az1", "use1-az2"}},
		Kubernetes: published.KubernetesVersions(), VolumeKey: "alias/aws/ebs",
		Policies: []string{"arn:aws:iam::111122223333:policy/github-expense-boundary-e2e"},
		Engines:  []string{"OpenSearch_2.17", "OpenSearch_2.19", "OpenSearch_3.1"}, DomainTypes: []string{"t3.small.search"},
		VolumeLimits: map[string]string{
			"MinimumVolumeSize": "10", "MaximumVolumeSize": "100", "MinimumIops": "3000", "MaximumIops": "11800",
			"MinimumThroughput": "125", "MaximumThroughput": "260",
		},
	}}}
	inModel(t, a.api)

	// What runs in this process finds the stage's pulumi too.
	out, err := s.Shell(t.Context(), "env -0")
	require.NoError(t, err)
	for _, entry := range strings.Split(string(out), "\x00") {
		if name, value, _ := strings.Cut(entry, "="); name == "PATH" || strings.HasPrefix(name, "PULUMI_") {
			t.Setenv(name, value)
		}
	}
	self, err := os.Executable()
	require.NoError(t, err)
	socket := filepath.Join(s.Dir, "asked")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go a.serve(listener)

	bin, project := filepath.Join(s.Dir, "bin"), filepath.Join(s.Dir, "project")
	require.NoError(t, os.Rename(filepath.Join(bin, "aws"), filepath.Join(bin, "aws-token")))
	require.NoError(t, os.MkdirAll(filepath.Join(project, ".tools", "bin"), 0o700))
	for file, text := range map[string]string{
		filepath.Join(bin, "aws"): fmt.Sprintf(`case "$*" in --version | *"eks get-token"*) exec "$(dirname "$0")/aws-token" "$@" ;; esac
exec env %s=%s %s aws "$@"`, asked, socket, self),
		// Before the tools of the repository, where a real one may be.
		filepath.Join(bin, "stack"): fmt.Sprintf(`exec env %s=%s %s stack "$@"`, asked, socket, self),
		filepath.Join(bin, "curl"):  `[ ! -e "$(dirname "$0")/away" ] || exit 7; echo ` + runner,
	} {
		require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	}
	// Somebody's own address, in the stack whose settings are taken.
	dev := filepath.Join(project, "Pulumi.dev.yaml")
	data, err := os.ReadFile(dev)
	require.NoError(t, err)
	data = regexp.MustCompile(`(?m)^( +)publicAccess: true$`).ReplaceAll(data, []byte("$0\n${1}publicAccessCidrs: [203.0.113.7/32]"))
	require.NoError(t, os.WriteFile(dev, data, 0o600))
	require.NoError(t, os.Symlink(filepath.Join(bin, "stack"), filepath.Join(project, ".tools", "bin", "stack")))
	require.NoError(t, os.Symlink(filepath.Join(s.Source, ".github"), filepath.Join(project, ".github")))
	return a
}

func (a *account) serve(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		var r request
		if err := json.NewDecoder(connection).Decode(&r); err == nil {
			a.calls = append(a.calls, strings.Join(r.Words, " "))
			_ = json.NewEncoder(connection).Encode(a.answer(r.Words))
		}
		connection.Close()
	}
}

func (a *account) answer(words []string) reply {
	if words[0] == "aws" {
		out, err := a.aws(words)
		if err != nil {
			return reply{254, "", err.Error() + "\n"} // https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-returncodes.html
		}
		return reply{0, out, ""}
	}
	run, known := map[string]func(context.Context, string, []string) (int, error){
		"doctor": a.doctor, "verify": a.verify, "record": a.record,
	}[words[1]]
	if !known {
		run = commands[words[1]]
	}
	if run == nil {
		return reply{1, "", "no command " + words[1] + "\n"}
	}
	// The commands print on this process's output.
	file, err := os.CreateTemp(a.stage.Dir, "said-")
	if err != nil {
		return reply{1, "", err.Error()}
	}
	former := os.Stdout
	os.Stdout = file
	code, err := run(a.t.Context(), filepath.Join(a.stage.Dir, "project"), words[2:])
	os.Stdout = former
	file.Close()
	out, _ := os.ReadFile(file.Name())
	if err != nil {
		return reply{max(code, 1), string(out), err.Error() + "\n"}
	}
	return reply{code, string(out), ""}
}

// aws answers the commands of the workflow that only read, and lets the model do the others.
func (a *account) aws(words []string) (string, error) {
	switch command := strings.Join(words[1:3], " "); command {
	case "eks describe-cluster":
		for _, o := range a.stage.Model.Objects("aws:eks/cluster:Cluster") {
			if o.Properties["name"] == words[slices.Index(words, "--name")+1] {
				vpc, _ := o.Properties["vpcConfig"].(map[string]any)
				return strings.Trim(fmt.Sprint(vpc["publicAccessCidrs"]), "[]") + "\n", nil
			}
		}
		return "", fmt.Errorf("An error occurred (ResourceNotFoundException) when calling the DescribeCluster operation: No cluster found")
	case "resourcegroupstaggingapi get-resources":
		list := []map[string]any{}
		for _, item := range a.stage.Model.Inventory() {
			if strings.HasPrefix(item.Type, "aws:iam/") {
				continue // the API knows none of IAM's roles, see package leftovers
			}
			for _, o := range a.stage.Model.Objects(item.Type) {
				if tags, _ := o.Properties["tags"].(map[string]any); o.ID == item.ID && tags["pulumi:project"] == "expense" {
					list = append(list, map[string]any{
						"ResourceARN": "arn:aws:" + regexp.MustCompile(`^aws:(\w+)/`).FindStringSubmatch(item.Type)[1] + ":us-east-1:1:" + item.ID,
						"Tags":        []any{map[string]any{"Key": "pulumi:stack", "Value": tags["pulumi:stack"]}},
					})
				}
			}
		}
		out, err := json.Marshal(map[string]any{"ResourceTagMappingList": list})
		return string(out), err
	}
	return "", a.api.Command(words)
}

func stackOf(words []string) string { return words[slices.Index(words, "-stack")+1] }

// RoundTrip is every registry, and who says what address this machine has.
func (a *account) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if strings.HasPrefix(r.URL.Host, "checkip") {
		fmt.Fprintln(w, runner)
	}
	return w.Result(), nil
}

func (a *account) doctor(ctx context.Context, project string, words []string) (int, error) {
	stack := stackOf(words)
	settings, problems, err := doctor.Settings(project, stack)
	if err != nil {
		return 1, err
	}
	findings := doctor.Examine(ctx, doctor.Options{
		Config: a.api.Config(), Stack: stack, Region: "us-east-1", Settings: settings, Problems: problems,
		Run: func(_ context.Context, name string, _ ...string) (string, error) {
			return map[string]string{"aws": "aws-cli/2.31.4", "pulumi": "v3.259.0", "kubectl": "Client Version: v1.35.4"}[name], nil
		}, HTTP: &http.Client{Transport: a},
	})
	return doctor.Code(findings), doctor.Text(os.Stdout, findings)
}

func (a *account) verify(ctx context.Context, project string, words []string) (int, error) {
	if a.verdict != 0 {
		return a.verdict, os.MkdirAll(filepath.Join(project, verified), 0o700)
	}
	s, err := play.Target(ctx, a.stage)
	if err != nil {
		return 1, err
	}
	values, encrypted, err := config.File(project, stackOf(words))
	if err != nil {
		return 1, err
	}
	if s.Settings, err = config.ReadIn(project, values, encrypted); err != nil {
		return 1, err
	}
	s.Name = stackOf(words)
	level := verify.Reads
	if slices.Contains(words, "-break") {
		level = verify.Breaks
	}
	return check(ctx, project, s, verify.Options{Level: level}, os.Stdout)
}

func (a *account) record(_ context.Context, project string, _ []string) (int, error) {
	return 0, os.MkdirAll(filepath.Join(project, ".out", "record"), 0o700)
}

// flow is what is played of the workflow.
type flow struct {
	Jobs map[string]struct {
		Env     map[string]string
		Timeout int `yaml:"timeout-minutes"`
		Steps   []struct {
			ID, Name, If, Uses, Run string
			GoesOn                  bool `yaml:"continue-on-error"`
			Env                     map[string]string
		}
	}
}

func readFlow(t *testing.T) (out flow) {
	data, err := os.ReadFile("../../.github/workflows/e2e.yml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &out))
	return out
}

// jobEnd is how a job ended.
type jobEnd struct {
	failed string // the first step that failed
	ran    []string
	output string // of the steps, all together
}

var stepEnded = regexp.MustCompile(`^steps\.(\w+)\.outcome (==|!=) '(\w+)'$`)

var expression = regexp.MustCompile(`\$\{\{ (.*?) \}\}`)

// play runs a job's steps in order as GitHub does, for the run of a number.
func (a *account) play(name string, run int, variables map[string]string) (out jobEnd) {
	job := readFlow(a.t).Jobs[name]
	outcomes := map[string]string{}
	value := func(text string) string {
		return expression.ReplaceAllStringFunc(text, func(found string) string {
			switch inner := expression.FindStringSubmatch(found)[1]; inner {
			case "github.run_id":
				return fmt.Sprint(run)
			case "github.token":
				return "token"
			case "vars.AWS_E2E_LIMIT || '8'":
				if limit := variables["AWS_E2E_LIMIT"]; limit != "" {
					return limit
				}
				return "8"
			default:
				require.Fail(a.t, "the test does not know the expression", inner)
				return ""
			}
		})
	}
	// Nobody cancels the job. Without a function of the state, success() is implied:
	// https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#status-check-functions
	goes := func(condition string) bool {
		holds := out.failed == ""
		for _, term := range strings.Split(condition, " && ") {
			step := stepEnded.FindStringSubmatch(term)
			switch {
			case term == "" || step != nil && (outcomes[step[1]] == step[3]) == (step[2] == "=="):
			case term == "always()" || term == "!cancelled()":
				holds = true
			case term == "failure()":
				holds = out.failed != ""
			case step != nil:
				return false
			default:
				require.Fail(a.t, "the test does not know the condition", condition)
			}
		}
		return holds
	}
	files := a.t.TempDir()
	kept := map[string]string{} // GITHUB_ENV
	for _, step := range job.Steps {
		if step.Run == "" {
			if strings.HasPrefix(step.Uses, "./.github/actions/aws") {
				kept["AWS_REGION"] = "us-east-1"
			}
			continue
		}
		if !goes(step.If) {
			outcomes[step.ID] = "skipped"
			continue
		}
		env := []string{
			"GITHUB_RUN_ATTEMPT=1", "GITHUB_ENV=" + filepath.Join(files, "env"),
			"GITHUB_STEP_SUMMARY=" + filepath.Join(files, "summary"), "PAUSE=0", "SECRETS=passphrase", "TMPDIR=" + files,
		}
		all := map[string]string{}
		for _, part := range []map[string]string{kept, job.Env, step.Env} {
			maps.Copy(all, part)
		}
		for name, text := range all {
			env = append(env, name+"="+value(text))
		}
		label := step.Name
		if label == "" {
			label = step.Run
		}
		started := time.Now()
		said, err := a.stage.Shell(a.t.Context(), "{ "+strings.TrimSpace(step.Run)+"\n} 2>&1", env...)
		out.ran = append(out.ran, label)
		out.output += fmt.Sprintf("### %s\n%s", label, said)
		outcomes[step.ID] = "success"
		if err != nil {
			outcomes[step.ID] = "failure"
			out.output += fmt.Sprintf("%v\n", err)
			if out.failed == "" && !step.GoesOn {
				out.failed = label
			}
		}
		a.t.Logf("%s, run %d: %s: %v after %.1f s", name, run, label, outcomes[step.ID], time.Since(started).Seconds())
		data, _ := os.ReadFile(filepath.Join(files, "env"))
		for line := range strings.Lines(string(data)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			kept[name] = value
		}
	}
	return out
}

// What a run costs at most is what it costs until both its jobs are ended.
func TestTheEstimateIsOfTheWholeRun(t *testing.T) {
	jobs := readFlow(t).Jobs
	minutes := jobs["up"].Timeout + jobs["destroy"].Timeout
	assert.Equal(t, longest, time.Duration(minutes)*time.Minute)
}

// left is what the account has, but for what AWS keeps.
func (a *account) left() (out []string) {
	for _, item := range a.stage.Model.Inventory() {
		if item.KeptByDesign == "" {
			out = append(out, item.Type+" "+item.ID)
		}
	}
	return out
}

func (a *account) stacks() string {
	out, err := a.stage.Shell(a.t.Context(), "pulumi stack ls --json | jq -r '.[].name'")
	require.NoError(a.t, err)
	return strings.Join(strings.Fields(string(out)), " ")
}

// The steps of the workflow make a stack, see it, change it and take it away. What a run leaves that dies, the next one removes.
func TestTheE2EWorkflowCleansUpWhateverHappens(t *testing.T) {
	a := newAccount(t)
	died := a.play("up", 1, nil)
	require.Empty(t, died.failed, died.output)
	assert.Contains(t, died.ran, "The settings change")
	assert.Equal(t, 2, strings.Count(died.output, " ok, 0 failed, "), "the checks before and after")
	assert.NotContains(t, died.ran, "What did not come up")
	// As docs/first-day.md says.
	assert.Regexp(t, `A run of e2e-1 takes about \d\.\d hours and costs about 1\.[45]\d USD\. It costs at most 5\.[89]\d USD:`, died.output)
	assert.NotEmpty(t, a.left(), "its machine is lost before it destroys the stack")
	file, err := os.ReadFile(filepath.Join(a.stage.Dir, "project", "Pulumi.e2e-1.yaml"))
	require.NoError(t, err)
	assert.Contains(t, string(file), runner+"/32")
	assert.NotContains(t, string(file), "203.0.113.7/32")

	// A volume of another stack, which nobody may touch, and one of a run of which there is no state.
	plant := func(id, stack string) {
		a.stage.Model.Plant("aws:ebs/volume:Volume", id, "", awsmodel.InCluster, map[string]any{
			"size": 10, "tags": map[string]any{"pulumi:project": "expense", "pulumi:stack": stack}})
	}
	plant("vol-others", "prod")
	plant("vol-lost", "e2e-0")
	refused := a.play("up", 2, map[string]string{"AWS_E2E_LIMIT": "0.5"})
	assert.Equal(t, "What it costs", refused.failed, refused.output)
	assert.Contains(t, refused.output, "above the limit of 0.50 USD")
	assert.NotContains(t, refused.ran, "Up")
	assert.NotContains(t, refused.ran, "What AWS answered")
	assert.Contains(t, refused.output, "The run of e2e-1 died")
	assert.Equal(t, []string{"aws:ebs/volume:Volume vol-others"}, a.left(), refused.output)
	assert.Equal(t, "e2e-2", a.stacks())
	swept := a.play("destroy", 2, nil)
	assert.Empty(t, swept.failed, swept.output)
	assert.Empty(t, a.stacks())

	a.verdict = 1
	bad := a.play("up", 3, nil)
	assert.False(t, strings.Contains(bad.output, "The run of"), "nothing is left of the runs before")
	assert.Equal(t, "All checks", bad.failed, bad.output)
	for _, step := range []string{
		"A second update changes nothing", "Other settings", "The settings change", "Checks after the change", "What AWS answered",
	} {
		assert.Contains(t, bad.ran, step, "one false verdict hides nothing else")
	}
	plant("vol-late", "e2e-3")
	require.NoError(t, os.WriteFile(filepath.Join(a.stage.Dir, "bin", "away"), nil, 0o600))
	gone := a.play("destroy", 3, nil)
	assert.Equal(t, "Nothing is left", gone.failed, "the volume is a leftover, the address no reason: %s", gone.output)
	assert.Regexp(t, `Seconds that each deletion took:\n(\d+\t\S+\n)*\d+\taws:eks/cluster:Cluster\n`, gone.output)
	assert.Equal(t, []string{"aws:ebs/volume:Volume vol-others"}, a.left(), gone.output)
	assert.Empty(t, a.stacks())
	for _, call := range a.calls {
		assert.NotContains(t, call, "vol-others")
	}
}
