package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// A resource that AWS gave up on stays in Pulumi's state. The provider reads it without looking at its status, so every later `up`
// would succeed with it, and a replacement would delete what works (pulumi/pulumi#17881). EKS itself refuses everything in a failed
// cluster. This file finds the other cases.

// unlessFailed returns the value, or an error if failed names a state for the output "of". Unknown values pass. The result must be
// used: the SDK drops the error of an unused value.
func unlessFailed(what string, urn pulumi.URNOutput, value, of pulumi.StringOutput, failed func(string) string) pulumi.StringOutput {
	return pulumi.All(value, of, urn).ApplyT(func(v []any) (string, error) {
		if state := failed(v[1].(string)); state != "" {
			return "", fmt.Errorf("%s %s, and stays so. Mend the cause, which AWS named when it was created, then: pulumi up --refresh --replace "+
				"'%s'", what, state, v[2])
		}
		return v[0].(string), nil
	}).(pulumi.StringOutput)
}

// addonUpdates are the arguments that an update of an add-on sends, each with the output that has AWS's value
// (https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/eks/addon.go, resourceAddonUpdate).
var addonUpdates = map[string]string{
	"addonVersion": "addonVersion", "configurationValues": "configurationValues",
	"podIdentityAssociations": "podIdentityAssociations", "tags": "tagsAll",
}

// addonCameUp refuses an update that sends nothing. The engine runs such an update only after a failure. The provider then only
// reads the add-on, and no output has its status.
func addonCameUp(region string) pulumi.ResourceHookFunction {
	return func(args *pulumi.ResourceHookArgs) error {
		for input, output := range addonUpdates {
			key, of := resource.PropertyKey(input), resource.PropertyKey(output)
			if now, ok := args.NewInputs[key]; ok && !given(now).DeepEquals(given(args.OldOutputs[of])) || !ok && args.OldInputs.HasValue(key) {
				return nil
			}
		}
		text := func(k resource.PropertyKey) string { return args.NewInputs[k].StringValue() }
		return fmt.Errorf("the last `pulumi up` did not see add-on %[1]s come up or change. Ask: aws eks describe-addon --cluster-name %[2]s "+
			"--addon-name %[1]s --region %[4]s --query addon.status; if that is CREATE_FAILED: pulumi up --refresh --replace '%[3]s'; "+
			"while it is CREATING or UPDATING, wait; in the end: pulumi up --refresh", text("addonName"), text("clusterName"), args.URN, region)
	}
}

// given is a value without "__defaults", in which the bridge notes the properties that it filled in
// (applyDefaults in pulumi/pulumi-terraform-bridge, pkg/tfbridge/schema.go).
func given(v resource.PropertyValue) resource.PropertyValue {
	switch {
	case v.IsArray():
		var out []resource.PropertyValue
		for _, item := range v.ArrayValue() {
			out = append(out, given(item))
		}
		return resource.NewArrayProperty(out)
	case v.IsObject():
		out := resource.PropertyMap{}
		for key, value := range v.ObjectValue() {
			if key != "__defaults" {
				out[key] = given(value)
			}
		}
		return resource.NewObjectProperty(out)
	}
	return v
}
