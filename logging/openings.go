package logging

import (
	"expense/internal/namespace"
	"expense/internal/pod"
)

// Opening lets the pods of workloads reach the domain, and STS for their roles' credentials. Both have addresses in the private subnets.
// Nobody knows which before AWS makes them.
func Opening(privateCIDRs []string, workloads ...string) namespace.Opening {
	out := namespace.Opening{Name: "allow-opensearch", Workloads: workloads, Ports: namespace.TCP(443)}
	for _, cidr := range privateCIDRs {
		out.To = append(out.To, namespace.Peer{CIDR: cidr})
	}
	return out
}

// SetupOpening lets the set-up ask its node's pod identity agent for credentials. The agent answers only service accounts with a role.
var SetupOpening = namespace.Opening{
	Name: "allow-pod-identity", Workloads: []string{SetupName},
	To: []namespace.Peer{{CIDR: pod.IdentityAgent + "/32"}}, Ports: namespace.TCP(80),
}
