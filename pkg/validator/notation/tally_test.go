package notation

import (
	"net/http"
	"strings"
	"testing"

	"github.com/notaryproject/notation-core-go/revocation"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestASignatureThatIsAttachedTwiceIsConsideredOnce(t *testing.T) {
	t.Parallel()
	v := &tally{bound: &bound{}, seen: map[[32]byte]bool{}}
	same := registry.Candidate{Kind: registry.JWS, Payload: []byte("{}")}
	for i, c := range []struct {
		found registry.Candidate
		want  bool
	}{{same, true}, {same, false}, {registry.Candidate{Kind: registry.JWS, Payload: []byte("[]")}, true}} {
		v.nearest = nil
		if v.consider(t.Context(), c.found); (v.nearest != nil) != c.want {
			t.Errorf("%d: got %v", i, v.nearest)
		}
	}
}

// wantPanic fails the test unless an error has a panic's text as its cause, and not
// in its message.
func wantPanic(t *testing.T, got *validator.Error, reason validator.Reason, text string) {
	t.Helper()
	if got == nil || got.Reason != reason || strings.Contains(got.Message, text) || got.Err == nil || !strings.Contains(got.Err.Error(), text) {
		t.Errorf("want %s because of %q, got %+v", reason, text, got)
	}
}

func TestAPanicIsForTheLog(t *testing.T) {
	t.Parallel()
	img := registrytest.Image{Host: "example.com", Repository: "app", Digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	me := notationtest.New(t, "CA").Signer(t, "me", notationtest.OCSP("http://ocsp.example.com/"))
	v := &tally{seen: map[[32]byte]bool{}} // of no rule
	v.consider(t.Context(), registry.Candidate{Kind: registry.JWS, Payload: me.Envelope(t, img)})
	wantPanic(t, v.nearest, validator.MalformedSignature, "nil pointer")

	q := &inquiry{state: NewState(), trusted: true, patience: newPatience(), client: &http.Client{Transport: panics{}}}
	_, err := q.of(signers).ValidateContext(t.Context(), revocation.ValidateContextOptions{CertChain: me.Chain})
	wantPanic(t, diagnose(&candidate{chain: me.Chain}, signerRoot{}, nil, q, err), validator.Internal, "boom")
}

type panics struct{}

// RoundTrip implements http.RoundTripper.
func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("boom") }
