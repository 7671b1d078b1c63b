package admission

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// sinkhole keeps what was told.
type sinkhole struct{ findings []*finding.Admission }

func (*sinkhole) Active() bool { return true }

func (f *sinkhole) Decided(a *finding.Admission) { f.findings = append(f.findings, a) }

// take is what was told since it was asked the last time.
func (f *sinkhole) take() []*finding.Admission {
	findings := f.findings
	f.findings = nil
	return findings
}

// throughBoth sends a request through both webhooks, as an API server does that applies
// the patch.
func throughBoth(t *testing.T, w *world, f Findings, req, patched *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	if got := w.mutating().WithFindings(f, nil).Admit(t.Context(), req); !got.Allowed {
		return got
	}
	return w.validating().WithFindings(f, nil).Admit(t.Context(), patched)
}

// One admission is one finding, of the type that fits best.
func TestAnAdmissionIsToldOnce(t *testing.T) {
	t.Parallel()
	pod := allKinds["Pod"]
	detecting := func(s *verify.Snapshot) { s.Features.DetectionMode = true }
	excepting := func(s *verify.Snapshot) {
		compiled, _ := policy.Compile([]policy.Rule{{Pattern: "*:*"}})
		s.Exceptions = []verify.Exception{{Compiled: compiled, Until: time.Now().Add(time.Hour), Reason: "x"}}
	}
	broken := create(pod, "")
	broken.Object = runtime.RawExtension{Raw: []byte("[]")}
	for name, c := range map[string]struct {
		setting func(*verify.Snapshot)
		outage  bool
		images  func(*world) (images, pinned []string)
		request *admissionv1.AdmissionRequest
		want    finding.Type
		outcome string
		allowed bool
	}{
		"trusted":     {want: finding.Admitted, outcome: "Trusted", allowed: true},
		"not trusted": {images: unsignedImage, want: finding.Denied, outcome: "Denied"},
		"detected":    {setting: detecting, images: unsignedImage, want: finding.Detected, outcome: "Detected", allowed: true},
		"excepted":    {setting: excepting, images: unsignedImage, want: finding.ExceptionUsed, outcome: "Excepted", allowed: true},
		"an outage":   {outage: true, want: finding.Inconclusive, outcome: "Inconclusive"},
		"late": {images: func(w *world) ([]string, []string) { return []string{w.signed.String()}, []string{w.signed.String()} },
			want: finding.Denied, outcome: "Denied"},
		"unreadable":           {request: broken, want: finding.Inconclusive, outcome: "Inconclusive"},
		"unreadable, detected": {setting: detecting, request: broken, want: finding.Detected, outcome: "Detected", allowed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newForgetfulWorld(t)
			if c.setting != nil {
				w.setting(c.setting)
			}
			if c.outage {
				w.reg.Inject(registrytest.Fault{Answer: registrytest.Status(http.StatusServiceUnavailable)})
			}
			images, pinned := []string{w.signed.String()}, []string{w.signed.Pinned()}
			if c.images != nil {
				images, pinned = c.images(w)
			}
			req, patched := create(pod, podSpec(images...)), create(pod, podSpec(pinned...))
			if c.request != nil {
				req, patched = c.request, c.request
			}
			f := &sinkhole{}
			if got := throughBoth(t, w, f, req, patched); got.Allowed != c.allowed {
				t.Errorf("allowed: %v", got)
			}
			findings := f.take()
			if len(findings) != 1 {
				t.Fatalf("%d findings", len(findings))
			}
			got := findings[0]
			if got.Type != c.want || got.Outcome != c.outcome || got.Allowed != c.allowed || got.Subject() == "" || got.Time.IsZero() {
				t.Errorf("got %+v", got)
			}
			if wrong := got.Outcome != "Trusted"; wrong != (got.Reason != "" && got.Message != "") {
				t.Errorf("reason %q, message %q", got.Reason, got.Message)
			}
			for _, r := range []*admissionv1.AdmissionRequest{req, patched} {
				dry := r.DeepCopy()
				dry.DryRun = ptr.To(true)
				throughBoth(t, w, f, dry, dry)
				if findings := f.take(); len(findings) > 0 {
					t.Errorf("T37: a dry run is told: %+v", findings[0])
				}
			}
		})
	}
}

func unsignedImage(w *world) (images, pinned []string) {
	return []string{w.unsigned.String()}, []string{w.unsigned.String()}
}

func TestWhatIsNoDecisionIsNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := &sinkhole{}
	deletion := create(allKinds["Pod"], podSpec(w.unsigned.String()))
	deletion.Operation = admissionv1.Delete
	empty := create(allKinds["Pod"], `{}`)
	for _, req := range []*admissionv1.AdmissionRequest{deletion, empty} {
		wantAllowed(t, throughBoth(t, w, f, req, req))
	}
	if findings := f.take(); len(findings) > 0 {
		t.Errorf("told %+v", findings[0])
	}
	// An update that changes no image is told, and has the ID of the one before.
	pod := allKinds["Deployment"]
	same := update(pod, podSpec(w.signed.Pinned()), podSpec(w.signed.Pinned()))
	throughBoth(t, w, f, same, same)
	first := f.take()
	again := same.DeepCopy()
	again.UID = "another"
	throughBoth(t, w, f, again, again)
	if second := f.take(); len(first) != 1 || len(second) != 1 || first[0].ID() != second[0].ID() {
		t.Errorf("%d and %d findings", len(first), len(second))
	}
}

func TestWhatAFindingSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := &sinkhole{}
	req := create(allKinds["Deployment"], podSpec(w.signed.Pinned(), w.unsigned.String()))
	req.Resource = metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	req.UserInfo.Username = "alice"
	got := w.validating().WithFindings(f, nil).Admit(t.Context(), req)
	a := f.take()[0]
	if a.Subject() != "/apis/apps/v1/namespaces/prod/deployments/web" || a.User != "alice" || a.Namespace != "prod" || a.PolicyRevision != w.snapshot.Revision ||
		a.Message != got.Result.Message || a.Reason != "NoSignature" || a.Request.Webhook != ValidatePath || a.Workload.APIVersion != "apps/v1" {
		t.Errorf("got %+v", a)
	}
	var images []string
	for _, img := range a.Images {
		images = append(images, strings.Join([]string{img.Field, img.Reference, img.Digest, img.Validator, strings.Join(img.TrustRoots, ","), img.Outcome, img.Reason}, " "))
	}
	want := []string{
		"spec.template.spec.containers[1].image " + w.unsigned.String() + " " + a.Images[0].Digest + " default  Denied NoSignature",
		"spec.template.spec.containers[0].image " + w.signed.Pinned() + " " + w.signed.Digest + " default default Trusted ",
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

// A signature of anybody, which audit lets pass, is no reason for silence.
func TestAWeakSignatureIsADetection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours, others := notationtest.New(t, "Our CA"), notationtest.New(t, "Other CA")
	img := w.reg.Push(t, "audited/app:v1")
	others.Signer(t, "stranger").Sign(t, w.reg, img)
	w.snapshot = w.trusting(t, ours, "- {pattern: '"+w.reg.Host()+"/audited/*:*', validator: notation, with: {verificationLevel: audit}}\n")
	f := &sinkhole{}
	pod := allKinds["Pod"]
	wantAllowed(t, throughBoth(t, w, f, create(pod, podSpec(img.String())), create(pod, podSpec(img.Pinned()))))
	findings := f.take()
	if len(findings) != 1 || findings[0].Type != finding.Detected || findings[0].Outcome != "Trusted" || len(findings[0].Images[0].Warnings) == 0 || findings[0].Message == "" {
		t.Errorf("got %+v", findings)
	}
}

// deaf is an alert that reaches nobody.
type deaf struct{}

func (deaf) Active() bool { return true }

func (deaf) Send(context.Context, *finding.Admission) error { return errors.New("nobody listens") }

func TestAnAlertThatMustBeSentDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := &sinkhole{}
	pod := allKinds["Pod"]
	wantAllowed(t, w.mutating().WithFindings(f, deaf{}).Admit(t.Context(), create(pod, podSpec(w.signed.String()))))
	wantDenied(t, w.validating().WithFindings(f, deaf{}).Admit(t.Context(), create(pod, podSpec(w.signed.Pinned()))), "nobody listens", "AlertNotSent")
	findings := f.take()
	if len(findings) != 1 || findings[0].Type != finding.Inconclusive || findings[0].Allowed || findings[0].Reason != "AlertNotSent" {
		t.Errorf("told %+v", findings)
	}
	// What is denied anyway is denied for its own reason.
	wantDenied(t, w.mutating().WithFindings(f, deaf{}).Admit(t.Context(), create(pod, podSpec(w.unsigned.String()))), "NoSignature")
	// Detection is about images.
	w.setting(func(s *verify.Snapshot) { s.Features.DetectionMode = true })
	wantDenied(t, w.validating().WithFindings(f, deaf{}).Admit(t.Context(), create(pod, podSpec(w.signed.Pinned()))), "AlertNotSent")
}

// The outcomes that sinks can filter by are those that there are.
func TestOutcomesOfFindings(t *testing.T) {
	t.Parallel()
	var outcomes []string
	for outcome := range findingTypes {
		outcomes = append(outcomes, outcome)
	}
	slices.Sort(outcomes)
	if diff := cmp.Diff(finding.Outcomes, outcomes); diff != "" {
		t.Error(diff)
	}
}
