package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// maxObjects bounds how many objects are looked at at a time.
const maxObjects = 16

// webhook does to objects what API server and webhook do together.
type webhook struct {
	mutating, validating *admission.Handler
	timeout              time.Duration
}

func newWebhook(snapshot *verify.Snapshot, engine verify.Engine, timeout time.Duration) *webhook {
	snapshots := func() (*verify.Snapshot, error) { return snapshot, nil }
	return &webhook{
		mutating:   admission.NewMutating(engine, snapshots, nil, zap.NewNop()),
		validating: admission.NewValidating(engine, snapshots, nil, zap.NewNop()),
		timeout:    timeout,
	}
}

// admitted is what became of an object.
type admitted struct {
	manifest  *manifest
	namespace string
	allowed   bool
	// object is what would be stored.
	object []byte
	// outcome is the webhook's.
	outcome string
	// verdict is nil if none was reached; message says why.
	verdict *verify.Verdict
	message string
	// err is what is wrong with the program itself.
	err error
}

// who names the object for messages.
func (a *admitted) who() string {
	return fmt.Sprintf("%s %s/%s", a.manifest.kind.Kind, a.namespace, a.manifest.name)
}

// refused lists the outcomes because of which the object is not admitted.
func (a *admitted) refused() (outcomes []string) {
	switch {
	case a.allowed:
		return nil
	case a.verdict == nil:
		return []string{a.outcome}
	}
	for _, img := range a.verdict.Refused() {
		outcomes = append(outcomes, img.Outcome.String())
	}
	return outcomes
}

// admitAll looks at objects concurrently; the answers are in their order.
func (w *webhook) admitAll(ctx context.Context, manifests []*manifest, namespace string) []admitted {
	out := make([]admitted, len(manifests))
	var group errgroup.Group
	group.SetLimit(maxObjects)
	for i, m := range manifests {
		group.Go(func() error {
			out[i] = w.admit(ctx, m, namespace)
			return nil
		})
	}
	_ = group.Wait() // what went wrong is in the answers
	return out
}

// admit asks the mutating webhook, applies its patch, and asks the validating
// one about the result.
func (w *webhook) admit(ctx context.Context, m *manifest, namespace string) admitted {
	a := admitted{manifest: m, namespace: namespace, object: m.object}
	if m.namespace != "" {
		a.namespace = m.namespace
	}
	if !m.covered {
		a.allowed = true
		return a
	}
	response, verdict, outcome := w.mutating.Decide(w.deadline(ctx), a.request())
	a.take(response, verdict, outcome)
	if !a.allowed {
		return a
	}
	if a.err = a.apply(response.Patch); a.err != nil {
		return a
	}
	response, verdict, outcome = w.validating.Decide(w.deadline(ctx), a.request())
	if !response.Allowed { // otherwise the first verdict says more: it is about what was asked for
		a.take(response, verdict, outcome)
	}
	return a
}

func (a *admitted) take(response *admissionv1.AdmissionResponse, verdict *verify.Verdict, outcome string) {
	a.allowed, a.verdict, a.outcome, a.message = response.Allowed, verdict, outcome, strings.Join(response.Warnings, "; ")
	if response.Result != nil {
		a.message = response.Result.Message
	}
}

// deadline says how long an answer may take, as the API server does.
func (w *webhook) deadline(ctx context.Context) context.Context {
	query := url.Values{"timeout": {w.timeout.String()}}
	return apis.WithHTTPRequest(ctx, &http.Request{URL: &url.URL{RawQuery: query.Encode()}})
}

// apply applies a webhook's patch to the object.
func (a *admitted) apply(patch []byte) error {
	if len(patch) == 0 {
		return nil
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return fmt.Errorf("%s: the webhook's patch cannot be read: %w", a.who(), err)
	}
	if a.object, err = operations.Apply(a.object); err != nil {
		return fmt.Errorf("%s: the webhook's patch cannot be applied: %w", a.who(), err)
	}
	return nil
}

// request is what the API server would ask about the object.
func (a *admitted) request() *admissionv1.AdmissionRequest {
	resource, _ := meta.UnsafeGuessKindToResource(a.manifest.kind)
	dryRun := true
	return &admissionv1.AdmissionRequest{
		UID:       types.UID("connaisseur-admit"),
		Kind:      metav1.GroupVersionKind(a.manifest.kind),
		Resource:  metav1.GroupVersionResource(resource),
		Name:      a.manifest.name,
		Namespace: a.namespace,
		Operation: admissionv1.Create,
		Object:    runtime.RawExtension{Raw: a.object},
		DryRun:    &dryRun,
	}
}
