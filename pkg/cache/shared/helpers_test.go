package shared_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	good = image.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	evil = image.Digest("sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee")
	// moment is more than a request may be delayed by, on a busy machine.
	moment = 600 * time.Millisecond
	// long is how long anything may take that is waited for.
	long = 30 * time.Second
)

// options are of a replica; the zero value is one like all others.
type options struct {
	revision, cluster, fingerprint string
	expiry                         time.Duration
}

// replica is a webhook's cache, in front of a validator that trusts one digest.
type replica struct {
	validator cache.Validator
	resolver  validator.Resolver
	shared    *shared.Cache
	logs      *observer.ObservedLogs
	digest    atomic.Value // image.Digest that tags stand for
	denial    atomic.Pointer[validator.Error]
	verified  atomic.Int64
}

func (r *replica) Fingerprint() string { return "fingerprint" }

func (r *replica) Validate(_ context.Context, req validator.Request) (validator.Result, error) {
	r.verified.Add(1)
	if denial := r.denial.Load(); denial != nil {
		return validator.Result{}, denial
	}
	digest := r.digest.Load().(image.Digest)
	if d := req.Image.Digest(); d != "" {
		digest = d
	}
	return validator.Result{Digest: digest, TrustRoots: []string{"alice"}, Signers: []string{"alice: key 1"}, Warnings: []string{"weak"}}, nil
}

func (r *replica) Resolve(context.Context, validator.Request) (image.Digest, error) {
	r.verified.Add(1)
	return r.digest.Load().(image.Digest), nil
}

type named struct {
	*replica
	fingerprint string
}

func (n named) Fingerprint() string { return n.fingerprint }

// newReplica is one with these settings, whether or not they work.
func newReplica(t testing.TB, settings shared.Settings, o options) *replica {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	r := &replica{shared: &shared.Cache{}, logs: logs}
	r.digest.Store(good)
	if o.expiry == 0 {
		o.expiry = time.Minute
	}
	if o.revision == "" {
		o.revision = "revision"
	}
	own := cache.New(cache.Options{})
	own.Share(r.shared)
	r.validator, r.resolver = own.Wrap(named{r, "f" + o.fingerprint}, r, cache.Retention{Expiry: o.expiry, Denials: true, Sharing: &cache.Sharing{Revision: o.revision}})
	r.shared.Apply(settings, "cluster"+o.cluster, zap.New(core))
	t.Cleanup(r.shared.Close)
	return r
}

func (r *replica) apply(settings shared.Settings) { r.shared.Apply(settings, "cluster", zap.NewNop()) }

// use waits until the replica can use Redis, or cannot.
func (r *replica) use(t testing.TB, up bool) *replica {
	t.Helper()
	r.wait(t, "up or down", func() bool { return r.shared.Use().Up == up })
	return r
}

func (r *replica) wait(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(long); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come; %+v, %v", what, r.shared.Use(), r.said())
		}
	}
}

// trusts validates an image, which must be trusted by the right digest and soon.
func (r *replica) trusts(t testing.TB, reference string) validator.Result {
	t.Helper()
	began := time.Now()
	result, err := r.validator.Validate(t.Context(), request(t, reference))
	if took := time.Since(began); took > moment {
		t.Errorf("%s took %v", reference, took)
	}
	if err != nil || result.Digest != good {
		t.Errorf("%s: %+v, %v", reference, result, err)
	}
	return result
}

// wantVerified checks how often the replica has asked somebody else than a cache.
func (r *replica) wantVerified(t testing.TB, want int64) {
	t.Helper()
	if got := r.verified.Load(); got != want {
		t.Errorf("verified %d times, want %d; %+v, %v", got, want, r.shared.Use(), r.said())
	}
}

func (r *replica) said() string {
	var lines []string
	for _, e := range r.logs.All() {
		line := e.Message
		for _, field := range e.Context {
			line += " " + field.Key + "=" + field.String
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func request(t testing.TB, reference string) validator.Request {
	t.Helper()
	ref, err := image.Parse(reference)
	if err != nil {
		t.Fatal(err)
	}
	return validator.Request{Image: ref}
}

func settings(t testing.TB, url string, entries map[string][]byte) shared.Settings {
	t.Helper()
	target, err := shared.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	made, err := shared.New(target, entries)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
