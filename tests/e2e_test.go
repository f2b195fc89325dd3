package tests

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// runE2E runs a step of the workflow e2e for stack e2e-7.
func runE2E(t *testing.T, step string, stand commands, env ...string) outcome {
	all := commands{"stack": "", "pulumi": "", "aws": ""}
	for name, text := range stand {
		all[name] = text
	}
	// In a folder of its own, for what a step writes.
	inside := []string{"-c", `cp -R .github "$FOLDER" && cd "$FOLDER" && "$@"`, "e2e", ".github/scripts/e2e.sh"}
	return runBash(t, append(inside, strings.Fields(step)...), all,
		append([]string{"STACK=e2e-7", "ADDRESS=203.0.113.9", "PAUSE=0", "AWS_REGION=us-east-1"}, env...)...)
}

func TestAnAddressIsNoMoreThanThat(t *testing.T) {
	t.Parallel()
	for said, code := range map[string]int{"203.0.113.9": 0, "203.0.113.9,0.0.0.0/0": 1, "<html>": 1, "": 1} {
		kept := t.TempDir() + "/env"
		result := runE2E(t, "address", commands{"curl": "echo '" + said + "'"}, "GITHUB_ENV="+kept)
		assert.Equal(t, code, result.code, "%s: %s", said, result.said)
		if code == 0 {
			assert.FileExists(t, kept)
		} else {
			assert.NoFileExists(t, kept)
		}
	}
}

// The job that destroys may have another address than the one that made the cluster.
func TestTheClusterIsOpenedToWhoDestroysIt(t *testing.T) {
	t.Parallel()
	const export = `[ "$1 $2" != "stack export" ] || echo '{"deployment":{"resources":[{}]}}'`
	destroy := func(aws string) outcome { return runE2E(t, "destroy", commands{"pulumi": export, "aws": aws}) }
	const opened = `
case "$2" in
describe-cluster) echo "$REACHED" ;;
update-cluster-config) echo 0c ;;
describe-update) [ -e "$FOLDER/asked" ] && echo "$ENDED" || echo InProgress; touch "$FOLDER/asked" ;;
esac`
	other := destroy("REACHED=198.51.100.1/32 ENDED=Successful\n" + opened)
	assert.Zero(t, other.code, other.said)
	assert.Equal(t, []string{
		"aws eks update-cluster-config --name e2e-7 --resources-vpc-config publicAccessCidrs=203.0.113.9/32 --query update.id --output text",
	}, other.calledWith("aws eks update-cluster-config"))
	assert.Len(t, other.calledWith("aws eks describe-update"), 2)
	assert.NotContains(t, other.said, "::warning::")
	assert.Len(t, other.calledWith("pulumi destroy --stack e2e-7 --yes "), 1)

	assert.Empty(t, destroy("REACHED=203.0.113.9/32\n"+opened).calledWith("aws eks update-cluster-config"))
	none := destroy("echo 'An error occurred (ResourceNotFoundException)' >&2; exit 254")
	assert.NotContains(t, none.said, "::warning::")
	// It is tried all the same: what is not in the cluster goes.
	for _, aws := range []string{
		"REACHED=198.51.100.1/32 ENDED=Failed\n" + opened, "echo 'An error occurred (AccessDeniedException)' >&2; exit 254",
	} {
		closed := destroy(aws)
		assert.Contains(t, closed.said, "::warning::The cluster e2e-7 may not be reachable")
		assert.Len(t, closed.calledWith("pulumi destroy --stack e2e-7 --yes "), 1)
	}
}

// What a run that was killed had begun is compared with AWS before the second try.
func TestASecondDestructionComesAfterARefresh(t *testing.T) {
	t.Parallel()
	result := runE2E(t, "destroy", commands{"pulumi": `
case "$1" in
stack) echo '{"deployment":{"pending_operations":[{}]}}' ;;
destroy) [ -e "$FOLDER/again" ] || { touch "$FOLDER/again"; exit 255; } ;;
esac`, "aws": "echo 203.0.113.9/32"})
	assert.Zero(t, result.code, result.said)
	var order []string
	for _, call := range result.calledWith("pulumi ") {
		order = append(order, strings.Fields(call)[1])
	}
	assert.Equal(t, []string{"stack", "cancel", "destroy", "refresh", "destroy"}, order)
	assert.Contains(t, result.calledWith("pulumi refresh")[0], " --clear-pending-creates ")

	nothing := runE2E(t, "destroy", commands{"pulumi": `echo '{"deployment":{}}'`})
	assert.Zero(t, nothing.code, nothing.said)
	assert.Empty(t, nothing.calledWith("pulumi destroy"))

	lasting := runE2E(t, "destroy", commands{"pulumi": `
case "$1" in
stack) echo '{"deployment":{"resources":[{}]}}' ;;
destroy) exit 255 ;;
esac`, "aws": "echo 203.0.113.9/32"})
	assert.NotZero(t, lasting.code)
}

// Only what has the tags of a run is swept, each once; a key that waits for its deletion tells of nothing.
func TestOnlyStacksOfRunsAreSwept(t *testing.T) {
	t.Parallel()
	thing := func(arn, stack string) string {
		return `{"ResourceARN":"` + arn + `","Tags":[{"Key":"pulumi:project","Value":"expense"},{"Key":"pulumi:stack","Value":"` + stack + `"}]}`
	}
	answer := `{"ResourceTagMappingList":[` + strings.Join([]string{
		thing("arn:aws:ec2:us-east-1:1:vpc/vpc-1", "e2e-3"), thing("arn:aws:ec2:us-east-1:1:subnet/s-1", "e2e-3"),
		thing("arn:aws:ec2:us-east-1:1:vpc/vpc-2", "dev"), thing("arn:aws:ec2:us-east-1:1:vpc/vpc-3", "e2e-$(reboot)"),
		thing("arn:aws:ec2:us-east-1:1:vpc/vpc-4", "my-e2e-4"), thing("arn:aws:kms:us-east-1:1:key/0c", "e2e-2"),
		thing("arn:aws:ec2:us-east-1:1:vpc/vpc-5", "e2e-5"),
	}, ",") + `]}`
	aws := `[ "$1" != resourcegroupstaggingapi ] || echo '` + answer + `'`
	const pulumi = `
case "$1 $2" in
"stack select") [ "$3" = e2e-3 ] ;;
"stack export") echo '{"deployment":{}}' ;;
esac`
	result := runE2E(t, "sweep", commands{"aws": aws, "pulumi": pulumi})
	assert.Zero(t, result.code, result.said)
	assert.Equal(t, []string{
		"stack fresh -stack e2e-3 -from 203.0.113.9 -boundary github-expense-boundary-e2e",
		"stack fresh -stack e2e-5 -from 203.0.113.9 -boundary github-expense-boundary-e2e",
	}, result.calledWith("stack fresh"))
	assert.Equal(t, []string{"pulumi stack init e2e-5 --secrets-provider awskms://alias/pulumi-state-e2e?region=us-east-1"},
		result.calledWith("pulumi stack init"))
	assert.Len(t, result.calledWith("pulumi stack rm"), 2)

	// One that stays makes the run fail, and does not keep the others from being swept.
	stays := runE2E(t, "sweep", commands{"aws": aws, "pulumi": pulumi, "stack": `[ "$1 $3" != "leftovers e2e-3" ] || exit 1`})
	assert.NotZero(t, stays.code)
	assert.Equal(t, []string{"pulumi stack rm e2e-5 --yes --non-interactive"}, stays.calledWith("pulumi stack rm"))
	assert.NotZero(t, runE2E(t, "sweep", commands{"aws": "exit 254"}).code, "AWS that does not answer has not said that nothing is there")
}

// The commands are run until nothing is left; what cannot be looked at or told is never taken for gone.
func TestWhatIsLeftIsRemoved(t *testing.T) {
	t.Parallel()
	removed := runE2E(t, "clean", commands{"stack": `
[ -e "$FOLDER/gone" ] && exit 0
echo 'touch "$FOLDER/gone"; false' >"${@: -1}"
exit 3`})
	assert.Zero(t, removed.code, removed.said)
	assert.Len(t, removed.calledWith("stack leftovers -stack e2e-7 -lost -script "), 2)
	assert.Len(t, removed.calledWith("pulumi stack rm e2e-7 --yes"), 1)
	for _, stands := range []string{"exit 1", `echo : >"${@: -1}"; exit 3`} {
		left := runE2E(t, "clean", commands{"stack": stands})
		assert.NotZero(t, left.code)
		assert.Contains(t, left.said, "::error::Something of e2e-7 is left")
		assert.Empty(t, left.calledWith("pulumi stack rm"))
	}
	state := runE2E(t, "clean", commands{"pulumi": "exit 255"})
	assert.NotZero(t, state.code, "a state that has resources is not removed")
}

// A runner that could not ask for its address destroys all the same.
func TestADestructionNeedsNoAddress(t *testing.T) {
	t.Parallel()
	const pulumi = `[ "$1 $2" != "stack export" ] || echo '{"deployment":{"resources":[{}]}}'`
	for _, step := range []string{"take", "destroy"} {
		result := runE2E(t, step, commands{"pulumi": pulumi, "aws": "echo 198.51.100.1/32"}, "ADDRESS=")
		assert.Zero(t, result.code, result.said)
		assert.Empty(t, result.calledWith("aws eks update-cluster-config"))
		if step == "take" {
			assert.Contains(t, result.calls[0], " -from 192.0.2.1 ")
			continue
		}
		assert.Contains(t, result.said, "::warning::The cluster e2e-7 may not be reachable")
		assert.Len(t, result.calledWith("pulumi destroy --stack e2e-7 --yes "), 1)
	}
}

// What the engine says of a destruction is written; shown of it are types and times only.
func TestADestructionTellsHowLongItTook(t *testing.T) {
	t.Parallel()
	result := runE2E(t, "destroy", commands{"pulumi": `
[ "$1 $2" != "stack export" ] || echo '{"deployment":{"resources":[{}]}}'
[ "$1" != destroy ] || { [ "$PULUMI_DEBUG_COMMANDS" = true ] && cat >"${@: -1}" <<'END'
{"timestamp":10,"resourcePreEvent":{"planning":true,"metadata":{"op":"delete","urn":"urn:secret","type":"aws:eks/cluster:Cluster"}}}
{"timestamp":20,"resourcePreEvent":{"metadata":{"op":"delete","urn":"urn:secret","type":"aws:eks/cluster:Cluster"}}}
{"timestamp":25,"diagnosticEvent":{"message":"secret"}}
{"timestamp":500,"resOutputsEvent":{"metadata":{"op":"delete","urn":"urn:secret","type":"aws:eks/cluster:Cluster"}}}
END
exit 255; }`, "aws": "echo 203.0.113.9/32"})
	assert.NotZero(t, result.code, "its times are no success")
	assert.Equal(t, 2, strings.Count(result.said, "\n480\taws:eks/cluster:Cluster\n"), result.said)
	assert.NotContains(t, result.said, "secret")
	for _, name := range []string{"2-destroy.json", "3-destroy.json"} {
		assert.FileExists(t, result.folder+"/.out/events/e2e-7/"+name)
	}
}

// A step shows the reports of its own checks, and says so when there are none.
func TestAnEarlierReportIsNotShownAgain(t *testing.T) {
	t.Parallel()
	const earlier = `mkdir -p .out/verify && echo before >.out/verify/report.html && "$@"`
	for said, code := range map[string]int{"0": 1, "3": 1, "1": 1, "130": 130} {
		result := runBash(t, []string{"-c", `cp -R .github "$FOLDER" && cd "$FOLDER" && ` + earlier, "e2e",
			".github/scripts/e2e.sh", "verify", "tested"}, commands{"stack": "echo the reason; exit " + said}, "STACK=e2e-7")
		assert.Equal(t, code, result.code, result.said)
		assert.Contains(t, result.said, "the reason")
		assert.Contains(t, result.said, "::error::The checks of e2e-7 wrote no report.")
		assert.NoDirExists(t, result.folder+"/.out/e2e/tested")
	}
}

// A check that saw nothing is said, one that failed fails.
func TestWhatWasNotSeenIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"verify tested -touch -break", "record"} {
		for said, code := range map[string]int{"0": 0, "3": 0, "1": 1, "130": 130} {
			result := runE2E(t, step, commands{"stack": "mkdir -p .out/verify; exit " + said})
			assert.Equal(t, code, result.code, "%s: %s", step, result.said)
			assert.Equal(t, said == "3", strings.Contains(result.said, "::warning::"), result.said)
			if step != "record" {
				assert.Equal(t, []string{"stack verify -stack e2e-7 -no-record -touch -break"}, result.calls)
				assert.DirExists(t, result.folder+"/.out/e2e/tested")
			}
		}
	}
}
