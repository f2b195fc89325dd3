package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What Kubernetes reads as a quantity is read alike, and the slips that it takes are refused: m is a thousandth for memory too.
func TestQuantitiesAreKubernetes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1000, "0.5": 500, "100m": 100, "0.001": 1, "2.25": 2250, "0": 0} {
		got, ok := milliCPU(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]int64{
		"128Mi": 128 * mib, "1.5Gi": 3 * gib / 2, "1000": 1000, "64M": 64e6, "1G": 1e9, "7k": 7000, "2Ki": 2048, "0.5Ki": 512, "0.001": 1,
	} {
		got, ok := memoryBytes(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "1.0001", "100M", "0.5m", "-1", "1 ", "1e3", "+1", ".5", "1.", "1,5", "m"} {
		_, ok := milliCPU(text)
		assert.False(t, ok, text)
	}
	for _, text := range []string{"", "128m", "128MB", "128mi", "128 Mi", "-1Mi", "1e9", "1Ti", "lots", "99999999999999999999Gi"} {
		_, ok := memoryBytes(text)
		assert.False(t, ok, text)
	}
	assert.Equal(t, "256Mi", memoryText(256*mib))
	assert.Equal(t, "4Gi", memoryText(4*gib))
	assert.Equal(t, "1000", memoryText(1000))
}
