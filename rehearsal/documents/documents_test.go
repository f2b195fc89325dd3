// Package documents runs commands of README.md and docs that no other test runs.
package documents

import (
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"expense/rehearsal/internal/awshttp"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/ops/doctor"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const project = "../.."

// code is what the documents show as code: each span, and each line of a block of shell commands, without its comment.
func code(t *testing.T) []string {
	pages, err := filepath.Glob(filepath.Join(project, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	span := regexp.MustCompile("`([^`\n]+)`")
	var found []string
	for _, page := range append([]string{filepath.Join(project, "README.md")}, pages...) {
		data, err := os.ReadFile(page)
		require.NoError(t, err)
		for i, part := range strings.Split(string(data), "```") {
			if i%2 == 0 {
				for _, match := range span.FindAllStringSubmatch(part, -1) {
					found = append(found, match[1])
				}
			} else if block, ok := strings.CutPrefix(part, "sh\n"); ok {
				for line := range strings.Lines(block) {
					command, _, _ := strings.Cut(line, " # ")
					found = append(found, strings.TrimSpace(command))
				}
			}
		}
	}
	return found
}

// environment is that of a user who is signed in to an account that answers at an address, with a local backend.
func environment(t *testing.T, endpoint string) []string {
	home := t.TempDir()
	tools, err := filepath.Abs(filepath.Join(project, ".tools", "bin"))
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(tools, "pulumi")); errors.Is(err, os.ErrNotExist) {
		t.Skip("pulumi is not built: run `make tools`")
	}
	return append(os.Environ(), "PATH="+home+":"+tools+":"+os.Getenv("PATH"),
		"PULUMI_HOME="+home, "PULUMI_BACKEND_URL=file://"+home, "PULUMI_CONFIG_PASSPHRASE=", "PULUMI_SKIP_UPDATE_CHECK=true",
		"AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1",
		"AWS_PROFILE=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=") // nobody answers there, so no registry is asked
}

// run runs a line of shell in a folder and returns what it prints, with its exit code.
func run(t *testing.T, folder string, env []string, line string) (string, int) {
	command := exec.CommandContext(t.Context(), "sh", "-c", line)
	command.Dir, command.Env = folder, env
	out, err := command.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		require.NoError(t, err, "%s\n%s", line, out)
	}
	return string(out), command.ProcessState.ExitCode()
}

// stackFolder has a stack's settings as they are in the project, and the stack in the backend.
func stackFolder(t *testing.T, env []string) string {
	folder := t.TempDir()
	for _, name := range []string{"Pulumi.yaml", "Pulumi.dev.yaml"} {
		data, err := os.ReadFile(filepath.Join(project, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	}
	out, exit := run(t, folder, env, "pulumi stack init dev")
	require.Zero(t, exit, out)
	return folder
}

func TestMakeKnowsTheTargetsAndVariablesOfTheDocuments(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(project, "Makefile"))
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, command := range code(t) {
		if !strings.HasPrefix(command, "make ") || seen[command] {
			continue
		}
		seen[command] = true
		for _, word := range strings.Fields(command)[2:] {
			name, _, _ := strings.Cut(word, "=")
			assert.Regexp(t, `(?m)^`+regexp.QuoteMeta(name)+` \?=`, string(makefile), command)
		}
		out, exit := run(t, project, os.Environ(), strings.Replace(command, "make ", "make --dry-run ", 1))
		assert.Zero(t, exit, "%s\n%s", command, out)
	}
	assert.GreaterOrEqual(t, len(seen), 12, "commands")
}

// Every setting that the documents tell people to make is one that the program takes.
func TestTheSettingsOfTheDocumentsAreTaken(t *testing.T) {
	env := append(environment(t, "http://127.0.0.1:1"), "ACCOUNT=111122223333", "STACK=dev") // which docs/ci.md has set by then
	folder := stackFolder(t, env)
	seen := 0
	for _, command := range code(t) {
		if !strings.HasPrefix(command, "pulumi config set ") {
			continue
		}
		command = strings.TrimSuffix(command, " && pulumi up")
		command = strings.Replace(command, " VERSION", " v1.20.4-eksbuild.1", 1)
		command = strings.Replace(command, "$(curl -s https://checkip.amazonaws.com)", "203.0.113.7", 1)
		out, exit := run(t, folder, env, command)
		require.Zero(t, exit, "%s\n%s", command, out)
		seen++
	}
	assert.GreaterOrEqual(t, seen, 8, "commands")
	_, problems, err := doctor.Settings(folder, "dev")
	require.NoError(t, err)
	assert.Empty(t, problems)
}

// As a user runs them, from make to the SDK's HTTP.
func TestDoctorAndLeftoversAsTheDocumentsRunThem(t *testing.T) {
	model := awsmodel.New(awsmodel.Options{})
	volume := model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster,
		map[string]any{"size": 10, "tags": map[string]any{"pulumi:project": "expense", "pulumi:stack": "dev"}})
	account := httptest.NewServer(&awshttp.Server{Model: model})
	t.Cleanup(account.Close)
	env := environment(t, account.URL)
	stackFolder(t, env)
	out, exit := run(t, project, os.Environ(), "make .tools/bin/stack") // go build may want modules
	require.Zero(t, exit, out)
	for _, c := range []struct {
		command string
		exit    int
		say     []string
		left    int
	}{
		{"make doctor STACK=dev", 2, []string{"problem          settings: cluster.publicAccessCidrs: found nothing", "credentials", "Error 3"}, 1},
		{"make leftovers STACK=dev", 2, []string{"LEFTOVER", volume, "0.80", "aws ec2 delete-volume --volume-id " + volume + " --region us-east-1", "Error 3"}, 1},
	} {
		assert.Contains(t, code(t), c.command)
		out, exit := run(t, project, env, c.command)
		assert.Equal(t, c.exit, exit, "%s\n%s", c.command, out)
		for _, want := range c.say {
			assert.Contains(t, out, want, c.command)
		}
		assert.Len(t, model.Inventory(), c.left, c.command)
	}
}
