package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// workflow is what the rules look at in a workflow or, with runs, in an action of our own.
type workflow struct {
	file, text  string
	On          yaml.Node
	Permissions *map[string]string
	Concurrency concurrency
	Jobs        map[string]job
	Runs        job
}

type job struct {
	If          string
	RunsOn      string `yaml:"runs-on"`
	Permissions *map[string]string
	Timeout     int `yaml:"timeout-minutes"`
	Concurrency concurrency
	Environment string
	Needs       string
	Env         map[string]string
	Steps       []step
}

type concurrency struct {
	Cancel string `yaml:"cancel-in-progress"`
}

type step struct {
	ID, If, Uses, Run, Shell string
	With, Env                map[string]string
	GoesOn                   bool `yaml:"continue-on-error"`
}

// workflows are the workflows, and the actions of our own.
func workflows(t *testing.T) (flows, actions []workflow) {
	read := func(pattern string) []workflow {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		var out []workflow
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			w := workflow{file: filepath.Base(file), text: string(data)}
			require.NoError(t, yaml.Unmarshal(data, &w), file)
			out = append(out, w)
		}
		return out
	}
	return read("../.github/workflows/*.yml"), read("../.github/actions/*/action.yml")
}

// eachJob runs a check over the jobs of every workflow, and over the steps of every action.
func eachJob(t *testing.T, check func(t *testing.T, where string, w workflow, j job)) {
	t.Parallel()
	flows, actions := workflows(t)
	visited := 0
	for _, w := range flows {
		for name, j := range w.Jobs {
			check(t, w.file+": "+name, w, j)
			visited++
		}
	}
	for _, w := range actions {
		check(t, w.file, w, w.Runs)
		visited++
	}
	assert.Greater(t, visited, 8)
}

// A tag can be moved to other code, a commit cannot. The version is for people and for Dependabot.
func TestEveryActionIsPinned(t *testing.T) {
	t.Parallel()
	flows, actions := workflows(t)
	uses := regexp.MustCompile(`(?m)^\s*-? uses: (.*)$`)
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	versions := map[string]string{}
	for _, w := range append(flows, actions...) {
		for _, match := range uses.FindAllStringSubmatch(w.text, -1) {
			if match[1] == "./.github/actions/aws" {
				continue
			}
			assert.Regexp(t, pinned, match[1], w.file)
			name, version, _ := strings.Cut(match[1], "@")
			if versions[name] != "" {
				assert.Equal(t, versions[name], version, "%s: one action, two versions: %s", w.file, name)
			}
			versions[name] = version
		}
	}
	assert.Len(t, versions, 5)
}

func TestPermissionsAreTheJobsOwn(t *testing.T) {
	t.Parallel()
	flows, _ := workflows(t)
	visited := 0
	// The permissions of jobs that need more than reading the code.
	may := map[string][]string{
		"aws-preview.yml: preview": {"id-token"}, "deploy.yml: up": {"id-token"}, "destroy.yml: destroy": {"id-token"},
		"drift.yml: drift": {"id-token", "issues"}, "comment.yml: comment": {"pull-requests"},
		"e2e.yml: up": {"id-token"}, "e2e.yml: destroy": {"id-token"},
	}
	for _, w := range flows {
		require.NotNil(t, w.Permissions, w.file)
		assert.Empty(t, *w.Permissions, w.file)
		for name, j := range w.Jobs {
			where := w.file + ": " + name
			require.NotNil(t, j.Permissions, where)
			var writes []string
			for permission, level := range *j.Permissions {
				if level == "write" {
					writes = append(writes, permission)
				}
			}
			assert.ElementsMatch(t, may[where], writes, where)
			assert.Positive(t, j.Timeout, where)
			visited++
		}
	}
	assert.GreaterOrEqual(t, visited, 8)
}

// Text that a pull request's author writes, as a title or the name of a branch, would be run as a part of the script.
func TestNoScriptHasAnExpression(t *testing.T) {
	scripts := 0
	eachJob(t, func(t *testing.T, where string, _ workflow, j job) {
		for _, s := range j.Steps {
			if s.Run != "" {
				assert.NotContains(t, s.Run, "${{", where)
				if strings.Count(s.Run, "\n") > 1 {
					assert.Contains(t, s.Run, "set -euo pipefail\n", where)
				}
				scripts++
			}
		}
	})
	assert.Greater(t, scripts, 8)
}

// Later steps, which run the pull request's code, would find the token in .git/config.
func TestNoCheckoutLeavesItsToken(t *testing.T) {
	checkouts := 0
	eachJob(t, func(t *testing.T, where string, _ workflow, j job) {
		for _, s := range j.Steps {
			if strings.HasPrefix(s.Uses, "actions/checkout@") {
				assert.Equal(t, "false", s.With["persist-credentials"], where)
				assert.NotContains(t, s.With, "ref", where)
				checkouts++
			}
		}
	})
	assert.GreaterOrEqual(t, checkouts, 6)
}

// pull_request_target would run with secrets; what checks forks has none at all.
func TestAPullRequestsCodeGetsNothing(t *testing.T) {
	t.Parallel()
	flows, actions := workflows(t)
	for _, w := range append(flows, actions...) {
		assert.NotContains(t, w.text, "pull_request_target", w.file)
		assert.NotContains(t, strings.ReplaceAll(w.text, "expense:secrets.", ""), "secrets", w.file) // that is a setting's path
		assert.NotContains(t, w.text, "inherit", w.file)
		for name, j := range w.Jobs {
			if j.Permissions != nil && (*j.Permissions)["id-token"] != "" && strings.Contains(w.text, "pull_request:") {
				assert.Contains(t, j.If, "head.repo.full_name == github.repository", "%s: %s: forks are left out", w.file, name)
			}
		}
	}
	i := slices.IndexFunc(flows, func(w workflow) bool { return w.file == "pull-request.yml" })
	require.GreaterOrEqual(t, i, 0)
	for _, word := range []string{"vars.", "id-token", "environment"} {
		assert.NotContains(t, flows[i].text, word)
	}
}

// An update that is cut off leaves resources that nobody knows of, and a locked state.
func TestNothingInterruptsAnUpdate(t *testing.T) {
	changing := map[string]int{}
	eachJob(t, func(t *testing.T, where string, w workflow, j job) {
		for _, s := range j.Steps {
			if strings.Contains(s.Run, "pulumi up") && w.file != e2e { // whose stack is new
				assert.Contains(t, s.Run, `--refresh="$FAILED"`, "%s: what AWS refused is forgotten without", where)
				assert.Equal(t, "${{ steps.last.outputs.failed }}", s.Env["FAILED"], where)
			}
			if strings.Contains(s.Run, "pulumi up") || strings.Contains(s.Run, "pulumi destroy") || strings.Contains(s.Run, "e2e.sh destroy") {
				changing[w.file]++
				if w.file == e2e {
					// Of the whole run: its second job destroys what the first made, and the next run's sweep what both did not.
					assert.Equal(t, "false", w.Concurrency.Cancel, where)
					assert.Empty(t, j.Concurrency.Cancel, where)
				} else {
					assert.Equal(t, "false", j.Concurrency.Cancel, where)
					assert.Empty(t, w.Concurrency.Cancel, where)
				}
				assert.NotEmpty(t, j.Environment, where)
				if !strings.HasPrefix(j.If, "always() && needs.up.") {
					assert.Contains(t, j.If, "github.ref == 'refs/heads/main'", where)
				}
				assert.NotContains(t, s.Run, "skip-preview", where)
			}
		}
	})
	assert.Equal(t, map[string]int{"deploy.yml": 2, "destroy.yml": 1, e2e: 4}, changing)
}

// e2e makes stacks of its own.
const e2e = "e2e.yml"

// A stack that was begun is destroyed with time and credentials of its own, whatever happened; what it shows of the engine is masked.
func TestWhatE2EBeginsIsDestroyed(t *testing.T) {
	t.Parallel()
	flows, _ := workflows(t)
	i := slices.IndexFunc(flows, func(w workflow) bool { return w.file == e2e })
	require.GreaterOrEqual(t, i, 0)
	up, destroy := flows[i].Jobs["up"], flows[i].Jobs["destroy"]
	at := func(j job, run string) int {
		found := slices.IndexFunc(j.Steps, func(s step) bool { return strings.Contains(s.Run, run) })
		require.GreaterOrEqual(t, found, 0, run)
		return found
	}
	assert.Equal(t, "always() && needs.up.result != 'skipped'", destroy.If)
	assert.Equal(t, "up", destroy.Needs)
	// Not of the attempt: the second job alone may be run again.
	for _, j := range []job{up, destroy} {
		assert.Equal(t, map[string]string{"STACK": "e2e-${{ github.run_id }}"}, j.Env)
	}
	order := []int{
		at(up, "e2e.sh address"), at(up, "e2e.sh sweep"), at(up, "e2e.sh take"), at(up, "stack doctor"),
		at(up, "stack estimate"), at(up, "pulumi up"), at(up, "e2e.sh verify all -touch -break"), at(up, "--expect-no-changes"),
		at(up, "pulumi config set-all"), at(up, "e2e.sh record"),
	}
	assert.True(t, slices.IsSorted(order), order)
	clean := destroy.Steps[len(destroy.Steps)-1]
	assert.Equal(t, ".github/scripts/e2e.sh clean", clean.Run)
	assert.Equal(t, "always()", clean.If)
	assert.Less(t, at(destroy, "e2e.sh destroy"), at(destroy, "stack leftovers"))
	// Nothing that a destruction can do without keeps it from running.
	assert.Equal(t, "!cancelled()", destroy.Steps[at(destroy, "e2e.sh destroy")].If)
	for _, s := range destroy.Steps[:at(destroy, "e2e.sh destroy")] {
		assert.NotContains(t, s.Run, "newest.sh", "main that has moved on")
		assert.Equal(t, strings.HasSuffix(s.Run, "e2e.sh address"), s.GoesOn, s.Run)
	}
	// What comes after an update tells something of AWS whatever the checks found, and an update that failed has errors to keep.
	for run, condition := range map[string]string{
		"--expect-no-changes":   "!cancelled() && steps.up.outcome == 'success'",
		"pulumi config set-all": "!cancelled() && steps.up.outcome == 'success'",
		"e2e.sh verify changed": "!cancelled() && steps.change.outcome == 'success'",
		"e2e.sh record":         "always() && steps.up.outcome != 'skipped'",
	} {
		assert.Equal(t, condition, up.Steps[at(up, run)].If, run)
	}
	for _, s := range up.Steps {
		assert.False(t, s.GoesOn, "what fails makes the run red: %s", s.Run)
	}
	uploads := 0
	for _, j := range flows[i].Jobs {
		for _, s := range j.Steps {
			if strings.HasPrefix(s.Uses, "actions/upload-artifact@") {
				assert.Equal(t, []string{".out/e2e", ".out/record"}, strings.Fields(s.With["path"]), "the engine's events have secrets")
				uploads++
			}
		}
	}
	assert.Equal(t, 1, uploads)
}

// Everyone with write access may set the repository's variables. So a deployment's runner is in its reviewed file, and its role, state
// and region are the environment's, whose rules protect the stack.
func TestNoRepositoryVariableDecidesADeployment(t *testing.T) {
	variable := regexp.MustCompile(`vars\.([A-Z0-9_]+)`)
	deployments, others := 0, 0
	eachJob(t, func(t *testing.T, where string, w workflow, j job) {
		for _, match := range variable.FindAllStringSubmatch(j.If, -1) {
			assert.Contains(t, []string{"AWS_DEPLOY_STACKS", "AWS_E2E", "AWS_PREVIEW_ROLE_ARN"}, match[1], "%s: an `if` sees no environment", where)
		}
		if j.Environment == "" {
			assert.Contains(t, []string{"", "ubuntu-24.04", "${{ vars.AWS_PREVIEW_RUNNER || 'ubuntu-24.04' }}"}, j.RunsOn, where)
			others++
			return
		}
		deployments++
		if where != e2e+": destroy" { // of what a run made, which nobody else has
			assert.Equal(t, ".github/scripts/newest.sh", j.Steps[1].Run, "%s: before the credentials", where)
		}
		assert.NotContains(t, j.RunsOn, "${{", where)
		for _, s := range j.Steps {
			if s.Uses == "./.github/actions/aws" {
				if s.With["images"] != "" {
					assert.Equal(t, "${{ matrix.stack }}", s.With["stack"], where)
					delete(s.With, "images")
					delete(s.With, "stack")
				}
				if w.file == e2e {
					assert.Contains(t, []string{"rehearsal", "stack"}, s.With["tool"], where)
					delete(s.With, "tool")
				}
				assert.Equal(t, map[string]string{
					"role": "${{ vars.AWS_DEPLOY_ROLE_ARN }}", "region": "${{ vars.AWS_REGION }}", "backend": "${{ vars.PULUMI_BACKEND_URL }}",
					"seconds": "14400",
				}, s.With, where)
				continue
			}
			assert.NotContains(t, s.Run, "vars.", where)
			for name, value := range s.Env {
				if w.file == e2e && name == "LIMIT" {
					continue // which is money, and no more
				}
				assert.NotContains(t, value, "vars.", "%s: %s", where, name)
			}
		}
	})
	assert.Equal(t, 4, deployments)
	assert.Greater(t, others, 6)
}

// What runs beside credentials has been checked before they are there: they are in the environment of every later step.
func TestOnlyWhatWasCheckedRunsBesideCredentials(t *testing.T) {
	t.Parallel()
	flows, actions := workflows(t)
	require.Len(t, actions, 1)
	var order []string
	for _, s := range actions[0].Runs.Steps {
		name, _, _ := strings.Cut(s.Uses+s.Run, "@")
		order = append(order, name)
		if name == "actions/setup-go" {
			assert.Equal(t, "false", s.With["cache"], "other jobs write the cache")
		}
		if strings.Contains(name, "images.sh") {
			assert.Equal(t, "inputs.images != ''", s.If)
			assert.Equal(t, map[string]string{"IMAGES": "${{ inputs.images }}", "STACK": "${{ inputs.stack }}"}, s.Env)
		} else if strings.HasPrefix(name, "make") {
			assert.Contains(t, []string{"inputs.tool == 'rehearsal'", "inputs.tool != ''"}, s.If)
		} else {
			assert.Empty(t, s.If, name)
		}
	}
	assert.Equal(t, []string{
		".github/scripts/target.sh", "actions/setup-go", ".github/scripts/install.sh", "go build -o bin/expense .",
		"make tools", "make .tools/bin/stack", `.github/scripts/images.sh "$IMAGES"`,
		"aws-actions/configure-aws-credentials", `pulumi login "$BACKEND"`,
	}, order)

	signedIn := 0
	for _, w := range flows {
		for name, j := range w.Jobs {
			if (*j.Permissions)["id-token"] == "" {
				continue
			}
			signedIn++
			for i, s := range j.Steps {
				where := w.file + ": " + name
				if i == 0 {
					assert.True(t, strings.HasPrefix(s.Uses, "actions/checkout@"), where)
				} else {
					action, _, _ := strings.Cut(s.Uses, "@")
					allowed := []string{"", "./.github/actions/aws"}
					if w.file == e2e {
						allowed = append(allowed, "actions/upload-artifact")
					}
					assert.Contains(t, allowed, action, where)
				}
				for _, fetches := range []string{"curl", "wget", "install", "make", "go run", "npx", "pip"} {
					assert.NotContains(t, s.Run, fetches, where)
				}
			}
		}
	}
	assert.Equal(t, 6, signedIn)
}

// A deployment pushes what it built without credentials, before it updates; a pull request builds and pushes nothing; a preview takes
// the images that a deployment has pushed, or it would take the apps away.
func TestImagesComeBeforeTheProgram(t *testing.T) {
	t.Parallel()
	flows, _ := workflows(t)
	found := map[string][]string{}
	for _, w := range flows {
		for _, j := range w.Jobs {
			for _, s := range j.Steps {
				if images := s.With["images"]; images != "" {
					found[w.file] = append(found[w.file], "before: "+images)
				}
				if mode, ours := strings.CutPrefix(s.Run, ".github/scripts/images.sh "); ours {
					if s.If == "steps.images.outputs.again == 'true'" {
						mode += " again"
					}
					found[w.file] = append(found[w.file], mode)
				}
				for _, program := range []string{"pulumi up", "pulumi preview", "drift.sh"} {
					if strings.Contains(s.Run, program) && w.file != e2e { // whose stack is dev's, without apps

						found[w.file] = append(found[w.file], program)
					}
				}
			}
		}
	}
	assert.Equal(t, map[string][]string{
		"deploy.yml":       {"before: try", "push", "pulumi up", "push again", "pulumi up"},
		"aws-preview.yml":  {"before: tool", "take", "pulumi preview"},
		"drift.yml":        {"before: tool", "take", "drift.sh"},
		"pull-request.yml": {"try"},
	}, found)
}

// Without a role a job does not run, and another job of the workflow says so.
func TestWhereThereIsNoRoleAJobSaysSo(t *testing.T) {
	t.Parallel()
	flows, _ := workflows(t)
	var checked []string
	for _, w := range flows {
		for name, j := range w.Jobs {
			if !strings.Contains(j.If, "vars.AWS_") || len(*j.Permissions) > 0 {
				continue
			}
			require.Len(t, j.Steps, 1, "%s: %s", w.file, name)
			assert.Regexp(t, `::(notice|error)::`, j.Steps[0].Run)
			checked = append(checked, w.file)
		}
	}
	assert.ElementsMatch(t, []string{"aws-preview.yml", "deploy.yml", "destroy.yml", "drift.yml", e2e}, checked)
}

// Scripts can be run, and the stacks that may be destroyed are those that there are.
func TestTheWorkflowsKnowTheProject(t *testing.T) {
	seen := 0
	eachJob(t, func(t *testing.T, where string, w workflow, j job) {
		for _, s := range j.Steps {
			if script, found := strings.CutPrefix(s.Run, ".github/scripts/"); found {
				info, err := os.Stat("../.github/scripts/" + strings.Fields(script)[0])
				if assert.NoError(t, err, where) {
					assert.NotZero(t, info.Mode()&0o111, "%s: %s can be run", where, script)
				}
				seen++
			}
		}
		if w.file == "destroy.yml" {
			var on struct {
				Dispatch struct {
					Inputs map[string]struct{ Options []string }
				} `yaml:"workflow_dispatch"`
			}
			require.NoError(t, w.On.Decode(&on))
			assert.ElementsMatch(t, stacks, on.Dispatch.Inputs["stack"].Options)
		}
	})
	assert.Equal(t, 35, seen)
}
