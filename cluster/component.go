// Package cluster makes everything from the VPC to a cluster that runs pods: network, control plane, spot nodes, add-ons, storage
// class, node autoscaling and image repositories. It does not make the workloads.
package cluster

// Type tokens of the components. They are part of every URN: without an alias, a change replaces the children.
const (
	typeNetwork          = "expense:cluster:Network"
	typeControlPlane     = "expense:cluster:ControlPlane"
	typeNodeRole         = "expense:cluster:NodeRole"
	typeNodeGroup        = "expense:cluster:NodeGroup"
	typeAddons           = "expense:cluster:Addons"
	typeAutoscaler       = "expense:cluster:Autoscaler"
	typeIdentityProvider = "expense:cluster:IdentityProvider"
	typeRegistry         = "expense:cluster:Registry"
)
