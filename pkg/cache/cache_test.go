package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// These tests run in bubbles of testing/synctest: the clock is theirs, and a
// goroutine that is still there at the end fails the test.

const expiry = 30 * time.Second

var (
	digestA = image.Digest("sha256:" + strings.Repeat("a", 64))
	digestB = image.Digest("sha256:" + strings.Repeat("b", 64))
	always  = cache.Retention{Expiry: expiry, Denials: true}
)

// fake is a validator and a resolver that count what they are asked.
type fake struct {
	fingerprint string
	calls       atomic.Int64
	resolutions atomic.Int64
	validate    func(context.Context, validator.Request) (validator.Result, error)
	resolve     func(context.Context, validator.Request) (image.Digest, error)
}

func (f *fake) Fingerprint() string { return f.fingerprint }

func (f *fake) Validate(ctx context.Context, req validator.Request) (validator.Result, error) {
	f.calls.Add(1)
	return f.validate(ctx, req)
}

func (f *fake) Resolve(ctx context.Context, req validator.Request) (image.Digest, error) {
	f.resolutions.Add(1)
	return f.resolve(ctx, req)
}

// trusts verifies whatever digest current says that the tag stands for.
func trusts(fingerprint string, current *image.Digest) *fake {
	return &fake{
		fingerprint: fingerprint,
		validate: func(_ context.Context, req validator.Request) (validator.Result, error) {
			if d := req.Image.Digest(); d != "" {
				return validator.Result{Digest: d, TrustRoots: []string{"alice"}}, nil
			}
			return validator.Result{Digest: *current, TrustRoots: []string{"alice"}}, nil
		},
		resolve: func(context.Context, validator.Request) (image.Digest, error) { return *current, nil },
	}
}

func fails(err error) *fake {
	return &fake{fingerprint: "fails", validate: func(context.Context, validator.Request) (validator.Result, error) {
		return validator.Result{}, err
	}, resolve: func(context.Context, validator.Request) (image.Digest, error) { return "", err }}
}

func request(t testing.TB, s string) validator.Request {
	t.Helper()
	ref, err := image.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return validator.Request{Image: ref}
}

func wantReason(t testing.TB, err error, want validator.Reason) {
	t.Helper()
	if failure := validator.AsError(err); failure == nil || failure.Reason != want {
		t.Errorf("want %s, got %v", want, err)
	}
}

func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func TestT2AMovedTagKeepsTheVerifiedDigestUntilTheEntryExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		current := digestA
		f := trusts("f", &current)
		v, r := cache.New(cache.Options{}).Wrap(f, f, always)
		req := request(t, "example.org/app:v1")
		first, err := v.Validate(t.Context(), req)
		if err != nil || first.Digest != digestA || first.Cached {
			t.Fatalf("got %+v, %v", first, err)
		}
		current = digestB
		time.Sleep(expiry - time.Nanosecond)
		again, err := v.Validate(t.Context(), req)
		if diff := cmp.Diff(validator.Result{Digest: digestA, TrustRoots: []string{"alice"}, Cached: true}, again); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if got, err := r.Resolve(t.Context(), req); err != nil || got != digestA || f.resolutions.Load() != 0 {
			t.Errorf("the resolver says %s, %v, after %d resolutions; want the verified digest", got, err, f.resolutions.Load())
		}
		time.Sleep(time.Nanosecond)
		if got, err := r.Resolve(t.Context(), req); err != nil || got != digestB {
			t.Errorf("after expiry the resolver says %s, %v", got, err)
		}
		after, err := v.Validate(t.Context(), req)
		if err != nil || after.Digest != digestB || after.Cached || f.calls.Load() != 2 {
			t.Errorf("after expiry: %+v, %v, %d verifications", after, err, f.calls.Load())
		}
	})
}

// A digest that was merely resolved, and not verified, is not remembered.
func TestT2AnUnverifiedResolutionIsNotRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		current := digestA
		f := trusts("f", &current)
		v, r := cache.New(cache.Options{}).Wrap(f, f, always)
		req := request(t, "example.org/app:v1")
		if got, err := r.Resolve(t.Context(), req); err != nil || got != digestA {
			t.Fatal(got, err)
		}
		current = digestB
		if got, err := r.Resolve(t.Context(), req); err != nil || got != digestB {
			t.Errorf("got %s, %v", got, err)
		}
		if got, err := v.Validate(t.Context(), req); err != nil || got.Digest != digestB {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// The resolver compares a tag beside a digest by the tag alone; what was
// verified for the digest says nothing about the tag.
func TestT31TheResolverDoesNotBelieveTheDigestBesideTheTag(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		current := digestA
		f := trusts("f", &current)
		v, r := cache.New(cache.Options{}).Wrap(f, f, always)
		claimed := request(t, "example.org/app:lenient@"+string(digestB))
		if _, err := v.Validate(t.Context(), claimed); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Resolve(t.Context(), claimed); err != nil || got != digestA {
			t.Errorf("got %s, %v", got, err)
		}
		if got, err := r.Resolve(t.Context(), request(t, "example.org/app@"+string(digestB))); err != nil || f.resolutions.Load() != 2 {
			t.Errorf("a reference without a tag: %s, %v", got, err)
		}
	})
}

func TestWhatWasVerifiedForATagHoldsForThePinnedReference(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		current := digestA
		f := trusts("f", &current)
		v, _ := cache.New(cache.Options{}).Wrap(f, f, always)
		if _, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil {
			t.Fatal(err)
		}
		for _, pinned := range []string{"example.org/app:v1@" + string(digestA), "example.org/app@" + string(digestA)} {
			if got, err := v.Validate(t.Context(), request(t, pinned)); err != nil || !got.Cached || got.Digest != digestA {
				t.Errorf("%s: %+v, %v", pinned, got, err)
			}
		}
		for _, other := range []string{"example.org/app:v1@" + string(digestB), "example.org/app@" + string(digestB), "example.org/app:v2"} {
			if got, err := v.Validate(t.Context(), request(t, other)); err != nil || got.Cached {
				t.Errorf("%s: %+v, %v", other, got, err)
			}
		}
	})
}

// T3 and T35: nothing is shared between requests or configurations that could
// have different outcomes.
func TestT3T35EntriesAreSharedByNobodyElse(t *testing.T) {
	t.Parallel()
	base := request(t, "example.org/app:v1")
	as := func(s string, identity validator.Identity) validator.Request {
		req := request(t, s)
		req.Identity = identity
		return req
	}
	for name, c := range map[string]struct {
		fingerprint string
		req         validator.Request
	}{
		"T3: another configuration of rule, validator or trust": {"other", base},
		"T35: another pull identity":                            {"f", as("example.org/app:v1", "tenant")},
		"T35: another repository":                               {"f", as("example.org/other:v1", "")},
		"T35: the same repository elsewhere":                    {"f", as("example.com/app:v1", "")},
		"another tag":                                           {"f", as("example.org/app:v2", "")},
		"another digest":                                        {"f", as("example.org/app@"+string(digestB), "")},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				current := digestA
				shared := cache.New(cache.Options{})
				first := trusts("f", &current)
				v, _ := shared.Wrap(first, first, always)
				if _, err := v.Validate(t.Context(), base); err != nil {
					t.Fatal(err)
				}
				second := trusts(c.fingerprint, &current)
				w, _ := shared.Wrap(second, second, always)
				if got, err := w.Validate(t.Context(), c.req); err != nil || got.Cached || second.calls.Load() != 1 {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		})
	}
}

// T35: neither are flights, even if an identity was made to look like more
// than it is.
func TestT35FlightsAreSharedByNobodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		shared := cache.New(cache.Options{})
		var calls atomic.Int64
		slow := func(fingerprint string) validator.Validator {
			f := &fake{fingerprint: fingerprint, validate: func(context.Context, validator.Request) (validator.Result, error) {
				calls.Add(1)
				time.Sleep(time.Second)
				return validator.Result{Digest: digestA}, nil
			}}
			v, _ := shared.Wrap(f, f, always)
			return v
		}
		requests := []struct {
			fingerprint string
			identity    validator.Identity
			name        string
		}{
			{"f", "", "example.org/app:v1"}, {"g", "", "example.org/app:v1"}, {"f", "x", "example.org/app:v1"}, {"f", "", "example.org/other:v1"},
			{"c", "a\x00b", "example.org/app:v1"}, {"b\x00c", "a", "example.org/app:v1"}, {"b\"\x00c", "a", "example.org/app:v1"}, {"c", "a\"\x00b", "example.org/app:v1"},
		}
		var wg sync.WaitGroup
		for _, r := range requests {
			wg.Go(func() {
				req := request(t, r.name)
				req.Identity = r.identity
				if _, err := slow(r.fingerprint).Validate(t.Context(), req); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := calls.Load(); got != int64(len(requests)) {
			t.Errorf("want %d verifications, got %d", len(requests), got)
		}
	})
}

func TestAnEntryExpiresWithWhatItReliedOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		end := time.Now().Add(3 * time.Second)
		f := &fake{fingerprint: "f", validate: func(context.Context, validator.Request) (validator.Result, error) {
			return validator.Result{Digest: digestA, Expires: end}, nil
		}}
		v, _ := cache.New(cache.Options{}).Wrap(f, f, always)
		req := request(t, "example.org/app:v1")
		for i, want := range []int64{1, 1, 1, 2} { // at 0, 1, 2 and 3 s
			if _, err := v.Validate(t.Context(), req); err != nil || f.calls.Load() != want {
				t.Errorf("after %d s: %v, want %d verifications, got %d", i, err, want, f.calls.Load())
			}
			time.Sleep(time.Second)
		}
	})
}

func TestHowLongOutcomesAreRemembered(t *testing.T) {
	t.Parallel()
	denied := validator.Errorf(validator.NoSignature, "not signed")
	for name, c := range map[string]struct {
		err    error
		policy cache.Retention
		after  time.Duration
		cached bool
	}{
		"a denial for 5 s":                              {denied, always, 5*time.Second - 1, true},
		"a denial not after 5 s":                        {denied, always, 5 * time.Second, false},
		"a denial no longer than a result":              {denied, cache.Retention{Expiry: time.Second, Denials: true}, time.Second, false},
		"a denial not where that is switched off":       {denied, cache.Retention{Expiry: expiry}, 0, false},
		"nothing where that is switched off":            {nil, cache.Retention{}, 0, false},
		"T28: an outage never":                          {validator.Errorf(validator.RegistryUnavailable, "down"), always, 0, false},
		"T28: throttling never":                         {validator.Errorf(validator.RegistryThrottled, "slow"), always, 0, false},
		"a refused access never":                        {validator.Errorf(validator.RegistryUnauthorized, "no"), always, 0, false},
		"unavailable trust data never":                  {validator.Errorf(validator.TrustDataUnavailable, "no"), always, 0, false},
		"a timeout never":                               {validator.Errorf(validator.Timeout, "late"), always, 0, false},
		"a failure of our own never":                    {validator.Errorf(validator.Internal, "bug"), always, 0, false},
		"a reason that nobody knows never":              {validator.Errorf("Unheard", "what"), always, 0, false},
		"a reason that is missing never":                {&validator.Error{}, always, 0, false},
		"an unclassified error never, whatever it says": {errors.New("no signature found"), always, 0, false},
		"the end of a context never":                    {fmt.Errorf("HEAD: %w", context.DeadlineExceeded), always, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := fails(c.err)
				v, r := cache.New(cache.Options{}).Wrap(f, f, c.policy)
				req := request(t, "example.org/app:v1")
				_, first := v.Validate(t.Context(), req)
				time.Sleep(c.after)
				_, second := v.Validate(t.Context(), req)
				if got := f.calls.Load() == 1; got != c.cached {
					t.Errorf("want remembered %v, got %v", c.cached, got)
				}
				if fmt.Sprint(first) != fmt.Sprint(second) {
					t.Errorf("first %v, then %v", first, second)
				}
				if _, err := r.Resolve(t.Context(), req); f.resolutions.Load() != 1 {
					t.Errorf("a denial was taken for a digest: %v", err)
				}
			})
		})
	}
}

// A result without a digest is a decision, not something that was established.
func TestWhatIsAllowedWithoutVerificationIsNotRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := &fake{fingerprint: "static", validate: func(context.Context, validator.Request) (validator.Result, error) {
			return validator.Result{Allowed: true}, nil
		}}
		c := cache.New(cache.Options{})
		v, _ := c.Wrap(f, f, always)
		for range 2 {
			if got, err := v.Validate(t.Context(), request(t, "example.org/app:v1")); err != nil || !got.Allowed || got.Cached {
				t.Errorf("got %+v, %v", got, err)
			}
		}
		if entries, bytes := c.Len(); entries != 0 || bytes != 0 {
			t.Errorf("%d entries of %d bytes", entries, bytes)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]cache.Options{
		"in entries": {MaxEntries: 10},
		"in bytes":   {MaxBytes: 8 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := cache.New(o)
				f := fails(validator.Errorf(validator.NoSignature, "%s", strings.Repeat("x", 1000)))
				v, _ := c.Wrap(f, f, always)
				for i := range 1000 {
					_, _ = v.Validate(t.Context(), request(t, fmt.Sprintf("example.org/app:v%d", i)))
				}
				entries, bytes := c.Len()
				if entries == 0 || (o.MaxEntries > 0 && entries > o.MaxEntries) || (o.MaxBytes > 0 && bytes > o.MaxBytes) {
					t.Errorf("%d entries, %d bytes", entries, bytes)
				}
				calls := f.calls.Load()
				_, _ = v.Validate(t.Context(), request(t, "example.org/app:v999"))
				if f.calls.Load() != calls {
					t.Error("the newest entry was forgotten")
				}
			})
		})
	}
}

// Overwriting an entry counts it once, and an entry that is larger than the
// whole cache is none.
func TestMemoryIsCountedExactly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := cache.New(cache.Options{MaxBytes: 4 << 10})
		current := digestA
		f := trusts("f", &current)
		v, _ := c.Wrap(f, f, always)
		req := request(t, "example.org/app:v1")
		_, _ = v.Validate(t.Context(), req)
		_, before := c.Len()
		for range 10 {
			time.Sleep(expiry)
			_, _ = v.Validate(t.Context(), req)
		}
		if entries, after := c.Len(); after != before || entries != 3 {
			t.Errorf("%d entries, %d bytes, then %d", entries, before, after)
		}
		huge := fails(validator.Errorf(validator.NoSignature, "%s", strings.Repeat("x", 5<<10)))
		w, _ := c.Wrap(huge, huge, always)
		_, _ = w.Validate(t.Context(), req)
		if entries, bytes := c.Len(); entries != 0 || bytes != 0 {
			t.Errorf("%d entries, %d bytes", entries, bytes)
		}
	})
}

func TestConcurrentCallersShareOneVerification(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := &fake{fingerprint: "f", validate: func(context.Context, validator.Request) (validator.Result, error) {
			time.Sleep(time.Second)
			return validator.Result{Digest: digestA}, nil
		}, resolve: func(context.Context, validator.Request) (image.Digest, error) {
			time.Sleep(time.Second)
			return digestA, nil
		}}
		v, r := cache.New(cache.Options{}).Wrap(f, f, cache.Retention{}) // nothing is remembered, and yet
		req := request(t, "example.org/app:v1")
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if got, err := v.Validate(t.Context(), req); err != nil || got.Digest != digestA {
					t.Errorf("got %v, %v", got, err)
				}
			})
			wg.Go(func() {
				if got, err := r.Resolve(t.Context(), req); err != nil || got != digestA {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
		wg.Wait()
		if f.calls.Load() != 1 || f.resolutions.Load() != 1 {
			t.Errorf("%d verifications, %d resolutions", f.calls.Load(), f.resolutions.Load())
		}
	})
}

func TestACancelledFirstCallerPoisonsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := &fake{fingerprint: "f", validate: func(ctx context.Context, _ validator.Request) (validator.Result, error) {
			select {
			case <-time.After(10 * time.Second):
				return validator.Result{Digest: digestA}, nil
			case <-ctx.Done():
				return validator.Result{}, validator.AsError(ctx.Err())
			}
		}}
		v, _ := cache.New(cache.Options{}).Wrap(f, f, always)
		req := request(t, "example.org/app:v1")
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { _, err := v.Validate(ctx, req); gone <- err }()
		synctest.Wait()
		second := make(chan error)
		go func() { _, err := v.Validate(t.Context(), req); second <- err }()
		synctest.Wait()
		cancel()
		wantReason(t, <-gone, validator.Timeout)
		if err := <-second; err != nil {
			t.Errorf("the second caller got %v", err)
		}
		if got, err := v.Validate(t.Context(), req); err != nil || !got.Cached || f.calls.Load() != 1 {
			t.Errorf("got %+v, %v after %d verifications", got, err, f.calls.Load())
		}
	})
}

// Nobody waits for the flight of a request that has ended before it began, so
// none is started: a workload with thousands of images must not leave
// thousands of flights behind.
func TestAnEndedRequestStartsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		current := digestA
		f := trusts("f", &current)
		v, r := cache.New(cache.Options{}).Wrap(f, f, always)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := v.Validate(ctx, request(t, "example.org/app:v1"))
		wantReason(t, err, validator.Timeout)
		_, err = r.Resolve(ctx, request(t, "example.org/app:v1"))
		wantReason(t, err, validator.Timeout)
		if f.calls.Load()+f.resolutions.Load() != 0 {
			t.Error("it was started all the same")
		}
	})
}

// A verification that neither ends nor looks at its context is left behind.
func TestAStuckFlightIsNotJoinedAfterItsBound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var first atomic.Bool
		first.Store(true)
		f := &fake{fingerprint: "f", validate: func(context.Context, validator.Request) (validator.Result, error) {
			if first.Swap(false) {
				<-stuck
			}
			return validator.Result{Digest: digestA}, nil
		}}
		v, _ := cache.New(cache.Options{FlightTimeout: 3 * time.Second}).Wrap(f, f, cache.Retention{})
		req := request(t, "example.org/app:v1")
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := v.Validate(ctx, req)
			return err
		}
		wantReason(t, ask(), validator.Timeout)
		wantReason(t, ask(), validator.Timeout) // joins
		time.Sleep(time.Second)
		synctest.Wait()
		if err := ask(); err != nil {
			t.Errorf("after the bound: %v", err)
		}
		if got := f.calls.Load(); got != 2 {
			t.Errorf("%d verifications", got)
		}
		close(stuck)
	})
}

// A flight's own bound is told to the verification.
func TestAFlightHasItsOwnBound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := &fake{fingerprint: "f", validate: func(ctx context.Context, _ validator.Request) (validator.Result, error) {
			<-ctx.Done()
			return validator.Result{}, ctx.Err()
		}}
		v, _ := cache.New(cache.Options{FlightTimeout: 3 * time.Second}).Wrap(f, f, always)
		start := time.Now()
		_, err := v.Validate(t.Context(), request(t, "example.org/app:v1"))
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		if failure := validator.AsError(err); failure == nil || failure.Reason != validator.Timeout {
			t.Errorf("got %v", err)
		}
	})
}

// T19: a panic is one verification that failed, for all that wait for it, and
// the next one is made anew.
func TestT19APanicInAFlightIsInternalAndNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var panics atomic.Bool
		panics.Store(true)
		f := &fake{fingerprint: "f", validate: func(context.Context, validator.Request) (validator.Result, error) {
			time.Sleep(time.Second)
			if panics.Load() {
				panic("a secret detail")
			}
			return validator.Result{Digest: digestA}, nil
		}, resolve: func(context.Context, validator.Request) (image.Digest, error) { panic(errors.New("another")) }}
		v, r := cache.New(cache.Options{}).Wrap(f, f, always)
		req := request(t, "example.org/app:v1")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := v.Validate(t.Context(), req)
				wantReason(t, err, validator.Internal)
				if strings.Contains(err.Error(), "secret") || !strings.Contains(fmt.Sprint(errors.Unwrap(err)), "a secret detail") {
					t.Errorf("the message or its cause is wrong: %v", err)
				}
			})
		}
		wg.Wait()
		_, err := r.Resolve(t.Context(), req)
		wantReason(t, err, validator.Internal)
		panics.Store(false)
		if got, err := v.Validate(t.Context(), req); err != nil || got.Digest != digestA {
			t.Errorf("afterwards: %v, %v", got, err)
		}
	})
}

func TestTheFingerprintIsTheValidatorsOwn(t *testing.T) {
	t.Parallel()
	f := &fake{fingerprint: "f"}
	if v, _ := cache.New(cache.Options{}).Wrap(f, f, always); v.Fingerprint() != "f" {
		t.Errorf("got %q", v.Fingerprint())
	}
}

// What was verified is known for longer than it is answered with, until it is
// denied or nothing that it relied on holds any more.
func TestWhatIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, current := cache.New(cache.Options{}), digestA
		f := trusts("f", &current)
		for _, retention := range []cache.Retention{always, {}} {
			v, _ := c.Wrap(f, f, retention)
			if _, err := v.Validate(t.Context(), request(t, "app:1")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			for _, reference := range []string{"app:1", "app:1@" + string(digestA), "app@" + string(digestA)} {
				known, ok := v.Known(request(t, reference), 2*time.Hour)
				if !ok || known.Digest != digestA || !known.Cached {
					t.Errorf("%s: %+v, %t", reference, known, ok)
				}
				if _, ok := v.Known(request(t, reference), time.Hour); ok {
					t.Errorf("%s is known for too long", reference)
				}
			}
			for _, reference := range []string{"app:2", "app:1@" + string(digestB), "app@" + string(digestB), "other:1"} {
				if known, ok := v.Known(request(t, reference), 2*time.Hour); ok {
					t.Errorf("%s: %+v", reference, known)
				}
			}
			as := request(t, "app:1")
			as.Identity = "somebody else"
			if _, ok := v.Known(as, 2*time.Hour); ok {
				t.Error("it is known to somebody else")
			}
			other, _ := c.Wrap(trusts("g", &current), f, retention)
			if _, ok := other.Known(request(t, "app:1"), 2*time.Hour); ok {
				t.Error("it is known to another rule")
			}
		}
	})
}

func TestWhatIsKnownNoMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then func(context.Context, validator.Request) (validator.Result, error)
		want bool
	}{
		"a denial since": {func(context.Context, validator.Request) (validator.Result, error) {
			return validator.Result{}, validator.Errorf(validator.Revoked, "no more")
		}, false},
		"an outage since": {func(context.Context, validator.Request) (validator.Result, error) {
			return validator.Result{}, validator.Errorf(validator.RegistryUnavailable, "down")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				current := digestA
				f := trusts("f", &current)
				v, _ := cache.New(cache.Options{}).Wrap(f, f, always)
				_, _ = v.Validate(t.Context(), request(t, "app:1"))
				time.Sleep(expiry)
				f.validate = c.then
				if _, err := v.Validate(t.Context(), request(t, "app:1")); err == nil {
					t.Fatal("it is still answered from the cache")
				}
				if _, ok := v.Known(request(t, "app:1"), time.Hour); ok != c.want {
					t.Errorf("known: %t", ok)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fingerprint: "f", validate: func(context.Context, validator.Request) (validator.Result, error) {
			return validator.Result{Digest: digestA, Expires: time.Now().Add(time.Minute)}, nil
		}}
		v, _ := cache.New(cache.Options{}).Wrap(f, f, always)
		_, _ = v.Validate(t.Context(), request(t, "app:1"))
		time.Sleep(time.Minute)
		if _, ok := v.Known(request(t, "app:1"), time.Hour); ok {
			t.Error("what it relied on has expired")
		}
	})
}

func TestWhatTheCacheIsUsedForIsCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		current := digestA
		c := cache.New(cache.Options{})
		good := trusts("f", &current)
		v, _ := c.Wrap(good, good, always)
		bad := fails(validator.Errorf(validator.NoSignature, "nothing"))
		w, _ := c.Wrap(bad, bad, always)
		for range 3 {
			_, _ = v.Validate(t.Context(), request(t, "example.org/app:v1"))
			_, err := w.Validate(t.Context(), request(t, "example.org/app:v1"))
			wantReason(t, err, validator.NoSignature)
		}
		_, err := w.Validate(t.Context(), request(t, "example.org/app:v1"))
		if !validator.AsError(err).Cached {
			t.Error("a denial does not tell that it was remembered")
		}
		_, err = w.Validate(t.Context(), request(t, "example.org/app:v2"))
		if validator.AsError(err).Cached {
			t.Error("a denial tells that it was remembered, and was not")
		}
		use := c.Use()
		entries, bytes := c.Len()
		if want := (observability.CacheUse{Hits: 5, Misses: 3, Entries: entries, Bytes: bytes}); use != want || entries == 0 || bytes == 0 {
			t.Errorf("got %+v, want %+v", use, want)
		}
	})
}
