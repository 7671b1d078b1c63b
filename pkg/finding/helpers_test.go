package finding_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// receiver is a sink that keeps what it is sent. answer says how a delivery goes; nil
// takes everything.
type receiver struct {
	answer func(ctx context.Context, attempt int, events []cloudevents.Event) error

	mu       sync.Mutex
	attempts int
	got      []cloudevents.Event
	batches  []int
	closed   bool
}

func (r *receiver) Send(ctx context.Context, events []cloudevents.Event) error {
	r.mu.Lock()
	r.attempts++
	attempt := r.attempts
	r.mu.Unlock()
	if r.answer != nil {
		if err := r.answer(ctx, attempt, events); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got, r.batches = append(r.got, events...), append(r.batches, len(events))
	return nil
}

func (r *receiver) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

func (r *receiver) subjects() (subjects []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.got {
		subjects = append(subjects, e.Subject())
	}
	return subjects
}

func (r *receiver) spec(name string) finding.Spec {
	return finding.Spec{Name: name, Identity: name, Open: func(context.Context) (finding.Sink, error) { return r, nil }}
}

// hang answers when nobody waits any more.
func hang(ctx context.Context, _ int, _ []cloudevents.Event) error {
	<-ctx.Done()
	return ctx.Err()
}

// bench is an emitter, and what it leaves behind.
type bench struct {
	*finding.Emitter
	log    *observer.ObservedLogs
	reader *metric.ManualReader
}

func newBench(t *testing.T, sinks ...finding.Spec) *bench {
	t.Helper()
	core, log := observer.New(zapcore.WarnLevel)
	b := &bench{log: log, reader: metric.NewManualReader()}
	instruments, err := observability.New(metric.NewMeterProvider(metric.WithReader(b.reader)))
	if err != nil {
		t.Fatal(err)
	}
	b.Emitter = finding.NewEmitter(finding.Options{
		Cluster: "test", Namespace: "connaisseur", Service: "connaisseur-webhook", Instruments: instruments, Logger: zap.New(core),
	})
	b.Apply(finding.Settings{Sinks: sinks})
	return b
}

// end delivers what waits, and ends the emitter.
func (b *bench) end(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Hour)
	defer cancel()
	b.Close(ctx)
}

// count is how many events of a sink the metric has for a result.
func (b *bench) count(t *testing.T, sink string, result observability.SinkResult) (n int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := b.reader.Collect(context.WithoutCancel(t.Context()), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok || m.Name != "connaisseur.sink.events" {
				continue
			}
			for _, point := range sum.DataPoints {
				name, _ := point.Attributes.Value("sink")
				what, _ := point.Attributes.Value("result")
				if name.AsString() == sink && what.AsString() == string(result) {
					n += point.Value
				}
			}
		}
	}
	return n
}

func request(kind, name string) *admissionv1.AdmissionRequest {
	return &admissionv1.AdmissionRequest{
		UID: "0d6d1d0c", Name: name, Namespace: "prod", Operation: admissionv1.Create,
		Kind:     metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind},
		Resource: metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
		UserInfo: authenticationv1.UserInfo{Username: "alice"},
	}
}

// verdictOn is one on a Deployment with these images.
func verdictOn(images ...verify.ImageVerdict) *verify.Verdict {
	v := &verify.Verdict{Workload: &workload.Workload{Name: "web", Namespace: "prod"}, Revision: "abc", Images: images}
	for i := range v.Images {
		v.Images[i].Image.Field = fmt.Sprintf("spec.template.spec.containers[%d].image", i)
	}
	return v
}

// denied is an event about a Deployment of that name that was refused.
func denied(name string) *finding.Admission {
	a := finding.NewAdmission("/mutate", request("Deployment", name), verdictOn(verify.ImageVerdict{Image: workload.Image{Reference: "nginx"}, Reason: "NoSignature"}))
	a.Type, a.Outcome, a.Reason, a.Time = finding.Denied, "Denied", "NoSignature", time.Now()
	return a
}
