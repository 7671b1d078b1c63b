package admission

import (
	"context"
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
	timeout := defaultTimeout
	if r := apis.GetHTTPRequest(ctx); r != nil {
		if said, err := time.ParseDuration(r.URL.Query().Get("timeout")); err == nil && said > 0 {
			timeout = min(said, maxTimeout)
		}
	}
	return context.WithTimeout(ctx, timeout-min(timeout/10, maxMargin))
}
