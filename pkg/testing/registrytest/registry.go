package registrytest

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// TB is what is needed of a testing.TB.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Panics is the TB of programs that are no tests: it panics on failure and
// never cleans up.
var Panics TB = panics{}

type panics struct{}

func (panics) Helper()                           {}
func (panics) Cleanup(func())                    {}
func (panics) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Registry is a running registry. Its methods are safe for concurrent use.
type Registry struct {
	settings settings
	server   *httptest.Server
	store    http.Handler

	mu     sync.Mutex
	counts Counts
	log    []Request
	faults []*fault
	tokens map[string]grant
	issued int
	trust  map[string]map[string][]byte // by repository and file

	signing   sync.Mutex
	attached  map[string][]layer      // by repository:tag of legacy signatures and attestations
	referrers map[string][]descriptor // by repository@digest of the subject
}

type settings struct {
	tls           bool
	latency       time.Duration
	auth          string // "", basic or bearer
	user          string
	password      string
	tokenLifetime time.Duration
	accessToken   bool
	noDigest      bool
	referrers     bool
	emptyTypes    bool
}

// Option is a setting of a registry.
type Option func(*settings)

// TLS makes the registry speak HTTPS (and HTTP/2) with the certificate that CA
// returns.
func TLS() Option { return func(s *settings) { s.tls = true } }

// Latency delays every answer.
func Latency(d time.Duration) Option { return func(s *settings) { s.latency = d } }

// Basic demands a user and password with every request.
func Basic(user, password string) Option {
	return func(s *settings) { s.auth, s.user, s.password = "basic", user, password }
}

// Bearer demands a token for the repository, which the registry's own token
// service gives to this user; with an empty user, to everybody. Tokens last 5
// minutes or as long as TokenLifetime says.
func Bearer(user, password string) Option {
	return func(s *settings) { s.auth, s.user, s.password = "bearer", user, password }
}

// TokenLifetime is how long tokens last, in whole seconds.
func TokenLifetime(d time.Duration) Option { return func(s *settings) { s.tokenLifetime = d } }

// AccessTokenOnly names the token access_token in the token service's answer,
// as some services do.
func AccessTokenOnly() Option { return func(s *settings) { s.accessToken = true } }

// WithoutContentDigest leaves the header Docker-Content-Digest out.
func WithoutContentDigest() Option { return func(s *settings) { s.noDigest = true } }

// Referrers makes the registry answer the referrers API, as registries of OCI
// distribution 1.1 do. Without, it answers 404 and Attach maintains the
// referrers tag.
func Referrers() Option { return func(s *settings) { s.referrers = true } }

// EmptyTypes lists every referrer with the artifact type
// application/vnd.oci.empty.v1+json: registries and clients that know no
// artifactType in manifests list the media type of the config instead.
func EmptyTypes() Option { return func(s *settings) { s.emptyTypes = true } }

// New starts a registry that is closed when the test ends.
func New(tb TB, options ...Option) *Registry {
	tb.Helper()
	r := Start(options...)
	tb.Cleanup(r.Close)
	return r
}

// Start starts a registry. Close must be called.
func Start(options ...Option) *Registry {
	r := &Registry{
		settings:  settings{tokenLifetime: 5 * time.Minute},
		tokens:    map[string]grant{},
		attached:  map[string][]layer{},
		referrers: map[string][]descriptor{},
	}
	for _, option := range options {
		option(&r.settings)
	}
	r.store = ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(r.settings.referrers))
	r.server = httptest.NewUnstartedServer(r)
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if r.settings.tls {
		r.server.EnableHTTP2 = true
		r.server.StartTLS()
	} else {
		r.server.Start()
	}
	return r
}

// Close stops the registry; requests that still hang are cut off.
func (r *Registry) Close() {
	r.server.CloseClientConnections()
	r.server.Close()
}

// Host is the registry's host:port.
func (r *Registry) Host() string { return r.server.Listener.Addr().String() }

// URL is the registry's address, without a slash at the end.
func (r *Registry) URL() string { return r.server.URL }

// CA is the certificate, in PEM form, that the registry's own is verified
// with; nil without TLS.
func (r *Registry) CA() []byte {
	if r.server.Certificate() == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	kind := kindOf(req)
	misbehave := r.record(kind, req)
	if r.settings.latency > 0 {
		time.Sleep(r.settings.latency)
	}
	switch {
	case misbehave != nil:
		misbehave(w, req)
	case kind == Token:
		r.serveToken(w, req)
	case !r.allowed(req):
		r.challenge(w, req)
	case kind == TrustDataGet:
		r.serveTrustData(w, req)
	case kind == ReferrersGet && r.settings.referrers:
		r.serveReferrers(w, req)
	case r.settings.noDigest:
		r.store.ServeHTTP(withoutDigest{w}, req)
	case r.settings.referrers && req.Method == http.MethodPut:
		r.storeReferrer(w, req)
	default:
		r.store.ServeHTTP(w, req)
	}
}

// withoutDigest drops the header just before it is sent.
type withoutDigest struct{ http.ResponseWriter }

func (w withoutDigest) WriteHeader(status int) {
	w.Header().Del("Docker-Content-Digest")
	w.ResponseWriter.WriteHeader(status)
}

// repositoryOf is the repository that a path is about, or "".
func repositoryOf(path string) string {
	path = strings.TrimPrefix(path, "/v2/")
	for _, part := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/", trustPath} {
		if i := strings.LastIndex(path, part); i >= 0 {
			return path[:i]
		}
	}
	return ""
}
