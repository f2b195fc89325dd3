package awsprovider

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const nodeGroup, scaling, desired = "aws:eks/nodeGroup:NodeGroup", "scalingConfig", "desiredSize"

// checked are the inputs that a preview looks at. That EKS refuses a group's new limits for its size is found out by the update:
// the provider compares the three with nothing.
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

// sent are the inputs that an update leaves a node group with. The provider sends scalingConfig whole, and only if something of
// it is not as in the state (HasChange in terraform-provider-aws, internal/service/eks/node_group.go): AWS's own stays otherwise.
// desiredSize is in what it sends even if changes of it are ignored; it then is the state's output (pulumi-terraform-bridge,
// pkg/tfbridge/provider.go, newIgnoreChanges).
func (p *provider) sent(req *pulumirpc.UpdateRequest, news resource.PropertyMap) error {
	urn := resource.URN(req.GetUrn())
	if urn.Type() != nodeGroup || !news[scaling].IsObject() {
		return nil
	}
	olds, err := read(req.GetOlds())
	if err != nil {
		return err
	}
	limits := news[scaling].ObjectValue().Copy()
	if slices.Contains(req.GetIgnoreChanges(), scaling+"."+desired) && olds[scaling].IsObject() {
		limits[desired] = olds[scaling].ObjectValue()[desired]
	}
	news[scaling] = resource.NewObjectProperty(limits)
	if live, _, found := p.model.Read(string(urn.Type()), req.GetId()); found && news[scaling].DeepEquals(olds[scaling]) {
		news[scaling] = live[scaling]
	}
	return nil
}
