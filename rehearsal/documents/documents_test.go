// Package documents runs commands of README.md and docs that no other test runs.
package documents

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"expense/rehearsal/ops/doctor"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const project = "../.."

// code is what the pages show as code: each span, and each line of a block of shell commands, without its comment.
func code(t *testing.T) []string {
	span := regexp.MustCompile("`([^`\n]+)`")
	var found []string
	for _, text := range pages(t) {
		for i, part := range strings.Split(text, "```") {
			if i%2 == 0 {
				for _, match := range span.FindAllStringSubmatch(part, -1) {
					found = append(found, match[1])
				}
			} else if block, ok := strings.CutPrefix(part, "sh\n"); ok {
				for line := range strings.Lines(continued.ReplaceAllString(block, " ")) {
					command, _, _ := strings.Cut(line, " # ")
					found = append(found, strings.TrimSpace(command))
				}
			}
		}
	}
	return found
}

// continued is the end of a line whose command goes on in the next.
var continued = regexp.MustCompile(`\s*\\\n\s*`)

// environment is that of a user with a local backend, signed in to an account at an address.
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

// stackFolder has the project's settings of a stack, and the stack in the backend.
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
	shown := regexp.MustCompile(`^((?:[A-Z_]+=\S+ )*)make ([a-z][^>|&]*)$`)
	for _, command := range code(t) {
		match := shown.FindStringSubmatch(command)
		if match == nil || seen[command] {
			continue
		}
		seen[command] = true
		for _, word := range strings.Fields(match[1] + match[2]) {
			if name, _, set := strings.Cut(word, "="); set {
				assert.Regexp(t, `(?m)^`+regexp.QuoteMeta(name)+` \?=`, string(makefile), command)
			}
		}
		out, exit := run(t, project, os.Environ(), strings.Replace(command, "make ", "make --dry-run ", 1))
		assert.Zero(t, exit, "%s\n%s", command, out)
	}
	assert.GreaterOrEqual(t, len(seen), 12, "commands")
}

// The program takes each setting of the documents.
func TestTheSettingsOfTheDocumentsAreTaken(t *testing.T) {
	env := append(environment(t, "http://127.0.0.1:1"), "ACCOUNT=111122223333", "STACK=dev") // which docs/ci.md has set by then
	folder := stackFolder(t, env)
	seen := 0
	for _, command := range code(t) {
		if !strings.HasPrefix(command, "pulumi config set ") {
			continue
		}
		set(t, folder, env, command)
		seen++
	}
	assert.GreaterOrEqual(t, seen, 8, "commands")
	_, problems, err := doctor.Settings(folder, "dev")
	require.NoError(t, err)
	assert.Empty(t, problems)
}

// set runs a command that makes settings, with AWS's answers in place of its questions.
func set(t *testing.T, folder string, env []string, command string) {
	command = strings.TrimSuffix(command, " && pulumi up")
	command = strings.Replace(command, " VERSION", " v1.20.4-eksbuild.1", 1)
	command = strings.Replace(command, "$(curl -s https://checkip.amazonaws.com)", "203.0.113.7", 1)
	command = strings.Replace(command, "$(aws sts get-caller-identity --query Account --output text)", "111122223333", 1)
	out, exit := run(t, folder, env, command)
	require.Zero(t, exit, "%s\n%s", command, out)
}

// The README's quick start sets all that the committed file leaves to its user.
func TestTheQuickStartIsEnough(t *testing.T) {
	env := environment(t, "http://127.0.0.1:1")
	folder := stackFolder(t, env)
	_, problems, err := doctor.Settings(folder, "dev")
	require.NoError(t, err)
	require.NotEmpty(t, problems)
	seen := 0
	for _, command := range code(t) {
		if strings.HasPrefix(command, "pulumi config set-all ") {
			set(t, folder, env, command)
			seen++
		}
	}
	require.Equal(t, 1, seen)
	_, problems, err = doctor.Settings(folder, "dev")
	require.NoError(t, err)
	assert.Empty(t, problems)
	out, exit := run(t, folder, env, "pulumi config get --path expense:secrets.web.API_TOKEN")
	assert.Zero(t, exit, out)
	assert.Equal(t, "the-token\n", out)
}

// docs/faq.md tells how a stack is forgotten and its file kept.
func TestTheStacksFileCanBeKept(t *testing.T) {
	env := environment(t, "http://127.0.0.1:1")
	folder := stackFolder(t, env)
	file := filepath.Join(folder, "Pulumi.dev.yaml")
	const keep = "pulumi stack rm dev --preserve-config"
	assert.Contains(t, code(t), keep)
	for _, c := range []struct {
		command string
		kept    bool
	}{{keep, true}, {"pulumi stack init dev", true}, {"pulumi stack rm dev", false}} {
		out, exit := run(t, folder, append(env, "PULUMI_SKIP_CONFIRMATIONS=true"), c.command)
		require.Zero(t, exit, "%s\n%s", c.command, out)
		if c.kept {
			assert.FileExists(t, file, c.command)
		} else {
			assert.NoFileExists(t, file, c.command)
		}
	}
}

// As a user runs them, from make to the SDK's HTTP. The account says whose the credentials are, and refuses the rest.
func TestDoctorAndLeftoversAsTheDocumentsRunThem(t *testing.T) {
	account := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		if r.FormValue("Action") == "GetCallerIdentity" {
			fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111122223333</Account>`+
				`<Arn>arn:aws:iam::111122223333:user/reader</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>`)
	}))
	t.Cleanup(account.Close)
	env := environment(t, account.URL)
	stackFolder(t, env)
	out, exit := run(t, project, os.Environ(), "make .tools/bin/stack") // go build may want modules
	require.Zero(t, exit, out)
	for _, c := range []struct {
		command string
		say     []string
	}{
		{"make doctor STACK=dev", []string{
			"problem          settings: cluster.publicAccessCidrs: found nothing", "ok               credentials: account 111122223333 as",
			"could not check  cluster name expense: ", "Error 3",
		}},
		{"make leftovers STACK=dev", []string{
			"Stack dev, account 111122223333, us-east-1: cluster expense, domain expense.",
			"not checked: volume: EC2 DescribeVolumes: not allowed (UnauthorizedOperation); docs/leftovers.md", "Error 1",
		}},
	} {
		assert.Contains(t, code(t), c.command)
		out, exit := run(t, project, env, c.command)
		assert.Equal(t, 2, exit, "%s\n%s", c.command, out)
		for _, want := range c.say {
			assert.Contains(t, out, want, c.command)
		}
	}
}
