package admission

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"knative.dev/pkg/network"
)

const (
	// HeldPath is where a Meter is asked by the queue-proxy.
	HeldPath = "/held/"
	// healthPath is where the kubelet asks whether the process lives: Knative has it
	// ask at the port of the queue-proxy, whatever the manifest says.
	healthPath = "/health"
)

// metered is how long an admission takes before it is counted. What the cache answers
// is faster, and costs nothing.
const metered = 5 * time.Millisecond

// watched is how often the queue-proxy is asked whether the Pod is to end.
const watched = 250 * time.Millisecond

// Meter has Knative's queue-proxy count the admissions that are under way, by which
// Knative scales. The queue-proxy is in the same Pod as the webhook but has no
// certificate that API servers would accept, so that they go past it. Instead, for
// each admission a request without content goes through the queue-proxy and back to
// the Meter, and takes as long as the admission does. What becomes of it has no
// bearing on the admission.
//
// When the Pod is to end, the queue-proxy is told, and the webhook only when no
// request has come for half a minute. API servers keep their connections, by which
// they would come. So the Meter asks the queue-proxy, and has them closed.
type Meter struct {
	queueProxy string
	client     http.Client
	leaving    atomic.Bool // the Pod is to end

	mu   sync.Mutex
	held map[string]<-chan struct{} // closed when the admission is over
}

// NewMeter makes one for the queue-proxy with this URL.
func NewMeter(queueProxy string) *Meter {
	return &Meter{
		queueProxy: queueProxy,
		// It is asked on loopback, whatever the environment says of proxies.
		client: http.Client{Timeout: maxTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute}},
		held:   map[string]<-chan struct{}{},
	}
}

// Count has every request that next serves be counted.
func (m *Meter) Count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.leaving.Load() {
			w.Header().Set("Connection", "close") // the next request is for another replica
		}
		over := make(chan struct{})
		defer close(over)
		defer time.AfterFunc(metered, func() { m.hold(context.WithoutCancel(r.Context()), over) }).Stop()
		next.ServeHTTP(w, r)
	})
}

// hold sends the request that is counted. Nobody else knows its path.
func (m *Meter) hold(ctx context.Context, over <-chan struct{}) {
	id := rand.Text()
	m.mu.Lock()
	m.held[id] = over
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.held, id)
		m.mu.Unlock()
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.queueProxy+HeldPath+id, nil)
	if err != nil {
		return
	}
	response, err := m.client.Do(request)
	if err != nil {
		return // it is not counted, and was or will be answered all the same
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

// Serve answers the queue-proxy, and the kubelet, until ctx ends. Whoever else reaches
// the port learns that the process lives, and knows no path of an admission.
func (m *Meter) Serve(ctx context.Context, port int) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("cannot serve the queue-proxy: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(HeldPath, m)
	mux.HandleFunc(healthPath, Liveness)
	server := http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go m.watch(ctx)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // what is not counted any more is answered
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve the queue-proxy: %w", err)
	}
	return nil
}

// watch asks the queue-proxy until ctx ends whether the Pod is to end.
func (m *Meter) watch(ctx context.Context) {
	ticker := time.NewTicker(watched)
	defer ticker.Stop()
	for ctx.Err() == nil && !m.leaving.Load() {
		if m.draining(ctx) {
			m.leaving.Store(true)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// draining asks once. Whoever asks as the kubelet does, but not about what Knative has
// it ask, is told by knative.dev/pkg/network/handlers.Drainer either that the Pod is to
// end or that the request is a bad one; neither counts as a request.
func (m *Meter) draining(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.queueProxy, nil)
	if err != nil {
		return false
	}
	request.Header.Set(network.UserAgentKey, network.KubeProbeUAPrefix+"connaisseur")
	response, err := m.client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusServiceUnavailable
}

// ServeHTTP answers when the admission is over.
func (m *Meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	over, found := m.held[strings.TrimPrefix(r.URL.Path, HeldPath)]
	m.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	select {
	case <-over:
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	}
}
