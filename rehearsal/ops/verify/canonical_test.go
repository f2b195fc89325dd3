package verify

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// IAM keeps a policy's meaning and not its text.
func TestPoliciesOfOneMeaningAreTheSame(t *testing.T) {
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a:B","a:C"],"Resource":["x"]}]}`
	for _, same := range []string{
		`{"Statement": {"Action": ["a:C", "a:B"], "Effect": "Allow", "Resource": "x"}, "Version": "2012-10-17"}`, policy + "\n",
	} {
		assert.Equal(t, canonical(policy), canonical(same))
	}
	for _, other := range []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a:B","a:C"],"Resource":["x","y"]}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["a:B","a:C"],"Resource":["x"]}]}`, `{}`, ``,
	} {
		assert.NotEqual(t, canonical(policy), canonical(other))
	}
	f, text := findings{}, `%7B%22a%22%3A%22b%2Bc%20d%22%7D`
	f.document("role x", "policy", &text, `{"a": "b+c d"}`)
	assert.Empty(t, f.problems)
}
