package config

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The cases are those of Kubernetes' own test, as far as names are those of variables
// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/third_party/forked/golang/expansion/expand_test.go).
func TestTextIsExpandedAsInKubernetes(t *testing.T) {
	values := map[string]string{"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}
	for text, want := range map[string]string{
		"$(VAR_A)": "A", "___$(VAR_B)___": "___B___", "$(VAR_A)-1": "A-1", "$(VAR_A)_$(VAR_B)": "A_B", "f000-$$VAR_A": "f000-$VAR_A",
		"foo\\$(VAR_C)bar": "foo\\Cbar", "foo$$(VAR_A)bar": "foo$(VAR_A)bar", "foo$$$(VAR_A)bar": "foo$Abar", "$(VAR_REF)": "$(VAR_A)",
		"%%$(VAR_REF)--$(VAR_REF)%%": "%%$(VAR_A)--$(VAR_A)%%", "foo$(VAR_EMPTY)bar": "foobar", "$VAR_A": "$VAR_A", "$": "$", "$$": "$",
		"$$$$$$$(VAR_A)": "$$$A", "$$$$$$(VAR_A)": "$$$(VAR_A)", "$(VAR_A": "$(VAR_A", "$(MISSING)": "$(MISSING)", "$(date +%s)": "$(date +%s)",
		"$$$$(VAR_A)": "$$(VAR_A)", "$(VAR_A)$": "A$", "": "",
	} {
		assert.Equal(t, want, Expand(text, values), text)
		assert.Equal(t, text, Expand(Unexpanded(text), values))
	}
	assert.Equal(t, "exec server $PORT", Unexpanded("exec server $PORT"), "nothing to escape")
}

func TestVariablesFollowThoseThatTheyReferTo(t *testing.T) {
	order := Ordered(map[string]string{"A": "$(B)$(SECRET)", "B": "$(C)", "C": "", "D": "$$(E)", "E": "$(D)"})
	assert.Len(t, order, 5)
	for _, pair := range [][2]string{{"C", "B"}, {"B", "A"}, {"D", "E"}} {
		assert.Less(t, slices.Index(order, pair[0]), slices.Index(order, pair[1]), "%v in %v", pair, order)
	}
}
