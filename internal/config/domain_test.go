package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What goes up in price without a word from AWS is said.
func TestAnEngineVersionPastItsSupportIsWarnedOf(t *testing.T) {
	for version, next := range map[string]string{
		"OpenSearch_1.3": "", "OpenSearch_2.3": "OpenSearch_2.11",
		"OpenSearch_2.9": "OpenSearch_2.11", "OpenSearch_2.11": "", "OpenSearch_2.19": "", "OpenSearch_3.1": "",
	} {
		assert.Equal(t, next, supportedEngine(version), version)
	}
	c := &Config{Cluster: Cluster{PublicAccess: true}, Logging: Logging{Domain: Domain{EngineVersion: "OpenSearch_2.9"}}}
	warnings := unusual(c, quiet)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "use OpenSearch_2.11 or newer")
}
