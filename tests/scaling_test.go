package tests

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const group = "aws:eks/nodeGroup:NodeGroup"

// A volume is in one zone. The Cluster Autoscaler assumes that all nodes of a group are alike, and EC2 picks the zone of the next one. So
// only a group of one zone gives a pod a node in its volume's zone.
func TestEachZoneHasASpotGroupOfItsOwnThatCanGrow(t *testing.T) {
	t.Parallel()
	for _, stack := range []string{"dev", "prod"} {
		all, err := run(t, stack, stackFile(t, stack))
		require.NoError(t, err)
		require.NotEmpty(t, of(all, "kubernetes:core/v1:PersistentVolumeClaim"), "%s has volumes", stack)
		roomy := map[string]bool{}
		for _, r := range of(all, group) {
			subnets := r.Inputs["subnetIds"].([]any)
			assert.Len(t, subnets, 1, "%s: %s is in one zone", stack, r)
			if r.Inputs["capacityType"] == "SPOT" &&
				at(r.Inputs, "scalingConfig.maxSize").(float64) > at(r.Inputs, "scalingConfig.desiredSize").(float64) {
				roomy[fmt.Sprint(subnets[0])] = true
			}
		}
		private := 0
		for _, r := range of(all, "aws:ec2/subnet:Subnet") {
			if strings.Contains(r.Name, "-private-") {
				private++
				assert.True(t, roomy[r.ID], "%s: %s has a spot group that can grow", stack, r)
			}
		}
		assert.Len(t, roomy, private)
	}
}

// The user data is a MIME archive, as EKS takes it (https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html), with one part
// for nodeadm (https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/). A group that does not ask has none, or its nodes would be
// rolled.
func TestNodesHoldAsManyPodsAsTheSettingsSay(t *testing.T) {
	t.Parallel()
	const tag, template = "k8s.io/cluster-autoscaler/node-template/resources/pods", "aws:ec2/launchTemplate:LaunchTemplate"
	settings := stackFile(t, "dev")
	set(t, settings, "expense:cluster.nodeGroups.few", json.RawMessage(
		`{"capacityType": "SPOT", "instanceTypes": ["m5.large"], "minSize": 0, "desiredSize": 0, "maxSize": 1, "perZone": false, "maxPods": 20}`))
	all, err := run(t, "dev", settings)
	require.NoError(t, err)
	asked := 0
	for _, r := range of(all, template) {
		tags := one(t, all, group, r.Name).Inputs["tags"].(map[string]any)
		assert.Equal(t, r.Name, tags["Name"])
		if r.Name != "few" {
			assert.NotContains(t, r.Inputs, "userData", r)
			assert.NotContains(t, tags, tag, r)
			continue
		}
		asked++
		assert.Equal(t, "20", tags[tag])
		data, err := base64.StdEncoding.DecodeString(r.Inputs["userData"].(string))
		require.NoError(t, err)
		message, err := mail.ReadMessage(strings.NewReader(string(data)))
		require.NoError(t, err)
		assert.Equal(t, "1.0", message.Header.Get("MIME-Version"))
		kind, of, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
		require.NoError(t, err)
		assert.Equal(t, "multipart/mixed", kind)
		parts := multipart.NewReader(message.Body, of["boundary"])
		part, err := parts.NextPart()
		require.NoError(t, err)
		assert.Equal(t, "application/node.eks.aws", part.Header.Get("Content-Type"))
		var config any
		require.NoError(t, yaml.NewDecoder(part).Decode(&config))
		assert.Equal(t, map[string]any{
			"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig",
			"spec": map[string]any{"kubelet": map[string]any{"config": map[string]any{"maxPods": 20}}},
		}, config)
		_, err = parts.NextPart()
		assert.ErrorIs(t, err, io.EOF, "no other part, and a closing boundary")
	}
	assert.Equal(t, 1, asked)
}

// With perZone: false an entry is one group over all zones, for what needs no volume or is smaller than the number of zones.
func TestAGroupMayBeOneOverAllZones(t *testing.T) {
	t.Parallel()
	settings := stackFile(t, "dev")
	set(t, settings, "expense:cluster.nodeGroups.expense.perZone", false)
	all, err := run(t, "dev", settings)
	require.NoError(t, err)
	inputs := one(t, all, group, "expense").Inputs
	assert.Len(t, inputs["subnetIds"], 2)
	assert.Equal(t, map[string]any{"minSize": 3.0, "desiredSize": 3.0, "maxSize": 5.0}, inputs["scalingConfig"])
	assert.Len(t, of(all, group), 1)
}

// priorities are what the autoscaler's priority expander reads
// (https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.35.0/cluster-autoscaler/expander/priority/priority.go).
func priorities(t *testing.T, all []registered) func(scalingGroup string) int {
	config := one(t, all, "kubernetes:core/v1:ConfigMap", "expense-autoscaler").Inputs
	assert.Equal(t, "cluster-autoscaler-priority-expander", at(config, "metadata.name"))
	assert.Equal(t, "kube-system", at(config, "metadata.namespace"))
	var rules map[int][]string
	require.NoError(t, yaml.Unmarshal([]byte(at(config, "data.priorities").(string)), &rules))
	return func(scalingGroup string) int {
		best := 0
		for priority, names := range rules {
			if slices.ContainsFunc(names, func(name string) bool { return regexp.MustCompile(name).MatchString(scalingGroup) }) {
				best = max(best, priority)
			}
		}
		return best
	}
}

// scalingGroup is what EKS names the Auto Scaling group of a node group.
func scalingGroup(r registered) string {
	return fmt.Sprintf("eks-%s20261124000000000000000001-b2c3d4e5-0000-4000-8000-0123456789ab", r.Inputs["nodeGroupNamePrefix"])
}

// Spot comes first by priority: a pod that fits on both wastes the same on both, and a tie is broken at random.
func TestThePriorityOfSpotIsAboveThatOfOnDemand(t *testing.T) {
	t.Parallel()
	settings := stackFile(t, "prod")
	// Names that begin with each other's.
	const like = `{"capacityType": %q, "instanceTypes": ["m5.large"], "minSize": 0, "desiredSize": 0, "maxSize": 3, "perZone": %v}`
	for name, text := range map[string]string{
		"a": fmt.Sprintf(like, "SPOT", false), "a-use1": fmt.Sprintf(like, "ON_DEMAND", true),
		"steady-spot": fmt.Sprintf(like, "SPOT", true), "expense-steady": fmt.Sprintf(like, "ON_DEMAND", false),
	} {
		set(t, settings, "expense:cluster.nodeGroups."+name, json.RawMessage(text))
	}
	all, err := run(t, "prod", settings)
	require.NoError(t, err)
	priority := priorities(t, all)
	count := map[any]int{}
	for _, r := range of(all, group) {
		count[r.Inputs["capacityType"]]++
		assert.Equal(t, map[any]int{"SPOT": 20, "ON_DEMAND": 10}[r.Inputs["capacityType"]], priority(scalingGroup(r)), r)
	}
	assert.Equal(t, map[any]int{"SPOT": 7, "ON_DEMAND": 7}, count)
	assert.Equal(t, 10, priority("eks-somebody-elses-group"), "a group that no rule is about would never grow")

	command := list(at(one(t, all, "kubernetes:apps/v1:Deployment", "expense-autoscaler").Inputs,
		"spec.template.spec.containers"))[0]["command"]
	assert.Contains(t, command, "--expander=priority,least-waste")
	assert.Contains(t, command, "--balance-similar-node-groups")
	// Labels of EKS that differ between the nodes of two zones and that the autoscaler's own list lacks
	// (cluster-autoscaler/processors/nodegroupset/aws_nodegroups.go).
	for _, label := range []string{"eks.amazonaws.com/sourceLaunchTemplateId", "eks.amazonaws.com/sourceLaunchTemplateVersion",
		"node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"} {
		assert.Contains(t, command, "--balancing-ignore-label="+label)
	}
	reads := 0
	for _, rule := range list(one(t, all, "kubernetes:rbac.authorization.k8s.io/v1:Role", "expense-autoscaler").Inputs["rules"]) {
		if slices.Contains(rule["resources"].([]any), any("configmaps")) && slices.Contains(rule["verbs"].([]any), any("watch")) {
			assert.Nil(t, rule["resourceNames"], "a list of one name is not what its client asks for")
			reads++
		}
	}
	assert.Equal(t, 1, reads)
}

// What the autoscaler may do is what its source calls, at https://github.com/kubernetes/autoscaler/tree/cluster-autoscaler-1.35.0.
func TestTheAutoscalerMayDoWhatItDoes(t *testing.T) {
	t.Parallel()
	all, err := run(t, "dev", stackFile(t, "dev"))
	require.NoError(t, err)
	var policy struct{ Statement []struct{ Action any } }
	require.NoError(t, json.Unmarshal([]byte(one(t, all, "aws:iam/rolePolicy:RolePolicy",
		"expense-autoscaler").Inputs["policy"].(string)), &policy))
	var actions []string
	for _, s := range policy.Statement {
		switch a := s.Action.(type) {
		case string:
			actions = append(actions, a)
		case []any:
			for _, one := range a {
				actions = append(actions, one.(string))
			}
		}
	}
	assert.ElementsMatch(t, []string{ // below cluster-autoscaler/cloudprovider/aws
		"autoscaling:DescribeAutoScalingGroups",           // aws_wrapper.go
		"autoscaling:DescribeLaunchConfigurations",        // aws_wrapper.go, for a group with a launch configuration
		"autoscaling:DescribeScalingActivities",           // auto_scaling_groups.go, for a group that does not grow
		"autoscaling:SetDesiredCapacity",                  // auto_scaling_groups.go
		"autoscaling:TerminateInstanceInAutoScalingGroup", // auto_scaling_groups.go
		"ec2:DescribeImages",                              // aws_wrapper.go, for a group described by requirements, as the two below
		"ec2:DescribeInstanceTypes",                       // aws_util.go
		"ec2:DescribeLaunchTemplateVersions",              // aws_wrapper.go
		"ec2:GetInstanceTypesFromInstanceRequirements",    // aws_wrapper.go
		"eks:DescribeNodegroup",                           // aws_wrapper.go
	}, actions)

	may := map[string]string{}
	for _, rule := range list(one(t, all, "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "expense-autoscaler").Inputs["rules"]) {
		for _, resource := range rule["resources"].([]any) {
			for _, verb := range rule["verbs"].([]any) {
				if !slices.Contains([]string{"get", "list", "watch"}, verb.(string)) {
					may[fmt.Sprint(resource)] += fmt.Sprint(verb, " ")
				}
			}
		}
	}
	assert.Equal(t, map[string]string{ // below cluster-autoscaler
		"events":        "create patch ", // the recorder of client-go
		"nodes":         "update ",       // utils/taints/taints.go; AWS's instances are ended by AWS, and Kubernetes deletes their Nodes
		"pods/eviction": "create ",       // core/scaledown/actuation/drain.go
	}, may)
}
