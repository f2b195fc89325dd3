// Package cluster owns everything from the VPC to a Kubernetes API that runs pods: network, control plane, spot nodes,
// add-ons, storage class and node autoscaling. It does not own what runs on the cluster for the users' sake.
package cluster

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Type tokens of the components. They are part of every URN: a change needs an alias, or it replaces the children.
const (
	typeNetwork      = "expense:cluster:Network"
	typeControlPlane = "expense:cluster:ControlPlane"
	typeNodeRole     = "expense:cluster:NodeRole"
	typeNodeGroup    = "expense:cluster:NodeGroup"
	typeAddons       = "expense:cluster:Addons"
	typeAutoscaler   = "expense:cluster:Autoscaler"
)

// with returns opts plus more in a slice of its own: appending to opts itself would write into an array that
// another call may share.
func with(opts []pulumi.ResourceOption, more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return append(append([]pulumi.ResourceOption{}, opts...), more...)
}
