package notation_test

import (
	"slices"
	"strings"
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

// Names are shortened where they are shown: two that differ only in what is not
// shown are two.
func TestLongNamesAreShownShortAndToldApart(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	long := strings.Repeat("long", 250)
	named := func(name string) fields {
		return fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=Berlin, O=Example, CN=" + name}}
	}
	both := s.bind([]any{root("a", s.ca.PEM(), named(long+"a")), root("b", s.ca.PEM())}, fields{"trustRoot": "*"})
	s.ca.Signer(t, long+"a").Sign(t, s.reg, s.img)
	s.denies(both, validator.ThresholdNotReached)
	s.ca.Signer(t, long+"b").Sign(t, s.reg, s.img)
	r := s.trusts(both)
	s.other.Signer(t, long+"c").Sign(t, s.reg, s.img)
	audit := s.trusts(s.bind([]any{root("default", s.other.PEM(), named("nobody"))}, fields{"verificationLevel": "audit"}))
	shown := slices.Concat(r.Signers, audit.Signers, audit.Warnings)
	for _, text := range shown {
		if len(text) > 500 {
			t.Errorf("%d bytes: %.100s…", len(text), text)
		}
	}
	if len(r.Signers) < 2 || len(audit.Signers) == 0 || len(audit.Warnings) == 0 {
		t.Errorf("somebody is not named: %q", shown)
	}
}
