package registry

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, header string
		want         time.Duration
		said         bool
	}{
		{"seconds", "2", 2 * time.Second, true},
		{"a date", now.Add(3 * time.Second).Format(http.TimeFormat), 3 * time.Second, true},
		{"a date that has passed means soon", now.Add(-time.Hour).Format(http.TimeFormat), time.Millisecond, true},
		{"no time at all means soon", "0", time.Millisecond, true},
		{"nothing says nothing", "", 0, false},
		{"a negative number says nothing", "-1", 0, false},
		{"a number beyond reason says nothing", "99999999999999999999", 0, false},
		{"words say nothing", "soon", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, said := retryAfter(c.header, now); got != c.want || said != c.said {
				t.Errorf("got %v, %v", got, said)
			}
		})
	}
}

func TestBackoffGrowsAndIsSpread(t *testing.T) {
	t.Parallel()
	for retries, middle := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond} {
		seen := map[time.Duration]bool{}
		for range 20 {
			d := backoff(retries)
			if seen[d] = true; d < middle/2 || d >= middle*3/2 {
				t.Errorf("%v before retry %d", d, retries+1)
			}
		}
		if len(seen) < 2 {
			t.Errorf("before retry %d it is always the same", retries+1)
		}
	}
}

// What changes something might have been done although it failed.
func TestOnlyWhatChangesNothingIsRetried(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{http.MethodGet: true, http.MethodHead: true, http.MethodPost: false, http.MethodPut: false, http.MethodDelete: false} {
		resp := &http.Response{StatusCode: http.StatusBadGateway}
		if _, ok := worthRetrying(&http.Request{Method: method}, resp, nil, time.Now()); ok != want {
			t.Errorf("%s: %v", method, ok)
		}
	}
}
