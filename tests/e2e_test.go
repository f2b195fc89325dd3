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
	script := ".github/scripts/e2e.sh"
	return runBash(t, append([]string{script}, strings.Fields(step)...), all,
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

// A check that saw nothing is said, one that failed fails.
func TestWhatWasNotSeenIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"verify tested -touch -break", "record"} {
		for said, code := range map[string]int{"0": 0, "3": 0, "1": 1, "130": 130} {
			result := runBash(t, append([]string{"-c", `cp -R .github "$FOLDER" && cd "$FOLDER" && mkdir -p .out/verify && "$@"`, "e2e",
				".github/scripts/e2e.sh"}, strings.Fields(step)...), commands{"stack": "exit " + said}, "STACK=e2e-7")
			assert.Equal(t, code, result.code, "%s: %s", step, result.said)
			assert.Equal(t, said == "3", strings.Contains(result.said, "::warning::"), result.said)
			if step != "record" {
				assert.Equal(t, []string{"stack verify -stack e2e-7 -touch -break"}, result.calls)
				assert.DirExists(t, result.folder+"/.out/e2e/tested")
			}
		}
	}
}
