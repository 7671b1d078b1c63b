package registry

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

const (
	// maxRetries is how often a request that failed in passing is sent again.
	maxRetries = 2
	// firstBackoff is about what is waited before the first retry; it doubles.
	firstBackoff = 200 * time.Millisecond
	// maxRetryAfter is how long is waited because a registry says so. Longer,
	// and whoever waits for the admission is better served by an answer.
	maxRetryAfter = 3 * time.Second
)

// insist sends a request, and again where that may help and there is time.
func (g *guard) insist(host string, req *http.Request) (*http.Response, error) {
	for retries := 0; ; retries++ {
		resp, err := g.measured(host, req)
		if retries == maxRetries {
			return resp, err
		}
		after, ok := worthRetrying(req, resp, err, time.Now())
		if !ok {
			return resp, err
		}
		if after == 0 {
			after = backoff(retries)
		}
		if !pause(req.Context(), after) {
			return resp, err
		}
		if err == nil {
			_ = resp.Body.Close() // it is in memory, and no longer to be paid for
		}
	}
}

// backoff is what is waited before a retry, give or take a half, so that those
// who failed together do not come back together.
func backoff(retries int) time.Duration {
	d := firstBackoff << retries
	return d/2 + rand.N(d) //nolint:gosec // it spreads load, and keeps no secret
}

// worthRetrying tells whether a request that changes nothing failed in a way
// that often passes, and what the registry says about how long that takes; 0 if
// it says nothing. Throttling is answered with another request only if the
// registry says when to send it.
func worthRetrying(req *http.Request, resp *http.Response, err error, now time.Time) (after time.Duration, ok bool) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return 0, false
	}
	if err != nil {
		return 0, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return 0, true
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		after, said := retryAfter(resp.Header.Get("Retry-After"), now)
		if !said {
			return 0, resp.StatusCode == http.StatusServiceUnavailable
		}
		return after, after <= maxRetryAfter
	}
	return 0, false
}

// retryAfter reads the header Retry-After: seconds or a date. RFC 9110, section
// 10.2.3. A time that has passed already is the shortest that is not nothing.
func retryAfter(header string, now time.Time) (after time.Duration, said bool) {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return max(time.Duration(seconds)*time.Second, time.Millisecond), true
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(date.Sub(now), time.Millisecond), true
	}
	return 0, false
}

// pause waits, unless the context would end meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
