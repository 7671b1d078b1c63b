package admission

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"knative.dev/pkg/network/handlers"
)

// queueProxy stands in for Knative's: it counts the requests that are under way
// through it to a meter.
type queueProxy struct {
	*httptest.Server
	now, ever atomic.Int64
}

// newQueueProxy starts one, and a meter that it leads to.
func newQueueProxy(t testing.TB) (*queueProxy, *Meter) {
	t.Helper()
	var meter *Meter
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { meter.ServeHTTP(w, r) }))
	t.Cleanup(behind.Close)
	target, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	through, q := httputil.NewSingleHostReverseProxy(target), &queueProxy{}
	q.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q.ever.Add(1)
		q.now.Add(1)
		defer q.now.Add(-1)
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(q.Close)
	meter = NewMeter(q.URL)
	return q, meter
}

// eventually waits for the number of requests under way.
func (q *queueProxy) eventually(t *testing.T, want int64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); q.now.Load() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are under way, not %d", q.now.Load(), want)
		}
	}
}

// admit has a handler serve one request.
func admit(ctx context.Context, h http.Handler) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, MutatePath, nil))
	return w.Code
}

func TestTheQueueProxySeesHowManyAdmissionsAreUnderWay(t *testing.T) {
	t.Parallel()
	proxy, meter := newQueueProxy(t)
	next := make(chan struct{})
	counted := meter.Count(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-next }))
	const admissions = 20
	for range admissions {
		go admit(t.Context(), counted)
	}
	proxy.eventually(t, admissions)
	next <- struct{}{}
	proxy.eventually(t, admissions-1)
	close(next)
	proxy.eventually(t, 0)
	if got := proxy.ever.Load(); got != admissions {
		t.Errorf("there were %d requests for %d admissions", got, admissions)
	}
}

func TestAnAdmissionThatTookNoTimeIsNotCounted(t *testing.T) {
	t.Parallel()
	proxy, meter := newQueueProxy(t)
	counted := meter.Count(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	start := time.Now()
	for time.Since(start) < 5*metered {
		admit(t.Context(), counted)
	}
	if got := proxy.ever.Load(); got > 2 { // where the machine stood still meanwhile
		t.Errorf("there were %d requests", got)
	}
}

func TestAnAdmissionDoesWithoutTheQueueProxy(t *testing.T) {
	t.Parallel()
	proxy, meter := newQueueProxy(t)
	proxy.Close()
	counted := meter.Count(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(4 * metered)
		w.WriteHeader(http.StatusAccepted)
	}))
	if got := admit(t.Context(), counted); got != http.StatusAccepted {
		t.Errorf("it was answered with %d", got)
	}
}

// It is what Knative's queue-proxy has in front.
func TestAPIServersAreSentAwayWhenThePodIsToEnd(t *testing.T) {
	t.Parallel()
	drainer := &handlers.Drainer{
		Inner: http.NotFoundHandler(), QuietPeriod: time.Hour,
		HealthCheck: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "not as Knative asks", http.StatusBadRequest)
		},
	}
	proxy := httptest.NewServer(drainer)
	t.Cleanup(proxy.Close)
	meter := NewMeter(proxy.URL)
	counted := meter.Count(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	connection := func() string {
		w := httptest.NewRecorder()
		counted.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, MutatePath, nil))
		return w.Header().Get("Connection")
	}
	go meter.watch(t.Context())
	time.Sleep(2 * watched)
	if got := connection(); got != "" {
		t.Errorf("while it stays: %q", got)
	}
	go drainer.Drain()
	t.Cleanup(drainer.Reset)
	for deadline := time.Now().Add(10 * time.Second); connection() != "close"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("they are not sent away")
		}
	}
}

func TestNobodyElseIsCountedForLong(t *testing.T) {
	t.Parallel()
	_, meter := newQueueProxy(t)
	for _, path := range []string{"/", HeldPath, HeldPath + "guess"} {
		w := httptest.NewRecorder()
		meter.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// BenchmarkMeter is what an admission costs more that is counted. One that the cache
// answers is not.
func BenchmarkMeter(b *testing.B) {
	_, meter := newQueueProxy(b)
	for name, handler := range map[string]http.Handler{
		"answered at once": meter.Count(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})),
		"counted": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			over := make(chan struct{})
			close(over)
			meter.hold(b.Context(), over)
		}),
	} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					admit(b.Context(), handler)
				}
			})
		})
	}
}
