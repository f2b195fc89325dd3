// Package workloads makes the pods nginx and multi-container, and the self-healing Deployment web. It does not know how their logs
// are shipped.
package workloads

// Type tokens of the components. They are part of every URN: without an alias, a change replaces the children.
const (
	typeNginx = "expense:workloads:Nginx"
	typeMulti = "expense:workloads:MultiContainer"
	typeWeb   = "expense:workloads:Web"
)
