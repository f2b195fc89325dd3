package awsmodel

import (
	"fmt"
	"regexp"
	"strings"
)

// checker collects what is wrong with inputs.
type checker struct {
	props
	failures []CheckFailure
}

func (c *checker) fail(property, format string, args ...any) {
	c.failures = append(c.failures, CheckFailure{property, fmt.Sprintf(format, args...)})
}

// exactlyOne wants one of the properties; unknown ones count as set.
func (c *checker) exactlyOne(paths ...string) {
	n := 0
	for _, p := range paths {
		if c.has(p) {
			n++
		}
	}
	if n != 1 {
		c.fail(paths[0], "exactly one of %s must be specified, found %d", strings.Join(paths, ", "), n)
	}
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }
