package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// maxReview is the size of an AdmissionReview that knative's handler reads, in
// bytes.
const maxReview = 3 << 20

const (
	// maxReviews bounds the large reviews that are worked on at a time, in
	// bytes. Each takes several times its size in memory.
	maxReviews = 24 << 20
	// smallReview is what never waits, in bytes: nearly every review is
	// smaller, and whoever is slow to send large ones must not hold it up.
	smallReview = 128 << 10
)

// guard answers what knative's handler does not: a review that is too large,
// one without a request, at which it panics, and any other panic. It starts the
// clock, and makes large reviews wait for which there is no memory.
type guard struct {
	next     http.Handler
	logger   *zap.SugaredLogger
	reviews  *semaphore.Weighted
	draining atomic.Bool
	tracer   trace.Tracer
}

func newGuard(next http.Handler, logger *zap.SugaredLogger) *guard {
	return &guard{next: next, logger: logger, reviews: semaphore.NewWeighted(maxReviews), tracer: noop.Tracer{}}
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer g.answerPanic(w, r)
	if g.draining.Load() {
		w.Header().Set("Connection", "close") // the next request is for another replica
	}
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "an AdmissionReview must be posted", http.StatusMethodNotAllowed)
		return
	case r.ContentLength > maxReview:
		refuseTooLarge(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeAllowed(r))
	defer cancel()
	ctx, span := g.span(ctx, r)
	defer span.End()
	size := r.ContentLength
	if size < 0 {
		size = maxReview
	}
	if size > smallReview {
		if err := g.reviews.Acquire(ctx, size); err != nil {
			http.Error(w, "too many large objects are being checked ("+string(validator.Timeout)+")", http.StatusServiceUnavailable)
			return
		}
		defer g.reviews.Release(size)
	}
	g.next.ServeHTTP(w, r.WithContext(ctx))
}

// traced has requests traced.
func (g *guard) traced(provider trace.TracerProvider) *guard {
	if provider != nil {
		g.tracer = observability.Tracer(provider)
	}
	return g
}

// span is a request's: a part of the API server's trace if there is one. W3C Trace
// Context, section "Traceparent Header".
func (g *guard) span(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	return g.tracer.Start(ctx, r.Method+" "+pathOf(r), trace.WithSpanKind(trace.SpanKindServer))
}

// pathOf is the path of a webhook. Others are not repeated, since anybody can ask
// for any.
func pathOf(r *http.Request) string {
	if slices.Contains([]string{MutatePath, ValidatePath, ConfigPath}, r.URL.Path) {
		return r.URL.Path
	}
	return "/"
}

func (g *guard) answerPanic(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	g.logger.Errorw("A request could not be processed", "path", r.URL.Path, "panic", fmt.Sprint(p))
	http.Error(w, "the body is not an AdmissionReview with a request ("+string(validator.Internal)+")", http.StatusBadRequest)
}

// refuseTooLarge denies a review that is too large to be read. A failed call
// would admit it where failurePolicy is Ignore.
func refuseTooLarge(w http.ResponseWriter, r *http.Request) {
	uid, version := peekUID(io.LimitReader(r.Body, 64<<10))
	if uid == "" {
		http.Error(w, fmt.Sprintf("the AdmissionReview is larger than %d bytes (%s)", maxReview, validator.TooLarge), http.StatusRequestEntityTooLarge)
		return
	}
	response := denial(fmt.Sprintf("the object is too large to be checked: its AdmissionReview has %d bytes, %d are allowed (%s)", r.ContentLength, maxReview, validator.TooLarge))
	response.UID = types.UID(uid)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{ // the connection is gone if this fails
		TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: "AdmissionReview"},
		Response: response,
	})
}

// peekUID finds the request's UID at the start of a review, where the API
// server writes it, and the review's version.
func peekUID(r io.Reader) (uid, version string) {
	decoder := json.NewDecoder(r)
	var path []string // the keys that lead to where the decoder is
	key := ""
	for {
		token, err := decoder.Token()
		if err != nil {
			return uid, version
		}
		switch t := token.(type) {
		case json.Delim:
			switch {
			case t == '{':
				path = append(path, key)
			case t == '}' && len(path) > 0:
				path = path[:len(path)-1]
			default:
				return uid, version // lists come after what is looked for
			}
			key = ""
		case string:
			switch {
			case key == "":
				key = t
				continue
			case len(path) == 1 && key == "apiVersion":
				version = t
			case len(path) == 2 && path[1] == "request" && key == "uid":
				uid = t
			}
			key = ""
		default:
			key = ""
		}
		if uid != "" && version != "" {
			return uid, version
		}
	}
}
