package admission

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// maxEventMessage bounds the message of an Event; Kubernetes takes 1,024 bytes.
const maxEventMessage = 1000

// Reasons of Events on workloads.
const (
	// EventDenied: an image must not run.
	EventDenied = "ImageDenied"
	// EventNotVerified: an image could not be checked, and so must not run.
	EventNotVerified = "ImageNotVerified"
	// EventDetected: an image would be denied, if that were not switched off.
	EventDetected = "ImageWouldBeDenied"
)

// WithEvents has the handler leave an Event, on the ConfigMap that allows it, for
// each image that is let in although something is wrong with it: by an exception,
// or since it was good when it could last be checked. The mutating webhook leaves
// none, so that an admission leaves one and not two, and neither does a dry run.
func (h *Handler) WithEvents(recorder record.EventRecorder, namespace string) *Handler {
	h.events, h.namespace = recorder, namespace
	return h
}

// WithWorkloadEvents has the handler leave an Event for each workload that is
// denied, or would be, in the workload's namespace. The mutating webhook leaves
// those of denials only, since the validating one is asked about all else.
func (h *Handler) WithWorkloadEvents(events *WorkloadEvents) *Handler {
	h.workloadEvents = events
	return h
}

// leaveEvents leaves both. It never waits.
func (h *Handler) leaveEvents(d *decision, outcome string) {
	if d.request.DryRun != nil && *d.request.DryRun {
		return
	}
	if !d.response.Allowed || outcome == detected && !h.mutates {
		h.workloadEvents.leave(d, outcome)
	}
	if d.response.Allowed && h.events != nil && !h.mutates && d.verdict != nil {
		h.leaveTolerances(d.verdict)
	}
}

// leaveTolerances leaves the Events on ConfigMaps.
func (h *Handler) leaveTolerances(verdict *verify.Verdict) {
	for _, img := range verdict.Tolerated() {
		why := verdict.Tolerance(img)
		reason, about := "", ""
		switch why {
		case verify.Excepted:
			reason, about = "ExceptionUsed", "config-policy"
		case verify.LastKnownGood:
			reason, about = "LastKnownGoodUsed", "config-features"
		default:
			continue // the configuration as a whole allows it, and its own Event says so
		}
		message := verdict.Workload.String() + ": " + Tolerating(why, img) + img.String()
		h.events.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: h.namespace, Name: about}, corev1.EventTypeWarning, reason, short(message))
	}
}

// short fits a message into one line of an Event.
func short(message string) string {
	message = strings.NewReplacer("\n  ", " ", "\n", " ").Replace(message)
	if len(message) > maxEventMessage {
		message = strings.ToValidUTF8(message[:maxEventMessage], "") + "…"
	}
	return message
}

// maxInvolved bounds, in bytes, by what an Event names its object. More is nothing that
// can be stored, and the recorder remembers thousands of them.
const maxInvolved = 1 << 10

const (
	// eventBurst is how many Events are left in a namespace one after the other,
	// and eventsPerSecond how many for longer: whoever creates a Pod that is denied
	// writes one into etcd.
	eventBurst      = 20
	eventsPerSecond = 0.1
	// eventNamespaces bounds the namespaces that it is remembered for.
	eventNamespaces = 1024
	// allEventsPerSecond and allEventsBurst bound what all namespaces together cost
	// the API server. What is too much is dropped.
	allEventsPerSecond = 5
	allEventsBurst     = 100
)

// WorkloadEvents leaves Events on workloads, or on those that make them. Nil leaves
// none.
type WorkloadEvents struct {
	recorder record.EventRecorder
	all      *rate.Limiter

	mu     sync.Mutex
	limits *simplelru.LRU[string, *rate.Limiter] // by namespace
}

// NewWorkloadEvents leaves Events by a recorder, which must not wait.
func NewWorkloadEvents(recorder record.EventRecorder) *WorkloadEvents {
	limits, _ := simplelru.NewLRU[string, *rate.Limiter](eventNamespaces, nil) // fails for a size below 1 only
	return &WorkloadEvents{recorder: recorder, all: rate.NewLimiter(allEventsPerSecond, allEventsBurst), limits: limits}
}

// NewRecorder makes what writes Events in any namespace, in the background and
// until ctx ends. It has a client of its own, so that many Events delay nothing
// else.
func NewRecorder(ctx context.Context, cluster *rest.Config) (record.EventRecorder, error) {
	cluster = rest.CopyConfig(cluster)
	cluster.QPS, cluster.Burst = allEventsPerSecond, allEventsBurst
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for events: %w", err)
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events(corev1.NamespaceAll)})
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "connaisseur"}), nil
}

func (e *WorkloadEvents) leave(d *decision, outcome string) {
	if e == nil || d.request.Namespace == "" || !e.allow(d.request.Namespace) {
		return
	}
	reason, message := EventDenied, strings.Join(d.response.Warnings, " ")
	switch {
	case d.response.Allowed:
		reason = EventDetected
	case outcome == verify.Inconclusive.String():
		reason = EventNotVerified
	}
	if !d.response.Allowed {
		message = d.response.Result.Message
	}
	about, subject := involved(d)
	if len(about.APIVersion)+len(about.Kind)+len(about.Name)+len(about.UID) > maxInvolved {
		return
	}
	e.recorder.Event(about, corev1.EventTypeWarning, reason, short(subject+": "+message))
}

func (e *WorkloadEvents) allow(namespace string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	limit, ok := e.limits.Get(namespace)
	if !ok {
		limit = rate.NewLimiter(eventsPerSecond, eventBurst)
		e.limits.Add(namespace, limit)
	}
	return limit.Allow() && e.all.Allow()
}

// involved is the object that an Event is about, and the name of the workload. One
// that was not created is nowhere to be found: whoever looks for what became of it
// looks at the object that was to make it.
func involved(d *decision) (about *corev1.ObjectReference, subject string) {
	kind := schema.GroupVersionKind{Group: d.request.Kind.Group, Version: d.request.Kind.Version, Kind: d.request.Kind.Kind}
	about = &corev1.ObjectReference{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: d.request.Namespace, Name: d.request.Name}
	if d.verdict != nil {
		w := d.verdict.Workload
		about.Name, about.UID = w.Name, w.UID
		if owner := w.Controller(); owner != nil && !d.response.Allowed && d.request.Operation == admissionv1.Create {
			return &corev1.ObjectReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: d.request.Namespace, Name: owner.Name, UID: owner.UID}, kind.Kind + " " + w.Name
		}
	}
	return about, kind.Kind + " " + about.Name
}
