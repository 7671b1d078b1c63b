package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// sinks are the receivers of findings that an admission is measured with.
var sinks = []struct {
	name   string
	answer http.HandlerFunc // nil for no sink
}{
	{name: "no-sink"},
	{"sink", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}},
	{"dead-sink", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}},
}

// telling is a system whose validating webhook tells of what it decides.
func telling(tb testing.TB, answer http.HandlerFunc) *system {
	tb.Helper()
	s := newSystem(tb)
	o := objects(tb, s.registry.Host(), s.key)
	emitter := finding.NewEmitter(finding.Options{Cluster: "bench", Namespace: "connaisseur", Service: "connaisseur-webhook", Instruments: instruments(tb), Logger: logger()})
	if answer != nil {
		server := httptest.NewServer(answer)
		tb.Cleanup(server.Close)
		cm := o.ConfigMaps[config.PolicyName].DeepCopy()
		cm.Name, cm.Data = config.AlertingName, map[string]string{"sinks": fmt.Sprintf("- {name: bench, url: %q, mode: batched}\n", server.URL)}
		o = o.With(cm)
	}
	built := config.NewBuilder(cache.New(cache.Options{})).Build(o)
	if len(built.Errors) > 0 {
		tb.Fatal(built.Errors)
	}
	emitter.Apply(built.Findings)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		emitter.Close(ctx)
	})
	s.handler = admission.NewValidating(verify.Engine{Now: time.Now}, func() (*verify.Snapshot, error) { return built.Snapshot, nil }, instruments(tb), logger()).
		WithFindings(emitter, nil)
	return s
}

// BenchmarkFindings admits Pods of a remembered image over HTTPS, each a finding of
// its own, without a sink, with one, and with one that takes nothing.
func BenchmarkFindings(b *testing.B) {
	for _, sink := range sinks {
		b.Run(sink.name, func(b *testing.B) {
			s := telling(b, sink.answer)
			address, client := s.serve(b)
			img := s.signed(b)
			if err := post(client, address+admission.ValidatePath, body(b, 1024, img.Pinned())); err != nil {
				b.Fatal(err)
			}
			text := body(b, 1024, img.Pinned())
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := post(client, address+admission.ValidatePath, named(text, n.Add(1))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// named is the review of a Pod of another name.
func named(review []byte, n int64) []byte {
	return bytes.ReplaceAll(review, []byte(`"name":"web"`), fmt.Appendf(nil, `"name":"web-%d"`, n))
}

// 10,000 findings that nobody takes: the answers are the same, and none waits.
func TestADeadSinkChangesNoAdmission(t *testing.T) {
	t.Parallel()
	s := telling(t, sinks[2].answer)
	img := s.signed(t)
	req := request(t, 1024, img.Pinned())
	for i := range 10_000 {
		named := *req
		named.Name = fmt.Sprintf("web-%d", i)
		begin := time.Now()
		if err := s.admitted(&named); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); i > 0 && took > 5*time.Second {
			t.Fatalf("admission %d waited for %v", i, took)
		}
	}
	refused := *req
	refused.Operation, refused.Name = admissionv1.Create, "refused"
	refused.Object.Raw = bytes.ReplaceAll(req.Object.Raw, []byte(img.Pinned()), []byte(s.registry.Push(t, repository+":unsigned").String()))
	if err := s.admitted(&refused); err == nil {
		t.Error("an unsigned image is admitted")
	}
}
