package admission

import (
	"context"
	"net/http"
	"time"

	"knative.dev/pkg/apis"
)

const (
	// defaultTimeout is what the API server waits if it does not say.
	defaultTimeout = 10 * time.Second
	// maxMargin and the tenth that it bounds are for the way back.
	maxMargin = 500 * time.Millisecond
)

// withDeadline ends the context in time for an answer to reach the API server
// before it stops waiting, which it says in ?timeout=.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, timeAllowed(apis.GetHTTPRequest(ctx)))
}

// timeAllowed is how long the answer to a request may take; the request may be
// nil.
func timeAllowed(r *http.Request) time.Duration {
	timeout := defaultTimeout
	if r != nil {
		if said, err := time.ParseDuration(r.URL.Query().Get("timeout")); err == nil && said > 0 {
			timeout = min(said, maxTimeout)
		}
	}
	return timeout - min(timeout/10, maxMargin)
}
