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
	"time"
)

// HeldPath is where a Meter is asked by the queue-proxy.
const HeldPath = "/held/"

// metered is how long an admission takes before it is counted. What the cache answers
// is faster, and costs nothing.
const metered = 5 * time.Millisecond

// Meter has Knative's queue-proxy count the admissions that are under way, by which
// Knative scales. The queue-proxy is in the same Pod as the webhook but has no
// certificate that API servers would accept, so that they go past it. Instead, for
// each admission a request without content goes through the queue-proxy and back to
// the Meter, and takes as long as the admission does. What becomes of it has no
// bearing on the admission.
type Meter struct {
	queueProxy string
	client     http.Client

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

// Serve answers the queue-proxy until ctx ends. Nobody outside of the Pod reaches it.
func (m *Meter) Serve(ctx context.Context, port int) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("cannot serve the queue-proxy: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(HeldPath, m)
	server := http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // what is not counted any more is answered
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve the queue-proxy: %w", err)
	}
	return nil
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
