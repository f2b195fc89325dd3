package stage

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/change"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	clusterType = "aws:eks/cluster:Cluster"
	groupType   = "aws:eks/nodeGroup:NodeGroup"
	addonType   = "aws:eks/addon:Addon"
)

// upkeep is a dev stack that is up.
type upkeep struct {
	*Stage
	t   *testing.T
	out *output
}

// pulumi runs a command that succeeds or, if it has to say something of a failure, does not, and returns what it printed.
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

// quiet tells that no preview shows anything, with a refresh and without.
func (u *upkeep) quiet() {
	u.t.Helper()
	u.pulumi("", "preview", "--expect-no-changes")
	u.pulumi("", "preview", "--refresh", "--expect-no-changes")
}

// barePods brings back the pods that do not outlive their node: of all that a refresh finds after nodes were replaced nothing else
// is to be done.
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

// elsewhere changes an argument of what exists, as AWS does by itself or somebody at its command line: the state knows nothing.
func (u *upkeep) elsewhere(typ, path string, value any) {
	u.t.Helper()
	id := u.one(typ).ID
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

// one is the only thing of a type, or the add-on of a name.
func (u *upkeep) one(typ string, name ...string) awsmodel.Object {
	u.t.Helper()
	all := u.Model.Objects(typ)
	if len(name) > 0 {
		all = slices.DeleteFunc(all, func(o awsmodel.Object) bool { return o.Properties["addonName"] != name[0] })
	}
	require.Len(u.t, all, 1)
	return all[0]
}

// size is how many nodes the group wants, after it was seen to have as many.
func (u *upkeep) size() int {
	u.t.Helper()
	config := u.one(groupType).Properties["scalingConfig"].(map[string]any)
	assert.Len(u.t, u.nodes(), int(config["desiredSize"].(float64)))
	return len(u.nodes())
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

// The ways of docs/changes.md through what a stack in use meets, one after the other on one stack.
func TestAStackIsKeptUp(t *testing.T) {
	s, play, out := newStage(t, 0)
	u := &upkeep{s, t, out}
	u.set("version", "1.34")
	u.set("nodeGroups.expense.perZone", "false")
	require.NoError(t, play.Up(t.Context()))

	// A newer image for the nodes is no change of the stack.
	before := u.nodes()
	require.NoError(t, s.Model.PatchNodes(t.Context(), u.one(groupType).ID, "1.34.0-20261120"))
	assert.Len(t, slices.Concat(before, u.nodes()), 6)
	for _, node := range u.nodes() {
		assert.NotContains(t, before, node)
	}
	u.pulumi("", "preview", "--expect-no-changes")
	u.barePods()
	u.set("nodeGroups.expense.diskSizeGiB", "90")
	u.up()
	u.barePods()
	assert.Equal(t, "1.34.0-20261120", u.one(groupType).Properties["releaseVersion"])

	// The autoscaler's size goes back when a limit changes, and the preview says so; a refresh keeps it.
	u.elsewhere(groupType, "scalingConfig.desiredSize", 5)
	u.quiet()
	u.set("nodeGroups.expense.maxSize", "7")
	assert.Contains(t, u.pulumi("", "preview"), "sets its size too, to what the state has, 3")
	u.up()
	assert.Equal(t, 3, u.size())
	u.elsewhere(groupType, "scalingConfig.desiredSize", 5)
	u.set("nodeGroups.expense.maxSize", "8")
	assert.Contains(t, u.up("--refresh"), "to what the state has, 5")
	assert.Equal(t, 5, u.size())
	u.quiet()

	// What does not concern the size leaves it alone, and takes it into the state.
	u.elsewhere(groupType, "scalingConfig.desiredSize", 4)
	u.set("nodeGroups.expense.labels.team", "a")
	u.up()
	assert.Equal(t, 4, u.size())
	u.set("nodeGroups.expense.maxSize", "9")
	assert.Contains(t, u.up(), "to what the state has, 4")
	assert.Equal(t, 4, u.size())

	// More nodes at least than there are: the preview says it, nothing is sent, and the change is not forgotten.
	u.set("nodeGroups.expense.desiredSize", "6")
	u.set("nodeGroups.expense.minSize", "6")
	refused := u.pulumi("", "preview")
	assert.Contains(t, refused, "EKS refuses minSize 6 with the size that the state has, 4")
	for range 2 {
		u.pulumi("EKS refuses minSize 6 with the size that the state has, 4", "up", "--yes", "--skip-preview", "--refresh")
		assert.Equal(t, 4, u.size())
	}
	group := u.one(groupType)
	command := "aws eks update-nodegroup-config --region us-east-1 --cluster-name expense --nodegroup-name " + group.Name +
		" --scaling-config minSize=6,maxSize=9,desiredSize=6"
	assert.Contains(t, strings.Join(strings.Fields(refused), " "), command)
	u.elsewhere(groupType, "scalingConfig", map[string]any{"minSize": 6, "maxSize": 9, "desiredSize": 6})
	u.up("--refresh")
	assert.Equal(t, 6, u.size())
	u.quiet()

	// AWS upgrades the control plane alone.
	u.elsewhere(clusterType, "version", "1.35")
	u.up("--expect-no-changes")
	u.pulumi("Unsupported Kubernetes minor version update from 1.35 to 1.34", "up", "--yes", "--skip-preview", "--refresh")
	u.set("version", "1.35")
	before = u.nodes()
	u.up("--refresh")
	assert.Equal(t, "1.35", u.one(groupType).Properties["version"])
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
	assert.Equal(t, "1.36", u.one(clusterType).Properties["version"])
	assert.Equal(t, "1.36", u.one(groupType).Properties["version"])
	assert.Regexp(t, `^1\.36\.`, u.one(groupType).Properties["releaseVersion"])
	assert.Equal(t, proxy, u.one(addonType, "kube-proxy").Properties["addonVersion"])
	events, err := os.Open(log)
	require.NoError(t, err)
	defer events.Close()
	began, done, err := change.Order(events)
	require.NoError(t, err)
	assert.Less(t, place(t, done, clusterType), place(t, began, groupType), "nodes may not be newer than the control plane")
	u.barePods()
	u.set("addonVersions.kube-proxy", "v1.36.0-eksbuild.1")
	u.up()
	assert.Equal(t, "v1.36.0-eksbuild.1", u.one(addonType, "kube-proxy").Properties["addonVersion"])
	u.quiet()
	require.NoError(t, play.Destroy(t.Context()))
}

// place is where the only resource of a type is in an order.
func place(t *testing.T, order map[string]int, typ string) int {
	for urn, at := range order {
		if string(resource.URN(urn).Type()) == typ {
			return at
		}
	}
	require.Fail(t, typ)
	return 0
}
