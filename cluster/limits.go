package cluster

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// warnOfLimits warns in a preview of what new limits do to a group's size, and stops an update that EKS would refuse.
func warnOfLimits(ctx *pulumi.Context, name string) (pulumi.ResourceOption, error) {
	hook, err := ctx.RegisterResourceHook(name+"-limits", func(args *pulumi.ResourceHookArgs) error {
		says, refused := limits(args.OldOutputs, args.NewInputs)
		switch {
		case says == "":
			return nil
		case refused && !ctx.DryRun():
			return errors.New(says)
		}
		return ctx.Log.Warn(says, nil)
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("limits of node group %s: %w", name, err)
	}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}}), nil
}

// limits says what an update does to the size of a group that the autoscaler sizes, or "" if the limits stay. Whenever one of the
// three numbers changes, the provider sends all of them, with the size in the state (expandNodegroupScalingConfig in
// hashicorp/terraform-provider-aws, internal/service/eks/node_group.go). EKS refuses a size outside of the limits
// (terraform-aws-modules/terraform-aws-eks#3521). A refresh takes the live size into the state and its inputs
// (ExtractInputsFromOutputs in pulumi/pulumi-terraform-bridge, pkg/tfbridge/schema.go).
func limits(state, inputs resource.PropertyMap) (says string, refused bool) {
	was, is := scaling(state), scaling(inputs)
	if was == nil || is == nil || was["minSize"] == is["minSize"] && was["maxSize"] == is["maxSize"] {
		return "", false
	}
	text := func(key resource.PropertyKey) string {
		if v := state[key]; v.IsString() {
			return v.StringValue()
		}
		return ""
	}
	group, size := text("nodeGroupName"), was["desiredSize"]
	bound, wrong := "minSize", "small"
	if size > is["maxSize"] {
		bound, wrong = "maxSize", "large"
	} else if size >= is["minSize"] {
		return fmt.Sprintf("node group %s: a change of its limits sets its size too, to what the state has, %d. "+
			"If it is another now, run: pulumi up --refresh", group, size), false
	}
	return fmt.Sprintf("node group %s: EKS refuses %s %d with the size that the state has, %d. "+
		"`pulumi up --refresh` takes in what it is now; if that is too %[5]s as well, run first: "+
		"aws eks update-nodegroup-config --region %[6]s --cluster-name %[7]s --nodegroup-name %[1]s "+
		"--scaling-config minSize=%[8]d,maxSize=%[9]d,desiredSize=%[10]d",
		group, bound, is[bound], size, wrong, strings.SplitN(text("arn")+":::::", ":", 5)[3], text("clusterName"), is["minSize"], is["maxSize"],
		is[bound]), true
}

// scaling is a group's three numbers. It is nil unless all are known.
func scaling(group resource.PropertyMap) map[string]int {
	config := group["scalingConfig"]
	if !config.IsObject() {
		return nil
	}
	out := map[string]int{}
	for _, key := range []string{"minSize", "desiredSize", "maxSize"} {
		v := config.ObjectValue()[resource.PropertyKey(key)]
		if !v.IsNumber() {
			return nil
		}
		out[key] = int(v.NumberValue())
	}
	return out
}
