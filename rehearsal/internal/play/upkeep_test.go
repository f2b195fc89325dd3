package play

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/stage"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	clusterType = "aws:eks/cluster:Cluster"
	groupType   = "aws:eks/nodeGroup:NodeGroup"
	first       = "expense-use1-az1"
	second      = "expense-use1-az2"
	addonType   = "aws:eks/addon:Addon"
)

// upkeep is a dev stack that is up.
type upkeep struct {
	*stage.Stage
	t   *testing.T
	out *output
}

// pulumi runs a command and returns what it printed. The command must succeed or, if failure is set, fail and print that.
func (u *upkeep) pulumi(failure string, args ...string) string {
	u.t.Helper()
	before := len(u.out.String())
	err := u.Pulumi(u.t.Context(), args...)
	said := u.out.String()[before:]
	if failure == "" {
		require.NoError(u.t, err)
	} else {
		require.Error(u.t, err, said)
		require.Contains(u.t, said, failure)
	}
	return said
}

func (u *upkeep) up(args ...string) string {
	u.t.Helper()
	return u.pulumi("", append([]string{"up", "--yes", "--skip-preview"}, args...)...)
}

// quiet requires that previews show no change, with a refresh and without.
func (u *upkeep) quiet() {
	u.t.Helper()
	u.pulumi("", "preview", "--expect-no-changes")
	u.pulumi("", "preview", "--refresh", "--expect-no-changes")
}

// barePods brings back the pods that do not outlive their node. After nodes were replaced, a refresh finds nothing else to do.
func (u *upkeep) barePods() {
	u.t.Helper()
	said := u.up("--refresh")
	assert.Regexp(u.t, `\+ 2 created\n    [0-9]+ unchanged\n`, said)
	u.quiet()
}

func (u *upkeep) set(path, value string) {
	u.t.Helper()
	u.pulumi("", "config", "set", "--path", "expense:cluster."+path, value)
}

// elsewhere changes an argument of an existing resource behind the state's back, as AWS itself or somebody with its CLI does.
func (u *upkeep) elsewhere(typ, name, path string, value any) {
	u.t.Helper()
	id := u.one(typ, name).ID
	inputs, _, found := u.Model.Read(typ, id)
	require.True(u.t, found)
	at, err := resource.ParsePropertyPath(path)
	require.NoError(u.t, err)
	inputs = inputs.Copy()
	changed := resource.NewObjectProperty(inputs)
	at.Set(changed, resource.NewPropertyValue(value))
	_, err = u.Model.Update(u.t.Context(), typ, id, inputs)
	require.NoError(u.t, err)
}

// one is the only thing of a type whose name has this prefix. Pulumi appends to a node group's name.
func (u *upkeep) one(typ, name string) awsmodel.Object {
	u.t.Helper()
	all := slices.DeleteFunc(u.Model.Objects(typ), func(o awsmodel.Object) bool {
		addon, _ := o.Properties["addonName"].(string)
		return !strings.HasPrefix(o.Name, name) && addon != name
	})
	require.Len(u.t, all, 1, "%s %s", typ, name)
	return all[0]
}

// each is a property of both node groups.
func (u *upkeep) each(property string) []any {
	return []any{u.one(groupType, first).Properties[property], u.one(groupType, second).Properties[property]}
}

// sizes are the desired sizes of the two groups. There must be as many nodes.
func (u *upkeep) sizes() [2]int {
	u.t.Helper()
	var out [2]int
	for i, config := range u.each("scalingConfig") {
		out[i] = int(config.(map[string]any)["desiredSize"].(float64))
	}
	assert.Len(u.t, u.nodes(), out[0]+out[1])
	return out
}

func (u *upkeep) nodes() []string {
	u.t.Helper()
	client, err := kubernetes.NewForConfig(u.ControlPlane.RESTConfig())
	require.NoError(u.t, err)
	list, err := client.CoreV1().Nodes().List(u.t.Context(), metav1.ListOptions{})
	require.NoError(u.t, err)
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	return names
}

// What happens to a stack in use, handled as docs/changes.md says, one after the other on one stack.
func TestAStackIsKeptUp(t *testing.T) {
	s, play, out := newPlay(t)
	u := &upkeep{s, t, out}
	u.set("version", "1.34")
	require.NoError(t, play.Up(t.Context()))

	// A newer image for the nodes is no change of the stack.
	before := u.nodes()
	for _, group := range []string{first, second} {
		require.NoError(t, s.Model.PatchNodes(t.Context(), u.one(groupType, group).ID, "1.34.0-20261120"))
	}
	assert.Len(t, slices.Concat(before, u.nodes()), 6)
	for _, node := range u.nodes() {
		assert.NotContains(t, before, node)
	}
	u.pulumi("", "preview", "--expect-no-changes")
	u.barePods()
	u.set("nodeGroups.expense.diskSizeGiB", "90")
	u.up()
	u.barePods()
	assert.Equal(t, []any{"1.34.0-20261120", "1.34.0-20261120"}, u.each("releaseVersion"))

	// The autoscaler's size goes back when a limit changes, and the preview says so of each group; a refresh keeps it.
	u.elsewhere(groupType, first, "scalingConfig.desiredSize", 3)
	u.quiet()
	u.set("nodeGroups.expense.maxSize", "7")
	said := strings.Join(strings.Fields(u.pulumi("", "preview")), " ")
	assert.Regexp(t, "node group "+first+"-[0-9a-z]+: a change of its limits sets its size too, to what the state has, 2", said)
	assert.Regexp(t, "node group "+second+"-[0-9a-z]+: a change of its limits sets its size too, to what the state has, 1", said)
	u.up()
	assert.Equal(t, [2]int{2, 1}, u.sizes())
	u.elsewhere(groupType, first, "scalingConfig.desiredSize", 4)
	u.set("nodeGroups.expense.maxSize", "9")
	assert.Contains(t, u.up("--refresh"), "to what the state has, 4")
	assert.Equal(t, [2]int{4, 1}, u.sizes())
	u.quiet()

	// Another change leaves the size alone, and takes it into the state.
	u.elsewhere(groupType, first, "scalingConfig.desiredSize", 3)
	u.set("nodeGroups.expense.labels.team", "a")
	u.up()
	assert.Equal(t, [2]int{3, 1}, u.sizes())
	u.set("nodeGroups.expense.maxSize", "11")
	assert.Contains(t, u.up(), "to what the state has, 3")
	assert.Equal(t, [2]int{3, 1}, u.sizes())

	// A minimum above the size of one group: the preview says it, the update sends nothing for it, and the change stays pending.
	u.set("nodeGroups.expense.desiredSize", "6")
	u.set("nodeGroups.expense.minSize", "6")
	refused := u.pulumi("", "preview")
	assert.Contains(t, refused, "EKS refuses minSize 3 with the size that the state has, 1")
	for range 2 {
		u.pulumi("EKS refuses minSize 3 with the size that the state has, 1", "up", "--yes", "--skip-preview", "--refresh")
		assert.Equal(t, [2]int{3, 1}, u.sizes())
	}
	command := "aws eks update-nodegroup-config --region us-east-1 --cluster-name expense --nodegroup-name " + u.one(groupType, second).Name +
		" --scaling-config minSize=3,maxSize=5,desiredSize=3"
	assert.Contains(t, strings.Join(strings.Fields(refused), " "), command)
	u.elsewhere(groupType, second, "scalingConfig", map[string]any{"minSize": 3, "maxSize": 5, "desiredSize": 3})
	u.up("--refresh")
	assert.Equal(t, [2]int{3, 3}, u.sizes())
	u.quiet()

	// AWS upgrades the control plane alone.
	u.elsewhere(clusterType, "expense", "version", "1.35")
	u.up("--expect-no-changes")
	u.pulumi("Unsupported Kubernetes minor version update from 1.35 to 1.34", "up", "--yes", "--skip-preview", "--refresh")
	u.set("version", "1.35")
	before = u.nodes()
	u.up("--refresh")
	assert.Equal(t, []any{"1.35", "1.35"}, u.each("version"))
	assert.Len(t, u.nodes(), 6)
	for _, node := range u.nodes() {
		assert.NotContains(t, before, node)
	}
	u.barePods()

	// An upgrade by hand: the control plane, then the nodes, and add-ons by their pins.
	u.set("version", "1.36")
	proxy := u.one(addonType, "kube-proxy").Properties["addonVersion"]
	log := filepath.Join(s.Dir, "upgrade.json")
	u.up("--event-log", log)
	assert.Equal(t, "1.36", u.one(clusterType, "expense").Properties["version"])
	assert.Equal(t, []any{"1.36", "1.36"}, u.each("version"))
	for _, release := range u.each("releaseVersion") {
		assert.Regexp(t, `^1\.36\.`, release)
	}
	assert.Equal(t, proxy, u.one(addonType, "kube-proxy").Properties["addonVersion"])
	events, err := os.Open(log)
	require.NoError(t, err)
	defer events.Close()
	began, done, err := change.Order(events)
	require.NoError(t, err)
	for _, group := range []string{first, second} {
		assert.Less(t, place(t, done, clusterType, ""), place(t, began, groupType, group), "nodes may not be newer than the control plane")
	}
	u.barePods()
	u.set("addonVersions.kube-proxy", "v1.36.0-eksbuild.1")
	u.up()
	assert.Equal(t, "v1.36.0-eksbuild.1", u.one(addonType, "kube-proxy").Properties["addonVersion"])
	u.quiet()
	require.NoError(t, play.Destroy(t.Context()))
}

// place is the position of the only resource of a type and name in an order.
func place(t *testing.T, order map[string]int, typ, name string) int {
	for urn, at := range order {
		if u := resource.URN(urn); string(u.Type()) == typ && strings.HasPrefix(u.Name(), name) {
			return at
		}
	}
	require.Fail(t, typ+" "+name)
	return 0
}
