package registrytest

import (
	"bytes"
	"net/http"
	"strings"
)

// Fault says which requests are answered in what wrong way.
type Fault struct {
	// Kind restricts the fault to such requests; empty means all.
	Kind Kind
	// Path restricts it to requests whose path contains this.
	Path string
	// Times is how many requests run into it; zero means all.
	Times int
	// Answer is what they get: one of the functions below, or your own.
	Answer http.HandlerFunc
}

type fault struct {
	Fault
	hits int
}

// Inject adds a fault, before those that are there; the function that is
// returned removes it.
func (r *Registry) Inject(f Fault) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	added := &fault{Fault: f}
	r.faults = append([]*fault{added}, r.faults...)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		added.Times, added.hits = 1, 1
	}
}

// fault returns the answer of the first fault that a request runs into. The
// lock is held.
func (r *Registry) fault(kind Kind, req *http.Request) http.HandlerFunc {
	for _, f := range r.faults {
		if (f.Kind != "" && f.Kind != kind) || !strings.Contains(req.URL.Path, f.Path) || (f.Times > 0 && f.hits >= f.Times) {
			continue
		}
		f.hits++
		return f.Answer
	}
	return nil
}

// Status answers with a status and the error body that belongs to it; headers
// are pairs of name and value.
func Status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		setHeaders(w, headers)
		oci := map[int]string{
			http.StatusUnauthorized: "UNAUTHORIZED", http.StatusForbidden: "DENIED",
			http.StatusNotFound: "MANIFEST_UNKNOWN", http.StatusTooManyRequests: "TOOMANYREQUESTS",
		}[code]
		if oci == "" {
			oci = "UNKNOWN"
		}
		writeError(w, code, oci, http.StatusText(code))
	}
}

// Body answers with this body and success.
func Body(body []byte, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		setHeaders(w, headers)
		_, _ = w.Write(body)
	}
}

// Endless answers with a body that never ends, until the client has enough.
func Endless(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		setHeaders(w, headers)
		w.WriteHeader(code)
		for chunk := bytes.Repeat([]byte(" "), 32<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

// Hang never answers, until the client gives up.
func Hang() http.HandlerFunc {
	return func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
}

// HangUp closes the connection without an answer.
func HangUp() http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
}

// BreakOff closes the connection in the middle of the body.
func BreakOff() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("{"))
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

// Redirect sends the client to a host, scheme://host[:port], with the same
// path and query.
func Redirect(code int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Location", to+req.URL.RequestURI())
		w.WriteHeader(code)
	}
}

func setHeaders(w http.ResponseWriter, pairs []string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		w.Header().Set(pairs[i], pairs[i+1])
	}
}
