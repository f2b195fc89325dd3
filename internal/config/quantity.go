package config

import (
	"fmt"
	"math/big"
	"regexp"
)

// Kubernetes' quantities without the units that nobody writes for CPU and memory
// (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/). A decimal below a thousandth of a core is refused
// (https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#meaning-of-cpu).
var (
	cpuQuantity    = regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,3})?)()$|^([0-9]{1,9})(m)$`)
	memoryQuantity = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,3})?)(k|M|G|Ki|Mi|Gi|)$`)
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
	// mostMemory is the limit of the namespace's LimitRange.
	mostMemory = 4 * gib
	// leastMemory is what a runtime needs to start a container (https://github.com/kubernetes/kubernetes/issues/124841).
	leastMemory = 6 * mib
)

// milliCPU is a quantity of CPU in thousandths of a core.
func milliCPU(text string) (int64, bool) {
	m := cpuQuantity.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	if m[4] == "m" {
		return scaled(m[3], 1)
	}
	return scaled(m[1], 1000)
}

// memoryBytes is a quantity of memory in bytes.
func memoryBytes(text string) (int64, bool) {
	m := memoryQuantity.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	units := map[string]int64{"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": mib, "Gi": gib}
	return scaled(m[1], units[m[2]])
}

// scaled is a decimal number times the factor, rounded up as Kubernetes does.
func scaled(number string, factor int64) (int64, bool) {
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, false
	}
	value.Mul(value, new(big.Rat).SetInt64(factor))
	up, rest := new(big.Int).QuoRem(value.Num(), value.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		up.Add(up, big.NewInt(1))
	}
	return up.Int64(), up.IsInt64()
}

// memoryText is a number of bytes as a quantity.
func memoryText(bytes int64) string {
	switch {
	case bytes%gib == 0:
		return fmt.Sprintf("%dGi", bytes/gib)
	case bytes%mib == 0:
		return fmt.Sprintf("%dMi", bytes/mib)
	}
	return fmt.Sprint(bytes)
}
