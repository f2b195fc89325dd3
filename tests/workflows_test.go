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
	Permissions *map[string]string
	Timeout     int `yaml:"timeout-minutes"`
	Concurrency concurrency
	Environment string
	Steps       []step
}

type concurrency struct {
	Cancel string `yaml:"cancel-in-progress"`
}

type step struct {
	If, Uses, Run, Shell string
	With, Env            map[string]string
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
	assert.Len(t, versions, 6)
}

func TestPermissionsAreTheJobsOwn(t *testing.T) {
	t.Parallel()
	flows, _ := workflows(t)
	visited := 0
	// What a job may have beyond reading the code; every other job has less.
	may := map[string][]string{
		"aws-preview.yml: preview": {"id-token"}, "deploy.yml: up": {"id-token"}, "destroy.yml: destroy": {"id-token"},
		"drift.yml: drift": {"id-token", "issues"}, "comment.yml: comment": {"pull-requests"},
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
		assert.NotContains(t, w.text, "secrets", w.file)
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
	changing := 0
	eachJob(t, func(t *testing.T, where string, w workflow, j job) {
		for _, s := range j.Steps {
			if s.With["command"] == "up" {
				assert.Equal(t, "${{ steps.last.outputs.failed }}", s.With["refresh"], "%s: what AWS refused is forgotten without", where)
			}
			if s.With["command"] == "up" || strings.Contains(s.Run, "pulumi destroy") {
				changing++
				assert.Equal(t, "false", j.Concurrency.Cancel, where)
				assert.Empty(t, w.Concurrency.Cancel, where)
				assert.NotEmpty(t, j.Environment, where)
				assert.Contains(t, j.If, "github.ref == 'refs/heads/main'", where)
				assert.NotContains(t, s.Run, "skip-preview", where)
			}
		}
	})
	assert.Equal(t, 2, changing)
}

// Where there is no role nothing is pretended: another job of the workflow says so.
func TestWhereThereIsNoRoleAJobSaysSo(t *testing.T) {
	t.Parallel()
	flows, _ := workflows(t)
	var checked []string
	for _, w := range flows {
		for name, j := range w.Jobs {
			if !strings.Contains(j.If, "vars.AWS_") || j.Permissions != nil && len(*j.Permissions) > 0 {
				continue
			}
			require.Len(t, j.Steps, 1, "%s: %s", w.file, name)
			assert.Regexp(t, `::(notice|error)::`, j.Steps[0].Run)
			checked = append(checked, w.file)
		}
	}
	assert.ElementsMatch(t, []string{"aws-preview.yml", "deploy.yml", "destroy.yml", "drift.yml"}, checked)
}

// The workflows' Pulumi is the rehearsal's, and the stacks that may be destroyed are those that there are.
func TestTheWorkflowsKnowTheProject(t *testing.T) {
	pins, err := os.ReadFile("../tools/pulumi/go.mod")
	require.NoError(t, err)
	pin := regexp.MustCompile(`github.com/pulumi/pulumi/pkg/v3 v(\S+)`).FindStringSubmatch(string(pins))
	require.Len(t, pin, 2)
	seen := 0
	eachJob(t, func(t *testing.T, where string, w workflow, j job) {
		for _, s := range j.Steps {
			if strings.HasPrefix(s.Uses, "pulumi/actions@") {
				assert.Equal(t, pin[1], s.With["pulumi-version"], where)
				seen++
			}
			if script, found := strings.CutPrefix(s.Run, ".github/scripts/"); found {
				info, err := os.Stat("../.github/scripts/" + script)
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
	assert.Equal(t, 7, seen)
}
