package workload

import (
	"context"

	"golang.org/x/sync/semaphore"
)

const (
	// maxReading bounds the objects that are read at the same time, in bytes of
	// JSON. Read, a custom resource takes up to fifty times as much, and one of a
	// built-in kind thirty times. The largest that the webhook is sent fits just so.
	maxReading = 3 << 20
	// smallObject is what never waits of a built-in kind, in bytes.
	smallObject = 128 << 10
)

// reading makes those wait for which there is no memory. None takes long.
var reading = semaphore.NewWeighted(maxReading)

// room waits until there is memory to read an object; leave gives it back.
func room(raw []byte) (leave func()) {
	weight := min(int64(len(raw)), maxReading)
	_ = reading.Acquire(context.Background(), weight) // fails only when the context ends
	return func() { reading.Release(weight) }
}
