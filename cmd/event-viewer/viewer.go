package main

import (
	"context"
	"embed"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// options are those of a viewer.
type options struct {
	// Token is what whoever posts must know; empty if everybody may.
	Token func() (string, error)
	// Hosts are the names by which browsers may read.
	Hosts []string
	// MaxClients is how many may watch at the same time.
	MaxClients int
	Logger     *zap.Logger
}

// viewer receives events and shows them.
type viewer struct {
	options
	timing  timing
	record  *record
	posts   chan struct{} // has room for those that are read at the same time
	clients chan struct{} // has room for those who watch
	closing context.Context
	close   context.CancelFunc
}

// timing is how long clients may take; tests are faster.
type timing struct {
	post  time.Duration // for sending a request
	write time.Duration // for taking what is written
	ping  time.Duration // between signs of life to those who watch
}

var defaultTiming = timing{post: 10 * time.Second, write: 10 * time.Second, ping: 15 * time.Second}

func newViewer(o options) *viewer {
	v := &viewer{options: o, timing: defaultTiming, record: newRecord(maxEntries, maxRecordBytes), posts: make(chan struct{}, maxPosts), clients: make(chan struct{}, o.MaxClients)}
	v.closing, v.close = context.WithCancel(context.Background()) //nolint:gosec // run has it called when the server ends
	return v
}

//go:embed page
var files embed.FS

// handler answers all requests.
func (v *viewer) handler() http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", v.receive)
	mux.Handle("GET /", v.reading(http.FileServerFS(page)))
	mux.Handle("GET /events", v.reading(http.HandlerFunc(v.stream)))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	return http.NewCrossOriginProtection().Handler(guarded(mux))
}

// policy lets the page use its own files, and make no markup of text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guarded tells browsers what they must not do.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// reading refuses requests by a name that is not the viewer's.
func (v *viewer) reading(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if !slices.ContainsFunc(v.Hosts, func(name string) bool { return strings.EqualFold(name, host) }) {
			http.Error(w, "VIEWER_HOSTS does not have the name by which you ask", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve answers requests until ctx ends, and those in flight for the grace period.
func (v *viewer) serve(ctx context.Context, listener net.Listener, grace time.Duration) error {
	server := &http.Server{
		Handler:           v.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(v.Logger),
	}
	server.RegisterOnShutdown(v.close) // nobody who watches goes away without it
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	v.Logger.Info("Ending")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return server.Shutdown(drain)
}
