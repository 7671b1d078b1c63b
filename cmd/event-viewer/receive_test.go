package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// What the webhook's sinks send is taken, in each of their modes.
func TestWhatSinksSendIsTaken(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"binary", "structured", "batched"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			_, url := start(t, func(v *running) { v.Token = func() (string, error) { return "s3cret", nil } })
			spec, _, errs := sink.Parse(strict.Object{Fields: map[string]any{
				"name": "viewer", "url": url, "mode": mode, "token": "k8s://connaisseur/event-viewer/token", "insecure": true,
			}}, secrets{})
			if err := errs.Err(); err != nil {
				t.Fatal(err)
			}
			to, err := spec.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			var batch []cloudevents.Event
			for i := range max(spec.Batch, 1) {
				e := cloudevents.New()
				e.SetType(string(finding.Detected))
				e.SetSource("/clusters/production")
				e.SetID(fmt.Sprint(i))
				e.SetTime(time.Now())
				e.SetExtension(finding.NamespaceExtension, "prod")
				if err := e.SetData(cloudevents.ApplicationJSON, finding.Admission{Outcome: "Detected", Namespace: "prod"}); err != nil {
					t.Fatal(err)
				}
				batch = append(batch, e)
			}
			if err := to.Send(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			_, messages := watch(t, url+"/events").upTo(batch[len(batch)-1].ID())
			if len(messages) != len(batch) {
				t.Errorf("%d events were sent, %d came", len(batch), len(messages))
			}
			e, _ := messages[0].entry(t)
			for _, want := range []string{`"type":"io.github.sse-secure-systems.connaisseur.admission.detected.v1"`, `"namespace":"prod"`, `"data":{"request":`, `"outcome":"Detected"`} {
				if !bytes.Contains(e.Event, []byte(want)) {
					t.Errorf("there is no %s in %s", want, e.Event)
				}
			}
		})
	}
}

// secrets is a source in which each Secret has the token.
type secrets struct{ trust.Source }

func (secrets) SecretEntry(string, string, string) ([]byte, error) { return []byte("s3cret\n"), nil }

func TestOtherEventsAreTakenToo(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	binary := []string{"Ce-Specversion", "1.0", "Ce-Type", "test", "Ce-Source", "/test"}
	watching := watch(t, url+"/events")
	for i, test := range []struct {
		kind, body, want string
	}{
		{"text/plain", "a text", `"data":"a text"`},
		{"application/octet-stream", "\x00\xff", `"data_base64":"AP8="`},
		{"", "", `"id":"2"`},
		{"application/json", `"a ` + "\u2028" + `"`, `"data":"a \u2028"`},
		{"application/json", "{\n\"a\":\r\n\t1}", `"data":{"a":1}`},
	} {
		id := fmt.Sprint(i)
		status, said := request(t, http.MethodPost, url, test.body, append(binary, "Ce-Id", id, "Content-Type", test.kind)...)
		if status != http.StatusNoContent {
			t.Errorf("%q: %d: %s", test.body, status, said)
			continue
		}
		_, messages := watching.upTo(id)
		if e, _ := messages[0].entry(t); !strings.Contains(string(e.Event), test.want) {
			t.Errorf("%q: %s, want %s", test.body, e.Event, test.want)
		}
	}
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	t.Parallel()
	v, url := start(t)
	binary := []string{"Ce-Specversion", "1.0", "Ce-Type", "test", "Ce-Source", "/test", "Ce-Id", "1", "Content-Type", "application/json"}
	structured := []string{"Content-Type", structuredType}
	batched := []string{"Content-Type", "application/cloudevents-batch+json"}
	for name, test := range map[string]struct {
		body   string
		header []string
		status int
	}{
		"nothing":                         {"", nil, 415},
		"a form":                          {"a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"no JSON":                         {"{", structured, 400},
		"no attributes":                   {"{}", structured, 400},
		"no ID":                           {event("", "1"), structured, 400},
		"another version":                 {"1", append([]string{"Ce-Specversion", "9.0"}, binary[2:]...), 415},
		"data that claims to be JSON":     {"}\n\ndata: 1", binary, 400},
		"data with another message in it": {"1\n\nevent: dropped\ndata: 1\n\n", binary, 400},
		"an attribute without a name":     {"1", append([]string{"Ce-", "x"}, binary...), 400},
		"no list":                         {event("1", "1"), batched, 400},
		"a list with nothing in it":       {"[null]", batched, 400},
		"a good one and a bad one":        {"[" + event("1", "1") + ", " + event("", "1") + "]", batched, 400},
		"an event that is too large":      {event("1", `"`+strings.Repeat("x", maxEvent)+`"`), structured, 413},
		"a body that is too large":        {"[" + strings.Repeat(" ", maxBody), batched, 413},
		"too deep":                        {event("1", strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth)), structured, 400},
	} {
		if status, said := request(t, http.MethodPost, url, test.body, test.header...); status != test.status {
			t.Errorf("%s: %d, want %d: %s", name, status, test.status, said)
		}
	}
	if n := v.record.since(0); len(n.entries) > 0 {
		t.Errorf("%d events were taken: %s", len(n.entries), n.entries[0].Event)
	}
	for name, body := range map[string]string{
		"as large as may be":          event("1", `"`+strings.Repeat("x", maxEvent-200)+`"`),
		"as deep as may be":           event("1", strings.Repeat("[", maxDepth-1)+strings.Repeat("]", maxDepth-1)),
		"brackets and quotes in text": event("1", `"`+strings.Repeat(`[\"[{\\`, maxDepth)+`"`),
	} {
		if status, said := request(t, http.MethodPost, url, body, structured...); status != http.StatusNoContent {
			t.Errorf("%s: %d: %s", name, status, said)
		}
	}
	if status, _ := request(t, http.MethodPost, url+"/elsewhere", event("1", "1"), structured...); status != http.StatusMethodNotAllowed {
		t.Errorf("another path: %d", status)
	}
	if status, _ := request(t, http.MethodPost, url, event("1", "1"), "Content-Type", structuredType, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("a page of somebody else's: %d", status)
	}
}

// Who sends nothing does not keep others from sending for ever.
func TestWhoPostsSlowlyIsRefused(t *testing.T) {
	t.Parallel()
	_, url := start(t, func(v *running) { v.timing.post = 50 * time.Millisecond })
	for range maxPosts {
		slow, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = slow.Close() }()
		if _, err := fmt.Fprintf(slow, "POST / HTTP/1.1\r\nHost: viewer\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{", structuredType); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if answer, err := io.ReadAll(slow); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
				t.Errorf("%v: %s", err, answer)
			}
		}()
	}
	post(t, url, "1")
}

func TestWhoPostsMustKnowTheToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	_, url := start(t, func(v *running) { v.Token = environment{TokenFile: file}.token })
	try := func(authorization string, want int) {
		t.Helper()
		if status, said := request(t, http.MethodPost, url, event("1", "1"), "Content-Type", structuredType, "Authorization", authorization); status != want {
			t.Errorf("%s: %d, want %d: %s", authorization, status, want, said)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	try("Bearer ", 503) // there is no file
	write("\n")
	try("Bearer ", 503)
	write("s3cret\n")
	try("Bearer s3cret", 204)
	try("bearer s3cret", 204)
	for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret"} {
		try(wrong, 401)
	}
	write("n3w")
	try("Bearer s3cret", 401)
	try("Bearer n3w", 204)
}
