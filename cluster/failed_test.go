package cluster

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An update that sends nothing follows a failure. The rehearsal shows that the engine calls the hook.
func TestAnUpdateOfAnAddonThatSendsNothingIsRefused(t *testing.T) {
	type in = map[string]any
	identity := func(role string) []any { return []any{in{"roleArn": role, "serviceAccount": "a"}} }
	checked := []any{in{"__defaults": []any{}, "roleArn": "a", "serviceAccount": "a"}}
	inputs := func(more in) in {
		out := in{"addonName": "coredns", "clusterName": "expense", "resolveConflictsOnCreate": "OVERWRITE", "tags": in{"Name": "x"}}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	outputs := func(more in) in {
		out := inputs(in{"addonVersion": "v1", "configurationValues": "{}", "tagsAll": in{"Name": "x"}})
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	for name, c := range map[string]struct {
		before, now, outputs in
		refused              bool
	}{
		"created and failed": {inputs(nil), inputs(nil), outputs(nil), true},
		"refused, and sent no more": {inputs(in{"addonVersion": "v1"}), inputs(in{"addonVersion": "v2"}),
			outputs(in{"addonVersion": "v2"}), true},
		"failed, with a role": {inputs(in{"podIdentityAssociations": checked}), inputs(in{"podIdentityAssociations": checked}),
			outputs(in{"podIdentityAssociations": identity("a")}), true},
		"another version": {inputs(in{"addonVersion": "v1"}), inputs(in{"addonVersion": "v2"}), outputs(nil), false},
		"refused, and taken back": {inputs(in{"addonVersion": "v1"}), inputs(in{"addonVersion": "v1"}),
			outputs(in{"addonVersion": "v2"}), false},
		"a pin is taken away": {inputs(in{"addonVersion": "v1"}), inputs(nil), outputs(nil), false},
		"values":              {inputs(nil), inputs(in{"configurationValues": "{1}"}), outputs(nil), false},
		"a tag":               {inputs(nil), inputs(in{"tags": in{"Name": "y"}}), outputs(nil), false},
		"a role": {inputs(in{"podIdentityAssociations": identity("a")}),
			inputs(in{"podIdentityAssociations": identity("b")}), outputs(in{"podIdentityAssociations": identity("a")}), false},
		"drift that a refresh saw": {inputs(in{"tags": in{"Name": "y"}}), inputs(nil),
			outputs(in{"tagsAll": in{"Name": "y"}}), false},
		"the role is not known, as in a preview": {inputs(nil),
			inputs(in{"podIdentityAssociations": resource.MakeComputed(resource.NewStringProperty(""))}), outputs(nil), false},
	} {
		err := addonCameUp("eu-west-1")(&pulumi.ResourceHookArgs{URN: "urn:x", OldInputs: resource.NewPropertyMapFromMap(c.before),
			NewInputs: resource.NewPropertyMapFromMap(c.now), OldOutputs: resource.NewPropertyMapFromMap(c.outputs)})
		if !c.refused {
			assert.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, "add-on coredns", name)
		assert.ErrorContains(t, err,
			"--region eu-west-1 --query addon.status; if that is CREATE_FAILED: pulumi up --refresh --replace 'urn:x'", name)
	}
}
