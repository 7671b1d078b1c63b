package cache

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Shared keeps results where other replicas find them. What it gives is as good as
// a verification of one's own: it must be sure that a replica stored just that, under
// just that name. It may lose anything at any time.
type Shared interface {
	// Load gives what is stored under a name. It waits for no more than a moment.
	Load(ctx context.Context, name Name) (Established, bool)
	// Store stores the same under each of the names, and Forget takes away what is
	// stored under one; both at some later time, if at all. Neither waits.
	Store(names []Name, e Established)
	Forget(name Name)
}

// Name is everything that a shared result depends on.
type Name struct {
	// Revision is that of the configuration that it was established by.
	Revision string
	// Key names the rest: validator, settings and trust material, the image, and the
	// pull identity. It can hold any byte.
	Key string
}

// Established is a result and when it was established.
type Established struct {
	Result validator.Result
	// At is when it was verified, whoever has passed it on since; from Until on it
	// must not be used any more.
	At, Until time.Time
}

// Sharing says for which configuration results are shared.
type Sharing struct {
	// Revision is that of the configuration; empty shares nothing. It may be set until
	// the first request.
	Revision string
	// Source identifies where results are shared, and the key that they are
	// authenticated by. What was borrowed from another one is not used any more: that
	// key may be known to others.
	Source string
}

// Share has results shared by way of s. It must be called before the cache is used.
func (c *Cache) Share(s Shared) { c.shared = s }

// shares tells whether results are shared.
func (v *cachedValidator) shares() bool {
	return v.cache.shared != nil && v.retention.Sharing != nil && v.retention.Sharing.Revision != "" && v.retention.Expiry > 0
}

// may tells whether an entry is from here, or from where results are shared now.
func (v *cachedValidator) may(e entry) bool {
	return e.source == "" || v.retention.Sharing != nil && e.source == v.retention.Sharing.Source
}

// flight names what is done once for all that ask. What is borrowed on the way is
// nothing to those of another revision, by which it may not be shared.
func (v *cachedValidator) flight(what string, k key) string {
	if v.shares() {
		what += "\x00" + v.retention.Sharing.Revision
	}
	return what + "\x00" + k.String()
}

func (v *cachedValidator) name(k key) Name {
	return Name{Revision: v.retention.Sharing.Revision, Key: k.String()}
}

// borrow gives what another replica established, and remembers it as of then: it
// does not last longer for having been passed on. What this replica itself has
// established since counts for more, a denial too that it no longer answers with.
func (v *cachedValidator) borrow(ctx context.Context, k key, req validator.Request) (entry, bool) {
	if !v.shares() {
		return entry{}, false
	}
	ctx, span := observability.StartSpan(ctx, observability.SpanShared)
	defer span.End()
	found, ok := v.cache.shared.Load(ctx, v.name(k))
	e := entry{result: found.Result, stored: found.At, expires: found.Result.Expires, source: v.retention.Sharing.Source}
	if now := v.cache.now(); e.stored.After(now) {
		e.stored = now // by a clock that is a little ahead
	}
	ok = ok && e.result.Digest != "" && (k.digest == "" || k.digest == e.result.Digest) &&
		v.cache.fresh(e, v.retention.Expiry) && v.cache.newest(k, e) && validator.Holds(v.Validator, req, e.result)
	if span.IsRecording() {
		span.SetAttributes(attribute.Bool("connaisseur.hit", ok))
	}
	if !ok {
		return entry{}, false
	}
	for _, k := range k.with(e) {
		if v.cache.newest(k, e) {
			v.cache.store.put(k, e)
		}
	}
	return e, true
}

// newest tells whether nothing is known that is newer than an entry. It may be known
// itself, by way of another key.
func (c *Cache) newest(k key, e entry) bool {
	own, known := c.store.get(k)
	return !known || own.stored.Before(e.stored) || own.denial == nil && own.stored.Equal(e.stored)
}

// share passes a result on. A denial is nobody else's business, as who signs an
// image again must not wait for replicas to forget it, but takes away what was
// shared before.
func (v *cachedValidator) share(k key, e *entry) {
	if e == nil || !v.shares() {
		return
	}
	if e.denial != nil {
		v.cache.shared.Forget(v.name(k))
		return
	}
	until := e.stored.Add(v.retention.Expiry)
	if !e.expires.IsZero() && e.expires.Before(until) {
		until = e.expires
	}
	var names []Name
	for _, k := range k.with(*e) {
		names = append(names, v.name(k))
	}
	v.cache.shared.Store(names, Established{Result: e.result, At: e.stored, Until: until})
}
