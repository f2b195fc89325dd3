package kubeprovider_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// program is a pulumi-resource-kubernetes to test in place of the stand-in; docs/real-plugins.md says how to get one.
var program = flag.String("plugin", "", "the real plugin's program, to run the tests against")

// differences are the tests that the real plugin does not pass, by what it does. The stand-in chose all of them: it refuses mistakes
// early, and what it does not model.
var differences = map[string][]string{
	"it leaves what the kind does not have to the server, which drops or refuses it": {
		"TestCheckRefusesWhatTheKindDoesNotHave/a_misspelt_field",
		"TestCheckRefusesWhatTheKindDoesNotHave/a_wrong_type",
		"TestCheckRefusesWhatTheKindDoesNotHave/another_kind",
	},
	"it refuses a generated name with an error, not a failure of the check": {"TestCheckRefusesWhatTheKindDoesNotHave/a_generated_name"},
	"it waits by an annotation":                 {"TestCheckRefusesWhatTheKindDoesNotHave/an_annotation_to_wait_by"},
	"it has strict mode and renders YAML":       {"TestCheckConfigRefusesWhatIsNotModelled"},
	"it decodes YAML":                           {"TestInvokeIsRefusedByName"},
	"it runs and reads what a kubeconfig names": {"TestAKubeconfigRunsAndReadsNothingOfItsOwn"},
	"it takes the user's own kubeconfig":        {"TestTheUsersOwnKubeconfigIsNotTaken"},
}

// compared is set where the tests run.
const compared = "KUBEPROVIDER_COMPARED"

// compare runs the tests against the plugin in their own process. It says which fail without being listed, and which listed ones pass.
func compare(out io.Writer) (code int) {
	var log bytes.Buffer
	command := exec.Command(os.Args[0], append(slices.Clone(os.Args[1:]), "-test.v")...)
	command.Env = append(os.Environ(), compared+"=1")
	command.Stdout, command.Stderr = &log, &log
	err := command.Run()
	result := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL|SKIP): (\S+)`).FindAllStringSubmatch(log.String(), -1) {
		result[m[2]] = m[1]
	}
	known := slices.Concat(slices.Collect(maps.Values(differences))...)
	for _, name := range slices.Sorted(maps.Keys(result)) {
		inner := func(other string) bool { return result[other] == "FAIL" && strings.HasPrefix(other, name+"/") }
		fails := result[name] == "FAIL" && !slices.ContainsFunc(slices.Collect(maps.Keys(result)), inner)
		switch listed := slices.Contains(known, name); {
		case fails && !listed:
			fmt.Fprintf(out, "The plugin does not pass %s, which differences does not list.\n", name)
			code = 1
		case listed && result[name] == "PASS":
			fmt.Fprintf(out, "The plugin passes %s: take it out of differences.\n", name)
			code = 1
		}
	}
	if len(result) == 0 || strings.Contains(log.String(), "\npanic: ") {
		fmt.Fprintf(out, "The tests did not end: %v\n", err)
		code = 1
	}
	if code != 0 {
		_, _ = log.WriteTo(out)
	} else {
		fmt.Fprintf(out, "%d tests: the plugin answers as the stand-in, but for %d listed differences.\n", len(result), len(known))
	}
	return code
}
