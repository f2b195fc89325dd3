package awsmodel

import (
	"fmt"
	"regexp"
)

// checker collects what is wrong with inputs.
type checker struct {
	props
	failures []CheckFailure
}

func (c *checker) fail(property, format string, args ...any) {
	c.failures = append(c.failures, CheckFailure{property, fmt.Sprintf(format, args...)})
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }
