package admission

import (
	"k8s.io/client-go/tools/record"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// maxEventMessage bounds the message of an Event; Kubernetes takes 1,024 bytes.
const maxEventMessage = 1000

// WithEvents has the handler leave an Event, on the ConfigMap that allows it, for
// each image that is let in although something is wrong with it: by an exception,
// or since it was good when it could last be checked. The mutating webhook leaves
// none, so that an admission leaves one and not two, and neither does a dry run.
func (h *Handler) WithEvents(recorder record.EventRecorder, namespace string) *Handler {
	h.events, h.namespace = recorder, namespace
	return h
}

// leaveEvents leaves them.
func (h *Handler) leaveEvents(req *admissionv1.AdmissionRequest, verdict *verify.Verdict) {
	if h.events == nil || h.mutates || verdict == nil || req.DryRun != nil && *req.DryRun {
		return
	}
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
		message := verdict.Workload.String() + ": " + tolerating(why, img) + img.String()
		if len(message) > maxEventMessage {
			message = message[:maxEventMessage] + "…"
		}
		h.events.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: h.namespace, Name: about}, corev1.EventTypeWarning, reason, message)
	}
}
