package config

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	configmapinformer "knative.dev/pkg/injection/clients/namespacedkube/informers/core/v1/configmap"
	"knative.dev/pkg/system"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// maxEvent bounds what an event says about settings, in bytes; Kubernetes takes
// 1,024 in all.
const maxEvent = 900

// event warns those who look at the ConfigMap of what is wrong with it, or that it
// is gone, and says what is in force.
func (w *watcher) event(reason string, errs strict.Errors, force string) {
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: w.namespace, Name: source(errs)}
	message := errs.Error()
	if len(message) > maxEvent {
		message = strings.ToValidUTF8(message[:maxEvent], "") + "…"
	}
	w.events.Event(about, corev1.EventTypeWarning, reason, message+"; "+force)
}

// source is the ConfigMap that the first error is about.
func source(errs strict.Errors) string {
	for _, e := range errs {
		if e.Source != "" {
			return e.Source
		}
	}
	return PolicyName
}

// NewRecorder makes what writes events in our namespace, until ctx ends.
func NewRecorder(ctx context.Context) record.EventRecorder {
	namespace := system.Namespace()
	return knowing{newRecorder(ctx, kubeclient.Get(ctx).CoreV1().Events(namespace)), configmapinformer.Get(ctx).Lister().ConfigMaps(namespace)}
}

// knowing says which of the ConfigMaps of a name an event is about: by that
// `kubectl describe` finds it.
type knowing struct {
	record.EventRecorder
	configMaps corelisters.ConfigMapNamespaceLister
}

// Event implements record.EventRecorder.
func (r knowing) Event(about runtime.Object, kind, reason, message string) {
	if ref, ok := about.(*corev1.ObjectReference); ok && ref.Kind == "ConfigMap" {
		if cm, err := r.configMaps.Get(ref.Name); err == nil {
			ref.UID, ref.ResourceVersion = cm.UID, cm.ResourceVersion
		}
	}
	r.EventRecorder.Event(about, kind, reason, message)
}

// newRecorder is the same with what writes them. By default there are 25 about an object, of
// whatever kind, and then one in five minutes: edits with insecure settings would
// keep one that is refused from being told. Like ones are put together anyway.
func newRecorder(ctx context.Context, events typedcorev1.EventInterface) record.EventRecorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(record.CorrelatorOptions{
		BurstSize: 100, QPS: 1,
		SpamKeyFunc: func(e *corev1.Event) string { return e.InvolvedObject.Name + " " + e.Reason },
	}))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: events})
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "connaisseur"})
}
