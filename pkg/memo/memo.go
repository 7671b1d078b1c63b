// Package memo remembers what was costly to find out.
package memo

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Memo remembers what was costly to find out, for as long as each answer says,
// the most recently used ones only. Concurrent callers for one key share one
// flight; it outlives the caller who started it, and errors are not kept.
//
// (golang-lru's own expirable variant starts a goroutine that never ends, one
// per configuration reload.)
type Memo[V any] struct {
	entries *lru.Cache[string, entry[V]]
	flights singleflight.Group
	bound   time.Duration
	now     func() time.Time

	keeping   sync.Mutex // held while an entry is added
	weigh     func(V) int64
	weight    atomic.Int64 // of all entries
	maxWeight int64
}

type entry[V any] struct {
	value   V
	expires time.Time
}

// New makes a memo of that many entries whose flights take at most bound.
func New[V any](size int, bound time.Duration) *Memo[V] {
	return NewWeighed(size, math.MaxInt64, func(V) int64 { return 0 }, bound)
}

// NewWeighed makes a memo of that many entries which weigh no more than that in
// all.
func NewWeighed[V any](size int, maxWeight int64, weigh func(V) int64, bound time.Duration) *Memo[V] {
	m := &Memo[V]{bound: bound, now: time.Now, weigh: weigh, maxWeight: maxWeight}
	entries, err := lru.NewWithEvict(size, func(_ string, e entry[V]) { m.weight.Add(-weigh(e.value)) })
	if err != nil {
		panic(err) // a size that is not positive
	}
	m.entries = entries
	return m
}

// Get returns what is known for the key, or else what fill finds out together
// with how long that holds.
func (m *Memo[V]) Get(ctx context.Context, key string, fill func(context.Context) (V, time.Duration, error)) (V, error) {
	if v, ok := m.Peek(key); ok {
		return v, nil
	}
	flight := m.flights.DoChan(key, func() (any, error) {
		return m.fly(context.WithoutCancel(ctx), key, fill)
	})
	var none V
	select {
	case r := <-flight:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(V), nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Peek returns what is known for the key, if anything is.
func (m *Memo[V]) Peek(key string) (V, bool) {
	e, ok := m.entries.Get(key)
	return e.value, ok && m.now().Before(e.expires)
}

// fly is one flight. It recovers, since a panic in a flight would end the
// process.
func (m *Memo[V]) fly(ctx context.Context, key string, fill func(context.Context) (V, time.Duration, error)) (v V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &validator.Error{
				Reason:  validator.Internal,
				Message: "it failed because of an internal error",
				Err:     fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
			}
		}
	}()
	// Another flight may have landed between the caller's look and this one.
	if v, ok := m.Peek(key); ok {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.bound)
	defer cancel()
	v, lifetime, err := fill(ctx)
	if err == nil {
		m.Put(key, v, lifetime)
	}
	return v, err
}

// Put remembers a value.
func (m *Memo[V]) Put(key string, v V, lifetime time.Duration) {
	m.keeping.Lock()
	defer m.keeping.Unlock()
	m.entries.Remove(key) // so that it is not weighed twice
	m.weight.Add(m.weigh(v))
	m.entries.Add(key, entry[V]{value: v, expires: m.now().Add(lifetime)})
	for m.weight.Load() > m.maxWeight && m.entries.Len() > 0 {
		m.entries.RemoveOldest()
	}
}

// Forget drops what is known for the key.
func (m *Memo[V]) Forget(key string) { m.entries.Remove(key) }
