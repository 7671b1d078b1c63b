package admission

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// setting changes the configuration in force.
func (w *world) setting(change func(*verify.Snapshot)) *world {
	s := *w.snapshot
	change(&s)
	w.snapshot = &s
	return w
}

func TestDetectionModeBlocksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setting(func(s *verify.Snapshot) { s.Features.DetectionMode = true })
	for _, handler := range []*Handler{w.mutating(), w.validating()} {
		got := handler.Admit(t.Context(), create(allKinds["Pod"], podSpec(w.unsigned.String())))
		wantAllowed(t, got)
		if len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "would be denied, but for detection mode: spec.containers[0].image "+w.unsigned.String()+": Unable to find signed digest") {
			t.Errorf("warnings %q", got.Warnings)
		}
		if diff := cmp.Diff(map[string]string{"revision": w.snapshot.Revision, "outcome": "Denied", "reason": "NoSignature", "tolerated": "Detection"}, got.AuditAnnotations); diff != "" || got.Patch != nil {
			t.Errorf("%s, patch %s", diff, got.Patch)
		}
		// What cannot even be read.
		broken := create(allKinds["Pod"], podSpec(w.unsigned.String()))
		broken.Object = runtime.RawExtension{Raw: []byte("[]")}
		got = handler.Admit(t.Context(), broken)
		wantAllowed(t, got)
		if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "but for detectionMode: no image could be checked") {
			t.Errorf("warnings %q", got.Warnings)
		}
	}
	// Trusted images are pinned, in the same object too.
	got := w.mutating().Admit(t.Context(), create(allKinds["Pod"], podSpec(w.signed.String(), w.unsigned.String())))
	wantAllowed(t, got)
	if patch := string(got.Patch); !strings.Contains(patch, w.signed.Pinned()) || strings.Contains(patch, w.unsigned.Digest) {
		t.Errorf("patch %s", patch)
	}
	// A container that comes late is no more than warned of.
	got = w.validating().Admit(t.Context(), create(allKinds["Pod"], podSpec(w.signed.String())))
	wantAllowed(t, got)
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "NotPinned") {
		t.Errorf("warnings %q", got.Warnings)
	}
	// Without a configuration nobody knows that nothing is to be blocked.
	none := NewMutating(verify.Engine{}, func() (*verify.Snapshot, error) { return nil, context.Canceled }, nil, w.mutating().logger)
	wantDenied(t, none.Admit(t.Context(), create(allKinds["Pod"], podSpec(w.unsigned.String()))), "no image could be checked")
}

func TestTheLogSaysWhatWasTolerated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	core, logs := observer.New(zapcore.InfoLevel)
	h := NewMutating(verify.Engine{}, w.snapshots, nil, zap.New(core))
	for want, mode := range map[string]func(*verify.Snapshot){
		"":          func(s *verify.Snapshot) { s.Features.DetectionMode = false },
		"Detection": func(s *verify.Snapshot) { s.Features.DetectionMode = true },
	} {
		w.setting(mode)
		_, verdict, outcome := h.Decide(t.Context(), create(allKinds["Pod"], podSpec(w.unsigned.String())))
		all := logs.TakeAll()
		if logged := all[0].ContextMap()["outcome"]; outcome != logged || Outcome(verdict) != logged {
			t.Errorf("outcome %s, of the verdict %s, logged %s", outcome, Outcome(verdict), logged)
		}
		if got, found := all[0].ContextMap()["tolerated"]; len(all) != 1 || found != (want != "") || found && got != want {
			t.Errorf("tolerated: %v, want %q", got, want)
		}
	}
}

func TestOneRuleCanDetect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "- {pattern: 'bad.io/*:*', validator: deny, with: {detection: true}}\n")
	got := w.mutating().Admit(t.Context(), create(allKinds["Pod"], podSpec("bad.io/app:1")))
	wantAllowed(t, got)
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "detection mode: spec.containers[0].image bad.io/app:1") {
		t.Errorf("warnings %q", got.Warnings)
	}
	got = w.mutating().Admit(t.Context(), create(allKinds["Pod"], podSpec("bad.io/app:1", w.unsigned.String())))
	wantDenied(t, got, "1 of 2 images must not run", "NoSignature")
	if strings.Contains(got.Result.Message, "bad.io") {
		t.Errorf("what is detected only is among the reasons: %s", got.Result.Message)
	}
}

func TestPodsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setting(func(s *verify.Snapshot) { s.Features.ResourceValidationMode = feature.PodsOnly })
	for name, kind := range allKinds {
		for _, handler := range []*Handler{w.mutating(), w.validating()} {
			got := handler.Admit(t.Context(), create(kind, podSpec(w.unsigned.String())))
			if name == "Pod" {
				wantDenied(t, got, "NoSignature")
				wantDenied(t, handler.Admit(t.Context(), create(kind, podSpec(make([]string, maxImages+1)...))), "TooLarge")
				continue
			}
			wantAllowed(t, got)
			if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "its Pods would be denied") {
				t.Errorf("%s: warnings %q", name, got.Warnings)
			}
			got = handler.Admit(t.Context(), create(kind, podSpec(w.signed.String())))
			wantAllowed(t, got)
			if got.Patch != nil || len(got.Warnings) > 0 {
				t.Errorf("%s: patch %s, warnings %q", name, got.Patch, got.Warnings)
			}
			got = handler.Admit(t.Context(), create(kind, podSpec(make([]string, maxImages+1)...)))
			wantAllowed(t, got)
			if len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "would be denied, but for resourceValidationMode: podsOnly: no image could be checked") {
				t.Errorf("%s of too many images: warnings %q", name, got.Warnings)
			}
		}
	}
}

func TestTheLastKnownGoodOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	w := newForgetfulWorld(t)
	w.setting(func(s *verify.Snapshot) { s.Features.OnInconclusive = feature.LastKnownGood })
	pod := allKinds["Pod"]
	wantAllowed(t, w.mutating().Admit(t.Context(), create(pod, podSpec(w.signed.String()))))
	w.reg.Inject(registrytest.Fault{Answer: registrytest.Status(http.StatusServiceUnavailable)})
	events := record.NewFakeRecorder(10)
	got := w.mutating().WithEvents(events, "connaisseur").Admit(t.Context(), create(pod, podSpec(w.signed.String())))
	wantAllowed(t, got)
	if !strings.Contains(string(got.Patch), w.signed.Pinned()) || got.AuditAnnotations["tolerated"] != "LastKnownGood" {
		t.Errorf("patch %s, %v", got.Patch, got.AuditAnnotations)
	}
	got = w.validating().WithEvents(events, "connaisseur").Admit(t.Context(), create(pod, podSpec(w.signed.Pinned())))
	wantAllowed(t, got)
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "admitted as "+w.signed.Digest+", which was verified before") {
		t.Errorf("warnings %q", got.Warnings)
	}
	if event := <-events.Events; !strings.HasPrefix(event, "Warning LastKnownGoodUsed Pod ") || !strings.Contains(event, w.signed.Digest) || len(events.Events) > 0 {
		t.Errorf("%s, and %d more", event, len(events.Events))
	}
	// What comes late without the digest is not pinned to anything.
	wantDenied(t, w.validating().Admit(t.Context(), create(pod, podSpec(w.signed.String()))), "NotPinned")
	wantDenied(t, w.mutating().Admit(t.Context(), create(pod, podSpec(w.unsigned.String()))), "RegistryUnavailable")
	w.setting(func(s *verify.Snapshot) { s.Features.OnInconclusive = feature.Deny })
	wantDenied(t, w.mutating().Admit(t.Context(), create(pod, podSpec(w.signed.String()))), "RegistryUnavailable")
}

func TestAnExceptionLeavesTraces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	compiled, errs := policy.Compile([]policy.Rule{{Pattern: w.reg.Host() + "/team/unsigned:*", Namespaces: []string{"prod"}}})
	if errs != nil {
		t.Fatal(errs)
	}
	w.setting(func(s *verify.Snapshot) {
		s.Exceptions = []verify.Exception{{Pattern: "x", Compiled: compiled, Until: time.Now().Add(time.Hour), Reason: "the registry\nis down"}}
	})
	events := record.NewFakeRecorder(10)
	for _, handler := range []*Handler{w.mutating(), w.validating()} {
		handler.WithEvents(events, "connaisseur")
		dry := create(allKinds["Pod"], podSpec(w.unsigned.String()))
		dry.DryRun = ptr.To(true)
		for _, req := range []*admissionv1.AdmissionRequest{dry, create(allKinds["Pod"], podSpec(w.unsigned.String()))} {
			req.Namespace = "prod"
			got := handler.Admit(t.Context(), req)
			wantAllowed(t, got)
			if len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "admitted by exceptions[0] of config-policy (until ") || !strings.Contains(got.Warnings[0], "the registry is down") ||
				got.AuditAnnotations["tolerated"] != "Exception" || got.Patch != nil {
				t.Errorf("warnings %q, %v", got.Warnings, got.AuditAnnotations)
			}
		}
		other := create(allKinds["Pod"], podSpec(w.unsigned.String()))
		other.Namespace = "test"
		wantDenied(t, handler.Admit(t.Context(), other), "NoSignature")
	}
	if event := <-events.Events; !strings.HasPrefix(event, "Warning ExceptionUsed Pod prod/") || !strings.Contains(event, "exceptions[0]") || len(events.Events) > 0 {
		t.Errorf("%s, and %d more", event, len(events.Events))
	}
}

// maker is an owner that is there.
type maker struct{ *workload.Workload }

func (m maker) Owner(context.Context, string, metav1.OwnerReference) (*workload.Workload, error) {
	return m.Workload, nil
}

// settle waits until requests have arrived that were given up since what they looked
// for was found elsewhere.
func (w *world) settle() {
	for before, quiet := -1, 0; quiet < 5; quiet++ {
		if now := w.reg.Requests().Total(); now != before {
			before, quiet = now, 0
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A child of a verified object costs no request, long after the cache has
// forgotten; one with another image is verified.
func TestAChildOfAVerifiedObjectCostsNoRequest(t *testing.T) {
	t.Parallel()
	w := newForgetfulWorld(t)
	wantAllowed(t, w.mutating().Admit(t.Context(), create(allKinds["Deployment"], podSpec(w.signed.String()))))
	made, err := workload.Builtin().Extract(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}, create(allKinds["ReplicaSet"], podSpec(w.signed.Pinned())).Object.Raw)
	if err != nil {
		t.Fatal(err)
	}
	made.UID = "1"
	owner := `"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"1","controller":true}]`
	child := func(images ...string) *admissionv1.AdmissionRequest {
		req := create(allKinds["Pod"], podSpec(images...))
		req.Object.Raw = []byte(strings.Replace(string(req.Object.Raw), `{"spec"`, `{"metadata":{`+owner+`},"spec"`, 1))
		return req
	}
	w.settle()
	w.reg.Reset()
	for _, owners := range []verify.Owners{maker{made}, nil} {
		h := NewValidating(verify.Engine{Owners: owners}, w.snapshots, nil, w.mutating().logger)
		wantAllowed(t, h.Admit(t.Context(), child(w.signed.Pinned())))
		if asked := w.reg.Requests().Total() > 0; asked != (owners == nil) {
			t.Errorf("with an owner: %t, asked: %v", owners != nil, w.reg.Requests())
		}
		wantDenied(t, h.Admit(t.Context(), child(w.unsigned.Pinned())), "NoSignature")
		wantDenied(t, h.Admit(t.Context(), child(w.signed.Pinned(), w.unsigned.ByDigest())), "NoSignature")
		w.reg.Reset()
	}
}
