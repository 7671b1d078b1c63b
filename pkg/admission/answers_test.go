package admission

import (
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// A static validator answers without asking anybody, whatever the mode.
func TestStaticValidatorsAskNobody(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"mutate", "insecureValidateOnly"} {
		w := newWorld(t)
		host := w.reg.Host()
		w.snapshot = w.with(t,
			"- {pattern: '"+host+"/open/*:*', validator: allow, with: {mode: "+mode+"}}\n",
			"- {pattern: '"+host+"/shut/*:*', validator: deny, with: {mode: "+mode+"}}\n")
		w.reg.Reset()
		for _, handler := range []*Handler{w.mutating(), w.validating()} {
			for _, reference := range []string{"/app", "/app:v1", "/app@" + digestA, "/app:v1@" + digestA} {
				got := handler.Admit(t.Context(), create(allKinds["Pod"], podSpec(host+"/open"+reference)))
				wantAllowed(t, got)
				if got.Patch != nil || len(got.Warnings) > 0 {
					t.Errorf("%s of %s: patch %s, warnings %q", mode, reference, got.Patch, got.Warnings)
				}
				wantDenied(t, handler.Admit(t.Context(), create(allKinds["Pod"], podSpec(host+"/shut"+reference))),
					"PolicyDenied", `rule policy[2] "`+host+`/shut/*:*", validator "deny"`)
			}
		}
		if got := w.reg.Requests(); got.Total() > 0 {
			t.Errorf("%s: the registry was asked: %v", mode, got)
		}
	}
}

// What a rule lets pass that should not, its user and the log hear of.
func TestT23WhatAWeakLevelLetsPassIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, other := notationtest.New(t, "Example CA"), notationtest.New(t, "Other CA")
	trusted, stranger := w.reg.Push(t, "notation/trusted:v1"), w.reg.Push(t, "notation/stranger:v1")
	ca.Signer(t, "me").Sign(t, w.reg, trusted)
	other.Signer(t, "stranger").Sign(t, w.reg, stranger)
	for level, want := range map[string]bool{"strict": false, "permissive": false, "audit": true} {
		w.snapshot = w.trusting(t, ca, "- {pattern: '"+w.reg.Host()+"/notation/*:*', validator: notation, with: {verificationLevel: "+level+"}}\n")
		for _, handler := range []*Handler{w.mutating(), w.validating()} {
			got := handler.Admit(t.Context(), create(allKinds["Pod"], podSpec(trusted.Pinned())))
			wantAllowed(t, got)
			if len(got.Warnings) > 0 {
				t.Errorf("%s: %q", level, got.Warnings)
			}
			got = handler.Admit(t.Context(), create(allKinds["Pod"], podSpec(stranger.Pinned())))
			if !want {
				wantDenied(t, got, "UntrustedSigner", "CN=stranger")
				continue
			}
			wantAllowed(t, got)
			if handler.Path() == w.mutating().Path() {
				if len(got.Warnings) > 0 { // said once, of the object as it is stored
					t.Errorf("%s: %q", level, got.Warnings)
				}
				continue
			}
			wantWarning(t, got, "spec.containers[0].image "+stranger.Pinned(), "the signer is not verified", "verificationLevel: audit", "policy[1]")
		}
	}
}

// wantWarning fails unless there is just one warning, with these words.
func wantWarning(t *testing.T, got *admissionv1.AdmissionResponse, words ...string) {
	t.Helper()
	if len(got.Warnings) != 1 {
		t.Fatalf("warnings %q", got.Warnings)
	}
	for _, word := range words {
		if !strings.Contains(got.Warnings[0], word) {
			t.Errorf("%q lacks %q", got.Warnings[0], word)
		}
	}
}

// A registry that must be configured first is nothing that goes by.
func TestADenialSaysWhetherTryingAgainHelps(t *testing.T) {
	t.Parallel()
	w := newForgetfulWorld(t)
	other := registrytest.New(t).Push(t, "team/app:v1") // which is not in registries
	w.snapshot = w.with(t, "- {pattern: '"+other.Host+"/*:*', with: {verifyInTransparencyLog: false}}\n")
	const again, configure = "RegistryUnavailable: try again", "RegistryUnavailable: trying again does not help; if the image has the right name, tell those who run the cluster."
	deny := func(image string) string {
		got := w.validating().Admit(t.Context(), create(allKinds["Pod"], podSpec(image)))
		wantDenied(t, got, "RegistryUnavailable")
		return got.Result.Message
	}
	if got := deny(other.String()); !strings.Contains(got, "set insecure: true") || !strings.HasSuffix(got, configure) || strings.Contains(got, again) {
		t.Errorf("of a registry that is not configured:\n%s", got)
	}
	w.reg.Inject(registrytest.Fault{Answer: registrytest.Status(http.StatusServiceUnavailable)})
	if got := deny(w.signed.String()); !strings.Contains(got, again) || strings.Contains(got, configure) {
		t.Errorf("of a registry that is down:\n%s", got)
	}
}
