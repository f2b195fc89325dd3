// Package cluster owns everything from the VPC to a Kubernetes API that runs pods: network, control plane, spot nodes,
// add-ons, storage class and node autoscaling. It does not own what runs on the cluster for the users' sake.
package cluster

// Type tokens of the components. They are part of every URN: a change needs an alias, or it replaces the children.
const (
	typeNetwork      = "expense:cluster:Network"
	typeControlPlane = "expense:cluster:ControlPlane"
	typeNodeRole     = "expense:cluster:NodeRole"
	typeNodeGroup    = "expense:cluster:NodeGroup"
	typeAddons       = "expense:cluster:Addons"
	typeAutoscaler   = "expense:cluster:Autoscaler"
)
