// Package workloads makes the pods nginx and multi-container, and apps, of which web is one. It does not know how their logs
// are shipped.
package workloads

// Type tokens of the components. They are part of every URN: without an alias, a change replaces the children.
const (
	typeNginx = "expense:workloads:Nginx"
	typeMulti = "expense:workloads:MultiContainer"
	typeApp   = "expense:workloads:App"
	typeRole  = "expense:workloads:Role"
)
