package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// What AWS made and gave up on stays in Pulumi's state: the provider reads it without a look at its status, so every later
// `up` would be green with it, and after a replacement it would delete what works (pulumi/pulumi#17881). EKS itself refuses
// everything in a cluster that failed; the rest is told here.

// unlessFailed passes a value on unless failed says, of another output, in what state the thing is. The result has to be
// used: the SDK drops the error of a value that nobody uses. Unknown values pass.
func unlessFailed(what string, urn pulumi.URNOutput, value, of pulumi.StringOutput, failed func(string) string) pulumi.StringOutput {
	return pulumi.All(value, of, urn).ApplyT(func(v []any) (string, error) {
		if state := failed(v[1].(string)); state != "" {
			return "", fmt.Errorf("%s %s, and stays so. Mend the cause, which AWS named when it was created, then: pulumi up --refresh --replace "+
				"'%s'", what, state, v[2])
		}
		return v[0].(string), nil
	}).(pulumi.StringOutput)
}

// addonUpdates are the arguments that an update of an add-on sends, and the outputs that have AWS's value of them
// (https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/eks/addon.go, resourceAddonUpdate).
var addonUpdates = map[string]string{
	"addonVersion": "addonVersion", "configurationValues": "configurationValues",
	"podIdentityAssociations": "podIdentityAssociations", "tags": "tagsAll",
}

// addonCameUp refuses an update that sends nothing. The engine asks for one only after a failure, the provider then only
// reads, and no output of an add-on has its status.
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

// given is a value without what the bridge notes in the objects of checked inputs: which properties it filled in
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
