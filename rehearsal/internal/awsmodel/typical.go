package awsmodel

import "time"

// Typical gives AWS's typical durations of creating, updating and deleting one thing of a type; known is false for a type
// that the model has no row for. They are what people's logs show, with a wide spread; OpenSearch is the least certain.
func Typical(typ string) (create, update, remove time.Duration, known bool) {
	r, known := table[typ]
	if !known {
		return 0, 0, 0, false
	}
	return r.times.create, r.times.update, r.times.remove, true
}
