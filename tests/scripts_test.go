package tests

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// commands stand in for programs: each is a shell script, by name. The scripts of the workflows run with them first on PATH.
type commands map[string]string

// outcome is how a script ended.
type outcome struct {
	code int
	said string
	// calls are the calls of the commands that stood in, in order, each as it was written.
	calls []string
	// folder holds what they left.
	folder string
}

// calledWith are the calls that begin so.
func (o outcome) calledWith(prefix string) []string {
	var out []string
	for _, call := range o.calls {
		if strings.HasPrefix(call, prefix) {
			out = append(out, call)
		}
	}
	return out
}

// runScript runs a script of the workflows with nothing of this machine's environment but PATH.
func runScript(t *testing.T, script string, stand commands, env ...string) outcome {
	path, err := filepath.Abs("../.github/scripts/" + script)
	require.NoError(t, err)
	return runBash(t, []string{path}, stand, env...)
}

// runBash runs bash in the project's folder.
func runBash(t *testing.T, args []string, stand commands, env ...string) outcome {
	for _, program := range []string{"bash", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not on PATH", program)
		}
	}
	folder := t.TempDir()
	bin := filepath.Join(folder, "bin")
	require.NoError(t, os.Mkdir(bin, 0o700))
	for name, text := range stand {
		text = "#!/usr/bin/env bash\nprintf '%s\\n' \"" + name + " $*\" >>\"$FOLDER/calls\"\n" + text
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700))
	}
	command := exec.Command("bash", args...)
	command.Dir = ".."
	command.Env = append(env, "PATH="+bin+":"+os.Getenv("PATH"), "FOLDER="+folder, "TMPDIR="+folder,
		"GITHUB_STEP_SUMMARY="+filepath.Join(folder, "summary"), "RUN_URL=https://github.com/o/r/actions/runs/7", "REPOSITORY=o/r")
	said, err := command.CombinedOutput()
	if _, ended := err.(*exec.ExitError); !ended {
		require.NoError(t, err)
	}
	calls, _ := os.ReadFile(filepath.Join(folder, "calls"))
	return outcome{
		code: command.ProcessState.ExitCode(), said: string(said), folder: folder,
		calls: strings.Split(strings.TrimSpace(string(calls)), "\n"),
	}
}

// gitHub answers what comment.sh asks. PULLS, SIZE, COMMENTS and ARTIFACT, a command that fills a folder, differ.
const gitHub = `
case "$*" in
*"repos/o/r/pulls"*) echo "$PULLS" ;;
*"/artifacts"*) echo "{\"artifacts\":[{\"name\":\"preview\",\"size_in_bytes\":$SIZE}]}" ;;
"run download"*) mkdir "${@: -1}" && cd "${@: -1}" && eval "$ARTIFACT" ;;
*"--method PATCH"*|*"--method POST"*) cp "${@: -1}" "$FOLDER/sent" ;;
*"/comments"*) echo "$COMMENTS" ;;
*) exit 9 ;;
esac
`

// comment runs comment.sh and returns the text that it sent, empty where it sent none.
func comment(t *testing.T, env ...string) (outcome, string) {
	t.Helper()
	all := append([]string{
		`PULLS=[{"number":12,"head":{"sha":"abc"}}]`, "SIZE=10", "COMMENTS=[]", "ARTIFACT=echo 'changes **one** thing' >preview.md",
		"HEAD_SHA=abc", "HEAD_OWNER=someone", "HEAD_BRANCH=fix", "RUN_ID=7", "GH_TOKEN=t",
	}, env...)
	result := runScript(t, "comment.sh", commands{"gh": gitHub}, all...)
	data, err := os.ReadFile(filepath.Join(result.folder, "sent"))
	if err != nil {
		return result, ""
	}
	var sent struct{ Body string }
	require.NoError(t, json.Unmarshal(data, &sent))
	return result, sent.Body
}

func TestThePreviewBecomesOneComment(t *testing.T) {
	t.Parallel()
	result, body := comment(t)
	assert.Zero(t, result.code, result.said)
	assert.True(t, strings.HasPrefix(body, "<!-- preview-diff -->\n"), body)
	assert.Contains(t, body, "changes **one** thing")
	assert.Contains(t, body, "https://github.com/o/r/actions/runs/7")
	assert.Len(t, result.calledWith("gh api --method POST repos/o/r/issues/12/comments"), 1)
	assert.Len(t, result.calledWith("gh api --method GET repos/o/r/pulls -f state=open -f head=someone:fix"), 1)
}

// Anyone can write the marker; ours is the bot's, and the oldest of several.
func TestTheNextPushEditsTheComment(t *testing.T) {
	t.Parallel()
	result, _ := comment(t, `COMMENTS=[
		{"id":1,"user":{"login":"mallory"},"body":"<!-- preview-diff -->"},
		{"id":2,"user":{"login":"github-actions[bot]"},"body":"another"},
		{"id":3,"user":{"login":"github-actions[bot]"},"body":"<!-- preview-diff -->\nold"},
		{"id":4,"user":{"login":"github-actions[bot]"},"body":"<!-- preview-diff -->\nold"}]`)
	assert.Zero(t, result.code, result.said)
	assert.Len(t, result.calledWith("gh api --method PATCH repos/o/r/issues/comments/3 "), 1)
	assert.Empty(t, result.calledWith("gh api --method POST"))
}

func TestAFailedPreviewIsSaid(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]string{"no artifact": "SIZE=0", "no file": "ARTIFACT=touch preview.json"} {
		result, body := comment(t, env)
		assert.Zero(t, result.code, "%s: %s", name, result.said)
		assert.Contains(t, body, "There is no preview of this change", name)
	}
}

// Which pull request it is comes from GitHub: a commit that is nobody's head, or two pull requests', gets no comment.
func TestOnlyTheHeadOfOnePullRequestGetsAComment(t *testing.T) {
	t.Parallel()
	for name, pulls := range map[string]string{
		"none": "[]", "moved on": `[{"number":12,"head":{"sha":"def"}}]`,
		"two": `[{"number":12,"head":{"sha":"abc"}},{"number":13,"head":{"sha":"abc"}}]`,
		"odd": `[{"number":"12/../3","head":{"sha":"abc"}}]`,
	} {
		result, body := comment(t, "PULLS="+pulls)
		assert.Zero(t, result.code, name)
		assert.Empty(t, body, name)
		assert.Contains(t, result.said, "::notice::No comment", name)
		assert.Empty(t, result.calledWith("gh run download"), name)
	}
}

func TestAGitHubThatFailsIsNotTakenForAnAnswer(t *testing.T) {
	t.Parallel()
	result := runScript(t, "comment.sh", commands{"gh": "exit 4"},
		"HEAD_SHA=abc", "HEAD_OWNER=someone", "HEAD_BRANCH=fix", "RUN_ID=7")
	assert.NotZero(t, result.code)
	assert.NotContains(t, result.said, "notice")
}

// What the pull request's run left is text, and no more of it than fits.
func TestAnArtifactIsOnlyText(t *testing.T) {
	t.Parallel()
	// GitHub's limit of a comment, in characters.
	const limit = 65536
	for name, c := range map[string]struct {
		artifact string
		has, not string
	}{
		"long":     {"head -c 900000 /dev/zero | tr '\\0' x >preview.md", "xxxx", ""},
		"mentions": {"yes @everyone | head -c 90000 >preview.md", "@\u200beveryone", "@everyone"},
		"entities": {"echo 'ask &#64;team, &commat;team' >preview.md", "&\u200b#\u200b64;team, &\u200bcommat;team", "&#64;"},
		"issues":   {"echo 'fixes #12, o/r#12, gh-12' >preview.md", "#\u200b12, o/r#\u200b12, gh-\u200b12", "#12"},
		"a picture": {"echo '![x](//evil.example/p.png)<img src=x>' >preview.md",
			"!\u200b[x]\u200b(/\u200b/evil.example/p.png)<\u200bimg src=x>", "//evil"},
		"links": {"echo '[x](https://github.com/o/r/issues/1) www.evil.example HTTP:evil.example' >preview.md",
			"https\u200b:/\u200b/github.com", "www.evil"},
		"a path": {"printf '[x](/evil/repo/releases) [r][1] a[0]: x\n\n> [1]: /evil/x\n\n- [2\n]: /evil\n' >preview.md",
			"]\u200b(/evil/repo/releases) [r][1] a[0]: x\n\n> \u200b[1]: /evil/x\n\n- \u200b[2", "](/"},
		"returns":     {"printf 'x\\r\\r[1]: /evil/x\\r\\r[a][1]\\r\\n' >preview.md", "x[1]: /evil/x[a][1]\n", "\r"},
		"mail":        {"echo 'Mailto:a@evil.example, xmpp:a@evil.example' >preview.md", "Mailto\u200b:a@\u200bevil", "o:a"},
		"all slashes": {"head -c 59000 /dev/zero | tr '\\0' / >preview.md", "/\u200b/\u200b/", "///"},
		"slashes":     {"echo '[x](///evil.example) [y]: http:evil.example' >preview.md", "http\u200b:evil", "//evil"},
		"escapes":     {`echo '[x](http\:evil.example) [y](/\/evil.example)' >preview.md`, "http\\\u200b:evil", `\:evil`},
		"like ours": {"echo '[x](https://docs.aws.amazon.com.evil.example/)' >preview.md", "https\u200b:/\u200b/docs.aws.amazon.com.evil",
			"](https://docs"},
		"ours": {"echo '<details><summary>a</summary>b<br>c</details> ([source](https://docs.aws.amazon.com/x))' >preview.md",
			"<details><summary>a</summary>b<br>c</details> ([source](https://docs.aws.amazon.com/x))", "\u200b"},
		"cut letters": {"printf x >preview.md; yes € | tr -d '\\n' | head -c 90000 >>preview.md", "x€€", ""},
		"not text":    {"yes $'\\xff\\xc3' | head -c 90000 >preview.md", "\uFFFD", "\xff"},
		"a script":    {"echo '$(touch \"$FOLDER/owned\")`touch \"$FOLDER/owned\"`' >preview.md", "$(touch", ""},
		"a link":      {"ln -s /etc/passwd preview.md", "There is no preview", "root"},
	} {
		result, body := comment(t, "ARTIFACT="+c.artifact)
		assert.Zero(t, result.code, "%s: %s", name, result.said)
		assert.LessOrEqual(t, len([]rune(body)), limit, name)
		assert.Contains(t, body, c.has, name)
		if c.not != "" {
			assert.NotContains(t, body, c.not, name)
		}
		assert.NoFileExists(t, filepath.Join(result.folder, "owned"), name)
	}
	result, body := comment(t, "SIZE=900000000")
	assert.Zero(t, result.code)
	assert.Empty(t, body)
	assert.Empty(t, result.calledWith("gh run download"))
}

// drift runs drift.sh with a preview that ends with a code, and the open issues.
func drift(t *testing.T, code, issues string) outcome {
	t.Helper()
	return runScript(t, "drift.sh", commands{
		"pulumi": `echo "~ aws:ec2/vpc:Vpc expense"; exit ` + code,
		"gh": `
case "$*" in
"issue list"*) echo "$ISSUES" ;;
*--body-file*) cp "${@: -1}" "$FOLDER/sent" ;;
esac
`,
	}, "STACK=dev", "GH_TOKEN=t", "ISSUES="+issues)
}

const openIssue = `[{"number":4,"title":"Drift in prod"},{"number":5,"title":"Drift in dev"}]`

func TestDriftOpensOneIssue(t *testing.T) {
	t.Parallel()
	result := drift(t, "7", `[{"number":4,"title":"Drift in prod"}]`)
	assert.Zero(t, result.code, result.said)
	assert.Len(t, result.calledWith("gh issue create --repo o/r --label drift --title Drift in dev"), 1)
	assert.Len(t, result.calledWith("pulumi preview --stack dev --refresh --expect-no-changes"), 1)
	body, err := os.ReadFile(filepath.Join(result.folder, "sent"))
	require.NoError(t, err)
	assert.Contains(t, string(body), "~ aws:ec2/vpc:Vpc expense")
	assert.Contains(t, string(body), "https://github.com/o/r/actions/runs/7")

	result = drift(t, "7", openIssue)
	assert.Zero(t, result.code, result.said)
	assert.Len(t, result.calledWith("gh issue edit 5 "), 1)
	assert.Empty(t, result.calledWith("gh issue create"))
}

func TestTheIssueIsClosedWhenTheDriftIsGone(t *testing.T) {
	t.Parallel()
	result := drift(t, "0", openIssue)
	assert.Zero(t, result.code, result.said)
	assert.Len(t, result.calledWith("gh issue close 5 "), 1)
	result = drift(t, "0", "[]")
	assert.Zero(t, result.code, result.said)
	assert.Len(t, result.calledWith("gh"), 1)
}

// Credentials that have run out and a network that is down are no drift, and do not end one either.
func TestAFailureIsNoDrift(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"1", "3", "6", "255"} {
		result := drift(t, code, openIssue)
		assert.NotZero(t, result.code)
		assert.Contains(t, result.said, "::error::")
		assert.Empty(t, result.calledWith("gh issue close"), code)
		assert.Empty(t, result.calledWith("gh issue edit"), code)
		assert.Empty(t, result.calledWith("gh issue create"), code)
	}
}

// answers runs answers.sh against a cluster.
func answers(t *testing.T, kubectl string, more ...string) outcome {
	t.Helper()
	return runScript(t, "answers.sh", commands{
		"aws": `case "$2" in
			assume-role) echo '{"Credentials":{"AccessKeyId":"id","SecretAccessKey":"secret","SessionToken":"'"$4"'"}}' ;;
			describe-addon) [ "${AWS_SESSION_TOKEN:-}" = "${ROLE:-}" ] && echo "${ADDON:-ACTIVE}" ;;
			esac`,
		"pulumi": `[ "$2" != export ] || { echo '{"deployment":{"resources":[{"type":"aws:eks/addon:Addon","inputs":{"addonName":"coredns"}},` +
			`{"type":"x:y:Z"}]}}'; exit; }; case "$5" in clusterName) echo expense ;; namespace) echo project ;; kubeconfig) echo ` +
			`'{"users":[{"user":{"exec":{"args":["eks","get-token"'"${ROLE:+,\"--role\",\"$ROLE\"}"']}}}]}' ;; *) exit 1 ;; esac`,
		"kubectl": `grep -q get-token "$KUBECONFIG" || exit 1; ` + kubectl,
	}, append(more, "STACK=dev")...)
}

func TestADeploymentThatDoesNotAnswerFails(t *testing.T) {
	t.Parallel()
	result := answers(t, `case "$1" in get) [ "$2" = --raw ] || echo deployment.apps/web ;; esac`)
	assert.Zero(t, result.code, result.said)
	assert.Len(t, result.calledWith("kubectl get --raw /readyz"), 1)
	assert.Len(t, result.calledWith("kubectl rollout status deployment.apps/web --namespace project"), 1)

	// A stack in another account has its add-ons there.
	other := answers(t, `case "$1" in get) [ "$2" = --raw ] || echo deployment.apps/web ;; esac`, "ROLE=arn:aws:iam::222233334444:role/Deploy")
	assert.Zero(t, other.code, other.said)
	assert.Len(t, other.calledWith("aws sts assume-role --role-arn arn:aws:iam::222233334444:role/Deploy"), 1)

	failed := answers(t, `case "$1" in get) [ "$2" = --raw ] || echo deployment.apps/web ;; esac`, "ADDON=CREATE_FAILED")
	assert.NotZero(t, failed.code)
	assert.Contains(t, failed.said, "Add-on coredns of expense is CREATE_FAILED")

	for name, kubectl := range map[string]string{
		"no way to the API": `case "$2" in --raw) exit 1 ;; deployments) echo deployment.apps/web ;; esac`,
		"not up":            `case "$1" in get) [ "$2" = --raw ] || echo deployment.apps/web ;; rollout) exit 1 ;; esac`,
		"nothing there":     "",
	} {
		assert.NotZero(t, answers(t, kubectl).code, name)
	}
}

func TestADeploymentRefreshesAfterAFailure(t *testing.T) {
	t.Parallel()
	for history, want := range map[string]string{`[]`: "failed=false\n", `[{"result": "succeeded"}]`: "failed=false\n",
		`[{"result": "failed"}]`: "failed=true\n"} {
		output := filepath.Join(t.TempDir(), "output")
		result := runScript(t, "failed.sh", commands{"pulumi": "echo '" + history + "'"}, "STACK=dev", "GITHUB_OUTPUT="+output)
		require.Zero(t, result.code, result.said)
		got, err := os.ReadFile(output)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	assert.NotZero(t, runScript(t, "failed.sh", commands{"pulumi": "exit 1"}, "STACK=dev", "GITHUB_OUTPUT=/dev/null").code)
}

// The preview of every stack comes through as it was written.
func TestThePreviewIsNotChanged(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("../rehearsal/internal/change/testdata/preview.md")
	require.NoError(t, err)
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	_, body := comment(t, "ARTIFACT=cp "+path+" preview.md")
	assert.True(t, strings.HasSuffix(body, string(want)))
}

// A run that was started again has the code, and the workflow, of its time.
func TestAnOldRunIsNotStartedAgain(t *testing.T) {
	t.Parallel()
	newest := func(attempt, says string) outcome {
		return runScript(t, "newest.sh", commands{"gh": says}, "GITHUB_RUN_ATTEMPT="+attempt, "GITHUB_SHA=abc", "GITHUB_REPOSITORY=o/r")
	}
	first := newest("1", "exit 1")
	assert.Zero(t, first.code, first.said)
	again := newest("2", "echo abc")
	assert.Zero(t, again.code, again.said)
	assert.Len(t, again.calledWith("gh api repos/o/r/git/ref/heads/main "), 1)
	old := newest("2", "echo def")
	assert.Equal(t, 1, old.code)
	assert.Contains(t, old.said, "::error::This run is of abc, and main has moved on to def")
	assert.NotZero(t, newest("3", "exit 1").code, "nobody said what main is")
}

// target runs target.sh.
func target(t *testing.T, role, region, backend string) outcome {
	return runScript(t, "target.sh", nil, "ROLE="+role, "REGION="+region, "BACKEND="+backend)
}

// A variable that anybody with write access may set brings neither a foreign state nor a command to the runner.
func TestAVariableIsNoMoreThanItSays(t *testing.T) {
	t.Parallel()
	const role, region, backend = "arn:aws:iam::111122223333:role/github-expense-deploy", "us-east-1", "s3://a-name-of-your-own"
	result := target(t, role, region, backend)
	assert.Zero(t, result.code, result.said)
	assert.Zero(t, target(t, "arn:aws-us-gov:iam::111122223333:role/path/x+=,.@-_", "us-gov-west-1", "s3://a.b-1").code)
	for _, c := range []struct{ role, region, backend, said string }{
		{role, region, "s3://b?endpoint=attacker.example&hostname_immutable=true", "PULUMI_BACKEND_URL"},
		{role, region, "s3://b/elsewhere", "PULUMI_BACKEND_URL"},
		{role, region, "s3://user@b", "PULUMI_BACKEND_URL"},
		{role, region, "https://attacker.example", "PULUMI_BACKEND_URL"},
		{role, region, "file:///tmp", "PULUMI_BACKEND_URL"},
		{role, region, "", "PULUMI_BACKEND_URL"},
		{role, "attacker.example/", backend, "AWS_REGION"},
		{role, "us-east-1\nx", backend, "AWS_REGION"},
		{role, "", backend, "AWS_REGION"},
		{"", region, backend, "The role"},
		{"arn:aws:iam::111122223333:user/x", region, backend, "The role"},
		{role + "\n::add-path::/tmp", region, backend, "The role"},
	} {
		result := target(t, c.role, c.region, c.backend)
		assert.Equal(t, 1, result.code, c)
		assert.Contains(t, result.said, "::error::"+c.said+" is ")
		assert.Equal(t, 1, strings.Count(result.said, "\n"), result.said)
	}
}

// archives answers curl with the archive. EVIL is the address of one that was exchanged.
const archives = `
while [ $# -gt 1 ]; do
    [ "$1" != --output ] || exec >"$2"
    shift
done
cat "$ARCHIVE"
[ "$1" != "${EVIL:-}" ] || echo evil
`

// archive is a release of Pulumi whose program notes that it ran.
func archive(t *testing.T) string {
	const program = "#!/bin/sh\necho \"pulumi $*\" >>\"$FOLDER/calls\"\n"
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	file := tar.NewWriter(zip)
	require.NoError(t, file.WriteHeader(&tar.Header{Name: "pulumi/pulumi", Mode: 0o700, Size: int64(len(program))}))
	_, err := file.Write([]byte(program))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.NoError(t, zip.Close())
	path := filepath.Join(t.TempDir(), "archive")
	require.NoError(t, os.WriteFile(path, packed.Bytes(), 0o600))
	return path
}

// project is a folder with what the scripts read of ours.
func project(t *testing.T) string {
	folder := t.TempDir()
	for _, file := range []string{
		".github/scripts/sums.sh", ".github/scripts/install.sh", "go.mod", "tools/pulumi/go.mod", "rehearsal/internal/eksprovider/provider.go",
	} {
		data, err := os.ReadFile("../" + file)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, file)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), data, 0o700))
	}
	return folder
}

// pinnedArchives are the names of the archives that the program needs, for runners with amd64.
func pinnedArchives(t *testing.T) []string {
	pin := func(file, pattern string) string {
		data, err := os.ReadFile("../" + file)
		require.NoError(t, err)
		match := regexp.MustCompile(pattern).FindSubmatch(data)
		require.Len(t, match, 2, pattern)
		return string(match[1])
	}
	name := func(provider, version string) string {
		return "pulumi-resource-" + provider + "-v" + version + "-linux-amd64.tar.gz"
	}
	return []string{
		"pulumi-v" + pin("tools/pulumi/go.mod", `pulumi/pkg/v3 v(\S+)`) + "-linux-x64.tar.gz",
		name("aws", pin("go.mod", `pulumi-aws/sdk/v6 v(\S+)`)), name("eks", pin("go.mod", `pulumi-eks/sdk/v3 v(\S+)`)),
		name("kubernetes", pin("go.mod", `pulumi-kubernetes/sdk/v4 v(\S+)`)),
		name("kubernetes", pin("rehearsal/internal/eksprovider/provider.go", `kubernetesVersion = "(\S+)"`)),
	}
}

// named are the archives in a file of sums.
func named(t *testing.T, file string) []string {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var out []string
	for _, match := range regexp.MustCompile(`(?m)^[0-9a-f]{64}  (\S+)$`).FindAllSubmatch(data, -1) {
		out = append(out, string(match[1]))
	}
	return out
}

// Sums come from two places that agree, or there are none; and what has another sum is not unpacked, let alone run.
func TestWhatIsInstalledHasTheSumOfTwoSources(t *testing.T) {
	t.Parallel()
	folder := project(t)
	sums := filepath.Join(folder, ".github/pulumi.sums")
	names, fetched := pinnedArchives(t), "ARCHIVE="+archive(t)
	version := regexp.MustCompile(`v[0-9.]+[0-9]`).FindString(names[1])

	for _, evil := range []string{
		"https://get.pulumi.com/releases/plugins/" + names[1],
		"https://github.com/pulumi/pulumi-aws/releases/download/" + version + "/" + names[1],
	} {
		result := runBash(t, []string{folder + "/.github/scripts/sums.sh"}, commands{"curl": archives}, fetched, "EVIL="+evil)
		assert.NotZero(t, result.code)
		assert.Contains(t, result.said, names[1]+" differs between GitHub and get.pulumi.com")
		assert.NoFileExists(t, sums)
	}
	result := runBash(t, []string{folder + "/.github/scripts/sums.sh"}, commands{"curl": archives}, fetched)
	require.Zero(t, result.code, result.said)
	assert.Equal(t, names, named(t, sums))
	// A state has the versions of its last deployment: older providers stay, the older CLI does not.
	data, err := os.ReadFile(sums)
	require.NoError(t, err)
	older := strings.NewReplacer("pulumi-v3.", "pulumi-v2.", "-aws-v6.", "-aws-v5.").Replace(string(data))
	require.NoError(t, os.WriteFile(sums, []byte(older), 0o600))
	result = runBash(t, []string{folder + "/.github/scripts/sums.sh"}, commands{"curl": archives}, fetched)
	require.Zero(t, result.code, result.said)
	assert.Equal(t, append(slices.Clone(names), strings.Replace(names[1], "-v6.", "-v5.", 1)), named(t, sums))
	assert.Len(t, result.calledWith("curl"), 4, "what is there already is not fetched")
	require.NoError(t, os.WriteFile(sums, data, 0o600))

	arm := runBash(t, []string{project(t) + "/.github/scripts/sums.sh", "arm64"}, commands{"curl": archives}, fetched)
	assert.Len(t, arm.calledWith("curl"), 10)
	assert.NotContains(t, arm.said, "x64")
	assert.NotContains(t, arm.said, "amd64")

	install := func(env ...string) (outcome, string, string) {
		temp := t.TempDir()
		env = append(env, fetched, "RUNNER_TEMP="+temp, "GITHUB_ENV="+temp+"/env", "GITHUB_PATH="+temp+"/path")
		result := runBash(t, []string{"-c", "cd " + folder + " && .github/scripts/install.sh"}, commands{"curl": archives}, env...)
		set, _ := os.ReadFile(temp + "/env")
		path, _ := os.ReadFile(temp + "/path")
		return result, string(set), string(path)
	}
	for _, evil := range []string{"sdk/" + names[0], "plugins/" + names[4]} {
		result, set, path := install("EVIL=https://get.pulumi.com/releases/" + evil)
		assert.NotZero(t, result.code, evil)
		assert.Contains(t, result.said, "FAILED")
		assert.Empty(t, result.calledWith("pulumi"), "nothing of it ran")
		assert.Empty(t, set+path)
	}
	result, set, path := install()
	require.Zero(t, result.code, result.said)
	assert.Contains(t, path, "/pulumi/pulumi\n")
	assert.Contains(t, set, "\nPULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true\n", "a state can name a plugin and where it is")
	var installed []string
	for _, call := range result.calledWith("pulumi plugin install resource ") {
		words := strings.Fields(call)
		assert.Equal(t, "pulumi-resource-"+words[4]+"-v"+words[5]+"-linux-amd64.tar.gz", words[7])
		installed = append(installed, words[7])
	}
	assert.ElementsMatch(t, names[1:], installed)

	require.NoError(t, os.Remove(sums))
	result, _, _ = install()
	assert.NotZero(t, result.code)
	assert.Contains(t, result.said, "make pulumi-sums")
	assert.Empty(t, result.calledWith("curl"))
}

// A version that moved has sums that moved.
func TestTheSumsAreOfTheVersionsInUse(t *testing.T) {
	t.Parallel()
	const sums = "../.github/pulumi.sums"
	if _, err := os.Stat(sums); err != nil {
		t.Skip("nothing is deployed from here: .github/pulumi.sums is not there")
	}
	var want []string
	for _, name := range pinnedArchives(t) {
		want = append(want, strings.NewReplacer("x64", "ARCH", "amd64", "ARCH").Replace(name))
	}
	var got []string
	for _, name := range named(t, sums) {
		got = append(got, strings.NewReplacer("x64", "ARCH", "amd64", "ARCH", "arm64", "ARCH").Replace(name))
	}
	assert.Subset(t, got, want, "run `make pulumi-sums`")
}

func TestTheSummaryIsTextAndEndsAsTheCommandDoes(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("../.github/scripts/summary.sh")
	require.NoError(t, err)
	result := runBash(t, []string{path, "pulumi", "up"}, commands{
		"pulumi": `head -c 2000000 /dev/zero | tr '\0' x; printf '\n~~~~\n<b>end</b>\n'; echo wrong >&2; exit 5`,
	})
	assert.Equal(t, 5, result.code)
	assert.Contains(t, result.said, "<b>end</b>\nwrong\n")
	summary, err := os.ReadFile(filepath.Join(result.folder, "summary"))
	require.NoError(t, err)
	assert.Less(t, len(summary), 1<<20)
	assert.True(t, strings.HasSuffix(string(summary), "x\n ~~~~\n<b>end</b>\nwrong\n\n~~~~\n"), "nothing ends the text before its end")
}

func TestAFailedUpdateSaysWhatDidNotComeUp(t *testing.T) {
	t.Parallel()
	result := runScript(t, "why.sh", commands{"stack": `echo 'backend: crashed: ##[error]x'; echo '~~~~'; exit 3`}, "STACK=dev")
	assert.Zero(t, result.code, result.said)
	assert.Equal(t, []string{"stack why -stack dev"}, result.calls)
	assert.Regexp(t, `(?s)^::stop-commands::([0-9a-f-]{36})\n.*backend: crashed: ##\[error\]x\n ~~~~\n~~~~\n::[0-9a-f-]{36}::\n$`, result.said)
	summary, err := os.ReadFile(filepath.Join(result.folder, "summary"))
	require.NoError(t, err)
	assert.Equal(t, "\n~~~~\nbackend: crashed: ##[error]x\n ~~~~\n~~~~\n", string(summary))

	// A stack without apps has no tool in its deployment.
	path, err := filepath.Abs("../.github/scripts/why.sh")
	require.NoError(t, err)
	result = runBash(t, []string{"-c", "cd " + t.TempDir() + " && " + path}, nil, "STACK=dev")
	assert.Zero(t, result.code, result.said)
	assert.Contains(t, result.said, "make why STACK=dev")
}

// protected answers what settings.sh asks of GitHub, for a repository where all is set up. Each line of it is one answer.
const protected = `
repos/o/r {"private":false}
repos/o/r/rules/branches/main [{"type":"deletion"},` +
	`{"type":"pull_request","parameters":{"required_approving_review_count":1,"require_code_owner_review":true,` +
	`"dismiss_stale_reviews_on_push":true,"require_last_push_approval":true}},` +
	`{"type":"required_status_checks","parameters":{"required_status_checks":[{"context":"check","integration_id":15368}]}}]
repos/o/r/codeowners/errors {"errors":[]}
repos/o/r/actions/variables/AWS_DEPLOY_STACKS {"value":"[\"dev\"]"}
repos/o/r/environments/dev {"name":"dev","can_admins_bypass":false,"protection_rules":[{"type":"branch_policy"},` +
	`{"type":"required_reviewers","prevent_self_review":true,"reviewers":[{"type":"User"}]}]}
repos/o/r/environments/dev/deployment-branch-policies {"branch_policies":[{"name":"main"}]}
repos/o/r/environments/dev/variables?per_page=30 {"variables":[{"name":"AWS_DEPLOY_ROLE_ARN"},` +
	`{"name":"AWS_REGION"},{"name":"PULUMI_BACKEND_URL"}]}
repos/o/r/actions/permissions/fork-pr-contributor-approval {"approval_policy":"all_external_contributors"}
repos/o/r/actions/permissions/workflow {"can_approve_pull_request_reviews":false}
repos/o/r/actions/runners {"total_count":0}
`

// gitHubSettings answers from ANSWERS. What has no answer is refused, which gh tells on stdout too.
const gitHubSettings = `{ answer=$(grep -m 1 "^$2 " <<<"$ANSWERS") || { echo '{"message":"Not Found"}'; exit 1; }; jq -r ` +
	`"$4" <<<"${answer#* }"; }`

// settings runs settings.sh with those answers, of which some are others, and an empty one none.
func settings(t *testing.T, others ...string) outcome {
	text := protected
	for _, other := range others {
		path, answer, _ := strings.Cut(other, " ")
		before, after, found := strings.Cut(text, "\n"+path+" ")
		if !found {
			before, after = text, "\n"
		}
		_, after, _ = strings.Cut(after, "\n")
		text = before + "\n" + after
		if answer != "" {
			text += path + " " + answer + "\n"
		}
	}
	return runScript(t, "settings.sh", commands{"gh": gitHubSettings}, "ANSWERS="+text)
}

func TestTheSettingsAreShown(t *testing.T) {
	t.Parallel()
	result := settings(t)
	assert.Zero(t, result.code, result.said)
	assert.NotContains(t, result.said, "OPEN")
	assert.Equal(t, 12, strings.Count(result.said, "ok "), result.said)
	classic := settings(t, "repos/o/r/rules/branches/main []",
		`repos/o/r/branches/main/protection {"required_pull_request_reviews":{"required_approving_review_count":1,`+
			`"require_code_owner_reviews":true,"dismiss_stale_reviews":true,"require_last_push_approval":true},`+
			`"required_status_checks":{"checks":[{"context":"check","app_id":15368}]}}`)
	assert.Zero(t, classic.code, classic.said)

	for open, answers := range map[string][]string{
		"main does not require a review: ": {`repos/o/r/rules/branches/main [{"type":"pull_request",` +
			`"parameters":{"required_approving_review_count":0}}]`},
		"main does not require the check named check, of GitHub Actions: ": {"repos/o/r/rules/branches/main"},
		"main does not require a code owner's review: ":                    {"repos/o/r/rules/branches/main"},
		"main does not require a new review after a push": {
			`repos/o/r/rules/branches/main [{"type":"pull_request","parameters":{"required_approving_review_count":1,` +
				`"require_code_owner_review":true,"require_last_push_approval":true}}]`},
		"main does not require a review by somebody else": {"repos/o/r/rules/branches/main"},
		"workflows may approve pull requests":             {`repos/o/r/actions/permissions/workflow {"can_approve_pull_request_reviews":true}`},
		"dev: who starts a deployment may approve it": {
			`repos/o/r/environments/dev {"name":"dev","protection_rules":[{"type":"required_reviewers","prevent_self_review":false,` +
				`"reviewers":[{"type":"User"}]}]}`},
		"dev: is deployed from each protected branch": {
			`repos/o/r/environments/dev {"name":"dev","deployment_branch_policy":{"protected_branches":true},"protection_rules":[]}`},
		"workflows of forks get tokens that write": {
			`repos/o/r {"private":true}`, `repos/o/r/actions/permissions/fork-pr-workflows-private-repos {"send_write_tokens_to_workflows":true}`},
		"main does not require the check": {`repos/o/r/rules/branches/main [{"type":"required_status_checks",` +
			`"parameters":{"required_status_checks":[{"context":"check"}]}}]`},
		"main has no CODEOWNERS":                   {"repos/o/r/codeowners/errors"},
		"dev: is deployed and has no environment":  {"repos/o/r/environments/dev"},
		"prod: is deployed and has no environment": {`repos/o/r/actions/variables/AWS_DEPLOY_STACKS {"value":"[\"dev\",\"prod\"]"}`},
		"dev: nobody has to approve":               {`repos/o/r/environments/dev {"name":"dev","protection_rules":[{"type":"wait_timer"}]}`},
		"dev: is deployed from any branch":         {"repos/o/r/environments/dev/deployment-branch-policies"},
		"dev: is deployed from main\nfix": {`repos/o/r/environments/dev/deployment-branch-policies ` +
			`{"branch_policies":[{"name":"main"},{"name":"fix"}]}`},
		"dev: administrators pass": {`repos/o/r/environments/dev {"name":"dev","can_admins_bypass":true,` +
			`"protection_rules":[]}`},
		"its environment has no PULUMI_BACKEND_URL": {`repos/o/r/environments/dev/variables?per_page=30 {"variables":[{"name":"AWS_REGION"}]}`},
		"prod: nobody has to approve":               {`repos/o/r/environments/prod {"name":"prod","protection_rules":[]}`},
		"expected all_external_contributors": {`repos/o/r/actions/permissions/fork-pr-contributor-approval ` +
			`{"approval_policy":"first_time_contributors"}`},
		"2 runners of your own in a public repository": {`repos/o/r/actions/runners {"total_count":2}`},
	} {
		result := settings(t, answers...)
		assert.Equal(t, 1, result.code, open)
		assert.Contains(t, result.said, "OPEN")
		assert.Contains(t, result.said, open)
	}
	// Self-hosted runners are for private repositories.
	private := settings(t, `repos/o/r {"private":true}`, `repos/o/r/actions/runners {"total_count":2}`,
		"repos/o/r/actions/permissions/fork-pr-contributor-approval")
	assert.Zero(t, private.code, private.said)
	assert.NotZero(t, settings(t, "repos/o/r").code)
}

// The commands of docs/ci.md make the roles from every document, filled in, and set every variable that the workflows read.
func TestTheSetUpOfTheDocsIsWhole(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../docs/ci.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(docs), "## Setting it up")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "## What the roles may do")
	// In a copy, for they write files that people commit.
	copied := t.TempDir()
	for _, file := range []string{".github", "Pulumi.dev.yaml", "Pulumi.prod.yaml"} {
		require.NoError(t, exec.Command("cp", "-R", "../"+file, copied).Run())
	}
	script := "set -euo pipefail\ncd " + copied + "\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		script += block[1]
	}
	result := runBash(t, []string{"-c", script}, commands{
		"aws": `
case "$*" in
"sts get-caller-identity"*) echo 111122223333 ;;
"kms create-key"*|"kms describe-key"*) echo arn:aws:kms:us-east-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef ;;
*-document*)
    while [ $# -gt 0 ]; do
        case "$1" in
        --role-name|--policy-name) name=$2 ;;
        --assume-role-policy-document) printf %s "$2" >"$FOLDER/trust-${name#github-expense-}" ;;
        --policy-document) printf %s "$2" >"$FOLDER/${name#github-expense-}" ;;
        esac
        shift
    done ;;
esac
`,
		"gh": `
case "$*" in
"api repos/OWNER/NAME --jq .full_name") echo OWNER/NAME ;;
*customization/sub*) echo "repo:OWNER@1/NAME@2" ;;
"api users/"*) echo 7 ;;
"api apps/github-actions --jq .id") echo 15368 ;;
"variable set "*|"api --method "*) [ "${*: -1}" != - ] || jq . >"$FOLDER/${4##*/}" ;;
*) ` + gitHubSettings + ` ;;
esac`, "pulumi": "", "make": "", "git": "",
	}, "ANSWERS="+strings.ReplaceAll(protected, "o/r", "OWNER/NAME"))
	require.Zero(t, result.code, result.said)

	// The commands pass AWS the documents that the tests of the permissions evaluate.
	fill := filling(t, "dev")
	fill["STATE_BUCKET"], fill["GITHUB_SUBJECT"], fill["GITHUB_REPOSITORY"] = "a-name-of-your-own", "repo:OWNER@1/NAME@2", "OWNER/NAME"
	texts, _ := documents(t, fill)
	of := maps.Clone(fill)
	for place, value := range fillingOfE2E(t) {
		if strings.HasSuffix(place, "_NAME") && place != "REGION_NAME" {
			of[place] = value
		}
	}
	for _, name := range []string{"verify", "e2e", "trust-e2e"} {
		delete(texts, name)
	}
	for name, text := range ofE2E(t, of) {
		texts[name+"-e2e"] = text
	}
	trust, _ := documents(t, fill)
	texts["trust-deploy-e2e"] = trust["trust-e2e"]
	for name, want := range texts {
		if name != "trust-preview" && !strings.HasSuffix(name, "-e2e") {
			name += "-dev"
		}
		got, err := os.ReadFile(filepath.Join(result.folder, name))
		require.NoError(t, err)
		assert.Equal(t, strings.TrimSpace(string(want)), strings.TrimSpace(string(got)), name)
		assert.NotRegexp(t, `ACCOUNT_ID|_NAME\b|STATE_|GITHUB_`, string(got), name)
	}
	var attached []string
	for _, call := range result.calledWith("aws iam attach-role-policy --role-name github-expense-deploy-dev") {
		attached = append(attached, strings.TrimSuffix(call[strings.LastIndex(call, "github-expense-")+len("github-expense-"):], "-dev"))
	}
	assert.Equal(t, roleDocuments["deploy"], attached)
	// As long as the jobs ask for credentials: the action's default, and what the deployments give.
	for role, seconds := range map[string]string{"preview": "3600", "deploy-dev": "14400", "deploy-e2e": "14400"} {
		assert.NotEmpty(t, result.calledWith("aws iam create-role --role-name github-expense-"+role+" --max-session-duration "+seconds+" "), role)
	}
	assert.NotEmpty(t, result.calledWith("pulumi config set --path expense:iam.permissionsBoundary "+boundaryOf("dev")))

	assert.Contains(t, result.said, "ok    dev: has reviewers", "step 8")
	assert.NotContains(t, result.said, "OPEN")
	assert.FileExists(t, filepath.Join(result.folder, "rulesets"))
	owners, err := os.ReadFile(filepath.Join(copied, ".github/CODEOWNERS"))
	require.NoError(t, err)
	assert.Contains(t, string(owners), "/.github/ @LOGIN\n")
	for _, line := range strings.Split(strings.TrimSpace(string(owners)), "\n") {
		path := strings.Fields(line)[0]
		found, err := filepath.Glob(".." + "/" + strings.Trim(path, "/"))
		require.NoError(t, err)
		if path != "/.acknowledged-replacements.yaml" { // there when something was acknowledged
			assert.NotEmpty(t, found, path)
		}
	}

	// What the deploying jobs read is the environment's, all else the repository's; only with runners of one's own there is one more.
	ofRepository, ofEnvironment, ofRuns := map[string]bool{"AWS_PREVIEW_RUNNER": true}, map[string]bool{}, map[string]bool{}
	for _, call := range result.calledWith("gh variable set ") {
		if strings.Contains(call, " --env dev ") {
			ofEnvironment[strings.Fields(call)[3]] = true
		} else if strings.Contains(call, " --env e2e ") {
			ofRuns[strings.Fields(call)[3]] = true
		} else {
			ofRepository[strings.Fields(call)[3]] = true
		}
	}
	readByOthers, readByDeployments, readByRuns := map[string]bool{}, map[string]bool{}, map[string]bool{}
	variable := regexp.MustCompile(`vars\.([A-Z0-9_]+)`)
	flows, _ := workflows(t)
	for _, w := range flows {
		deploys := slices.ContainsFunc(slices.Collect(maps.Values(w.Jobs)), func(j job) bool { return j.Environment != "" })
		for _, line := range strings.Split(w.text, "\n") {
			for _, match := range variable.FindAllStringSubmatch(line, -1) {
				if w.file == e2e && match[1] != "AWS_E2E" {
					readByRuns[match[1]] = true
				} else if deploys && match[1] != "AWS_DEPLOY_STACKS" && match[1] != "AWS_E2E" {
					readByDeployments[match[1]] = true
				} else {
					readByOthers[match[1]] = true
				}
			}
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(readByOthers)), slices.Sorted(maps.Keys(ofRepository)))
	assert.Equal(t, slices.Sorted(maps.Keys(readByDeployments)), slices.Sorted(maps.Keys(ofEnvironment)))
	assert.Equal(t, slices.Sorted(maps.Keys(readByRuns)), slices.Sorted(maps.Keys(ofRuns)))
	for name := range ofEnvironment {
		assert.Contains(t, protected, `{"name":"`+name+`"}`, "settings.sh asks for it")
	}
}

// The label that the page has for the runner of deployments is one that `make lint` takes.
func TestTheRunnerOfDeploymentsIsKnown(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../docs/ci.md")
	require.NoError(t, err)
	labels, err := os.ReadFile("../.github/actionlint.yaml")
	require.NoError(t, err)
	label := regexp.MustCompile(`(?s)The deployments' runner has the label\s+\x60([a-z-]+)\x60`).FindSubmatch(docs)
	require.Len(t, label, 2)
	assert.Contains(t, string(labels), "["+string(label[1])+"]")
}
