package sink_test

import (
	"context"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"go.yaml.in/yaml/v3"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// parseYAML reads a sink from YAML.
func parseYAML(t *testing.T, text string, from objects) (finding.Spec, strict.Errors, strict.Errors) {
	t.Helper()
	var fields map[string]any
	if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	return sink.Parse(strict.Object{Path: "sinks[0]", Fields: fields}, from)
}

// openYAML is the sink of a valid configuration.
func openYAML(t *testing.T, text string, from objects) finding.Sink {
	t.Helper()
	spec, _, errs := parseYAML(t, text, from)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return opened(t, spec)
}

func opened(t *testing.T, spec finding.Spec) finding.Sink {
	t.Helper()
	s, err := spec.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// post sends events, and waits no longer than a minute.
func post(t *testing.T, s finding.Sink, events ...cloudevents.Event) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return s.Send(ctx, events)
}

// escaped is one with values that have to be escaped.
func escaped(id string) cloudevents.Event {
	e := cloudevents.New()
	e.SetID(id)
	e.SetType("io.github.sse-secure-systems.connaisseur.admission.denied.v1")
	e.SetSource("/clusters/test/namespaces/connaisseur/services/connaisseur-webhook")
	e.SetSubject(`/api/v1/namespaces/prod/pods/"é%€`)
	e.SetTime(time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC))
	e.SetDataSchema("https://example.com/schema.json")
	e.SetExtension("outcome", "denied")
	if err := e.SetData(cloudevents.ApplicationJSON, map[string]string{"message": "no <signature>\n"}); err != nil {
		panic(err)
	}
	return e
}

// wantErrors fails unless there is an error for each of the texts, and none besides.
func wantErrors(t *testing.T, errs strict.Errors, texts ...string) {
	t.Helper()
	if len(errs) != len(texts) {
		t.Fatalf("got %d errors, want %d: %v", len(errs), len(texts), errs)
	}
	for i, text := range texts {
		if !strings.Contains(errs[i].Error(), text) {
			t.Errorf("want %q in: %v", text, errs[i])
		}
	}
}
