package awsprovider

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const nodeGroup, scaling, desired = "aws:eks/nodeGroup:NodeGroup", "scalingConfig", "desiredSize"

// checked are the inputs that a preview looks at. The provider does not compare a group's sizes: EKS refuses them in the update.
func checked(urn resource.URN, olds, news resource.PropertyMap) resource.PropertyMap {
	if urn.Type() != nodeGroup || !olds[scaling].IsObject() || !news[scaling].IsObject() {
		return news
	}
	limits := news[scaling].ObjectValue().Copy()
	limits[desired] = resource.MakeComputed(resource.NewStringProperty(""))
	out := news.Copy()
	out[scaling] = resource.NewObjectProperty(limits)
	return out
}

// keepIgnored gives the news of a node group the size that an update sends although changes of it are ignored. The provider sends
// scalingConfig whole if something of it changes (internal/service/eks/node_group.go of terraform-provider-aws), and an ignored
// desiredSize is the state's output there (pulumi-terraform-bridge, pkg/tfbridge/provider.go, newIgnoreChanges).
func keepIgnored(req *pulumirpc.UpdateRequest, outputs, news resource.PropertyMap) {
	if resource.URN(req.GetUrn()).Type() != nodeGroup || !news[scaling].IsObject() || !outputs[scaling].IsObject() ||
		!slices.Contains(req.GetIgnoreChanges(), scaling+"."+desired) {
		return
	}
	limits := news[scaling].ObjectValue().Copy()
	limits[desired] = outputs[scaling].ObjectValue()[desired]
	news[scaling] = resource.NewObjectProperty(limits)
}
