package observability

import (
	"context"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// The spans of an admission's trace, below that of the HTTP request.
const (
	// SpanImage is the decision about one image; all others are below it.
	SpanImage = "image"
	// SpanMatch finds the rule.
	SpanMatch = "match"
	// SpanCache is the time in the cache: of a look, or of waiting for a
	// verification that it starts or joins.
	SpanCache = "cache"
	// SpanShared asks other replicas' results.
	SpanShared = "shared"
	// SpanVerify is a verification. It belongs to the trace of the request that
	// started it, and may go on after that one's end.
	SpanVerify = "verify"
	// SpanResolve finds the digest of a tag.
	SpanResolve = "resolve"
	// SpanFetch is an HTTP request to a registry or notary server, retries and all.
	SpanFetch = "fetch"
)

// Tracer is that of the system's own spans.
func Tracer(provider trace.TracerProvider) trace.Tracer { return provider.Tracer(scope) }

// StartSpan starts a span below the context's, or none if that is not recorded, so
// that it costs next to nothing without tracing. Whoever has attributes for it asks
// it first whether it IsRecording. It must be ended.
func StartSpan(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, noop.Span{}
	}
	return Tracer(parent.TracerProvider()).Start(ctx, name, options...)
}
