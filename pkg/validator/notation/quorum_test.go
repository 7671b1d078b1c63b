package notation_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestT13AThresholdCountsTrustRoots(t *testing.T) {
	t.Parallel()
	ca := map[string]*notationtest.Authority{"a": notationtest.New(t, "A"), "b": notationtest.New(t, "B"), "c": notationtest.New(t, "C")}
	alice := ca["a"].Signer(t, "alice")
	for name, c := range map[string]struct {
		signed []*notationtest.Signer
		with   fields
		want   validator.Reason
		roots  []string
	}{
		"all of three":                 {[]*notationtest.Signer{alice, ca["b"].Signer(t, "bob"), ca["c"].Signer(t, "carol")}, nil, "", []string{"a", "b", "c"}},
		"two of three, without a word": {[]*notationtest.Signer{alice, ca["b"].Signer(t, "bob")}, nil, validator.ThresholdNotReached, nil},
		"two of three suffice":         {[]*notationtest.Signer{alice, ca["b"].Signer(t, "bob")}, fields{"threshold": 2}, "", []string{"a", "b"}},
		"one signs twice":              {[]*notationtest.Signer{alice, alice}, fields{"threshold": 2}, validator.ThresholdNotReached, nil},
		"two of one root":              {[]*notationtest.Signer{alice, ca["a"].Signer(t, "another")}, fields{"threshold": 2}, validator.ThresholdNotReached, nil},
		"one key, two authorities":     {[]*notationtest.Signer{alice, ca["b"].SignerWith(t, alice.Key, "alice too")}, fields{"threshold": 2}, validator.ThresholdNotReached, nil},
		"who is required":              {[]*notationtest.Signer{alice}, fields{"required": []any{"a"}}, "", []string{"a"}},
		"who is required has not":      {[]*notationtest.Signer{alice}, fields{"required": []any{"b"}}, validator.MissingRequired, nil},
		"required, and one more":       {[]*notationtest.Signer{alice, ca["c"].Signer(t, "carol")}, fields{"required": []any{"c"}, "threshold": 2}, "", []string{"a", "c"}},
		"nobody":                       {nil, fields{"threshold": 1}, validator.NoSignature, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			for i, signer := range c.signed {
				signer.Sign(t, s.reg, s.img, notationtest.Attribute("n", i, false))
			}
			with := fields{"trustRoot": "*"}
			for key, value := range c.with {
				with[key] = value
			}
			v := s.bind([]any{root("a", ca["a"].PEM()), root("b", ca["b"].PEM()), root("c", ca["c"].PEM())}, with)
			if c.want != "" {
				s.denies(v, c.want)
				return
			}
			if got := s.trusts(v).TrustRoots; !cmp.Equal(got, c.roots) {
				t.Error(cmp.Diff(c.roots, got))
			}
		})
	}
}

// What others have attached stands in nobody's way.
func TestOtherSignaturesDoNotMatter(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, signer := range []*notationtest.Signer{s.other.Signer(t, "a"), notationtest.SelfSigned(t, "b"), s.other.Signer(t, "c")} {
		signer.Sign(t, s.reg, s.img)
	}
	s.ca.Signer(t, "broken").Sign(t, s.reg, s.img, notationtest.Changed(func([]byte) []byte { return []byte("broken") }))
	s.ca.Signer(t, "me").Sign(t, s.reg, s.img)
	s.trusts(s.bind(s.usual(), nil))
}

func TestTrustedIdentities(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ca.Signer(t, "me").Sign(t, s.reg, s.img)
	for identities, want := range map[string]validator.Reason{
		"x509.subject: C=DE, ST=Berlin, O=Example":          "",
		"x509.subject: C=DE, ST=Berlin, O=Example, CN=me":   "",
		"x509.subject: C=DE, ST=Berlin, O=Example, CN=them": validator.UntrustedSigner,
		"x509.subject: C=DE, ST=Berlin, O=Exam":             validator.UntrustedSigner,
		"*":                                                 "",
	} {
		v := s.bind(s.usual(fields{"trustedIdentities": []any{identities}}), nil)
		if want == "" {
			s.trusts(v)
			continue
		}
		s.denies(v, want, "CN=me", "trustedIdentities")
	}
	// Two teams of one authority.
	team := func(name string) fields {
		return root(name, s.ca.PEM(), fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=Berlin, O=Example, CN=" + name}})
	}
	both := s.bind([]any{team("me"), team("you")}, fields{"trustRoot": "*"})
	s.denies(both, validator.ThresholdNotReached)
	s.ca.Signer(t, "you").Sign(t, s.reg, s.img)
	s.trusts(both)
}
