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

// typed is a change of the resource that every type has.
func typed(typ string, operation Operation, properties ...Property) Change {
	return Change{Type: typ, Name: "expense", Operation: operation, Properties: properties}
}

// sample has one of everything, and values that would break out of a table or a fence.
func sample() Result {
	vpcDiff := strings.Join([]string{
		"  pulumi:pulumi:Stack: (same)",
		"    +-aws:ec2/vpc:Vpc: (replace)",
		`      ~ cidrBlock: "192.168.0.0/16" => "10.0.0.0/16"`,
		"      ~ note: \"```\"",
		"",
	}, "\n")
	subnet := typed("aws:ec2/subnet:Subnet", Replace, Property{Path: "vpcId", Old: "vpc-1", New: Unknown, Forces: true})
	subnet.Name = "expense-private-use1-az1"
	domain := typed("aws:opensearch/domain:Domain", Delete)
	domain.Protected = true
	stacks := []Stack{
		{
			Name: "dev", Unchanged: 104, Diff: vpcDiff,
			Changes: []Change{
				vpc, subnet, domain,
				typed("aws:eks/nodeGroup:NodeGroup", Replace, Property{Path: "instanceTypes[0]", Old: "m5.large", New: "m6i.large", Forces: true}),
				typed("kubernetes:core/v1:Secret", Update, Property{Path: "stringData.API_TOKEN", Old: Secret, New: Secret}),
				typed("kubernetes:core/v1:ConfigMap", Create),
				typed("kubernetes:apps/v1:Deployment", Update, Property{Path: "a", Old: "x|y `z`", New: "two\nlines"}, Property{Path: "b", New: 1.0},
					Property{Path: "c", Old: true}, Property{Path: "d", Old: 1.0, New: 2.0}, Property{Path: "e", Old: 1.0, New: 2.0}),
			},
		},
		{Name: "prod", New: true, Diff: "+ created\n", Changes: []Change{typed("aws:ec2/vpc:Vpc", Create)}},
		{Name: "test", Unchanged: 109, Changes: []Change{}, Diff: "109 unchanged\n", Warnings: []string{"one spot type", "run ```this```"}},
	}
	stacks[0].sort()
	key := estimate.Resource{URN: "key", Type: "aws:kms/key:Key", Name: "expense", Custom: true}
	network := estimate.Resource{URN: "vpc", Type: "aws:ec2/vpc:Vpc", Name: "expense", Custom: true}
	gateway := estimate.Resource{URN: "nat", Type: "aws:ec2/natGateway:NatGateway", Name: "expense-use1-az1", Custom: true}
	gateway.Dependencies = []string{"vpc"}
	before := estimate.Of([]estimate.Resource{key}, time.Time{})
	stacks[0].Estimate = &estimate.Comparison{
		Before: &before, After: estimate.Of([]estimate.Resource{key, network, gateway}, time.Time{}),
		Apply: &estimate.Timeline{Total: 2 * time.Minute},
	}
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
	for file, got := range map[string]string{
		"preview.txt": sample().Text(), "preview.json": data.String(), "preview.md": sample().Markdown(),
	} {
		if *update {
			require.NoError(t, os.WriteFile(filepath.Join("testdata", file), []byte(got), 0o644))
		}
		want, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		assert.Equal(t, string(want), got, file)
	}
}

// A reader of any of them is told every stack, what it costs and the verdict.
func TestTextMarkdownAndHTMLSayTheSame(t *testing.T) {
	key := estimate.Resource{URN: "k", Type: "aws:kms/key:Key", Name: "another", Custom: true}
	after := estimate.Of([]estimate.Resource{key}, time.Time{})
	passes := Stack{Name: "dev", Estimate: &estimate.Comparison{Before: &after, After: after, Apply: &estimate.Timeline{}}}
	stopped := passes
	stopped.Name, stopped.Changes = "prod", []Change{typed("aws:kms/key:Key", Delete)}
	result := Result{Base: "0123456 x", Stacks: []Stack{passes, stopped}}
	result.Verdict = Guard(result.Stacks, nil)
	html, err := result.HTML()
	require.NoError(t, err)
	for name, text := range map[string]string{"text": result.Text(), "Markdown": result.Markdown(), "HTML": string(html)} {
		for _, part := range []string{"0123456 x", "dev", "prod", "KMS key another", "1.00", "The guard stops this change", "1 to delete"} {
			assert.Contains(t, text, part, name)
		}
	}
}

func TestNothingToSayIsSaidShortly(t *testing.T) {
	unchanged := Stack{Name: "dev", Changes: []Change{}, Unchanged: 109, Diff: "109 unchanged"}
	result := Result{Base: "0123456 x", Stacks: []Stack{unchanged}}
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
		stack := Stack{Name: name, Estimate: &estimate.Comparison{After: estimate.Estimate{Bill: bill}}}
		stack.Diff = strings.Repeat("      ~ property: \"ä\" => \"ö\"\n", 20_000)
		for i := range 1_000 {
			c := typed("aws:ec2/vpc:Vpc", Replace,
				Property{Path: "p", Old: strings.Repeat("|", 1_000), New: strings.Repeat("`", 1_000), Forces: true})
			c.Name = fmt.Sprint("expense-", i)
			stack.Changes = append(stack.Changes, c)
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
	assert.Equal(t, 13, strings.Count(markdown, " more: see the job's output"),
		"the guard's three tables and its entries, and three parts of each stack are cut")
}

// What the comment shows can be copied into the file, however long it is, and lets the change pass.
func TestTheEntriesInTheCommentLetTheChangePass(t *testing.T) {
	var types []Property
	for i := range 30 {
		types = append(types, Property{Path: fmt.Sprintf("instanceTypes[%d]", i), Old: "m5.large", New: "m6i.large", Forces: true})
	}
	group := typed("aws:eks/nodeGroup:NodeGroup", Replace, types...)
	group.DeletedFirst = true
	stacks := []Stack{{Name: "dev", Changes: []Change{group, vpc}}}
	verdict := Guard(stacks, nil)
	require.Len(t, verdict.Stopped, 2)
	_, text, found := strings.Cut(Result{Stacks: stacks, Verdict: verdict}.Markdown(), "```yaml\n")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "```")
	entries, err := parse([]byte(strings.ReplaceAll(text, `reason: ""`, "reason: we know")))
	require.NoError(t, err)
	assert.True(t, Guard(stacks, entries).Passes())
}
