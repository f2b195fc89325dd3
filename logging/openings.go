package logging

import "expense/internal/namespace"

// Opening lets pods reach the domain and STS, which has their roles' credentials. Both have addresses in the VPC that are not
// known before they are made.
func Opening(vpcCIDR string) namespace.Opening {
	return namespace.Opening{Name: "allow-opensearch", To: []namespace.Peer{{CIDR: vpcCIDR}}, Ports: namespace.TCP(443)}
}

// SetupOpening lets the set-up ask its node's pod identity agent for credentials. The agent answers only service accounts that
// have a role.
var SetupOpening = namespace.Opening{
	Name: "allow-pod-identity", To: []namespace.Peer{{CIDR: podIdentityAgent + "/32"}}, Ports: namespace.TCP(80),
}
