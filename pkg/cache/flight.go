package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// fly runs fn once for all that ask for the same key, about an image of the
// registry, at the same time. A
// flight goes on when the request that started it ends, within its own bound;
// one that has reached that bound is joined by nobody any more. Whoever waits
// waits no longer than its own context.
func fly[T any](ctx context.Context, c *Cache, registry, key string, fn func(context.Context) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, validator.AsError(err) // nobody would wait for the flight
	}
	span := trace.SpanFromContext(ctx)
	flight := c.flights.DoChan(key, func() (any, error) {
		if !c.slots.take(registry) {
			return zero, validator.Errorf(validator.Timeout, "too many images are being verified at once, in all or of %s; trying again may help", registry)
		}
		defer c.slots.give(registry)
		// Nothing of the request but its trace goes along: it may be large.
		flightCtx, cancel := context.WithTimeout(trace.ContextWithSpan(context.Background(), span), c.flightTimeout)
		defer cancel()
		overdue := time.AfterFunc(c.flightTimeout, func() { c.flights.Forget(key) })
		defer overdue.Stop()
		return guard(flightCtx, fn)
	})
	select {
	case landed := <-flight:
		if landed.Err != nil {
			return zero, landed.Err
		}
		return landed.Val.(T), nil
	case <-ctx.Done():
		return zero, validator.AsError(ctx.Err())
	}
}

// guard turns a panic into an error: it is one verification that failed, not
// the process.
func guard[T any](ctx context.Context, fn func(context.Context) (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &validator.Error{
				Reason:  validator.Internal,
				Message: "the verification failed unexpectedly; the log has the details",
				Err:     fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
			}
		}
	}()
	return fn(ctx)
}
