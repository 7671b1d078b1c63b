package cache

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sync/singleflight"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// denialExpiry bounds how long a denial is remembered: long enough for the
// retries of a controller, short enough for a developer who has just signed.
const denialExpiry = 5 * time.Second

// Options are a Cache's settings; a zero field stands for its default.
type Options struct {
	// MaxEntries and MaxBytes bound the memory; 50,000 and 32 MiB by default.
	MaxEntries, MaxBytes int
	// FlightTimeout bounds one verification, however long the requests that
	// wait for it may wait; 30 s by default.
	FlightTimeout time.Duration
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// Cache remembers results. It outlives configurations: keys hold what a result
// depends on, so that a reload neither loses nor wrongly keeps one.
type Cache struct {
	store         *store
	flights       singleflight.Group
	slots         slots
	flightTimeout time.Duration
	now           func() time.Time
	shared        Shared // nil: there is none
	hits, misses  atomic.Int64
}

// New makes an empty cache.
func New(o Options) *Cache {
	if o.MaxEntries <= 0 {
		o.MaxEntries = 50_000
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 32 << 20
	}
	if o.FlightTimeout <= 0 {
		o.FlightTimeout = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cache{
		store:         newStore(o.MaxEntries, o.MaxBytes),
		flightTimeout: o.FlightTimeout,
		now:           o.Now,
	}
}

// Len is the number of entries and the memory they take, in bytes.
func (c *Cache) Len() (entries, bytes int) { return c.store.len() }

// Use tells how the cache has been used so far.
func (c *Cache) Use() observability.CacheUse {
	entries, bytes := c.store.len()
	return observability.CacheUse{Hits: c.hits.Load(), Misses: c.misses.Load(), Entries: entries, Bytes: bytes}
}

// Retention says what is remembered, and for how long.
type Retention struct {
	// Expiry is for how long a result holds; 0 remembers nothing.
	Expiry time.Duration
	// Denials remembers denials too, for at most 5 s.
	Denials bool
	// Sharing shares results with other replicas; nil keeps them to oneself.
	Sharing *Sharing
}

// Wrap puts the cache in front of a validator and of the resolver that goes
// with it. A tag's digest is remembered only together with the verification of
// that digest.
func (c *Cache) Wrap(v validator.Validator, r validator.Resolver, retention Retention) (Validator, validator.Resolver) {
	cached := &cachedValidator{Validator: v, cache: c, retention: retention, fingerprint: v.Fingerprint()}
	return cached, &cachedResolver{resolver: r, validator: cached}
}

// Validator is a validator with a cache in front of it.
type Validator interface {
	validator.Validator
	validator.Memory
}

// cachedValidator decorates a validator.
type cachedValidator struct {
	validator.Validator
	cache       *Cache
	retention   Retention
	fingerprint string
}

// Validate answers from the cache, joins a verification under way, or starts
// one.
func (v *cachedValidator) Validate(ctx context.Context, req validator.Request) (validator.Result, error) {
	ctx, span := observability.StartSpan(ctx, observability.SpanCache)
	defer span.End()
	k := newKey(v.fingerprint, req)
	e, hit := v.lookup(k)
	if span.IsRecording() {
		span.SetAttributes(attribute.Bool("connaisseur.hit", hit))
	}
	if hit {
		v.cache.hits.Add(1)
		return e.outcome()
	}
	v.cache.misses.Add(1)
	return fly(ctx, v.cache, req.Image.Registry(), v.flight("validate", k), func(ctx context.Context) (validator.Result, error) {
		// Another flight may have landed between the look above and this one.
		if e, ok := v.lookup(k); ok {
			return e.outcome()
		}
		if e, ok := v.borrow(ctx, k, req); ok {
			return e.outcome()
		}
		ctx, span := observability.StartSpan(ctx, observability.SpanVerify)
		defer span.End()
		result, err := v.Validator.Validate(ctx, req)
		v.share(k, v.cache.remember(k, result, err))
		return result, err
	})
}

// Known implements validator.Memory. It goes back further than what is answered
// from the cache, as far as there was room to keep it; a denial since then is what
// is known.
func (v *cachedValidator) Known(req validator.Request, maxAge time.Duration) (validator.Result, bool) {
	e, ok := v.cache.store.get(newKey(v.fingerprint, req))
	if !ok || !v.may(e) || e.denial != nil || e.result.Digest == "" || !v.cache.fresh(e, maxAge) {
		return validator.Result{}, false
	}
	result, _ := e.outcome() // it is no denial
	return result, true
}

// cachedResolver decorates a resolver. It reads what cachedValidator wrote.
type cachedResolver struct {
	resolver  validator.Resolver
	validator *cachedValidator
}

// Resolve answers with the digest that was verified for the tag, joins a
// resolution under way, or starts one.
func (r *cachedResolver) Resolve(ctx context.Context, req validator.Request) (image.Digest, error) {
	if req.Image.Tag() == "" {
		return r.resolver.Resolve(ctx, req) // it is its digest
	}
	req.Image = req.Image.WithDigest("")
	v := r.validator
	k := newKey(v.fingerprint, req)
	if e, ok := v.lookup(k); ok && e.denial == nil && e.result.Digest != "" {
		return e.result.Digest, nil
	}
	return fly(ctx, v.cache, req.Image.Registry(), v.flight("resolve", k), func(ctx context.Context) (image.Digest, error) {
		if e, ok := v.borrow(ctx, k, req); ok {
			return e.result.Digest, nil
		}
		return r.resolver.Resolve(ctx, req)
	})
}

// lookup finds an entry that may still be used.
func (v *cachedValidator) lookup(k key) (entry, bool) {
	c, retention := v.cache, v.retention
	if retention.Expiry <= 0 {
		return entry{}, false
	}
	e, ok := c.store.get(k)
	if !ok || !v.may(e) {
		return entry{}, false
	}
	expiry := retention.Expiry
	if e.denial != nil {
		if !retention.Denials {
			return entry{}, false
		}
		expiry = min(expiry, denialExpiry)
	}
	return e, c.fresh(e, expiry)
}

// fresh tells whether an entry is younger than that, and still holds.
func (c *Cache) fresh(e entry, maxAge time.Duration) bool {
	now := c.now()
	return now.Sub(e.stored) < maxAge && (e.expires.IsZero() || now.Before(e.expires))
}

// remember stores a conclusive outcome, and returns what it stored; nil if that is
// nothing.
func (c *Cache) remember(k key, result validator.Result, err error) *entry {
	e := entry{result: result, stored: c.now(), expires: result.Expires}
	switch denial := validator.AsError(err); {
	case denial == nil && result.Digest == "":
		return nil // nothing was verified, nothing is worth remembering
	case denial == nil:
	case denial.Reason.Inconclusive():
		return nil
	default:
		known := *denial
		known.Cached = true
		e.denial = &known
	}
	for _, k := range k.with(e) {
		c.store.put(k, e)
	}
	return &e
}
