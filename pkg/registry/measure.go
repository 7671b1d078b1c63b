package registry

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// errand is what a request is sent for. Redirects, and requests for a token, go to
// other hosts, which are no concern of whoever reads metrics.
type errand struct{ host, kind string }

type errandKey struct{}

// on sends a request for something of that host. The kind is one of few words.
func on(ctx context.Context, host, kind string) context.Context {
	return context.WithValue(ctx, errandKey{}, errand{host, kind})
}

func errandOf(req *http.Request) errand {
	e, _ := req.Context().Value(errandKey{}).(errand)
	return e
}

// kind is manifests, blobs, referrers or trustdata.
func (q question) kind() string {
	kind, _, _ := strings.Cut(q.path, "/")
	if kind == "_trust" {
		kind = "trustdata"
	}
	return kind
}

// measured is once, measured.
func (g *guard) measured(host string, req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := g.once(host, req)
	e := errandOf(req)
	g.instruments.RegistryRequest(req.Context(), observability.RegistryRequest{
		Host: e.host, Kind: e.kind, Answered: resp != nil, Reason: string(g.failure(host, e, req, resp, err)), Took: time.Since(start),
	})
	return resp, err
}

// failure is why an attempt failed; empty if it did not. That something does not
// exist is an answer, and so is that a ping is to log in.
func (g *guard) failure(host string, e errand, req *http.Request, resp *http.Response, err error) validator.Reason {
	switch {
	case g.plainAsExpected(host, err):
		return ""
	case err != nil:
		return g.unreachable(req.Context(), host, err).Reason
	case resp.StatusCode == http.StatusTooManyRequests:
		return validator.RegistryThrottled
	case resp.StatusCode >= http.StatusInternalServerError:
		return validator.RegistryUnavailable
	case e.kind != "ping" && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden):
		return validator.RegistryUnauthorized
	}
	return ""
}

// describe tells of a request in its span. Paths are not told: those of redirects
// are often signed, and so credentials.
func describe(span trace.Span, host string, req *http.Request, resp *http.Response, err error) {
	if !span.IsRecording() {
		return
	}
	e := errandOf(req)
	span.SetAttributes(attribute.String("http.request.method", req.Method), attribute.String("server.address", host), attribute.String("connaisseur.kind", e.kind))
	switch {
	case resp != nil:
		span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	case err != nil:
		span.SetStatus(otelcodes.Error, "no answer") // its text may quote credentials
	}
}
