package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/semaphore"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// clientWith is a client that may hold that many bytes.
func clientWith(t *testing.T, reg *registrytest.Registry, bytes int64) *Client {
	t.Helper()
	c, err := New(Options{Hosts: []Host{{Name: reg.Host(), Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.budget.left = semaphore.NewWeighted(bytes)
	return c
}

func parsed(t *testing.T, s string) image.Reference {
	t.Helper()
	ref, err := image.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// wantReturned waits until a client holds nothing: flights and lost pings may
// outlive a call.
func wantReturned(t *testing.T, c *Client, bytes int64) {
	t.Helper()
	for range 200 {
		if c.budget.left.TryAcquire(bytes) {
			c.budget.left.Release(bytes)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the budget was not given back")
}

// T18: many images with large answers at a time fail, without waiting, instead
// of filling the memory; afterwards everything is as before.
func TestT18TheBudgetIsForAllCallsTogether(t *testing.T) {
	t.Parallel()
	const enough = 1 << 20
	reg := registrytest.New(t, registrytest.Bearer("", ""))
	img := reg.Push(t, "app:v1")
	for i := range 7 {
		reg.Sign(t, img, registrytest.Key(t), registrytest.Payload(bytes.Repeat([]byte{byte(i)}, 100<<10)))
	}
	client, ref := clientWith(t, reg, enough), parsed(t, img.ByDigest())
	hang := make(chan struct{})
	reg.Inject(registrytest.Fault{Kind: registrytest.BlobGet, Times: 1, Answer: func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 90<<10))
		_ = http.NewResponseController(w).Flush()
		<-hang
	}})
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, err := client.As(nil, "").Signatures(t.Context(), ref); err != nil && !strings.Contains(err.Error(), "too much is being read") &&
				validator.AsError(err).Reason != validator.DigestMismatch {
				t.Error(err)
			}
		})
	}
	time.AfterFunc(300*time.Millisecond, func() { close(hang) })
	wg.Wait()
	wantReturned(t, client, enough)
	if found, err := client.As(nil, "").Signatures(t.Context(), ref); err != nil || len(found) != 7 {
		t.Errorf("afterwards: %d, %v", len(found), err)
	}
	wantReturned(t, client, enough)
}

// T18: a budget that has run out says nothing about an image.
func TestT18AnExhaustedBudgetIsInconclusive(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string]int64{"at the first answer": 1, "within an answer": 32 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "app:v1")
			reg.Sign(t, img, registrytest.Key(t), registrytest.Payload([]byte(strings.Repeat("x", 100<<10))))
			client := clientWith(t, reg, bytes)
			begin := time.Now()
			_, err := client.As(nil, "").Signatures(t.Context(), parsed(t, img.ByDigest()))
			if e := validator.AsError(err); err == nil || e.Reason != validator.RegistryUnavailable || !strings.Contains(e.Message, "at once") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			wantReturned(t, client, bytes)
		})
	}
}

// T18: failures give back what they took, however they fail.
func TestT18FailuresGiveBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]registrytest.Fault{
		"a closed connection":      {Kind: registrytest.BlobGet, Answer: registrytest.BreakOff()},
		"a payload without an end": {Kind: registrytest.BlobGet, Answer: registrytest.Endless(http.StatusOK)},
		"an outage":                {Kind: registrytest.ManifestGet, Answer: registrytest.Status(http.StatusServiceUnavailable)},
		"a ping without an end":    {Kind: registrytest.Ping, Answer: registrytest.Endless(http.StatusOK)},
		"a payload that hangs":     {Kind: registrytest.BlobGet, Answer: registrytest.Hang()},
		"a ping that hangs":        {Kind: registrytest.Ping, Times: 1, Answer: func(_ http.ResponseWriter, _ *http.Request) { time.Sleep(time.Second) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "app:v1")
			reg.Sign(t, img, registrytest.Key(t))
			reg.Inject(fault)
			client := clientWith(t, reg, leastBudget)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if _, err := client.As(nil, "").Signatures(ctx, parsed(t, img.ByDigest())); err == nil {
				t.Error("it did not fail")
			}
			wantReturned(t, client, leastBudget)
		})
	}
}

// stalling is a body that begins and then goes on only when told.
type stalling struct {
	begin io.Reader
	on    chan struct{}
}

func (s stalling) Read(p []byte) (int, error) {
	n, err := s.begin.Read(p)
	if errors.Is(err, io.EOF) {
		<-s.on
	}
	return n, err
}

// T18: a slow connection reserves little beside what it sent.
func TestT18SlowAnswersReserveLittle(t *testing.T) {
	t.Parallel()
	b := &budget{left: semaphore.NewWeighted(10 * firstBytes)}
	on := make(chan struct{})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			ctx, done := b.open(t.Context())
			defer done()
			got, err := accountOf(ctx).readAtMost(1<<20, stalling{strings.NewReader("slow"), on})
			if string(got) != "slow" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	close(on)
	wg.Wait()
	if !b.left.TryAcquire(10 * firstBytes) {
		t.Error("the budget was not given back")
	}
}

func TestReadAtMost(t *testing.T) {
	t.Parallel()
	b := newBudget(DefaultLimits())
	ctx, done := b.open(t.Context())
	for _, limit := range []int64{0, 1, firstBytes - 1, firstBytes, 100_000} {
		for _, length := range []int64{0, 1, firstBytes, 99_999, 100_000, 100_001, 1 << 20} {
			sent := strings.Repeat("x", int(length))
			got, err := accountOf(ctx).readAtMost(limit, strings.NewReader(sent))
			if err != nil || int64(len(got)) != min(length, limit+1) || int64(cap(got)) > max(firstBytes, min(2*length+2, limit+1)) {
				t.Errorf("limit %d, length %d: %d bytes of %d, %v", limit, length, len(got), cap(got), err)
			}
		}
	}
	done()
	done()
	accountOf(ctx).giveBack(1)
	if err := accountOf(ctx).take(1); !errors.Is(err, errExhausted) {
		t.Error("a closed account still pays")
	}
	if err := accountOf(t.Context()).take(1); !errors.Is(err, errExhausted) {
		t.Error("no account pays")
	}
	if !b.left.TryAcquire(leastBudget) {
		t.Error("the budget was not given back")
	}
}

// T18: what is remembered of a challenge is little, and not tied to its header.
func TestT18Challenges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		challenge string
		refused   bool
	}{
		"an ordinary one":      {challenge: `Bearer realm="https://x/token",service="x",scope="y",error="z"`},
		"one that is long":     {challenge: `Bearer realm="https://x/token",service="` + strings.Repeat("x", 4<<10) + `"`, refused: true},
		"one of many":          {challenge: `Bearer realm="https://x/token",x` + strings.Repeat("x", 2<<10) + `="y",y` + strings.Repeat("x", 2<<10) + `="y"`, refused: true},
		"one of a long scheme": {challenge: strings.Repeat("x", 5<<10), refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			ref := parsed(t, reg.Push(t, "app:v1").String())
			reg.Inject(registrytest.Fault{Kind: registrytest.Ping, Answer: registrytest.Status(http.StatusUnauthorized, "WWW-Authenticate", c.challenge)})
			client := clientWith(t, reg, leastBudget)
			at, err := client.hosts.target(ref)
			if err != nil {
				t.Fatal(err)
			}
			got, err := client.ping(t.Context(), at)
			if c.refused {
				if e := validator.AsError(err); err == nil || e.Reason != validator.RegistryUnavailable || !strings.Contains(e.Message, "4096 bytes") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || got.Scheme == "" || len(got.Parameters) != 2 || got.Parameters["service"] != "x" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	if got := trimmed(&transport.Challenge{Scheme: "Basic"}); got.Scheme != "Basic" || len(got.Parameters) != 0 {
		t.Errorf("got %+v", got)
	}
}

type oneLogin authn.AuthConfig

func (l oneLogin) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig(l)), nil
}

// T18: pull secrets are as large as a tenant likes, and sessions hold them.
func TestT18LongCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Basic("a", "b"))
	ref := parsed(t, reg.Push(t, "app:v1").String())
	_, err := clientWith(t, reg, leastBudget).As(oneLogin{Username: "a", Password: strings.Repeat("secret", 3<<10)}, "a").Resolve(t.Context(), ref)
	if e := validator.AsError(err); err == nil || e.Reason != validator.RegistryUnauthorized || strings.Contains(e.Message, "secretsecret") {
		t.Errorf("got %v", err)
	}
}

// T18: neither many hosts nor many requests keep connections without bound.
func TestT18IdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	c, err := New(Options{Hosts: []Host{{Name: "own.example", Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if got := c.guard.ordinary.MaxIdleConns; got != maxIdleOrdinary {
		t.Errorf("ordinary: %d", got)
	}
	for _, s := range c.guard.special {
		if s.MaxIdleConns != maxIdleSpecial {
			t.Errorf("special: %d", s.MaxIdleConns)
		}
	}
}
