package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/apis"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

func TestEveryKindIsPinnedAndDenied(t *testing.T) {
	t.Parallel()
	pointers := map[int]string{1: "/spec", 3: "/spec/template/spec", 5: "/spec/jobTemplate/spec/template/spec"}
	for name, kind := range allKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			got := w.mutating().Admit(t.Context(), create(kind, podSpec(w.signed.String())))
			wantAllowed(t, got)
			want := fmt.Sprintf(`[{"op":"replace","path":"%s/containers/0/image","value":"%s"}]`, pointers[strings.Count(kind.before, "{")], w.signed.Pinned())
			if diff := cmp.Diff(want, string(got.Patch)); diff != "" || *got.PatchType != admissionv1.PatchTypeJSONPatch {
				t.Errorf("patch of type %v:\n%s", got.PatchType, diff)
			}
			for _, handler := range []*Handler{w.mutating(), w.validating()} {
				wantDenied(t, handler.Admit(t.Context(), create(kind, podSpec(w.unsigned.String()))), "Unable to find signed digest for image "+w.unsigned.String())
				wantAllowed(t, handler.Admit(t.Context(), create(kind, podSpec(w.signed.Pinned()))))
			}
			// T9: what came in after the mutating webhook.
			wantDenied(t, w.validating().Admit(t.Context(), create(kind, podSpec(w.signed.Pinned(), w.signed.String()))),
				"1 of 2 images must not run", "containers[1].image", "NotPinned", "it must read "+w.signed.Pinned())
		})
	}
}

func TestPatchesAreInTheObjectsOrderAndTouchNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "- {pattern: 'free.io/*:*', validator: allow}\n")
	s := w.signed
	spec := fmt.Sprintf(`{"volumes":[{"name":"x"},{"name":"v","image":{"reference":%q}}],"containers":[{"image":%q},{"image":%q},{"image":"free.io/a:1"}],`+
		`"initContainers":[{"image":%q}],"ephemeralContainers":[{"image":%q}]}`, s.String(), s.Pinned(), s.String(), s.String(), s.String())
	want := fmt.Sprintf(`[{"op":"replace","path":"/spec/initContainers/0/image","value":%[1]q},{"op":"replace","path":"/spec/containers/1/image","value":%[1]q},`+
		`{"op":"replace","path":"/spec/ephemeralContainers/0/image","value":%[1]q},{"op":"replace","path":"/spec/volumes/1/image/reference","value":%[1]q}]`, s.Pinned())
	for range 5 {
		got := w.mutating().Admit(t.Context(), create(allKinds["Pod"], spec))
		wantAllowed(t, got)
		if diff := cmp.Diff(want, string(got.Patch)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWithoutAnythingToPinThereIsNoPatchAndNoPatchType(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "- {pattern: 'free.io/*:*', validator: allow}\n")
	for name, req := range map[string]*admissionv1.AdmissionRequest{
		"it is pinned":             create(allKinds["Pod"], podSpec(w.signed.Pinned(), w.signed.ByDigest())),
		"it is allowed":            create(allKinds["Pod"], podSpec("free.io/a:1")),
		"there are no containers":  create(allKinds["Pod"], "{}"),
		"the old object had it":    update(allKinds["Pod"], podSpec(w.signed.String()), podSpec(w.signed.String())),
		"our own namespace is it":  in(create(allKinds["Pod"], podSpec(w.unsigned.String())), "connaisseur"),
		"the namespace is exempt":  in(create(allKinds["Pod"], podSpec(w.unsigned.String())), "kube-system"),
		"it is deleted":            {Operation: admissionv1.Delete},
		"somebody connects to it":  {Operation: admissionv1.Connect},
		"it is deleted, garbled":   {Operation: admissionv1.Delete, OldObject: runtime.RawExtension{Raw: []byte("{")}},
		"T6: it is being deleted":  update(allKinds["Pod"], podSpec(w.unsigned.String()), podSpec(w.unsigned.String())),
		"it is a Job that is done": update(allKinds["Job"], podSpec(w.signed.String()), podSpec(w.signed.String())),
	} {
		if strings.HasPrefix(name, "T6") {
			req.Object.Raw = []byte(strings.Replace(string(req.Object.Raw), `{"spec"`, `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"spec"`, 1))
		}
		for _, handler := range []*Handler{w.mutating(), w.validating()} {
			got := handler.Admit(t.Context(), req)
			if !got.Allowed || got.Patch != nil || got.PatchType != nil {
				t.Errorf("%s at %s: %+v", name, handler.Path(), got)
			}
		}
	}
}

func in(req *admissionv1.AdmissionRequest, namespace string) *admissionv1.AdmissionRequest {
	req.Namespace = namespace
	return req
}

// An update that rewrote what was there would restart containers, or be
// forbidden.
func TestAnUpdatePinsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	added := w.reg.Push(t, "team/signed:v2")
	w.reg.Sign(t, added, w.key)
	old, spec := podSpec(w.signed.String()), podSpec(w.signed.String(), added.String())
	got := w.mutating().Admit(t.Context(), update(allKinds["Deployment"], old, spec))
	wantAllowed(t, got)
	want := fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/1/image","value":%q}]`, added.Pinned())
	if diff := cmp.Diff(want, string(got.Patch)); diff != "" {
		t.Error(diff)
	}
	// The validating webhook does not demand what the mutating one must not do.
	wantAllowed(t, w.validating().Admit(t.Context(), update(allKinds["Deployment"], old, podSpec(w.signed.String(), added.Pinned()))))
	got = w.validating().Admit(t.Context(), update(allKinds["Deployment"], old, spec))
	wantDenied(t, got, "1 of 2 images", "spec.template.spec.containers[1].image", "NotPinned")
	// What is not trusted any more is not tolerated because it was there.
	bad := podSpec(w.unsigned.String())
	wantDenied(t, w.validating().Admit(t.Context(), update(allKinds["Deployment"], bad, bad)), "NoSignature")
}

// What holds for Kubernetes' own kinds holds for those that are listed. T9 is above.
func TestT6ToT8HoldForEveryKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad, good := podSpec(w.unsigned.String()), podSpec(w.signed.Pinned())
	for name, kind := range allKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deleting, idle := kind, kind
			deleting.before = strings.Replace(kind.before, "{", `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["example.com/held"]},`, 1)
			idle.before = strings.Replace(kind.before, `"spec":`, `"status":{"replicas":0},"spec":`, 1)
			if name != "Pod" {
				idle.before = strings.Replace(kind.before, `"spec":{`, `"spec":{"replicas":0,"suspend":true,`, 1)
			}
			for _, handler := range []*Handler{w.mutating(), w.validating()} {
				wantAllowed(t, handler.Admit(t.Context(), update(deleting, bad, bad)))
				wantDenied(t, handler.Admit(t.Context(), update(deleting, good, bad)), "NoSignature")
				wantDenied(t, handler.Admit(t.Context(), create(deleting, bad)), "NoSignature")
				wantDenied(t, handler.Admit(t.Context(), create(idle, bad)), "NoSignature")
				wantDenied(t, handler.Admit(t.Context(), update(idle, good, bad)), "NoSignature")
				for _, where := range []string{"ephemeralContainers", "initContainers"} {
					wantDenied(t, handler.Admit(t.Context(), create(kind, strings.TrimSuffix(good, "}")+","+list(where, w.unsigned.String())[1:])), "1 of 2 images", where+"[0].image "+w.unsigned.String())
				}
			}
		})
	}
}

// T8: kubectl debug.
func TestT8EphemeralContainersAreVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pod := allKinds["Pod"]
	for _, handler := range []*Handler{w.mutating(), w.validating()} {
		req := update(pod, "{}", list("ephemeralContainers", w.unsigned.String()))
		req.SubResource = "ephemeralcontainers"
		wantDenied(t, handler.Admit(t.Context(), req), "spec.ephemeralContainers[0].image", "NoSignature")
	}
	req := update(pod, "{}", list("ephemeralContainers", w.signed.String()))
	req.SubResource = "ephemeralcontainers"
	got := w.mutating().Admit(t.Context(), req)
	wantAllowed(t, got)
	if !strings.Contains(string(got.Patch), `"/spec/ephemeralContainers/0/image"`) {
		t.Errorf("patch %s", got.Patch)
	}
}

// T30: what cannot be read is not an object without images.
func TestT30WhatCannotBeReadIsDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pod := allKinds["Pod"]
	raw := func(object string) *admissionv1.AdmissionRequest {
		req := create(pod, "{}")
		req.Object.Raw = []byte(object)
		return req
	}
	old := func(object string) *admissionv1.AdmissionRequest {
		req := update(pod, "{}", podSpec(w.signed.Pinned()))
		req.OldObject.Raw = []byte(object)
		return req
	}
	for name, c := range map[string]struct {
		req  *admissionv1.AdmissionRequest
		want string
	}{
		"there is no object":              {raw(""), "cannot be read"},
		"the object breaks off":           {raw(`{"spec":{"containers":[`), "cannot be read"},
		"the object is a list":            {raw(`[]`), "cannot be read"},
		"the containers are a text":       {raw(`{"spec":{"containers":"x"}}`), "cannot be read"},
		"an image is a number":            {raw(`{"spec":{"containers":[{"image":1}]}}`), "cannot be read"},
		"there is no old object":          {old(""), "the object as it was before"},
		"the old object breaks off":       {old("{"), "the object as it was before"},
		"the kind is unknown":             {create(kindOf{"example.org", "Widget", `{"spec":`, `}`}, podSpec(w.signed.Pinned())), "not covered"},
		"the kind is of another group":    {create(kindOf{"example.org", "Pod", `{"spec":`, `}`}, podSpec(w.signed.Pinned())), "not covered"},
		"an image has no name":            {create(pod, podSpec("")), "InvalidReference"},
		"an image's name is no reference": {create(pod, podSpec("a b")), "InvalidReference"},
		"an image's digest is none":       {create(pod, podSpec("example.org/a@sha256:00")), "InvalidReference"},
		"no rule is for an image":         {create(pod, podSpec("example.org/a:1")), "NoMatchingRule"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, handler := range []*Handler{w.mutating(), w.validating()} {
				wantDenied(t, handler.Admit(t.Context(), c.req), c.want)
			}
		})
	}
}

// T24 and DESIGN §8: without a configuration, nothing is admitted; deleting
// is.
func TestWithoutAConfigurationNothingIsAdmitted(t *testing.T) {
	t.Parallel()
	h := NewMutating(verify.Engine{}, func() (*verify.Snapshot, error) { return nil, errors.New("config-policy: it is broken") }, nil, zap.NewNop())
	wantDenied(t, h.Admit(t.Context(), create(allKinds["Pod"], podSpec("a:1"))), "config-policy: it is broken", "Internal")
	wantAllowed(t, h.Admit(t.Context(), &admissionv1.AdmissionRequest{Operation: admissionv1.Delete}))
}

func TestAPanicIsADenialWithoutItsDetails(t *testing.T) {
	t.Parallel()
	for name, snapshots := range map[string]Snapshots{
		"in the configuration": func() (*verify.Snapshot, error) { panic("a secret") },
		"for want of one":      func() (*verify.Snapshot, error) { return nil, nil },
	} {
		core, logs := observer.New(zapcore.InfoLevel)
		h := NewValidating(verify.Engine{}, snapshots, nil, zap.New(core))
		got := h.Admit(t.Context(), create(allKinds["Pod"], podSpec("a:1")))
		wantDenied(t, got, "Internal")
		if strings.Contains(got.Result.Message, "secret") || logs.Len() != 1 {
			t.Errorf("%s: %q, %d lines in the log", name, got.Result.Message, logs.Len())
		}
	}
}

// T19: the panic of one image leaves the others' verdicts.
func TestT19APanicForOneImageIsThatImagesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "- {pattern: 'panic.io/*:*', validator: allow}\n- {pattern: 'free.io/*:*', validator: allow}\n")
	w.snapshot.Rules[1].Validator = fakeValidator(func(context.Context, validator.Request) (validator.Result, error) { panic("a secret") })
	got := w.mutating().Admit(t.Context(), create(allKinds["Pod"], podSpec("free.io/a:1", "panic.io/a:1")))
	wantDenied(t, got, "1 of 2 images could not be checked", "spec.containers[1].image panic.io/a:1", "Internal")
	if strings.Contains(got.Result.Message, "secret") {
		t.Error(got.Result.Message)
	}
}

// T37: a dry run has the same answer. The handler has no client, so that it
// cannot change anything in the cluster.
func TestT37ADryRunHasTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, img := range []string{w.signed.String(), w.unsigned.String(), "example.org/a:1"} {
		for _, handler := range []*Handler{w.mutating(), w.validating()} {
			real, dry := create(allKinds["Pod"], podSpec(img)), create(allKinds["Pod"], podSpec(img))
			dry.DryRun = ptr.To(true)
			if diff := cmp.Diff(handler.Admit(t.Context(), real), handler.Admit(t.Context(), dry)); diff != "" {
				t.Error(diff)
			}
		}
	}
}

func TestADenialListsEveryFailingImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "- {pattern: 'bad.io/*:*', validator: deny}\n")
	got := w.mutating().Admit(t.Context(), create(allKinds["Deployment"], podSpec(w.unsigned.String(), w.signed.String(), "bad.io/a:1", "example.org/a:1", w.unsigned.String())))
	unsigned := fmt.Sprintf(`%s: Unable to find signed digest for image %[1]s: no signature is attached to %s (NoSignature; rule policy[0] "%s/*:*", validator "default")`, w.unsigned, w.unsigned.Digest, w.reg.Host())
	want := strings.Join([]string{
		"4 of 5 images must not run:",
		"  spec.template.spec.containers[0].image " + unsigned,
		`  spec.template.spec.containers[2].image bad.io/a:1: the policy denies this image, whoever signed it (PolicyDenied; rule policy[1] "bad.io/*:*", validator "deny")`,
		"  spec.template.spec.containers[3].image example.org/a:1: no rule of the policy matches example.org/a:1, so it is denied (NoMatchingRule; no rule)",
		"  spec.template.spec.containers[4].image " + unsigned,
		"NoSignature: sign the image, or ask those who run the cluster whose signatures it trusts.",
		"PolicyDenied: the rule in config-policy says what it demands; ask those who run the cluster if it should not.",
		"NoMatchingRule: ask those who run the cluster for a rule for this image in config-policy.",
	}, "\n")
	if diff := cmp.Diff(want, got.Result.Message); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"revision": w.snapshot.Revision, "outcome": "Denied", "reason": "NoSignature"}, got.AuditAnnotations); diff != "" {
		t.Error(diff)
	}
}

// T28: an outage is no missing signature; and it does not take away what runs.
func TestT28AnOutageIsInconclusiveAndToleratedOnlyWhereNothingChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reg.Inject(registrytest.Fault{Answer: registrytest.Status(http.StatusServiceUnavailable)})
	spec := podSpec(w.signed.String())
	for _, handler := range []*Handler{w.mutating(), w.validating()} {
		got := handler.Admit(t.Context(), create(allKinds["Deployment"], spec))
		wantDenied(t, got, "1 of 1 images could not be checked", "which says nothing about the image itself", "RegistryUnavailable")
		if strings.Contains(got.Result.Message, "signed digest") {
			t.Error(got.Result.Message)
		}
		got = handler.Admit(t.Context(), update(allKinds["Deployment"], spec, spec))
		wantAllowed(t, got)
		if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "unchanged and therefore admitted, but spec.template.spec.containers[0].image "+w.signed.String()) {
			t.Errorf("warnings %q", got.Warnings)
		}
		wantDenied(t, handler.Admit(t.Context(), update(allKinds["Deployment"], spec, podSpec(w.signed.String(), w.signed.ByDigest()))), "RegistryUnavailable")
	}
}

// T31, with a real registry and the cache in between.
func TestT31ALenientTagBesideADigestDoesNotLetAnUnsignedImageIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lenient := w.reg.Push(t, "team/app:lenient")
	evil := w.reg.Push(t, "team/app:evil")
	w.snapshot = w.with(t, "- {pattern: '"+w.reg.Host()+"/team/app:lenient', validator: allow}\n")
	h := w.mutating()
	pod := allKinds["Pod"]
	wantAllowed(t, h.Admit(t.Context(), create(pod, podSpec(lenient.String()))))
	wantAllowed(t, h.Admit(t.Context(), create(pod, podSpec(lenient.Pinned()))))
	wantDenied(t, h.Admit(t.Context(), create(pod, podSpec(lenient.String()+"@"+evil.Digest))), "NoSignature", "policy[0]")
	wantDenied(t, h.Admit(t.Context(), create(pod, podSpec(lenient.Name()+":gone@"+lenient.Digest))), "NoSignature")
	wantDenied(t, h.Admit(t.Context(), create(pod, podSpec(evil.String()))), "NoSignature")
	w.reg.Inject(registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusTooManyRequests)})
	wantDenied(t, h.Admit(t.Context(), create(pod, podSpec(lenient.String()+"@"+digestA))), "RegistryThrottled")
}

// T24: a registry that hangs has its answer before the API server gives up,
// with the images that are still open; and the others' verdicts.
func TestT24AnAnswerComesBeforeTheAPIServerGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reg.Inject(registrytest.Fault{Path: "/slow/", Answer: registrytest.Hang()})
	request := httptest.NewRequest(http.MethodPost, "/mutate?timeout=1s", nil)
	start := time.Now()
	got := w.mutating().Admit(apis.WithHTTPRequest(t.Context(), request), create(allKinds["Pod"], podSpec(w.reg.Host()+"/slow/a:1", w.reg.Host()+"/slow/b:1", w.unsigned.String(), w.signed.String())))
	if took := time.Since(start); took >= time.Second {
		t.Errorf("it took %v", took)
	}
	wantDenied(t, got, "3 of 4 images must not run or could not be checked", "/slow/a:1: could not be checked", "/slow/b:1: could not be checked", "Timeout", "NoSignature")
}

func TestT24TheDeadlineIsTheAPIServersLessAMargin(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]time.Duration{
		"?timeout=2s": 1800 * time.Millisecond, "?timeout=10s": 9500 * time.Millisecond, "?timeout=30s": 29500 * time.Millisecond,
		"": 9500 * time.Millisecond, "?timeout=": 9500 * time.Millisecond, "?timeout=x": 9500 * time.Millisecond,
		"?timeout=-1s": 9500 * time.Millisecond, "?timeout=0s": 9500 * time.Millisecond, "?timeout=1000000h": 29500 * time.Millisecond,
	} {
		ctx, cancel := withDeadline(apis.WithHTTPRequest(t.Context(), httptest.NewRequest(http.MethodPost, "/mutate"+query, nil)))
		deadline, ok := ctx.Deadline()
		if got := time.Until(deadline); !ok || got > want || got < want-time.Second {
			t.Errorf("%q: want %v, got %v", query, want, got)
		}
		cancel()
	}
}

func TestEachDecisionIsOneLineInTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	core, logs := observer.New(zapcore.InfoLevel)
	h := NewMutating(verify.Engine{Now: time.Now}, w.snapshots, nil, zap.New(core))
	hostile := "example.org/a:1\n{\"level\":\"error\"}"
	req := create(allKinds["Pod"], podSpec(w.signed.String(), hostile))
	req.DryRun = ptr.To(true)
	h.Admit(t.Context(), req)
	all := logs.TakeAll()
	if len(all) != 1 || all[0].Message != "decided" {
		t.Fatalf("got %v", all)
	}
	fields := all[0].ContextMap()
	for key, want := range map[string]any{"webhook": "/mutate", "allowed": false, "outcome": "Denied", "reason": "InvalidReference", "dryRun": true, "namespace": "prod", "revision": w.snapshot.Revision} {
		if diff := cmp.Diff(want, fields[key]); diff != "" {
			t.Errorf("%s:\n%s", key, diff)
		}
	}
}

func TestEditsOfConfigMapsAreReviewed(t *testing.T) {
	t.Parallel()
	review := func(edited *corev1.ConfigMap) ([]string, error) {
		switch edited.Data["do"] {
		case "panic":
			panic("a secret")
		case "reject":
			return []string{"and this"}, errors.New("config-policy: policy[0]: no")
		case "warn":
			return make([]string, 25), nil
		}
		return nil, nil
	}
	h := NewConfig(review, zap.NewNop())
	do := func(op admissionv1.Operation, object string) *admissionv1.AdmissionResponse {
		return h.Admit(t.Context(), &admissionv1.AdmissionRequest{Operation: op, Kind: metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, Object: runtime.RawExtension{Raw: []byte(object)}})
	}
	wantAllowed(t, do(admissionv1.Create, `{"data":{}}`))
	wantAllowed(t, do(admissionv1.Delete, ``))
	got := do(admissionv1.Update, `{"data":{"do":"reject"}}`)
	wantDenied(t, got, "the configuration is not valid:\nconfig-policy: policy[0]: no")
	if diff := cmp.Diff([]string{"and this"}, got.Warnings); diff != "" {
		t.Error(diff)
	}
	got = do(admissionv1.Update, `{"data":{"do":"warn"}}`)
	wantAllowed(t, got)
	if len(got.Warnings) != maxWarnings+1 || !strings.HasPrefix(got.Warnings[maxWarnings], "and 15 more") {
		t.Errorf("warnings %q", got.Warnings)
	}
	wantDenied(t, do(admissionv1.Update, `{"data":`), "cannot be read")
	got = do(admissionv1.Update, `{"data":{"do":"panic"}}`)
	wantDenied(t, got, "could not be checked")
	if strings.Contains(got.Result.Message, "secret") {
		t.Error(got.Result.Message)
	}
}
