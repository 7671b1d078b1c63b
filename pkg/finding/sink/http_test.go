package sink_test

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// exchange is what an HTTP receiver was sent.
type exchange struct {
	method, path string
	header       http.Header
	body         []byte
}

// receive starts a receiver that answers with a status, and gives what it was sent.
func receive(t *testing.T, status int) (*httptest.Server, <-chan exchange) {
	t.Helper()
	got := make(chan exchange, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- exchange{r.Method, r.URL.Path, r.Header, body}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server, got
}

// CloudEvents, HTTP binding 1.0.2, sections 3.1 to 3.3.
func TestHTTPBinding(t *testing.T) {
	t.Parallel()
	server, got := receive(t, http.StatusAccepted)
	first, second := escaped("1"), escaped("2")
	for _, c := range []struct {
		mode, content string
		events        []cloudevents.Event
		header        map[string]string
	}{
		{"binary", "application/json", []cloudevents.Event{first}, map[string]string{
			"Ce-Id": "1", "Ce-Specversion": "1.0", "Ce-Type": first.Type(), "Ce-Source": first.Source(), "Ce-Time": "2026-01-02T03:04:05.6Z",
			// Section 3.1.3.2: all but printable ASCII, and quotes and percent signs.
			"Ce-Subject": "/api/v1/namespaces/prod/pods/%22%C3%A9%25%E2%82%AC", "Ce-Outcome": "denied", "Ce-Dataschema": "https://example.com/schema.json",
		}},
		{"structured", "application/cloudevents+json", []cloudevents.Event{first}, nil},
		{"batched", "application/cloudevents-batch+json", []cloudevents.Event{first, second}, nil},
	} {
		if err := post(t, openYAML(t, fmt.Sprintf("{name: x, url: %q, mode: %s}", server.URL+"/in", c.mode), nil), c.events...); err != nil {
			t.Fatal(err)
		}
		e := <-got
		if kind, _, _ := strings.Cut(e.header.Get("Content-Type"), ";"); kind != c.content || e.method != http.MethodPost || e.path != "/in" {
			t.Errorf("%s: %s %s of type %q", c.mode, e.method, e.path, kind)
		}
		for name, value := range c.header {
			if e.header.Get(name) != value {
				t.Errorf("%s: %s is %q, want %q", c.mode, name, e.header.Get(name), value)
			}
		}
		request := &http.Request{Header: e.header, Body: io.NopCloser(strings.NewReader(string(e.body)))}
		var events []cloudevents.Event
		if c.mode == "batched" {
			var err error
			if events, err = cehttp.NewEventsFromHTTPRequest(request); err != nil {
				t.Fatal(err)
			}
		} else {
			read, err := cehttp.NewEventFromHTTPRequest(request)
			if err != nil {
				t.Fatal(err)
			}
			if c.mode == "binary" { // the library leaves it to us to decode
				subject, err := url.PathUnescape(read.Subject())
				if err != nil {
					t.Fatal(err)
				}
				read.SetSubject(subject)
			}
			events = append(events, *read)
		}
		if c.mode == "binary" && string(e.body) != string(first.Data()) {
			t.Errorf("the body is not the data: %s", e.body)
		}
		if diff := gocmp.Diff(plain(t, c.events), plain(t, events)); diff != "" {
			t.Errorf("%s (-sent +read):\n%s", c.mode, diff)
		}
	}
}

// plain are events as JSON.
func plain(t *testing.T, events []cloudevents.Event) (all []map[string]any) {
	t.Helper()
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		all = append(all, fields)
	}
	return all
}

func TestTokensAndAuthoritiesOfASink(t *testing.T) {
	t.Parallel()
	var token string
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { token = r.Header.Get("Authorization") }))
	t.Cleanup(server.Close)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	from := objects{"k8s://connaisseur/siem/token": "hunter2\n", "configmap://ca/ca.crt": authority}
	text := fmt.Sprintf("{name: x, url: %q, token: k8s://connaisseur/siem/token", server.URL)
	if err := post(t, openYAML(t, text+"}", from), escaped("1")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger's certificate: %v", err)
	}
	if token != "" {
		t.Error("a stranger was sent the token")
	}
	if err := post(t, openYAML(t, text+", cert: configmap://ca/ca.crt}", from), escaped("1")); err != nil || token != "Bearer hunter2" {
		t.Errorf("%v; token %q", err, token)
	}
	before, _, _ := parseYAML(t, text+"}", from)
	from["k8s://connaisseur/siem/token"] = "hunter3"
	after, _, _ := parseYAML(t, text+"}", from)
	if before.Identity == after.Identity {
		t.Error("another token makes no other sink")
	}
	if strings.Contains(before.Identity, "hunter") {
		t.Error("the identity tells the token")
	}
}

func TestAnswersOfHTTPSinks(t *testing.T) {
	t.Parallel()
	for status, permanent := range map[int]bool{
		400: true, 401: false, 403: false, 404: false, 405: true, 408: false, 409: false, 410: true, 413: true, 414: true, 415: true,
		422: true, 425: false, 429: false, 431: true, 500: false, 502: false, 503: false, 504: false, 301: true, 307: true, 308: true,
	} {
		server, _ := receive(t, status)
		err := post(t, openYAML(t, fmt.Sprintf("{name: x, url: %q}", server.URL), nil), escaped("1"))
		if err == nil || finding.IsPermanent(err) != permanent {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, status := range []int{200, 201, 202, 204} {
		server, _ := receive(t, status)
		if err := post(t, openYAML(t, fmt.Sprintf("{name: x, url: %q}", server.URL), nil), escaped("1")); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A sink is trusted with findings, and with nothing else.
func TestHostileHTTPSinks(t *testing.T) {
	t.Parallel()
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		want    string // in the error; empty for none
		timeout time.Duration
	}{
		"redirects": {answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
			want: "it answers 307 Temporary Redirect, which redirects and is not followed"},
		"never ends": {answer: func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}},
		"never answers": {answer: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client is gone
			<-r.Context().Done()
		}, want: "deadline exceeded", timeout: 200 * time.Millisecond},
		"says nonsense": {answer: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, "\x00garbage\r\n\r\n")
			_ = conn.Close()
		}, want: "malformed HTTP"},
		"has endless headers": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, want: "exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.answer)
			t.Cleanup(server.Close)
			ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(c.timeout, time.Minute))
			defer cancel()
			s := openYAML(t, fmt.Sprintf("{name: x, url: %q}", server.URL+"?key=hunter2"), nil)
			err := s.Send(ctx, []cloudevents.Event{escaped("1")})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("want %q, got %v", c.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has the URL: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if followed {
			t.Error("a redirect was followed")
		}
	})
}

func TestRetryAfterOfHTTPSinks(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(server.Close)
	err := post(t, openYAML(t, fmt.Sprintf("{name: x, url: %q}", server.URL), nil), escaped("1"))
	if wait := finding.Wait(err); wait != 7*time.Second {
		t.Errorf("wait %v after %v", wait, err)
	}
}

func TestAPortWhereNobodyListens(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	err = post(t, openYAML(t, fmt.Sprintf("{name: x, url: 'http://%s'}", listener.Addr()), nil), escaped("1"))
	if err == nil || finding.IsPermanent(err) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestSettingsOfSinks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"{name: x, url: 'https://a.example/x', types: [admission.denied, 'config.*'], outcomes: [Denied], namespaces: ['prod-*']}": nil,
		"{}":                                {"sinks[0].name: is missing", "sinks[0].url: is missing"},
		"{name: x, url: 'ftp://a.example'}": {"sinks[0].url: must be a URL that begins with http://, https://"},
		"{name: x, url: 'https:///path'}":   {"sinks[0].url: must be a URL"},
		"{name: x, url: 'https://user:hunter2@a.example'}":                          {"sinks[0].url: has a password in it"},
		"{name: x, url: 'https://a.example', mode: batch}":                          {`sinks[0].mode: is "batch", but must be binary, structured or batched`},
		"{name: x, url: 'https://a.example', tokn: x}":                              {`sinks[0].tokn: unknown key; did you mean "token"?`},
		"{name: x, url: 'https://a.example', token: hunter2}":                       {"sinks[0].token: must be k8s://NAMESPACE/SECRET/KEY"},
		"{name: x, url: 'https://a.example', token: 'configmap://a/b'}":             {"sinks[0].token: must be k8s://"},
		"{name: x, url: 'http://a.example', token: 'k8s://connaisseur/siem/token'}": {"sinks[0].token: would be sent in the clear"},
		"{name: x, url: 'https://a.example', cert: nonsense}":                       {"sinks[0].cert: must be PEM certificates"},
		"{name: x, url: 'https://a.example', cert: 'configmap://a/b'}":              {"sinks[0].cert: has no PEM certificate"},
		"{name: x, url: 'https://a.example', types: [admission.denid]}":             {`sinks[0].types[0]: "admission.denid" is none; did you mean "admission.denied"?`},
		"{name: x, url: 'https://a.example', types: ['[']}":                         {"sinks[0].types[0]: \"[\" is no pattern"},
		"{name: x, url: 'https://a.example', outcomes: [denied]}":                   {`sinks[0].outcomes[0]: "denied" is none`},
		"{name: x, url: 'https://a.example', namespaces: ['']}":                     {"sinks[0].namespaces[0]: \"\" is no pattern"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, warnings, errs := parseYAML(t, text, objects{"configmap://a/b": "nonsense", "k8s://connaisseur/siem/token": "hunter2"})
			wantErrors(t, errs, want...)
			wantErrors(t, warnings)
			for _, err := range errs {
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("a secret is told: %v", err)
				}
			}
		})
	}
}

// What is not there yet is waited for: objects are applied in any order.
func TestASecretThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	spec, warnings, errs := parseYAML(t, "{name: x, url: 'https://a.example', token: 'k8s://connaisseur/siem/token'}", nil)
	wantErrors(t, errs)
	wantErrors(t, warnings, "sinks[0].token: k8s://connaisseur/siem/token: ")
	if _, err := spec.Open(t.Context()); !errors.Is(err, trust.ErrNotThere) {
		t.Errorf("got %v", err)
	}
}

func TestSinkBinding(t *testing.T) {
	server, got := receive(t, http.StatusOK)
	t.Setenv("K_SINK", server.URL+"/bound")
	t.Setenv("K_CE_OVERRIDES", `{"extensions": {"team": "blue"}}`)
	spec, err := sink.Bound()
	if err != nil {
		t.Fatal(err)
	}
	if spec.Name != "K_SINK" || spec.Extensions["team"] != "blue" {
		t.Errorf("got %+v", spec)
	}
	if err := post(t, opened(t, *spec), escaped("1")); err != nil {
		t.Fatal(err)
	}
	if e := <-got; e.path != "/bound" || e.header.Get("Ce-Id") != "1" {
		t.Errorf("got %+v", e)
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(secure.Close)
	t.Setenv("K_SINK", secure.URL)
	t.Setenv("K_CA_CERTS", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	if spec, err = sink.Bound(); err != nil {
		t.Fatal(err)
	}
	if err := post(t, opened(t, *spec), escaped("1")); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{"K_SINK": "nats://x", "K_CE_OVERRIDES": "{", "K_CA_CERTS": "nonsense"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := sink.Bound(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Setenv("K_SINK", "")
	if spec, err := sink.Bound(); spec != nil || err != nil {
		t.Errorf("without one: %v, %v", spec, err)
	}
}
