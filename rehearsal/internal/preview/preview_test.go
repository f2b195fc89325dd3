package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/internal/stage/stagetest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// project is a folder in which one commit after the other is checked out and built, so that only what differs is compiled
// again. Tests here run one after the other: they share it.
var project string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "preview-")
	if err != nil {
		panic(err)
	}
	project = filepath.Join(dir, "project")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// repository is a repository of its own with the program as it is.
type repository struct {
	t          *testing.T
	tools, dir string
}

func newRepository(t *testing.T) *repository {
	tools := stagetest.Options(t).Tools
	r := &repository{t: t, tools: tools, dir: t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	copyProgram(t, "../../..", r.dir)
	r.commit("The program as it is")
	return r
}

// copyProgram copies what the program is built from.
func copyProgram(t *testing.T, from, to string) {
	require.NoError(t, filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case name == ".":
			return nil
		case entry.IsDir() && (strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "docs", "rehearsal", "tests", "tools"}, name)):
			return filepath.SkipDir
		case strings.HasPrefix(name, "."):
			return nil
		case entry.IsDir():
			return os.Mkdir(filepath.Join(to, name), 0o700)
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), data, 0o600)
	}))
}

func (r *repository) git(args ...string) string {
	out, err := git(r.t.Context(), r.dir, []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null"},
		append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com"}, args...)...)
	require.NoError(r.t, err)
	return out
}

// commit commits what is in the folder, even if it is what was there before.
func (r *repository) commit(subject string) string {
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "--message", subject)
	return r.git("rev-parse", "HEAD")
}

// edit replaces text in a file, which must be there.
type edit struct{ file, old, new string }

// on is a commit on top of another with the edits.
func (r *repository) on(base string, edits ...edit) string {
	r.git("checkout", "--quiet", "--force", "--detach", base)
	for _, e := range edits {
		path := filepath.Join(r.dir, e.file)
		data, err := os.ReadFile(path)
		if !errors.Is(err, os.ErrNotExist) {
			require.NoError(r.t, err)
		}
		require.Contains(r.t, string(data), e.old, e.file)
		require.NoError(r.t, os.WriteFile(path, []byte(strings.Replace(string(data), e.old, e.new, 1)), 0o600))
	}
	return r.commit("A change")
}

// checkout puts a commit into the project's folder.
func (r *repository) checkout(commit string) string {
	require.NoError(r.t, Checkout(r.t.Context(), r.dir, commit, project))
	return project
}

// open brings a commit's stack up.
func (r *repository) open(commit, stack string) *comparison {
	c, err := open(r.t.Context(), Options{Base: r.checkout(commit), Project: project, Tools: r.tools}, stack)
	require.NoError(r.t, err)
	r.t.Cleanup(c.stage.Stop)
	return c
}

// suffix is what the Kubernetes provider appends to an automatic name.
var suffix = regexp.MustCompile(`-[0-9a-f]{8}\b`)

// what is a change in one line.
func what(c change.Change) string {
	line := c.Resource() + ": " + c.Cause()
	if c.Operation == change.Update {
		for _, p := range c.Properties {
			line += ", " + p.String()
		}
	}
	return suffix.ReplaceAllString(line, "-SUFFIX")
}

func whats(stack change.Stack) []string {
	lines := []string{}
	for _, c := range stack.Changes {
		lines = append(lines, what(c))
	}
	return lines
}

func kinds(findings []change.Finding) map[string]int {
	out := map[string]int{}
	for _, f := range findings {
		out[f.Kind]++
	}
	return out
}

const boundary = "arn:aws:iam::111122223333:policy/boundary"

func bounded(role string) string {
	return "aws:iam/role:Role " + role + ": update, permissionsBoundary: (none) -> " + boundary
}

const devFile, nodeGroup, domainName, region = "Pulumi.dev.yaml", "cluster/nodegroup.go", "\n    domain:\n", "  aws:region: us-east-1\n"

// options are those of a node group in nodeGroup.
const options = "[]pulumi.ResourceOption{pulumi.Parent(g),"

var (
	instanceTypes   = edit{devFile, "[m5.large]", "[m6i.large]"}
	deletedFirst    = edit{nodeGroup, options, options + " pulumi.DeleteBeforeReplace(true),"}
	noAutoscaler    = edit{devFile, "    nodeGroups:\n", "    autoscaler: {enabled: false}\n    nodeGroups:\n"}
	desiredSize     = edit{devFile, "desiredSize: 3", "desiredSize: 4"}
	nodeGroupChange = func(zone, change string) string {
		return "aws:eks/nodeGroup:NodeGroup expense-use1-" + zone + ": " + change
	}
	outputChange = "pulumi:pulumi:Stack expense-dev: update, outputs.nodeGroups.expense-use1-az1 -> [unknown], " +
		"outputs.nodeGroups.expense-use1-az2 -> [unknown]"
)

// Every case is a commit on top of one whose dev stack is up. Those with another program come last: each is linked anew.
func TestAPreviewShowsTheChangeAndNothingElse(t *testing.T) {
	r := newRepository(t)
	base := r.git("rev-parse", "HEAD")
	c := r.open(base, "dev")
	preview := func(t *testing.T, edits ...edit) (change.Stack, change.Verdict) {
		stack, err := c.preview(t.Context(), r.checkout(r.on(base, edits...)))
		require.NoError(t, err)
		return stack, change.Guard([]change.Stack{stack}, nil)
	}

	for _, test := range []struct {
		name  string
		edits []edit
		want  []string // all changes; the guard stops none of them
		says  string   // the program warns of it
	}{
		{name: "nothing", want: []string{}},
		{name: "a node group's desired size, which is the autoscaler's", edits: []edit{desiredSize}, want: []string{}},
		{
			name: "a node group's largest size", edits: []edit{{devFile, "maxSize: 5", "maxSize: 6"}},
			want: []string{nodeGroupChange("az2", "update, scalingConfig.maxSize: 2 -> 3")},
			says: "a change of its limits sets its size too, to what the state has, 1",
		},
		{
			name:  "a node group's smallest size, which is more than it has",
			edits: []edit{{devFile, "minSize: 3\n        desiredSize: 3", "minSize: 4\n        desiredSize: 4"}},
			want:  []string{nodeGroupChange("az2", "update, scalingConfig.minSize: 1 -> 2")},
			says:  "EKS refuses minSize 2 with the size that the state has, 1",
		},
		{
			name: "the Kubernetes version", edits: []edit{{devFile, `version: "1.35"`, `version: "1.36"`}},
			want: []string{
				`aws:eks/cluster:Cluster expense-eksCluster: update, version: 1.35 -> 1.36`,
				nodeGroupChange("az1", "update, version: 1.35 -> 1.36"),
				nodeGroupChange("az2", "update, version: 1.35 -> 1.36"),
				"kubernetes:apps/v1:Deployment expense-autoscaler: update, spec.template.spec.containers[0].image: " +
					"registry.k8s.io/autoscaling/cluster-autoscaler:v1.35.0 -> registry.k8s.io/autoscaling/cluster-autoscaler:v1.36.0",
			},
		},
		{
			// The component's role too, and none is replaced.
			name:  "a boundary for the roles",
			edits: []edit{{devFile, region, region + "  expense:iam: {permissionsBoundary: '" + boundary + "'}\n"}},
			want: []string{
				bounded("expense-autoscaler"), bounded("expense-eksRole-role"), bounded("expense-log-master"), bounded("expense-log-reader"),
				bounded("expense-log-writer"), bounded("expense-node"), bounded("expense-node-vpc-cni"), bounded("expense-pod-ebs-csi"),
			},
		},
		{
			name:  "an add-on's version",
			edits: []edit{{devFile, "    nodeGroups:\n", "    addonVersions: {kube-proxy: v1.36.0-eksbuild.1}\n    nodeGroups:\n"}},
			want:  []string{"aws:eks/addon:Addon expense-node-kube-proxy: update, addonVersion: (none) -> v1.36.0-eksbuild.1"},
		},
		{
			name: "instance types", edits: []edit{instanceTypes},
			want: []string{
				nodeGroupChange("az1", "replace, successor first: instanceTypes[0]: m5.large -> m6i.large"),
				nodeGroupChange("az2", "replace, successor first: instanceTypes[0]: m5.large -> m6i.large"), outputChange,
			},
		},
		{
			name: "an engine version that AWS offers", edits: []edit{{devFile, domainName, domainName + "      engineVersion: OpenSearch_3.1\n"}},
			want: []string{"aws:opensearch/domain:Domain expense: update, engineVersion: OpenSearch_2.19 -> OpenSearch_3.1"},
		},
		{
			name: "a setting of web", edits: []edit{{devFile, "maxReplicas: 4", "maxReplicas: 4\n      settings: {GREETING: hello}"}},
			want: []string{
				// The sidecar's variables come last, and move by one.
				"kubernetes:apps/v1:Deployment web: update, spec.template.spec.containers[0].env[1].name: LOG_DIR -> GREETING, " +
					"spec.template.spec.containers[0].env[1].value: /var/log/app -> hello, " +
					"spec.template.spec.containers[0].env[2].name: LOG_MAX_BYTES -> LOG_DIR, " +
					"spec.template.spec.containers[0].env[2].value: 16777216 -> /var/log/app, " +
					"spec.template.spec.containers[0].env[3].name: LOG_GENERATIONS -> LOG_MAX_BYTES, " +
					"spec.template.spec.containers[0].env[3].value: 3 -> 16777216, " +
					`spec.template.spec.containers[0].env[4]: (none) -> {"name":"LOG_GENERATIONS","value":"3"}`,
			},
		},
		{
			name: "a safeguard against wrong accounts", edits: []edit{{devFile, region, region + "  aws:allowedAccountIds: ['111122223333']\n"}},
			want: []string{`pulumi:providers:aws expense: update, allowedAccountIds: (none) -> ["111122223333"]`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			stack, verdict := preview(t, test.edits...)
			assert.Equal(t, test.want, whats(stack))
			assert.True(t, verdict.Passes())
			assert.GreaterOrEqual(t, stack.Unchanged, 100)
			assert.Contains(t, strings.Join(stack.Warnings, "\n"), test.says)
		})
	}

	t.Run("a profile, which is in kubeconfigs too", func(t *testing.T) {
		stack, verdict := preview(t, edit{devFile, region, region + "  aws:profile: work\n"})
		assert.True(t, verdict.Passes())
		var got []string
		for _, c := range stack.Changes {
			assert.Equal(t, change.Update, c.Operation, c.Resource())
			assert.Contains(t, what(c), "work")
			got = append(got, c.Resource())
		}
		assert.Equal(t, []string{
			"pulumi:providers:aws expense", "pulumi:providers:kubernetes expense", "pulumi:providers:kubernetes expense-eks-k8s",
			"pulumi:pulumi:Stack expense-dev",
		}, got)
	})

	// A zone more is a group more, and the others' limits go down by their share.
	t.Run("a zone more", func(t *testing.T) {
		stack, verdict := preview(t, edit{devFile, "[use1-az1, use1-az2]", "[use1-az1, use1-az2, use1-az4]"})
		assert.True(t, verdict.Passes())
		lines := whats(stack)
		assert.Contains(t, lines, nodeGroupChange("az1", "update, scalingConfig.maxSize: 3 -> 2, scalingConfig.minSize: 2 -> 1"))
		assert.Contains(t, lines, "aws:eks/nodeGroup:NodeGroup expense-use1-az4: create")
		for _, line := range lines {
			assert.NotContains(t, line, "NodeGroup expense-use1-az2", "its share is the same")
			assert.NotContains(t, line, ": replace")
		}
	})
	t.Run("one group over all zones", func(t *testing.T) {
		stack, verdict := preview(t, edit{devFile, "maxSize: 5", "maxSize: 5\n        perZone: false"})
		assert.Contains(t, whats(stack), "aws:eks/nodeGroup:NodeGroup expense: create")
		assert.Equal(t, map[string]int{"node group": 2}, kinds(verdict.Stopped))
	})

	// The changes below move much. What the guard must stop is said exactly, of the rest what matters.
	t.Run("the VPC's range", func(t *testing.T) {
		cidr := edit{devFile, "  expense:network:\n", "  expense:network:\n    cidr: 10.20.0.0/16\n"}
		stack, verdict := preview(t, cidr)
		assert.Equal(t, map[string]int{"VPC": 1, "subnet": 4}, kinds(verdict.Stopped))
		assert.Equal(t, "replace, successor first: cidrBlock: 192.168.0.0/16 -> 10.20.0.0/16", verdict.Stopped[0].Cause)
		lines := whats(stack)
		assert.Contains(t, lines, nodeGroupChange("az1", "replace, successor first: subnetIds[0] -> [unknown]"))
		assert.Contains(t, lines, "aws:ec2/subnet:Subnet expense-private-use1-az1: replace, successor first: "+
			"cidrBlock: 192.168.32.0/19 -> 10.20.32.0/19; vpcId -> [unknown]")
		assert.Contains(t, strings.Join(lines, "\n"), "kubernetes:networking.k8s.io/v1:NetworkPolicy project-allow-opensearch: update, "+
			"spec.egress[0].to[0].ipBlock.cidr: 192.168.32.0/19 -> 10.20.32.0/19, "+
			"spec.egress[0].to[1].ipBlock.cidr: 192.168.96.0/19 -> 10.20.96.0/19")

		// Acknowledged in the commit, it passes; in the next one, and for another range, it does not.
		acknowledged := r.on(base, cidr, edit{change.AcknowledgementsFile, "", acknowledge(t, verdict.Stopped)})
		assert.True(t, r.judge(t, c, base, acknowledged).Passes())
		next := r.judge(t, c, acknowledged, r.on(acknowledged))
		assert.Len(t, next.Stopped, 5, "what an earlier commit added counts no more")
		assert.Empty(t, next.Unused, "nor is it in the way")
		other := r.judge(t, c, base, r.on(acknowledged, edit{devFile, "10.20.0.0/16", "10.30.0.0/16"}))
		assert.Len(t, other.Stopped, 5)
		assert.Len(t, other.Unused, 5)
		unused := r.judge(t, c, base, r.on(acknowledged, edit{devFile, "    cidr: 10.20.0.0/16\n", ""}))
		assert.Empty(t, unused.Stopped)
		assert.Len(t, unused.Unused, 5)
		assert.False(t, unused.Passes())
	})
	t.Run("the domain's name", func(t *testing.T) {
		stack, verdict := preview(t, edit{devFile, domainName, domainName + "      name: another\n"})
		assert.Equal(t, map[string]int{"OpenSearch domain": 1}, kinds(verdict.Stopped))
		assert.Equal(t, "replace, deleted first: domainName: expense -> another", verdict.Stopped[0].Cause)
		assert.NotEmpty(t, stack.Diff)
	})
	t.Run("an engine version that AWS does not offer", func(t *testing.T) {
		_, verdict := preview(t, edit{devFile, domainName, domainName + "      engineVersion: OpenSearch_2.17\n"})
		assert.Equal(t, map[string]int{"OpenSearch domain": 1}, kinds(verdict.Stopped))
		assert.Equal(t, "replace, deleted first: engineVersion: OpenSearch_2.19 -> OpenSearch_2.17", verdict.Stopped[0].Cause)
	})
	t.Run("the namespace", func(t *testing.T) {
		_, verdict := preview(t, edit{devFile, "namespace: project", "namespace: another"})
		assert.Equal(t, map[string]int{"namespace": 1, "persistent volume claim": 1}, kinds(verdict.Stopped))
	})
	t.Run("the cluster's name", func(t *testing.T) {
		_, verdict := preview(t, edit{devFile, "    name: expense\n", "    name: another\n"})
		assert.Equal(t, 1, kinds(verdict.Stopped)["control plane"])
	})
	t.Run("a program that does not run", func(t *testing.T) {
		_, err := c.preview(t.Context(), r.checkout(r.on(base, edit{devFile, "maxSize: 5", "maxSize: 1"})))
		assert.Error(t, err)
	})
	t.Run("the guard's kinds are kinds that the stack has", func(t *testing.T) {
		state, err := c.stage.Output(t.Context(), "stack", "export")
		require.NoError(t, err)
		checked := 0
		for _, kind := range change.Kinds {
			for _, typ := range kind.Types {
				if typ == "aws:ecr/repository:Repository" {
					continue // dev builds no image; the stack of play's apps has one
				}
				assert.Contains(t, string(state), `"type": "`+typ+`"`)
				checked++
			}
		}
		assert.Positive(t, checked)
	})
	t.Run("another key for the cluster", func(t *testing.T) {
		_, verdict := preview(t, edit{"cluster/controlplane.go", "kms.NewKey(ctx, name,", `kms.NewKey(ctx, name+"-another",`})
		assert.Equal(t, map[string]int{"KMS key": 1, "key of the control plane": 1}, kinds(verdict.Stopped))
	})
	t.Run("instance types without a successor", func(t *testing.T) {
		stack, verdict := preview(t, instanceTypes, deletedFirst)
		assert.Equal(t, []string{
			nodeGroupChange("az1", "replace, deleted first: instanceTypes[0]: m5.large -> m6i.large"),
			nodeGroupChange("az2", "replace, deleted first: instanceTypes[0]: m5.large -> m6i.large"), outputChange,
		}, whats(stack))
		assert.Equal(t, map[string]int{"node group": 2}, kinds(verdict.Stopped))
	})
	// No setting removes the domain. To the engine a resource is gone when the program does not register its URN.
	t.Run("a domain that is no longer in the program", func(t *testing.T) {
		stack, verdict := preview(t, edit{"logging/domain.go", "opensearch.NewDomain(ctx, name,", `opensearch.NewDomain(ctx, name+"-another",`})
		assert.Equal(t, map[string]int{"OpenSearch domain": 1}, kinds(verdict.Stopped))
		assert.Equal(t, "delete", verdict.Stopped[0].Cause)
		assert.Contains(t, whats(stack), "aws:opensearch/domain:Domain expense-another: create")
	})
	// The estimate of a destroy is worth something only if the engine deletes in these layers. It ends the stack.
	t.Run("the engine deletes in the layers of the estimate", func(t *testing.T) {
		state, err := c.stage.State(t.Context())
		require.NoError(t, err)
		resources := estimate.FromState(state)
		log := filepath.Join(t.TempDir(), "events.json")
		require.NoError(t, c.stage.Pulumi(t.Context(), "destroy", "--yes", "--skip-preview", "--event-log", log))

		events, err := os.Open(log)
		require.NoError(t, err)
		defer events.Close()
		began, ended, err := change.Order(events)
		require.NoError(t, err)
		pairs := 0
		operations := estimate.Destroy(resources).Operations
		for _, first := range operations {
			for _, then := range operations {
				if first.Start < then.Start && first.End <= then.Start {
					require.Contains(t, ended, first.URN)
					require.Contains(t, began, then.URN)
					assert.Less(t, ended[first.URN], began[then.URN], "%s before %s", first.Name, then.Name)
					pairs++
				}
			}
		}
		assert.Greater(t, pairs, 1_000)
	})
}

// judge is the guard's verdict on a commit that is compared with another, whatever is up.
func (r *repository) judge(t *testing.T, c *comparison, base, head string) change.Verdict {
	before := t.TempDir()
	require.NoError(t, Checkout(t.Context(), r.dir, base, before))
	stack, err := c.preview(t.Context(), r.checkout(head))
	require.NoError(t, err)
	added, err := acknowledgements(project, before)
	require.NoError(t, err)
	return change.Guard([]change.Stack{stack}, added)
}

func acknowledge(t *testing.T, findings []change.Finding) string {
	var list []change.Acknowledgement
	for _, f := range findings {
		list = append(list, change.Acknowledgement{Stack: f.Stack, Resource: f.Resource, Change: f.Cause, Reason: "dev is empty"})
	}
	data, err := yaml.Marshal(list)
	require.NoError(t, err)
	return string(data)
}

// A base of other settings, which bear with each other.
func TestABaseOfOtherSettingsComesUp(t *testing.T) {
	r := newRepository(t)
	const (
		allowed = "  aws:allowedAccountIds: ['999999999999']\n"
		role    = "  aws:assumeRole: {roleArn: 'arn:aws:iam::999999999999:role/Deploy'}\n"
	)
	base := r.on("main", noAutoscaler,
		edit{devFile, region, region + allowed + "  aws:profile: work\n" + role},
		edit{devFile, "[m5.large]", "[c3.large, c4.large, c5.large, c5d.large, c5n.large, c5a.large, c99z.large]"})
	c := r.open(base, "dev")

	// A stack that names its real account is rehearsed as if that were the model's, and another account is refused as on AWS.
	t.Run("its account is the model's", func(t *testing.T) {
		stack, err := c.preview(t.Context(), r.checkout(base))
		require.NoError(t, err)
		assert.Empty(t, whats(stack))
		state, err := c.stage.Output(t.Context(), "stack", "export")
		require.NoError(t, err)
		assert.Contains(t, string(state), "arn:aws:eks:us-east-1:999999999999:cluster/expense")

		_, err = c.preview(t.Context(), r.checkout(r.on(base, edit{devFile, role, ""}, edit{devFile, "['999999999999']", "['888888888888']"})))
		var failure *stage.PulumiError
		require.ErrorAs(t, err, &failure)
		assert.Contains(t, failure.Output, "AWS account ID not allowed: 999999999999")
	})
	t.Run("without the autoscaler the desired size is the program's own", func(t *testing.T) {
		stack, err := c.preview(t.Context(), r.checkout(r.on(base, desiredSize)))
		require.NoError(t, err)
		assert.Equal(t, []string{nodeGroupChange("az2", "update, scalingConfig.desiredSize: 1 -> 2")}, whats(stack))
	})
	// eksctl's own spot list, and a type that is in no list.
	t.Run("the estimate says which instance types have no price", func(t *testing.T) {
		stack, err := c.preview(t.Context(), r.checkout(r.on(base, edit{devFile, "maxSize: 5", "maxSize: 6"})))
		require.NoError(t, err)
		assert.Equal(t, []string{nodeGroupChange("az2", "update, scalingConfig.maxSize: 2 -> 3")}, whats(stack))
		assert.Equal(t, []string{
			"nodes expense-use1-az1: c3.large, c4.large, c5d.large, c5n.large, c99z.large, of which the table has no price",
			"nodes expense-use1-az2: c3.large, c4.large, c5d.large, c5n.large, c99z.large, of which the table has no price",
		}, stack.Estimate.After.Bill.Unpriced)
	})
}

func TestAnUnchangedCommitChangesNoStack(t *testing.T) {
	r := newRepository(t)
	stacks, err := Stacks(r.dir)
	require.NoError(t, err)
	require.Equal(t, []string{"dev", "example", "prod"}, stacks)
	r.checkout(r.on("main"))
	result, err := Compare(t.Context(), Options{Project: project, Base: project, Stacks: stacks, Tools: r.tools})
	require.NoError(t, err)
	require.Len(t, result.Stacks, len(stacks))
	for _, stack := range result.Stacks {
		assert.Empty(t, whats(stack), stack.Name)
		assert.GreaterOrEqual(t, stack.Unchanged, 100)
		assert.False(t, stack.New)
		before, after := *stack.Estimate.Before, stack.Estimate.After
		assert.Equal(t, estimate.Tree(before.Resources), estimate.Tree(after.Resources))
		before.Resources, after.Resources = nil, nil
		assert.Equal(t, before, after, "what is read from the state and from the preview is the same")
		assert.GreaterOrEqual(t, len(after.Bill.Items), 10)
		assert.Empty(t, after.Bill.Unpriced)
		assert.Empty(t, after.Up.Untimed)
		assert.Greater(t, after.Up.Total, 15*time.Minute)
		assert.Zero(t, stack.Estimate.Apply.Total)
	}
	assert.True(t, result.Verdict.Passes())
	costs, err := os.ReadFile("../../../docs/costs.md")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	bills := map[string]estimate.Bill{}
	for _, stack := range result.Stacks {
		bills[stack.Name] = stack.Estimate.After.Bill
	}
	delete(bills, "example") // it is dev with one more service, and no page has its bill
	require.Len(t, bills, 2)
	assert.Contains(t, string(costs), fmt.Sprintf("| **together** | **%.0f** | **%.0f** |\n| with all nodes on demand | %.0f | %.0f |\n",
		bills["dev"].Monthly, bills["prod"].Monthly, bills["dev"].OnDemand, bills["prod"].OnDemand))
	for _, bill := range bills {
		assert.Contains(t, string(readme), fmt.Sprintf("about %.0f USD", 10*math.Round(bill.Monthly/10)))
	}
}

func TestAStackThatTheBaseDoesNotHaveIsNew(t *testing.T) {
	r := newRepository(t)
	r.git("checkout", "--quiet", "--orphan", "empty")
	r.git("rm", "-r", "--quiet", "--force", ".")
	base := t.TempDir()
	require.NoError(t, Checkout(t.Context(), r.dir, r.commit("Before the program"), base))
	result, err := Compare(t.Context(), Options{Project: r.checkout("main"), Base: base, Stacks: []string{"dev"}, Tools: r.tools})
	require.NoError(t, err)
	require.Len(t, result.Stacks, 1)
	stack := result.Stacks[0]
	assert.True(t, stack.New)
	assert.Zero(t, stack.Unchanged)
	assert.GreaterOrEqual(t, len(stack.Changes), 100)
	for _, c := range stack.Changes {
		assert.Equal(t, change.Create, c.Operation, c.URN)
	}
	assert.True(t, result.Verdict.Passes())
	assert.Contains(t, stack.Diff, change.Secret)
	html, err := result.HTML()
	require.NoError(t, err)
	var data bytes.Buffer
	require.NoError(t, result.JSON(&data))
	for _, text := range []string{string(html), data.String(), result.Markdown(), result.Text()} {
		assert.Contains(t, text, "expense")
		assert.NotContains(t, text, "not-a-real-token")
	}
}

func TestTheBaseIsWhereTheBranchLeftMain(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	r := &repository{t: t, dir: t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "kept"), []byte("1"), 0o600))
	left := r.commit("One")
	r.git("checkout", "--quiet", "-b", "branch")
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "added"), []byte("2"), 0o600))
	head := r.commit("Two")
	r.git("checkout", "--quiet", "main")
	onMain := r.commit("Three")
	r.git("checkout", "--quiet", "branch")

	base, err := MergeBase(t.Context(), r.dir)
	require.NoError(t, err)
	assert.Equal(t, left, base)
	// origin's main is newer than one's own.
	r.git("update-ref", "refs/remotes/origin/main", head)
	base, err = MergeBase(t.Context(), r.dir)
	require.NoError(t, err)
	assert.Equal(t, head, base)
	r.git("update-ref", "-d", "refs/remotes/origin/main")
	r.git("branch", "--quiet", "-D", "main")
	_, err = MergeBase(t.Context(), r.dir)
	assert.ErrorContains(t, err, "name a revision")

	commit, err := Commit(t.Context(), r.dir, onMain)
	require.NoError(t, err)
	assert.Equal(t, "Three", strings.SplitN(commit, " ", 2)[1])
	_, err = Commit(t.Context(), r.dir, "no-such")
	assert.ErrorContains(t, err, "no-such")

	// A checkout holds the commit's files and what was built, and leaves the repository alone.
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "bin"), 0o700))
	for _, commit := range []string{head, left} {
		require.NoError(t, Checkout(context.Background(), r.dir, commit, folder))
	}
	assert.FileExists(t, filepath.Join(folder, "kept"))
	assert.NoFileExists(t, filepath.Join(folder, "added"))
	assert.DirExists(t, filepath.Join(folder, "bin"))
	assert.Empty(t, r.git("status", "--porcelain"))
	assert.Equal(t, head, r.git("rev-parse", "HEAD"))
}
