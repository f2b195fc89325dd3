package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runImages runs images.sh in a folder with three stacks, of which one builds nothing, and with a tool that ends with CODE.
func runImages(t *testing.T, mode, stack, code string) (result outcome, output string) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"dev": "apps:\n  backend:\n    build:\n      dir: x\n", "prod": `apps: {backend: {"build": {dir: x}}}`,
		"plain": "apps: {rebuild: {image: 'x:1'}}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, "Pulumi."+name+".yaml"), []byte(text), 0o600))
	}
	script, err := filepath.Abs("../.github/scripts/images.sh")
	require.NoError(t, err)
	output = filepath.Join(folder, "output")
	result = runBash(t, []string{"-c", `cd "$PROJECT" && exec "$SCRIPT" "$MODE"`}, commands{"make": "", "stack": "echo done; exit $CODE"},
		"PROJECT="+folder, "SCRIPT="+script, "MODE="+mode, "STACK="+stack, "CODE="+code, "GITHUB_OUTPUT="+output)
	data, _ := os.ReadFile(output)
	return result, string(data)
}

// Who builds nothing does not even build the tool; beside credentials nothing is built.
func TestTheWorkflowsImagesAreThoseOfTheirStacks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mode, stack, calls, output string }{
		{"try", "", "make .tools/bin/stack|stack image -all -mode try -stack dev|make .tools/bin/stack|" +
			"stack image -all -mode try -stack prod", ""},
		{"try", "dev", "make .tools/bin/stack|stack image -all -mode try -stack dev", ""},
		{"tool", "prod", "make .tools/bin/stack", ""},
		{"take", "dev", "stack image -all -mode take -stack dev", ""},
		{"push", "dev", "stack image -all -mode push -stack dev", "again=\n"},
		{"push", "plain", "", "again=\n"},
		{"try", "plain", "", ""},
	} {
		result, output := runImages(t, c.mode, c.stack, "0")
		assert.Zero(t, result.code, result.said)
		assert.Equal(t, c.calls, strings.Join(result.calls, "|"), "%s %s", c.mode, c.stack)
		assert.Equal(t, c.output, output)
	}
}

// Until the mark, no line is a command to the runner, also when the tool fails
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
func TestWhatAnAppPrintsIsNoCommand(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"0", "1"} {
		result, _ := runImages(t, "try", "dev", code)
		first, rest, _ := strings.Cut(result.said, "\n")
		mark, stopped := strings.CutPrefix(first, "::stop-commands::")
		assert.True(t, stopped, result.said)
		assert.GreaterOrEqual(t, len(mark), 32, "nobody guesses it")
		assert.Equal(t, "done\n::"+mark+"::\n", rest)
	}
}

// A repository that is not there yet is no failure, all else is one.
func TestAnImageThatFailsEndsTheWorkflow(t *testing.T) {
	t.Parallel()
	result, output := runImages(t, "push", "dev", "3")
	assert.Zero(t, result.code, result.said)
	assert.Equal(t, "again=true\n", output)
	result, output = runImages(t, "push", "dev", "1")
	assert.Equal(t, 1, result.code)
	assert.Empty(t, output)
}
