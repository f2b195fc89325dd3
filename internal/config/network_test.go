package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// With one NAT gateway one zone's endpoints do: they fail with it, and cost as little.
func TestEndpointsAreInTheZonesOfTheWayOut(t *testing.T) {
	for nat, zones := range map[NAT][]string{NATSingle: {"a"}, NATNone: {"a", "b", "c"}, NATPerZone: {"a", "b", "c"}} {
		assert.Equal(t, zones, Network{NAT: nat, Zones: []string{"a", "b", "c"}}.EndpointZones(), nat)
	}
}

// A log group under another name is another one: the old one's lines go with it, and the documents' rights do not reach it.
func TestNamesOfLogGroups(t *testing.T) {
	assert.Equal(t, "/aws/OpenSearchService/domains/expense/audit", DomainLogGroup("expense", "audit"))
	assert.Equal(t, "/aws/eks/expense/cluster", ClusterLogGroup("expense"))
}
