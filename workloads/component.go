// Package workloads owns what runs on the cluster for the users' sake: the nginx and multi-container pods, and the
// self-healing web Deployment. It does not know how their logs are shipped.
package workloads

// Type tokens of the components. They are part of every URN: a change needs an alias, or it replaces the children.
const (
	typeNginx = "expense:workloads:Nginx"
	typeMulti = "expense:workloads:MultiContainer"
	typeWeb   = "expense:workloads:Web"
)
