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
