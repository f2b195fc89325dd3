package tests

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkApps is the program alone: what it takes to declare a stack with that many apps.
func BenchmarkApps(b *testing.B) {
	for _, number := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(number), func(b *testing.B) {
			settings := stackFile(b, "dev")
			apps := map[string]any{}
			for i := range number {
				apps[fmt.Sprintf("app-%04d", i)] = map[string]any{
					"image": "public.ecr.aws/docker/library/busybox@sha256:" + strings.Repeat("0", 64), "command": []string{"httpd", "-f"},
					"port": 8080, "user": 1000, "replicas": 1,
				}
			}
			set(b, settings, "expense:workloads.apps", apps)
			b.ReportAllocs()
			for b.Loop() {
				_, err := runOnce("dev", settings)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/float64(number), "ms/app")
		})
	}
}
