package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

// running is a viewer that listens.
type running struct {
	*viewer
	address string
	stop    func()
}

// start runs a viewer until the test ends; with changes it before.
func start(t *testing.T, with ...func(*running)) (v *running, url string) {
	t.Helper()
	v = &running{address: "127.0.0.1:0", viewer: newViewer(options{
		Token: func() (string, error) { return "", nil }, Hosts: []string{"127.0.0.1"}, MaxClients: 4,
		Logger: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel), zaptest.WrapOptions(zap.WithCaller(false))),
	})}
	for _, change := range with {
		change(v)
	}
	listener, err := net.Listen("tcp", v.address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.serve(ctx, listener, 5*time.Second) }()
	v.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error("the viewer ended:", err)
		}
	})
	t.Cleanup(v.stop)
	return v, "http://" + listener.Addr().String()
}

// request makes a request and returns the status and what is said.
func request(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(said)
}

// event is a CloudEvent with this ID in JSON.
func event(id, data string) string {
	return fmt.Sprintf(`{"specversion": "1.0", "type": "test", "source": "/test", "id": %q, "datacontenttype": "application/json", "data": %s}`, id, data)
}

const structuredType = "application/cloudevents+json"

// post sends an event that must be taken.
func post(t *testing.T, url, id string) {
	t.Helper()
	if status, said := request(t, http.MethodPost, url, event(id, `{"message": "hello"}`), "Content-Type", structuredType); status != http.StatusNoContent {
		t.Fatalf("%d: %s", status, said)
	}
}

// message is one of a stream.
type message struct{ id, event, data string }

func (m message) entry(t *testing.T) (e entry, id string) {
	t.Helper()
	if err := json.Unmarshal([]byte(m.data), &e); err != nil {
		t.Fatalf("%v: %s", err, m.data)
	}
	var fields struct{ ID string }
	if err := json.Unmarshal(e.Event, &fields); err != nil {
		t.Fatal(err)
	}
	return e, fields.ID
}

// watcher reads a stream.
type watcher struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
}

// watch opens a stream that must be given.
func watch(t *testing.T, url string, header ...string) *watcher {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	w := &watcher{t: t, response: response, lines: bufio.NewScanner(response.Body)}
	w.lines.Buffer(nil, 2*maxEvent)
	return w
}

// next is the next message; false at the end.
func (w *watcher) next() (m message, ok bool) {
	for w.lines.Scan() {
		name, value, _ := strings.Cut(w.lines.Text(), ": ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "":
			if m.data != "" {
				return m, true
			}
		}
	}
	return message{}, false
}

// upTo lists the findings until one with this ID.
func (w *watcher) upTo(last string) (ids []string, messages []message) {
	w.t.Helper()
	for len(ids) == 0 || ids[len(ids)-1] != last {
		m, ok := w.next()
		if !ok {
			w.t.Fatalf("the stream ended after %v, before %s", ids, last)
		}
		if m.event != "" {
			continue
		}
		_, id := m.entry(w.t)
		ids, messages = append(ids, id), append(messages, m)
	}
	return ids, messages
}

func TestThePageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	for path, want := range map[string]struct{ kind, text string }{
		"/":           {"text/html; charset=utf-8", `<script type="module" src="viewer.js">`},
		"/viewer.js":  {"text/javascript; charset=utf-8", "EventSource"},
		"/row.js":     {"text/javascript; charset=utf-8", "class Row"},
		"/event.js":   {"text/javascript; charset=utf-8", "describe"},
		"/filters.js": {"text/javascript; charset=utf-8", "class Filters"},
		"/style.css":  {"text/css; charset=utf-8", "color-scheme"},
		"/icon.svg":   {"image/svg+xml", "<svg"},
		"/healthz":    {"text/plain; charset=utf-8", "ok"},
	} {
		response, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != want.kind || !strings.Contains(string(text), want.text) {
			t.Errorf("%s: %s, %s: %.60s…", path, response.Status, got, text)
		}
		if got := response.Header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'; script-src 'self'; style-src 'self';") {
			t.Errorf("%s: Content-Security-Policy: %s", path, got)
		}
		if got := response.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options: %q", path, got)
		}
	}
	for _, wrong := range []string{"/nothing", "/page/index.html", "/../viewer.go"} {
		if status, _ := request(t, http.MethodGet, url+wrong, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", wrong, status)
		}
	}
}

// For each outcome there is a button, so that none hides among the others.
func TestThePageKnowsAllOutcomes(t *testing.T) {
	t.Parallel()
	text, err := files.ReadFile("page/event.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, outcome := range finding.Outcomes {
		if !strings.Contains(string(text), "'"+outcome+"'") {
			t.Errorf("event.js does not know %s", outcome)
		}
	}
}

// A page whose name leads to a forwarded port must not read what it shows.
func TestBrowsersReadByKnownNamesOnly(t *testing.T) {
	t.Parallel()
	v, _ := start(t, func(v *running) { v.Hosts = []string{"localhost", "::1"} })
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8080": 200, "[::1]:8080": 200, "[::1]": 200,
		"evil.example": 421, "evil.example:8080": 421, "localhost.evil.example": 421, "": 421,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		v.handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}

func TestWhoWatchesDoesNotKeepTheViewerFromEnding(t *testing.T) {
	t.Parallel()
	v, url := start(t)
	post(t, url, "1")
	w := watch(t, url+"/events")
	w.upTo("1")
	v.stop()
	for {
		if _, ok := w.next(); !ok {
			break
		}
	}
	if err := w.lines.Err(); err != nil {
		t.Error("the stream broke off:", err)
	}
}
