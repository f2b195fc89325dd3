package cluster

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Mocks do not run transforms. The rehearsal shows that this one reaches the cluster and the role inside the component.
func TestTheClusterGetsStandardSupportAndTime(t *testing.T) {
	result := componentTransform("")(context.Background(), &pulumi.ResourceTransformArgs{
		Type: "aws:eks/cluster:Cluster", Props: pulumi.Map{"name": pulumi.String("expense")},
	})
	require.NotNil(t, result)
	assert.Equal(t, pulumi.Map{
		"name":          pulumi.String("expense"),
		"upgradePolicy": pulumi.Map{"supportType": pulumi.String("STANDARD")},
	}, result.Props)
	assert.True(t, result.Opts.DeleteBeforeReplace)
	assert.Equal(t, &pulumi.CustomTimeouts{Create: "45m", Update: "90m", Delete: "45m"}, result.Opts.CustomTimeouts)

	role := func(boundary string) *pulumi.ResourceTransformResult {
		return componentTransform(boundary)(context.Background(), &pulumi.ResourceTransformArgs{Type: "aws:iam/role:Role", Props: pulumi.Map{}})
	}
	assert.Nil(t, role(""))
	assert.Equal(t, pulumi.Map{"permissionsBoundary": pulumi.String("arn:aws:iam::111122223333:policy/a")},
		role("arn:aws:iam::111122223333:policy/a").Props)
}

func TestPrincipalsOfTwoAccountsHaveTwoNames(t *testing.T) {
	assert.Equal(t, "111122223333-role-ops-Admin", principalName("arn:aws:iam::111122223333:role/ops/Admin"))
	assert.Equal(t, "444455556666-role-ops-Admin", principalName("arn:aws-us-gov:iam::444455556666:role/ops/Admin"))
}

func TestTheAutoscalerWritesToItsOwnClusterOnly(t *testing.T) {
	policy, err := autoscalerPolicy("us-gov-west-1", "expense")
	require.NoError(t, err)
	var doc struct {
		Statement []struct {
			Sid       string
			Action    []string
			Resource  []string
			Condition map[string]map[string]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(policy), &doc))
	writes := 0
	for _, s := range doc.Statement {
		switch s.Sid {
		case "Read":
			for _, action := range s.Action {
				assert.Regexp(t, `:(Describe|Get)[A-Za-z]+$`, action, "only reading takes every resource")
			}
		case "Resize":
			writes++
			assert.ElementsMatch(t, []string{"autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"}, s.Action)
			assert.Equal(t, "owned", s.Condition["StringEquals"]["aws:ResourceTag/k8s.io/cluster-autoscaler/expense"])
			assert.Equal(t, []string{"arn:aws-us-gov:autoscaling:us-gov-west-1:*:autoScalingGroup:*"}, s.Resource)
		case "ReadNodeGroups":
			assert.Equal(t, []string{"arn:aws-us-gov:eks:us-gov-west-1:*:nodegroup/expense/*"}, s.Resource)
		default:
			assert.Fail(t, "unexpected statement", s.Sid)
		}
	}
	assert.Equal(t, 1, writes)
}
