package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What is missing on the command line is said before anything is looked at.
func TestImageNeedsANameOrAll(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "found no app: name one, as in make image NAME=backend STACK=dev"},
		{[]string{"-name", "backend", "-all"}, "found no app: name one"},
		{[]string{"-name", "backend", "-mode", "fill"}, "found no app: name one"},
		{[]string{"-all", "-mode", "none"}, `found the mode "none"; allowed: [push try take fill]`},
		{[]string{"-all"}, "found no file Pulumi.dev.yaml"},
		{[]string{"-mode", "fill", "-stack", "prod"}, "found no file Pulumi.prod.yaml"},
	} {
		code, err := imageCommand(t.Context(), t.TempDir(), c.args)
		assert.ErrorContains(t, err, c.want)
		assert.LessOrEqual(t, code, 1)
	}
}
