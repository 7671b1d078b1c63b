package registrytest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
)

// Tunnel starts a proxy for TLS that takes every host to the registry, whatever
// it is called, so that the registry can have the names in its certificate:
// example.com and those below it.
func (r *Registry) Tunnel(tb TB) *url.URL {
	tb.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		there, err := net.Dial("tcp", r.Host())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			_ = there.Close()
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(there, buffered); _ = there.Close() }()
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}))
	tb.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		tb.Fatalf("the proxy's address: %v", err)
	}
	return at
}
