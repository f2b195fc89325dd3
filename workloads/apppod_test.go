package workloads

import (
	"testing"

	"expense/internal/pod"

	"github.com/stretchr/testify/assert"
)

// Kubernetes replaces $(NAME) by a variable that is listed before, and leaves $$(NAME) as text.
func TestVariablesFollowWhatTheyReferTo(t *testing.T) {
	assert.Equal(t, []pod.Variable{
		{Name: "A", Expanded: "$$(B)"}, {Name: "D", Expanded: ""}, {Name: "C", Expanded: "$(D) $(PORT)"}, {Name: "B", Expanded: "$(A)$(C)"},
	}, ordered(map[string]string{"A": "$$(B)", "B": "$(A)$(C)", "C": "$(D) $(PORT)", "D": ""}))
}
