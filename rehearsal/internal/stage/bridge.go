package stage

import (
	"context"

	"expense/internal/published"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/controlplane"
	"expense/rehearsal/internal/incluster"
)

// bridge joins the AWS model and Kubernetes: an EKS cluster is the control plane here, and an instance of a node group is one of its
// nodes.
type bridge struct {
	controlPlane *controlplane.ControlPlane
	controllers  *incluster.Controllers
}

func (b *bridge) Endpoint(context.Context, string, string) (string, []byte, error) {
	return b.controlPlane.URL, b.controlPlane.CA, nil
}

func (b *bridge) AddNodes(ctx context.Context, instances []awsmodel.Instance) error {
	return b.controllers.AddNodes(ctx, instances)
}

func (b *bridge) RemoveNodes(ctx context.Context, instances []awsmodel.Instance) error {
	return b.controllers.RemoveNodes(ctx, instances)
}

func (b *bridge) LoseNodes(ctx context.Context, instances []awsmodel.Instance) error {
	return b.controllers.LoseNodes(ctx, instances)
}

func (b *bridge) RunAddon(ctx context.Context, name string, runs published.Addon) error {
	return b.controllers.RunAddon(ctx, name, runs)
}

func (b *bridge) StopAddon(ctx context.Context, name string) error {
	return b.controllers.StopAddon(ctx, name)
}
