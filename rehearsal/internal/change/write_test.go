package change

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/estimate"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	key     = estimate.Resource{URN: "key", Type: "aws:kms/key:Key", Name: "expense", Custom: true}
	network = estimate.Resource{URN: "vpc", Type: "aws:ec2/vpc:Vpc", Name: "expense", Custom: true}
	gateway = estimate.Resource{URN: "nat", Type: "aws:ec2/natGateway:NatGateway", Name: "expense-use1-az1", Custom: true, Dependencies: []string{"vpc"}}
)

// sample has one of everything, and values that would break out of a table or a fence.
func sample() Result {
	stacks := []Stack{
		{
			Name: "dev", Unchanged: 104, Diff: "  pulumi:pulumi:Stack: (same)\n    +-aws:ec2/vpc:Vpc: (replace)\n      ~ cidrBlock: \"192.168.0.0/16\" => \"10.0.0.0/16\"\n      ~ note: \"```\"\n",
			Changes: []Change{
				vpc,
				{Type: "aws:ec2/subnet:Subnet", Name: "expense-private-use1-az1", Operation: Replace, Properties: []Property{{Path: "vpcId", Old: "vpc-1", New: Unknown, Forces: true}}},
				{Type: "aws:eks/nodeGroup:NodeGroup", Name: "expense", Operation: Replace, Properties: []Property{{Path: "instanceTypes[0]", Old: "m5.large", New: "m6i.large", Forces: true}}},
				{Type: "aws:opensearch/domain:Domain", Name: "expense", Operation: Delete, Protected: true},
				{Type: "kubernetes:core/v1:Secret", Name: "web", Operation: Update, Properties: []Property{{Path: "stringData.API_TOKEN", Old: Secret, New: Secret}}},
				{Type: "kubernetes:core/v1:ConfigMap", Name: "web", Operation: Create},
				{Type: "kubernetes:apps/v1:Deployment", Name: "web", Operation: Update, Properties: []Property{
					{Path: "a", Old: "x|y `z`", New: "two\nlines"}, {Path: "b", New: 1.0}, {Path: "c", Old: true}, {Path: "d", Old: 1.0, New: 2.0}, {Path: "e", Old: 1.0, New: 2.0},
				}},
			},
		},
		{Name: "prod", New: true, Unchanged: 0, Diff: "+ created\n", Changes: []Change{{Type: "aws:ec2/vpc:Vpc", Name: "expense", Operation: Create}}},
		{Name: "test", Unchanged: 109, Changes: []Change{}, Diff: "109 unchanged\n", Warnings: []string{"one spot type", "run ```this```"}},
	}
	stacks[0].sort()
	before := estimate.Of([]estimate.Resource{key}, time.Time{})
	stacks[0].Estimate = &estimate.Comparison{Before: &before, After: estimate.Of([]estimate.Resource{key, network, gateway}, time.Time{}), Apply: &estimate.Timeline{Total: 2 * time.Minute}}
	acknowledged := []Acknowledgement{
		{Stack: "dev", Resource: "aws:opensearch/domain:Domain expense", Change: "delete", Reason: "the logs were copied"},
		{Stack: "dev", Resource: "aws:kms/key:Key expense", Change: "delete", Reason: "no more secrets"},
	}
	return Result{Base: "0123456 Make web larger", Stacks: stacks, Verdict: Guard(stacks, acknowledged)}
}

var update = flag.Bool("update", false, "write what the code writes into testdata, to be read")

func TestTheResultIsWrittenAsItWas(t *testing.T) {
	var data bytes.Buffer
	require.NoError(t, sample().JSON(&data))
	for file, got := range map[string]string{"preview.txt": sample().Text(), "preview.json": data.String(), "preview.md": sample().Markdown()} {
		if *update {
			require.NoError(t, os.WriteFile(filepath.Join("testdata", file), []byte(got), 0o644))
		}
		want, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		assert.Equal(t, string(want), got, file)
	}
}

func TestNothingToSayIsSaidShortly(t *testing.T) {
	result := Result{Base: "0123456 x", Stacks: []Stack{{Name: "dev", Changes: []Change{}, Unchanged: 109, Diff: "109 unchanged"}}}
	assert.Equal(t, "== Compared with 0123456 x\n\n== Stack dev: no change, 109 resources\n", result.Text())
	assert.Contains(t, result.Markdown(), "\nNothing changes.\n")
	assert.NotContains(t, result.Markdown(), "<details>")
}

// The largest change that could be: GitHub takes the comment, its folds are closed, and it says what was left out.
func TestTheMarkdownFitsIntoAComment(t *testing.T) {
	var result Result
	for _, name := range []string{"dev", "prod", "third"} {
		var bill estimate.Bill
		for i := range 1_000 {
			bill.Items = append(bill.Items, estimate.Item{Name: fmt.Sprint("item|", i), Note: strings.Repeat("note ", 20)})
		}
		stack := Stack{Name: name, Estimate: &estimate.Comparison{After: estimate.Estimate{Bill: bill}}, Diff: strings.Repeat("      ~ property: \"ä\" => \"ö\"\n", 20_000)}
		for i := range 1_000 {
			stack.Changes = append(stack.Changes, Change{Type: "aws:ec2/vpc:Vpc", Name: fmt.Sprint("expense-", i), Operation: Replace,
				Properties: []Property{{Path: "p", Old: strings.Repeat("|", 1_000), New: strings.Repeat("`", 1_000), Forces: true}}})
		}
		result.Stacks = append(result.Stacks, stack)
	}
	var unused []Acknowledgement
	for i := range 1_000 {
		unused = append(unused, Acknowledgement{Stack: "dev", Resource: strings.Repeat("r", 400), Change: fmt.Sprint(i)})
	}
	// Half of them acknowledged.
	for _, f := range Guard(result.Stacks, nil).Stopped[:1_500] {
		unused = append(unused, Acknowledgement{Stack: f.Stack, Resource: f.Resource, Change: f.Cause, Reason: strings.Repeat("because ", 100)})
	}
	result.Verdict = Guard(result.Stacks, unused)
	require.Len(t, result.Verdict.Stopped, 1_500)
	markdown := result.Markdown()
	assert.Less(t, len(markdown), 60_000)
	assert.Greater(t, len(markdown), 40_000, "the room is used")
	assert.Equal(t, strings.Count(markdown, "<details>"), strings.Count(markdown, "</details>"))
	assert.Equal(t, 10, strings.Count(markdown, "<details>"))
	assert.Equal(t, 13, strings.Count(markdown, " more: see the job's output"), "three tables of the guard, the entries, and nine of the stacks are cut")
}
