package registry

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

const (
	maxRedirects = 5
	// smallBytes bounds every answer that is neither manifest nor blob: pings
	// and tokens.
	smallBytes = 64 << 10
	// errorBytes is how much is read of an answer that is an error.
	errorBytes = 4 << 10
)

// guard is the transport that every request goes through, whoever sends it. It
// enforces what the package promises, reads answers whole, retries where that
// may help, and has a *validator.Error for everything that is no answer.
type guard struct {
	hosts     *hosts
	special   map[string]*http.Transport // by canonical host
	ordinary  *http.Transport
	userAgent string
	proxy     func(*http.Request) (*url.URL, error)

	instruments *observability.Instruments
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	host := image.CanonicalHost(req.URL.Host)
	proxy, err := g.admit(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, g.unreachable(req.Context(), host, err)
	}
	ctx, span := observability.StartSpan(context.WithValue(req.Context(), proxyKey{}, proxy), observability.SpanFetch, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	req = req.Clone(ctx)
	req.Header.Set("User-Agent", g.userAgent)
	resp, err := g.insist(host, req)
	describe(span, host, req, resp, err)
	if g.plainAsExpected(host, err) {
		return nil, err
	}
	if err != nil {
		return nil, g.unreachable(req.Context(), host, err)
	}
	return resp, nil
}

// plainAsExpected tells whether TLS failed because a host speaks plain HTTP
// that is allowed to. The ping tries both; this failure must then not hide what
// came of the other attempt, and so remains unclassified.
func (g *guard) plainAsExpected(host string, err error) bool {
	return speaksPlainHTTP(err) && g.hosts.insecure(host)
}

// admit refuses what must not be sent, and otherwise chooses the proxy.
func (g *guard) admit(req *http.Request) (*url.URL, error) {
	insecure := g.hosts.insecure(req.URL.Host)
	switch {
	case redirects(req) > maxRedirects:
		return nil, &refusal{"it redirects too often"}
	case req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return nil, &refusal{"it redirects to something that is neither HTTP nor HTTPS"}
	case req.URL.Scheme == "http" && !insecure && !selfProving(req.Context()):
		return nil, &refusal{"it can only be reached by plain HTTP; " + allowInsecure}
	case req.Response != nil && req.Body != nil && req.Body != http.NoBody && req.URL.Host != req.Response.Request.URL.Host:
		// The body of a token request holds credentials.
		return nil, &refusal{"it redirects credentials to another host"}
	}
	if !insecure {
		if err := checkName(req.URL.Hostname()); err != nil {
			return nil, err
		}
	}
	proxy, err := g.proxy(req)
	if err != nil {
		return nil, &refusal{"the proxy settings of this system cannot be used"} // their text may hold a password
	}
	return proxy, nil
}

// redirects counts the redirects that led to a request.
func redirects(req *http.Request) int {
	n := 0
	for r := req.Response; r != nil && r.Request != nil; r = r.Request.Response {
		n++
	}
	return n
}

// once sends a request and reads its answer whole, within its limit. An answer
// that is an error is cut short instead: its status is what counts.
func (g *guard) once(host string, req *http.Request) (*http.Response, error) {
	via, ok := g.special[host]
	if !ok {
		via = g.ordinary
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, err := resp.Location(); err != nil && !errors.Is(err, http.ErrNoLocation) {
		return nil, &refusal{"it redirects to something that is no URL"}
	}
	pay := accountOf(req.Context())
	header := headerBytes(resp.Header)
	if err := pay.take(header); err != nil {
		return nil, unaffordable(called(req.Context(), host), err)
	}
	failed, limit := resp.StatusCode >= 300, limitOf(req.Context())
	if failed {
		limit = errorBytes
	}
	body, err := pay.readAtMost(limit, resp.Body)
	switch {
	case errors.Is(err, errExhausted):
		err = unaffordable(called(req.Context(), host), err)
	case failed:
		err = nil
	case err == nil && int64(len(body)) > limit:
		err = &oversized{who: called(req.Context(), host), limit: limit}
	}
	if err != nil {
		pay.giveBack(header + int64(cap(body)))
		return nil, err
	}
	body = body[:min(len(body), int(limit))]
	resp.Body = &whole{
		Reader: bytes.NewReader(body),
		body:   body,
		done:   sync.OnceFunc(func() { pay.giveBack(header) }),
	}
	return resp, nil
}

// whole is a body that is in memory and paid for until the call ends. Closing
// it gives back what was paid for the headers, which few look at later.
type whole struct {
	*bytes.Reader
	body []byte
	done func()
}

// Close implements io.Closer.
func (w *whole) Close() error {
	w.done()
	return nil
}

func (g *guard) close() {
	g.ordinary.CloseIdleConnections()
	for _, s := range g.special {
		s.CloseIdleConnections()
	}
}

type (
	proxyKey struct{}
	limitKey struct{}
)

// proxyOf is the proxy that was chosen for a request.
func proxyOf(ctx context.Context) *url.URL {
	u, _ := ctx.Value(proxyKey{}).(*url.URL)
	return u
}

// withLimit bounds the answer to a request.
func withLimit(ctx context.Context, bytes int64) context.Context {
	return context.WithValue(ctx, limitKey{}, bytes)
}

func limitOf(ctx context.Context) int64 {
	if n, ok := ctx.Value(limitKey{}).(int64); ok {
		return n
	}
	return smallBytes
}
