package tests

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the autoscaler may do is what its source calls, at https://github.com/kubernetes/autoscaler/tree/cluster-autoscaler-1.35.0.
func TestTheAutoscalerMayDoWhatItDoes(t *testing.T) {
	t.Parallel()
	all, err := run(t, "dev", stackFile(t, "dev"))
	require.NoError(t, err)
	var policy struct{ Statement []struct{ Action any } }
	require.NoError(t, json.Unmarshal([]byte(one(t, all, "aws:iam/rolePolicy:RolePolicy", "expense-autoscaler").Inputs["policy"].(string)), &policy))
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
