package cache_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// pool is what replicas share, as it is after all that happens at some later time.
type pool map[cache.Name]cache.Established

func (p pool) Load(_ context.Context, name cache.Name) (cache.Established, bool) {
	e, ok := p[name]
	return e, ok
}

func (p pool) Store(names []cache.Name, e cache.Established) {
	for _, name := range names {
		p[name] = e
	}
}

func (p pool) Forget(name cache.Name) { delete(p, name) }

// sharing is always, for a revision.
func sharing(revision string) cache.Retention {
	return cache.Retention{Expiry: expiry, Denials: true, Sharing: &cache.Sharing{Revision: revision}}
}

// replica is a cache that uses the pool.
func (p pool) replica(f *fake, retention cache.Retention) (cache.Validator, validator.Resolver) {
	c := cache.New(cache.Options{})
	c.Share(p)
	return c.Wrap(f, f, retention)
}

func TestResultsAreShared(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, current := pool{}, digestA
		first, second := trusts("f", &current), trusts("f", &current)
		v, _ := p.replica(first, sharing("r"))
		w, r := p.replica(second, sharing("r"))
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		current = digestB
		for _, reference := range []string{"example.org/app:v1", "example.org/app:v1@" + string(digestA), "example.org/app@" + string(digestA)} {
			if got, err := w.Validate(t.Context(), request(t, reference)); err != nil || got.Digest != digestA || !got.Cached {
				t.Errorf("%s: %+v, %v", reference, got, err)
			}
		}
		if got, err := r.Resolve(t.Context(), request(t, "example.org/app:v1")); err != nil || got != digestA {
			t.Errorf("%s, %v", got, err)
		}
		if got, ok := w.Known(request(t, "example.org/app:v1"), time.Hour); !ok || got.Digest != digestA {
			t.Errorf("%+v, %v", got, ok)
		}
		if second.calls.Load()+second.resolutions.Load() != 0 {
			t.Error("the second has verified too")
		}
	})
}

// Whatever a result depends on is in its name, or it is not shared.
func TestT3T35ResultsAreSharedWithNobodyElse(t *testing.T) {
	t.Parallel()
	base := request(t, "example.org/app:v1")
	for name, c := range map[string]struct {
		fingerprint string
		retention   cache.Retention
		reference   string
		identity    validator.Identity
	}{
		"T3: another configuration of rule, validator or trust": {fingerprint: "other"},
		"T38: another revision":                                 {retention: sharing("other")},
		"a configuration that is not known yet":                 {retention: sharing("")},
		"one that shares nothing":                               {retention: always},
		"one that remembers nothing":                            {retention: cache.Retention{Sharing: &cache.Sharing{Revision: "r"}}},
		"T35: another pull identity":                            {identity: "tenant/default"},
		"T35: another repository":                               {reference: "example.org/other:v1"},
		"another tag":                                           {reference: "example.org/app:v2"},
		"another digest":                                        {reference: "example.org/app@" + string(digestB)},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p, current := pool{}, digestA
				v, _ := p.replica(trusts("f", &current), sharing("r"))
				if _, err := v.Validate(t.Context(), base); err != nil {
					t.Fatal(err)
				}
				if c.fingerprint == "" {
					c.fingerprint = "f"
				}
				if c.retention == (cache.Retention{}) {
					c.retention = sharing("r")
				}
				req := base
				if c.reference != "" {
					req = request(t, c.reference)
				}
				req.Identity = c.identity
				other := trusts(c.fingerprint, &current)
				w, _ := p.replica(other, c.retention)
				if got, err := w.Validate(t.Context(), req); err != nil || got.Cached || other.calls.Load() != 1 {
					t.Errorf("%+v, %v", got, err)
				}
			})
		})
	}
}

// T38: where the key may be known to others, and is changed, or sharing is switched
// off, nothing that was borrowed is left, not for an outage either.
func TestT38WhatWasBorrowedGoesWithItsSource(t *testing.T) {
	from := func(revision, source string) cache.Retention {
		r := sharing(revision)
		r.Sharing.Source = source
		return r
	}
	for name, c := range map[string]struct {
		next cache.Retention
		kept bool
	}{
		"another edit":      {from("s", "one"), true},
		"another key":       {from("s", "two"), false},
		"shared no more":    {always, false},
		"not usable at all": {from("s", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p, current := pool{}, digestA
				v, _ := p.replica(trusts("f", &current), from("r", "one"))
				if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
					t.Fatal(err)
				}
				f, own := trusts("f", &current), cache.New(cache.Options{})
				own.Share(p)
				before, _ := own.Wrap(f, f, from("r", "one"))
				if _, err := before.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil || f.calls.Load() != 0 {
					t.Fatal("it is not borrowed", err)
				}
				after, resolver := own.Wrap(f, f, c.next)
				if _, known := after.Known(request(t, "example.org/app:v1"), time.Hour); known != c.kept {
					t.Errorf("it is known: %v", known)
				}
				current = digestB
				want := map[bool]image.Digest{true: digestA, false: digestB}[c.kept]
				if got, err := resolver.Resolve(t.Context(), request(t, "example.org/app:v1")); err != nil || got != want {
					t.Errorf("the tag is %s, %v", got, err)
				}
				if got, err := after.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil || got.Digest != want || got.Cached != c.kept {
					t.Errorf("%+v, %v", got, err)
				}
			})
		})
	}
}

// slowPool answers when it may.
type slowPool struct {
	pool
	asked, answer chan struct{}
}

func (p slowPool) Load(ctx context.Context, name cache.Name) (cache.Established, bool) {
	e, ok := p.pool.Load(ctx, name)
	if ok {
		close(p.asked)
		<-p.answer
	}
	return e, ok
}

// T38: nor does a request join one of an earlier revision that still borrows.
func TestT38NobodyJoinsAnotherRevisionsBorrowing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, current := slowPool{pool{}, make(chan struct{}), make(chan struct{})}, digestA
		v, _ := p.replica(trusts("f", &current), sharing("r"))
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		f, own := trusts("f", &current), cache.New(cache.Options{})
		own.Share(p)
		before, _ := own.Wrap(f, f, sharing("r"))
		after, _ := own.Wrap(f, f, sharing("s"))
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = before.Validate(t.Context(), request(t, "example.org/app:v1"))
		}()
		<-p.asked
		time.AfterFunc(time.Second, func() { close(p.answer) })
		if got, err := after.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil || got.Cached || f.calls.Load() != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		<-done
	})
}

// T38: a result holds from when it was verified, whoever passes it on.
func TestT38SharingDoesNotProlongAResult(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, current := pool{}, digestA
		v, _ := p.replica(trusts("f", &current), sharing("r"))
		began := time.Now()
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		kept := maps.Clone(p)
		for _, e := range kept {
			if !e.At.Equal(began) || !e.Until.Equal(began.Add(expiry)) {
				t.Errorf("%+v", e)
			}
		}
		current = digestB
		var replicas []cache.Validator
		for range 3 {
			time.Sleep(expiry/3 - time.Nanosecond)
			maps.Copy(p, kept)
			w, _ := p.replica(trusts("f", &current), sharing("r"))
			if got, err := w.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil || got.Digest != digestA {
				t.Errorf("%+v, %v", got, err)
			}
			replicas = append(replicas, w)
		}
		time.Sleep(3 * time.Nanosecond)
		for i, w := range replicas {
			maps.Copy(p, kept) // as somebody could who writes to Redis
			if got, err := w.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil || got.Digest != digestB {
				t.Errorf("replica %d: %+v, %v", i, got, err)
			}
		}
	})
}

// A result is shared until what it relied on expires, and no longer.
func TestASharedResultExpiresWithWhatItReliedOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, end := pool{}, time.Now().Add(time.Second)
		f := &fake{fingerprint: "f", validate: func(context.Context, validator.Request) (validator.Result, error) {
			return validator.Result{Digest: digestA, Expires: end}, nil
		}}
		v, _ := p.replica(f, sharing("r"))
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		for _, e := range p {
			if !e.Until.Equal(end) {
				t.Errorf("until %v, want %v", e.Until, end)
			}
		}
	})
}

// By a clock that is ahead, a result is not from the future, and lasts no longer.
func TestAResultIsNotFromTheFuture(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, current := pool{}, digestA
		v, _ := p.replica(trusts("f", &current), sharing("r"))
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		for name, e := range p {
			e.At = e.At.Add(4 * time.Second)
			p[name] = e
		}
		second := trusts("f", &current)
		w, _ := p.replica(second, sharing("r"))
		for i, wait := range []time.Duration{0, expiry - 1, 1} {
			time.Sleep(wait)
			if i == 2 {
				clear(p)
			}
			if _, err := w.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil || second.calls.Load() != int64(i/2) {
				t.Errorf("%d: %v, %d verifications", i, err, second.calls.Load())
			}
		}
	})
}

// A denial is shared with nobody, and takes away what was shared. Its replica takes
// nothing older from others, even when it does not remember it any more.
func TestADenialCountsForMoreThanAnOlderResult(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, current := pool{}, digestA
		v, _ := p.replica(trusts("f", &current), sharing("r"))
		req := request(t, "example.org/app:v1")
		if _, err := v.Validate(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		kept := maps.Clone(p)
		clear(p)
		time.Sleep(time.Second)
		denies := fails(validator.Errorf(validator.Revoked, "revoked"))
		denies.fingerprint = "f"
		w, r := p.replica(denies, sharing("r"))
		_, err := w.Validate(t.Context(), req)
		wantReason(t, err, validator.Revoked)
		if len(p) != 0 {
			t.Error("the denial was shared")
		}
		maps.Copy(p, kept)
		time.Sleep(10 * time.Second)
		_, err = w.Validate(t.Context(), req)
		wantReason(t, err, validator.Revoked)
		if _, err := r.Resolve(t.Context(), req); err == nil {
			t.Error("an older digest was taken")
		}
		if denies.calls.Load() != 2 || slices.ContainsFunc(slices.Collect(maps.Keys(p)), func(n cache.Name) bool { return strings.Contains(n.Key, "\x00v1\x00\x00") }) {
			t.Errorf("%d verifications, and there is %v", denies.calls.Load(), p)
		}
		// What is newer counts: somebody has signed it again.
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(expiry)
		if _, err := v.Validate(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Validate(t.Context(), req); err != nil || got.Digest != digestA {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// What is older does not replace what is newer under another of its keys.
func TestAnOlderResultReplacesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, current := pool{}, digestA
		v, _ := p.replica(trusts("f", &current), sharing("r"))
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		kept := maps.Clone(p)
		clear(p)
		time.Sleep(time.Second)
		denies := fails(validator.Errorf(validator.Revoked, "revoked"))
		denies.fingerprint = "f"
		w, _ := p.replica(denies, sharing("r"))
		_, err := w.Validate(t.Context(), request(t, "example.org/app@"+string(digestA)))
		wantReason(t, err, validator.Revoked)
		maps.Copy(p, kept)
		if _, err := w.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Error(err)
		}
		_, err = w.Validate(t.Context(), request(t, "example.org/app@"+string(digestA)))
		wantReason(t, err, validator.Revoked)
	})
}

func TestOnlyWhatIsEstablishedIsShared(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fake{
		"a denial":  fails(validator.Errorf(validator.NoSignature, "not signed")),
		"an outage": fails(validator.Errorf(validator.RegistryUnavailable, "down")),
		"what is allowed without verification": {fingerprint: "f", validate: func(context.Context, validator.Request) (validator.Result, error) {
			return validator.Result{Allowed: true}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := pool{}
				v, _ := p.replica(f, sharing("r"))
				_, _ = v.Validate(t.Context(), request(t, "example.org/app:v1"))
				if len(p) != 0 {
					t.Error(p)
				}
			})
		})
	}
}

// witness is a validator that has seen something.
type witness struct {
	*fake
	seen string
}

func (w witness) Holds(_ validator.Request, seen string) bool { return seen >= w.seen }

// T27: a result that rests on something older than was seen here is none here, nor
// one that nobody here can judge.
func TestT27AResultMustHoldForWhoTakesIt(t *testing.T) {
	t.Parallel()
	current := digestA
	for seen, cached := range map[string]bool{"2": true, "3": true, "4": false, "nobody": false} {
		t.Run(seen, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := pool{}
				from := &fake{fingerprint: "f", validate: func(context.Context, validator.Request) (validator.Result, error) {
					return validator.Result{Digest: digestA, Seen: "3"}, nil
				}}
				v, _ := p.replica(from, sharing("r"))
				req := request(t, "example.org/app:v1")
				if _, err := v.Validate(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				second := trusts("f", &current)
				c := cache.New(cache.Options{})
				c.Share(p)
				var of validator.Validator = witness{second, seen}
				if seen == "nobody" {
					of = second
				}
				w, _ := c.Wrap(of, second, sharing("r"))
				if got, err := w.Validate(t.Context(), req); err != nil || got.Cached != cached {
					t.Errorf("%s: %+v, %v", seen, got, err)
				}
			})
		})
	}
}

// Requests that meet share one look, as they share one verification.
func TestConcurrentCallersShareOneLook(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var looks atomic.Int64
		c, current := cache.New(cache.Options{}), digestA
		c.Share(slow{pool{}, &looks})
		f := trusts("f", &current)
		v, _ := c.Wrap(f, f, sharing("r"))
		done := make(chan string)
		for range 64 {
			go func() {
				got, err := v.Validate(t.Context(), request(t, "example.org/app:v1"))
				done <- fmt.Sprintf("%s %v", got.Digest, err)
			}()
		}
		for range 64 {
			if diff := cmp.Diff(string(digestA)+" <nil>", <-done); diff != "" {
				t.Error(diff)
			}
		}
		if looks.Load() != 1 || f.calls.Load() != 1 {
			t.Errorf("%d looks, %d verifications", looks.Load(), f.calls.Load())
		}
	})
}

// The images of one Pod may be the same by different names, which come at once.
func TestWhatIsBorrowedAtOnceUnderSeveralNamesIsBorrowed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var looks atomic.Int64
		p, current := pool{}, digestA
		v, _ := p.replica(trusts("f", &current), sharing("r"))
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		c, second := cache.New(cache.Options{}), trusts("f", &current)
		c.Share(slow{p, &looks})
		w, _ := c.Wrap(second, second, sharing("r"))
		done := make(chan error)
		for i, reference := range []string{"example.org/app:v1", "example.org/app:v1@" + string(digestA), "example.org/app@" + string(digestA)} {
			go func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				_, err := w.Validate(t.Context(), request(t, reference))
				done <- err
			}()
		}
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if second.calls.Load() != 0 {
			t.Errorf("%d verifications", second.calls.Load())
		}
	})
}

type slow struct {
	pool
	looks *atomic.Int64
}

func (s slow) Load(ctx context.Context, name cache.Name) (cache.Established, bool) {
	s.looks.Add(1)
	time.Sleep(100 * time.Millisecond)
	return s.pool.Load(ctx, name)
}
