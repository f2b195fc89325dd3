package workloads

import (
	"testing"
	"time"

	"expense/internal/config"

	"github.com/stretchr/testify/assert"
)

// A rollout adds a quarter of the pods at a time, so it waits for as many starts as that takes.
func TestARolloutIsWaitedForAsLongAsItMayTake(t *testing.T) {
	for most, rounds := range map[int]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 3, 8: 4, 100: 4} {
		r := rollout{replicas: config.Replicas{Min: 1, Max: most}, start: 3 * time.Minute}
		assert.Equal(t, newNode+time.Duration(rounds)*3*time.Minute+time.Minute, r.patience(), "%d pods", most)
	}
}

func TestARolloutOfOneNumberIsNotScaled(t *testing.T) {
	assert.False(t, rollout{replicas: config.Replicas{Min: 3, Max: 3}}.scaled())
	assert.True(t, rollout{replicas: config.Replicas{Min: 2, Max: 3}}.scaled())
}
