package admission

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// told is an Event that was left.
type told struct {
	about                 corev1.ObjectReference
	kind, reason, message string
}

// listener is an EventRecorder that remembers.
type listener struct {
	mu  sync.Mutex
	all []told
}

func (l *listener) Event(object runtime.Object, kind, reason, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, told{*object.(*corev1.ObjectReference), kind, reason, message})
}

func (*listener) Eventf(runtime.Object, string, string, string, ...any) { panic("not used") }

func (*listener) AnnotatedEventf(runtime.Object, map[string]string, string, string, string, ...any) {
	panic("not used")
}

// both has an object looked at by the one webhook and, if it is admitted, the other.
func both(t *testing.T, w *world, req *admissionv1.AdmissionRequest) (events []told) {
	t.Helper()
	l := &listener{}
	left := NewWorkloadEvents(l)
	for _, handler := range []*Handler{w.mutating(), w.validating()} {
		if !handler.WithWorkloadEvents(left).Admit(t.Context(), req).Allowed {
			break
		}
	}
	return l.all
}

func TestADenialLeavesOneEventOnTheWorkload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pod := allKinds["Pod"]
	owned := kindOf{"", "Pod", `{"metadata":{"name":"web-1","uid":"u-pod","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"u-rs","controller":true}]},"spec":`, `}`}
	generated := kindOf{"batch", "Job", `{"metadata":{"generateName":"nightly-"},"spec":{"template":{"spec":`, `}}}`}
	self := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "prod", Name: "web"}
	job := create(generated, podSpec(w.unsigned.String()))
	job.Name = ""
	for _, c := range []struct {
		name    string
		req     *admissionv1.AdmissionRequest
		about   corev1.ObjectReference
		subject string
	}{
		{"itself", create(pod, podSpec(w.unsigned.String())), self, "Pod web"},
		{"what was to make it, which can be looked at", create(owned, podSpec(w.unsigned.String())),
			corev1.ObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "prod", Name: "web", UID: "u-rs"}, "Pod web-1"},
		{"itself if it is there", update(owned, podSpec(w.signed.String()), podSpec(w.unsigned.String())),
			corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "prod", Name: "web-1", UID: "u-pod"}, "Pod web-1"},
		{"one without a name", job, corev1.ObjectReference{APIVersion: "batch/v1", Kind: "Job", Namespace: "prod", Name: "nightly-"}, "Job nightly-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			events := both(t, w, c.req)
			if len(events) != 1 {
				t.Fatalf("%d events: %v", len(events), events)
			}
			got := events[0]
			if diff := cmp.Diff(c.about, got.about); diff != "" {
				t.Errorf("it is about (-want +got):\n%s", diff)
			}
			if got.kind != corev1.EventTypeWarning || got.reason != EventDenied || !strings.HasPrefix(got.message, c.subject+": 1 of 1 images must not run: ") || !strings.Contains(got.message, "NoSignature") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestWhichAdmissionsLeaveAnEvent(t *testing.T) {
	t.Parallel()
	detecting := func(s *verify.Snapshot) { s.Features.DetectionMode = true }
	for _, c := range []struct {
		name    string
		setting func(*verify.Snapshot)
		req     func(*world) *admissionv1.AdmissionRequest
		reasons []string
	}{
		{"a trusted image leaves none", nil, func(w *world) *admissionv1.AdmissionRequest {
			return create(allKinds["Pod"], podSpec(w.signed.Pinned()))
		}, nil},
		{"what could not be checked says so", nil, func(w *world) *admissionv1.AdmissionRequest {
			w.reg.Inject(registrytest.Fault{Answer: registrytest.Status(http.StatusTooManyRequests)})
			return create(allKinds["Pod"], podSpec(w.unsigned.String()))
		}, []string{EventNotVerified}},
		{"what is put in late is denied by the second webhook", nil, func(w *world) *admissionv1.AdmissionRequest {
			return create(allKinds["Pod"], podSpec(w.signed.String()))
		}, []string{EventDenied}},
		{"detection mode detects", detecting, func(w *world) *admissionv1.AdmissionRequest {
			return create(allKinds["Pod"], podSpec(w.unsigned.String()))
		}, []string{EventDetected}},
		{"a dry run leaves none", nil, func(w *world) *admissionv1.AdmissionRequest {
			req := create(allKinds["Pod"], podSpec(w.unsigned.String()))
			req.DryRun = ptr.To(true)
			return req
		}, nil},
		{"nor does one in detection mode", detecting, func(w *world) *admissionv1.AdmissionRequest {
			req := create(allKinds["Pod"], podSpec(w.unsigned.String()))
			req.DryRun = ptr.To(true)
			return req
		}, nil},
		{"what cannot be read is denied", nil, func(*world) *admissionv1.AdmissionRequest {
			req := create(allKinds["Pod"], podSpec())
			req.Object.Raw = []byte("[]")
			return req
		}, []string{EventNotVerified}},
		{"what ends leaves none", nil, func(*world) *admissionv1.AdmissionRequest {
			req := create(allKinds["Pod"], podSpec())
			req.Operation = admissionv1.Delete
			return req
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.setting != nil {
				w.setting(c.setting)
			}
			var reasons []string
			for _, event := range both(t, w, c.req(w)) {
				reasons = append(reasons, event.reason)
			}
			if diff := cmp.Diff(c.reasons, reasons); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEventIsAShortLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	references := make([]string, 40)
	for i := range references {
		references[i] = "evil.example/ä\n" + strings.Repeat("ö", i)
	}
	for _, event := range both(t, w, create(allKinds["Pod"], podSpec(references...))) {
		if len(event.message) > 1024 || strings.Contains(event.message, "\n") || !utf8.ValidString(event.message) {
			t.Errorf("%d bytes: %q", len(event.message), event.message)
		}
	}
}

// The recorder keeps by what thousands of Events name their objects.
func TestWhatCannotBeStoredLeavesNoEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("x", 2<<10)
	named := create(allKinds["Pod"], podSpec(w.unsigned.String()))
	named.Name = long
	for _, req := range []*admissionv1.AdmissionRequest{
		named,
		create(kindOf{"", "Pod", `{"metadata":{"name":"` + long + `"},"spec":`, `}`}, podSpec(w.unsigned.String())),
		create(kindOf{"", "Pod", `{"metadata":{"name":"web","uid":"` + long + `"},"spec":`, `}`}, podSpec(w.unsigned.String())),
		create(kindOf{"", "Pod", `{"metadata":{"name":"web","ownerReferences":[{"apiVersion":"apps/v1","kind":"` + long + `","name":"web","controller":true}]},"spec":`, `}`}, podSpec(w.unsigned.String())),
	} {
		for _, event := range both(t, w, req) {
			if got := event.about; len(got.Name)+len(got.UID)+len(got.Kind) > 1<<10 {
				t.Errorf("an event about an object named in %d bytes", len(got.Name)+len(got.UID)+len(got.Kind))
			}
		}
	}
}

func TestEventsAreLimitedByNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := &listener{}
	handler := w.mutating().WithWorkloadEvents(NewWorkloadEvents(l))
	for range 3 * eventBurst {
		handler.Admit(t.Context(), create(allKinds["Pod"], podSpec(w.unsigned.String())))
	}
	if n := len(l.all); n < eventBurst || n > eventBurst+2 {
		t.Errorf("%d events, want about %d", n, eventBurst)
	}
	other := create(allKinds["Pod"], podSpec(w.unsigned.String()))
	other.Namespace = "quiet"
	handler.Admit(t.Context(), other)
	if last := l.all[len(l.all)-1]; last.about.Namespace != "quiet" {
		t.Error("a noisy namespace has silenced another")
	}
}

// An API server that does not answer keeps no admission waiting.
func TestEventsDelayNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked, end := make(chan struct{}, 1), make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-end
	}))
	t.Cleanup(stuck.Close)
	t.Cleanup(func() { close(end) })
	recorder, err := NewRecorder(t.Context(), &rest.Config{Host: stuck.URL})
	if err != nil {
		t.Fatal(err)
	}
	events := NewWorkloadEvents(recorder)
	handler := w.mutating().WithWorkloadEvents(events)
	handler.Admit(t.Context(), create(allKinds["Pod"], podSpec(w.unsigned.String())))
	select {
	case <-asked:
	case <-time.After(10 * time.Second):
		t.Fatal("no event arrived")
	}
	start := time.Now()
	const many = 100 * eventBurst
	for n := range many {
		req := create(allKinds["Pod"], podSpec(w.unsigned.String()))
		req.Namespace = strings.Repeat("n", n/eventBurst+1) // none is held back
		wantDenied(t, handler.Admit(t.Context(), req), "NoSignature")
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("%d denials took %s", many, took)
	}
}
