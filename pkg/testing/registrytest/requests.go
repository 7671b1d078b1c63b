package registrytest

import (
	"net/http"
	"strings"
)

// Kind is what a request asks for.
type Kind string

// Kinds of requests.
const (
	Ping         Kind = "ping"
	Token        Kind = "token"
	ManifestHead Kind = "HEAD manifest"
	ManifestGet  Kind = "GET manifest"
	BlobGet      Kind = "GET blob"
	ReferrersGet Kind = "GET referrers"
	TrustDataGet Kind = "GET trust data"
	Other        Kind = "other"
)

// Counts tells how many requests of each kind there were. Zeros are absent, so
// that it can be compared with a literal.
type Counts map[Kind]int

// Total is the number of all requests.
func (c Counts) Total() int {
	n := 0
	for _, count := range c {
		n += count
	}
	return n
}

// Request is one request as it arrived.
type Request struct {
	Kind          Kind
	Method        string
	Path          string
	Authorization string
	UserAgent     string
	// Basic is the user of a token request.
	Basic string
}

// maxLog bounds what Log returns, so that a benchmark does not fill memory.
const maxLog = 10_000

// Requests returns how many requests there were since the start or the last
// Reset. Pushing and signing through this package's methods is not counted.
func (r *Registry) Requests() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := Counts{}
	for kind, n := range r.counts {
		counts[kind] = n
	}
	return counts
}

// Log returns the first 10,000 requests since the start or the last Reset.
func (r *Registry) Log() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Request(nil), r.log...)
}

// Reset forgets the requests so far; faults and tokens stay.
func (r *Registry) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts, r.log = nil, nil
}

// record counts a request and returns the fault that it runs into, if any.
func (r *Registry) record(kind Kind, req *http.Request) http.HandlerFunc {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = Counts{}
	}
	r.counts[kind]++
	if len(r.log) < maxLog {
		user, _, _ := req.BasicAuth()
		r.log = append(r.log, Request{
			Kind: kind, Method: req.Method, Path: req.URL.Path, Basic: user,
			Authorization: req.Header.Get("Authorization"), UserAgent: req.UserAgent(),
		})
	}
	return r.fault(kind, req)
}

func kindOf(req *http.Request) Kind {
	path := req.URL.Path
	switch {
	case path == "/v2/" || path == "/v2":
		return Ping
	case path == tokenPath:
		return Token
	case strings.Contains(path, trustPath) && req.Method == http.MethodGet:
		return TrustDataGet
	case strings.Contains(path, "/manifests/") && req.Method == http.MethodHead:
		return ManifestHead
	case strings.Contains(path, "/manifests/") && req.Method == http.MethodGet:
		return ManifestGet
	case strings.Contains(path, "/blobs/") && req.Method == http.MethodGet:
		return BlobGet
	case strings.Contains(path, "/referrers/") && req.Method == http.MethodGet:
		return ReferrersGet
	}
	return Other
}
