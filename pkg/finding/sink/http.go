package sink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

// The content modes of the HTTP binding.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
const (
	binary     = "binary"
	structured = "structured"
	batched    = "batched"
)

// maxBatch is how many events there are in one batch.
const maxBatch = 100

// httpConfig are the settings of a sink that is reached by HTTP.
type httpConfig struct {
	Mode     string `config:"mode"`
	Token    string `config:"token"`
	Cert     string `config:"cert"`
	Insecure bool   `config:"insecure"`
}

func newHTTP(target *url.URL, r *reader) finding.Spec {
	c := httpConfig{Mode: binary}
	r.decode(&c)
	if c.Mode != binary && c.Mode != structured && c.Mode != batched {
		r.add("mode", "is %q, but must be %s, %s or %s", c.Mode, binary, structured, batched)
	}
	if target.Scheme == "http" && c.Token != "" && !c.Insecure {
		r.add("token", "would be sent in the clear; use https:// or set insecure: true")
	}
	token := r.secret("token", c.Token)
	h := httpSink{
		target: target.String(),
		mode:   c.Mode,
		token:  func() (string, error) { return token, nil },
		client: newClient(r.authorities("cert", c.Cert)),
	}
	return h.spec()
}

func (h httpSink) spec() finding.Spec {
	spec := finding.Spec{Open: func(context.Context) (finding.Sink, error) { return h, nil }}
	if h.mode == batched {
		spec.Batch = maxBatch
	}
	return spec
}

// newClient makes a client that trusts these authorities, or the system's. It does
// not follow redirects: what is sent is for the one that the configuration names.
func newClient(authorities *x509.CertPool) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
	}
}

// httpSink is a receiver of CloudEvents by HTTP.
type httpSink struct {
	target string
	mode   string
	token  func() (string, error)
	client *http.Client
}

// Send implements finding.Sink.
func (h httpSink) Send(ctx context.Context, events []cloudevents.Event) error {
	request, err := h.request(ctx, events)
	if err != nil {
		return finding.Permanent(err)
	}
	token, err := h.token()
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	_, err = do(h.client, request)
	return err
}

// maxAnswer is how much of an answer is read, so that the connection can be used
// again.
const maxAnswer = 64 << 10

// do sends a request, and gives what is answered.
func do(client *http.Client, request *http.Request) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		// The library's error repeats the URL, which may have a secret in it.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // the status says what matters
	return text, answer(response)
}

func (h httpSink) request(ctx context.Context, events []cloudevents.Event) (*http.Request, error) {
	switch h.mode {
	case batched:
		return cehttp.NewHTTPRequestFromEvents(ctx, h.target, events)
	case structured:
		ctx = binding.WithForceStructured(ctx)
	default:
		ctx = binding.WithForceBinary(ctx)
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, h.target, events[0])
	if err == nil {
		escape(request.Header)
	}
	return request, err
}

// escape encodes what header values of the binary mode cannot hold, which the
// library does not (section 3.1.3.2 of the binding).
func escape(header http.Header) {
	for name, values := range header {
		if strings.HasPrefix(name, "Ce-") {
			for i, value := range values {
				values[i] = escaped(value)
			}
		}
	}
}

func escaped(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c <= ' ' || c > '~' || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Close implements finding.Sink.
func (h httpSink) Close() { h.client.CloseIdleConnections() }

// refused is an answer that is no success.
type refused struct{ status int }

func (r refused) Error() string {
	return strings.TrimSpace(fmt.Sprintf("it answers %d %s", r.status, http.StatusText(r.status)))
}

// answer is what the status of a response says.
func answer(response *http.Response) error {
	status := response.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	// In our words: the receiver's may be anything.
	err := refused{status}
	switch {
	case status >= 300 && status < 400:
		return finding.Permanent(fmt.Errorf("%w, which redirects and is not followed; the URL must be the one that answers", err))
	case status == http.StatusBadRequest, status == http.StatusMethodNotAllowed, status == http.StatusGone,
		status == http.StatusRequestEntityTooLarge, status == http.StatusRequestURITooLong, status == http.StatusUnsupportedMediaType,
		status == http.StatusUnprocessableEntity, status == http.StatusRequestHeaderFieldsTooLarge:
		return finding.Permanent(err) // it does not take this event
	}
	return finding.After(err, retryAfter(response.Header.Get("Retry-After"), time.Now()))
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3); zero if it
// says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds > 0 && seconds < 1<<20 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
