package cluster

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The rehearsal shows that the engine calls the hook, and how EKS and the provider behave.
func TestWhatAChangeOfLimitsDoesToTheSize(t *testing.T) {
	sizes := func(least, size, most any) resource.PropertyMap {
		return resource.NewPropertyMapFromMap(map[string]any{
			"arn": "arn:aws:eks:eu-west-1:111122223333:nodegroup/c/g-1/0", "clusterName": "c", "nodeGroupName": "g-1",
			"scalingConfig": map[string]any{"minSize": least, "desiredSize": size, "maxSize": most},
		})
	}
	unknown := sizes(1, 3, 7)
	unknown["scalingConfig"] = resource.MakeComputed(resource.NewStringProperty(""))
	const first = "run first: aws eks update-nodegroup-config --region eu-west-1 --cluster-name c --nodegroup-name g-1 --scaling-config "
	for name, c := range map[string]struct {
		state, inputs resource.PropertyMap
		says          []string
		refused       bool
	}{
		"the same":       {sizes(3, 3, 5), sizes(3, 3, 5), nil, false},
		"the size alone": {sizes(3, 4, 5), sizes(3, 3, 5), nil, false},
		"more at most": {sizes(3, 3, 5), sizes(3, 3, 7),
			[]string{"node group g-1", "to what the state has, 3", "pulumi up --refresh"}, false},
		"fewer at least":   {sizes(3, 3, 5), sizes(1, 3, 5), []string{"to what the state has, 3."}, false},
		"as many at least": {sizes(3, 4, 5), sizes(4, 4, 5), []string{"to what the state has, 4."}, false},
		"too many at least": {sizes(3, 3, 5), sizes(5, 3, 8),
			[]string{"EKS refuses minSize 5 with the size that the state has, 3",
				"too small as well, " + first + "minSize=5,maxSize=8,desiredSize=5"}, true},
		"too few at most": {sizes(1, 4, 5), sizes(1, 4, 2),
			[]string{"EKS refuses maxSize 2 with the size that the state has, 4",
				"too large as well, " + first + "minSize=1,maxSize=2,desiredSize=2"}, true},
		"not yet known":       {sizes(3, 3, 5), unknown, nil, false},
		"a state without any": {resource.PropertyMap{}, sizes(3, 3, 5), nil, false},
	} {
		says, refused := limits(c.state, c.inputs)
		assert.Equal(t, c.refused, refused, name)
		assert.Equal(t, c.says == nil, says == "", name)
		for _, part := range c.says {
			assert.Contains(t, says, part, name)
		}
	}
}

// In a preview the hook only says what would be refused, or nobody could look at the rest of the change.
func TestTheHookRefusesInAnUpdateOnly(t *testing.T) {
	sizes := func(least, most int) resource.PropertyMap {
		return resource.NewPropertyMapFromMap(map[string]any{
			"nodeGroupName": "g-1", "scalingConfig": map[string]any{"minSize": least, "desiredSize": 3, "maxSize": most},
		})
	}
	for _, preview := range []bool{false, true} {
		require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
			option, err := warnOfLimits(ctx, "expense")
			require.NoError(t, err)
			options, err := pulumi.NewResourceOptions(option)
			require.NoError(t, err)
			require.Len(t, options.Hooks.BeforeUpdate, 1)
			hook := options.Hooks.BeforeUpdate[0].Callback
			refused := hook(&pulumi.ResourceHookArgs{OldOutputs: sizes(1, 5), NewInputs: sizes(1, 2)})
			if preview {
				assert.NoError(t, refused)
			} else {
				assert.ErrorContains(t, refused, "EKS refuses maxSize 2 with the size that the state has, 3")
			}
			assert.NoError(t, hook(&pulumi.ResourceHookArgs{OldOutputs: sizes(1, 5), NewInputs: sizes(1, 7)}), "warned of only")
			assert.NoError(t, hook(&pulumi.ResourceHookArgs{OldOutputs: sizes(1, 5), NewInputs: sizes(1, 5)}))
			return nil
		}, pulumi.WithMocks("expense", "dev", nothing{}), func(info *pulumi.RunInfo) { info.DryRun = preview }))
	}
}

// nothing is an AWS that is not asked.
type nothing struct{}

func (nothing) NewResource(pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	return "", nil, nil
}
func (nothing) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }
