package admission

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// The API server's own trace and span.
const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID      = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + spanID + "-01"
)

// traced serves the world's webhook, and gives the spans of what is posted with
// these headers.
func traced(t *testing.T, w *world, sampler sdktrace.Sampler, body []byte, headers ...string) (spans tracetest.SpanStubs) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithSampler(sampler))
	s, err := NewServer(quiet(t), ServerOptions{Tracer: provider}, w.mutating())
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodPost, "/mutate?timeout=10s", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(answer, req)
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"uid":"u-1"`) {
		t.Fatalf("%d: %s", answer.Code, answer.Body)
	}
	return exporter.GetSpans()
}

// paths are the spans with those that they are below, sorted.
func paths(spans tracetest.SpanStubs) []string {
	byID := map[trace.SpanID]tracetest.SpanStub{}
	for _, s := range spans {
		byID[s.SpanContext.SpanID()] = s
	}
	var all []string
	for _, s := range spans {
		path := s.Name
		for parent, ok := byID[s.Parent.SpanID()]; ok; parent, ok = byID[parent.Parent.SpanID()] {
			path = parent.Name + " > " + path
		}
		all = append(all, path)
	}
	slices.Sort(all)
	return slices.Compact(all) // how often something is fetched is not told
}

func attributesOf(spans tracetest.SpanStubs, name string) map[string]string {
	all := map[string]string{}
	for _, s := range spans {
		if s.Name != name {
			continue
		}
		for _, kv := range s.Attributes {
			all[string(kv.Key)] = kv.Value.String()
		}
	}
	return all
}

func TestAnAdmissionIsOneTraceThatContinuesTheAPIServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := review(t, create(allKinds["Pod"], podSpec(w.signed.String())))
	spans := traced(t, w, sdktrace.ParentBased(sdktrace.NeverSample()), body, "traceparent", traceparent)
	want := []string{
		"POST /mutate",
		"POST /mutate > image",
		"POST /mutate > image > cache",
		"POST /mutate > image > cache > verify",
		"POST /mutate > image > cache > verify > fetch",
		"POST /mutate > image > cache > verify > resolve",
		"POST /mutate > image > cache > verify > resolve > fetch",
		"POST /mutate > image > match",
	}
	if diff := cmp.Diff(want, paths(spans)); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	for _, s := range spans {
		if s.SpanContext.TraceID().String() != traceID {
			t.Errorf("%s is of the trace %s", s.Name, s.SpanContext.TraceID())
		}
		if s.Name == "POST /mutate" && s.Parent.SpanID().String() != spanID {
			t.Errorf("it is below %s", s.Parent.SpanID())
		}
		if s.EndTime.Before(s.StartTime) || s.EndTime.IsZero() {
			t.Errorf("%s has not ended", s.Name)
		}
	}
	request := attributesOf(spans, "POST /mutate")
	if request["connaisseur.outcome"] != "Trusted" || request["k8s.namespace.name"] != "prod" || request["connaisseur.revision"] != w.snapshot.Revision {
		t.Errorf("the request has %v", request)
	}
	image := attributesOf(spans, "image")
	if image["connaisseur.image"] != w.signed.String() || image["connaisseur.validator.type"] != "cosign" || image["connaisseur.cached"] != "false" {
		t.Errorf("the image has %v", image)
	}
	if fetch := attributesOf(spans, "fetch"); fetch["server.address"] != w.reg.Host() || fetch["http.response.status_code"] == "" {
		t.Errorf("what is fetched has %v", fetch)
	}

	// The next one is answered from the cache.
	spans = traced(t, w, sdktrace.ParentBased(sdktrace.NeverSample()), body, "traceparent", traceparent)
	if diff := cmp.Diff([]string{"POST /mutate", "POST /mutate > image", "POST /mutate > image > cache", "POST /mutate > image > match"}, paths(spans)); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if hit := attributesOf(spans, "cache")["connaisseur.hit"]; hit != "true" {
		t.Errorf("hit is %q", hit)
	}
}

func TestWhetherSomethingIsTracedIsForTheSamplerToSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := review(t, create(allKinds["Pod"], podSpec(w.signed.String())))
	for name, c := range map[string]struct {
		sampler sdktrace.Sampler
		headers []string
		traced  bool
	}{
		"by itself":                        {sdktrace.ParentBased(sdktrace.AlwaysSample()), nil, true},
		"not":                              {sdktrace.ParentBased(sdktrace.NeverSample()), nil, false},
		"not if the API server does not":   {sdktrace.ParentBased(sdktrace.AlwaysSample()), []string{"traceparent", strings.TrimSuffix(traceparent, "1") + "0"}, false},
		"by itself if the header is wrong": {sdktrace.ParentBased(sdktrace.AlwaysSample()), []string{"traceparent", "nonsense"}, true},
	} {
		if spans := traced(t, w, c.sampler, body, c.headers...); (len(spans) > 0) != c.traced {
			t.Errorf("%s: %d spans", name, len(spans))
		}
	}
}

// Spans go to whoever runs the collector.
func TestSpansHoldNoCredentials(t *testing.T) {
	t.Parallel()
	w, secrets := newGuardedWorld(t)
	spans := traced(t, w, sdktrace.AlwaysSample(), review(t, create(allKinds["Pod"], podSpec(w.signed.String(), w.unsigned.String()))))
	if len(spans) < 10 {
		t.Errorf("only %d spans", len(spans))
	}
	for _, s := range spans {
		text := s.Name + s.Status.Description
		for _, kv := range s.Attributes {
			text += " " + kv.Value.String()
		}
		secrets.absent(t, text)
	}
}

// Spans wait in memory until they are exported.
func TestASpanBoundsTheName(t *testing.T) {
	t.Parallel()
	req := create(allKinds["Pod"], podSpec("x"))
	req.Name = strings.Repeat("é", 2<<10)
	d := &decision{request: req, response: denial("")}
	for _, kv := range d.attributes("Denied", "") {
		if got := kv.Value.AsString(); len(got) > 1<<10 || !utf8.ValidString(got) {
			t.Errorf("%s has %d bytes", kv.Key, len(got))
		}
	}
}
