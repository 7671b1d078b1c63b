package cosign_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func demands(pairs ...string) fields {
	var list []any
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, fields{"predicateType": pairs[i], "cel": pairs[i+1]})
	}
	return fields{"attestations": list}
}

// In each row the image is signed by alice, and the rule demands provenance.
func TestAttestations(t *testing.T) {
	t.Parallel()
	const builder = `predicate.runDetails.builder.id == "https://ci.example.com"`
	good := fields{"runDetails": fields{"builder": fields{"id": "https://ci.example.com"}}, "findings": []any{fields{"severity": "low", "score": 3}, fields{"severity": "medium", "score": 5.5}}}
	evil := fields{"runDetails": fields{"builder": fields{"id": "https://evil.io"}}}
	for name, c := range map[string]struct {
		attest func(*scene, func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option))
		with   fields
		want   validator.Reason
	}{
		"that is there": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), good)
		}, demands(slsa, ""), ""},
		"that is as the expression wants it": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), good)
		}, demands(slsa, builder, slsa, `!predicate.findings.exists(f, f.severity == "critical") && predicate.findings.all(f, f.score < 7)`), ""},
		"of which one of two is as the expression wants it": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), evil)
			attest(s, s.as(alice), good)
		}, demands(slsa, builder), ""},
		"that is missing": {func(*scene, func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
		}, demands(slsa, ""), validator.MissingRequired},
		"T15: of another type": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), good)
		}, demands("https://slsa.dev/provenance/v0.2", ""), validator.MissingRequired},
		"T15: that only says to be of the type": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), good, sigstoretest.PredicateType("https://example.com/other"))
		}, demands(slsa, ""), validator.MissingRequired},
		"T14: about another image": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), good, sigstoretest.ForDigest(otherDigest))
		}, demands(slsa, ""), validator.DigestMismatch},
		"by somebody else": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(bob), good)
		}, demands(slsa, ""), validator.UntrustedSigner},
		"that is not as the expression wants it": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), evil)
		}, demands(slsa, builder), validator.PolicyDenied},
		"over which the expression fails": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), fields{})
		}, demands(slsa, builder), validator.PolicyDenied},
		"over which the expression is neither true nor false": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), good)
		}, demands(slsa, "predicate.runDetails.builder.id"), validator.PolicyDenied},
		"whose entry is another's": {func(s *scene, attest func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option)) {
			attest(s, s.as(alice), good, sigstoretest.OtherEntry())
		}, demands(slsa, ""), validator.InvalidTrustData},
	} {
		for form, attest := range map[string]func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option){"in a bundle": (*scene).attest, "under a tag": (*scene).legacyAttest} {
			t.Run(name+" "+form, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, registrytest.Referrers())
				s.sign(s.as(alice))
				c.attest(s, attest)
				got, err := s.validate(s.whole(), c.with, identity("default", alice))
				s.want(c.want, got, err)
			})
		}
	}
}

// An attestation is no signature, whoever made it.
func TestT15AnAttestationAloneIsNoSignature(t *testing.T) {
	t.Parallel()
	s := newScene(t, registrytest.Referrers())
	s.attest(s.as(alice), fields{})
	got, err := s.validate(s.whole(), demands(slsa, ""), identity("default", alice))
	s.want(validator.NoSignature, got, err)
}

// A timestamp of cosign 2 is over the whole envelope.
func TestATimestampedAttestationNeedsNoLog(t *testing.T) {
	t.Parallel()
	for form, attest := range map[string]func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option){"in a bundle": (*scene).attest, "under a tag": (*scene).legacyAttest} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, registrytest.Referrers())
			stamped := []sigstoretest.Option{sigstoretest.WithoutEntry(), sigstoretest.TimestampedBy(s.trusts)}
			s.sign(s.as(alice), stamped...)
			attest(s, s.as(alice), fields{}, stamped...)
			with := demands(slsa, "")
			with["verifyInTransparencyLog"] = false
			got, err := s.validate(s.whole(), with, identity("default", alice))
			s.want("", got, err)
		})
	}
}

// T36: neither an expression nor a predicate burns the CPU: without a limit each
// of these would take hours.
func TestT36ExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t, registrytest.Referrers())
	s.sign(s.byKey())
	s.attest(s.byKey(), fields{"list": make([]int, 20_000), "text": strings.Repeat("a", 50_000)})
	for _, expression := range []string{
		"predicate.list.all(a, predicate.list.all(b, predicate.list.all(c, a == b && b == c)))",
		`predicate.list.all(a, predicate.text.matches("(a*)*b"))`,
	} {
		start := time.Now()
		got, err := s.validate(s.whole(), demands(slsa, expression), keyed(t, "default", s.key))
		if s.want(validator.PolicyDenied, got, err); time.Since(start) > time.Minute {
			t.Errorf("%s took %v", expression, time.Since(start))
		}
	}
}

// T18: an attestation has a limit of its own, and none is fetched that nobody
// wants.
func TestT18LargeAttestations(t *testing.T) {
	t.Parallel()
	for form, attest := range map[string]func(*scene, *sigstoretest.Signer, any, ...sigstoretest.Option){"in a bundle": (*scene).attest, "under a tag": (*scene).legacyAttest} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, registrytest.Referrers())
			s.sign(s.byKey())
			attest(s, s.byKey(), fields{"text": strings.Repeat("a", 300<<10)})
			for limit, want := range map[int64]validator.Reason{1 << 20: "", 64 << 10: validator.TooLarge} {
				v, errs := build(noNetwork{t: t}, access(t, s.reg, registry.Limits{PayloadBytes: 16 << 10, AttestationBytes: limit}), s.whole(), demands(slsa, ""), keyed(t, "default", s.key))
				if errs != nil {
					t.Fatal(errs)
				}
				got, err := v.Validate(t.Context(), request(t, s.img.String()))
				s.want(want, got, err)
			}
			s.reg.Reset()
			got, err := s.validate(s.whole(), nil, keyed(t, "default", s.key))
			if s.want("", got, err); s.reg.Requests()[registrytest.BlobGet] != 1 {
				t.Errorf("%v", s.reg.Requests())
			}
		})
	}
}

// What `cosign sign -a` adds is demanded of the signature itself.
func TestAnnotationsOfTheSignature(t *testing.T) {
	t.Parallel()
	for form, sign := range map[string]func(*scene, *sigstoretest.Signer, ...sigstoretest.Option){"in a bundle": (*scene).sign, "under a tag": (*scene).legacy} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			sign(s, s.byKey(), sigstoretest.Annotations(map[string]string{"env": "test"}))
			sign(s, s.byKey(), sigstoretest.Annotations(map[string]string{"env": "prod", "team": "a"}))
			for name, c := range map[string]struct {
				demanded fields
				want     validator.Reason
			}{
				"one":                      {fields{"env": "prod"}, ""},
				"both":                     {fields{"env": "prod", "team": "a"}, ""},
				"another value":            {fields{"env": "pro"}, validator.PolicyDenied},
				"one of each signature":    {fields{"env": "test", "team": "a"}, validator.PolicyDenied},
				"one that there is not":    {fields{"x": "y"}, validator.PolicyDenied},
				"an empty one that is not": {fields{"x": ""}, validator.PolicyDenied},
			} {
				got, err := s.validate(s.whole(), fields{"annotations": c.demanded}, keyed(t, "default", s.key))
				t.Log(name, err)
				s.want(c.want, got, err)
			}
		})
	}
}

// Whether the index, each image or either must be signed.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		index    bool
		children []int
		want     map[string]validator.Reason
	}{
		"the index is signed":    {true, nil, map[string]validator.Reason{"": "", "index": "", "each": validator.NoSignature, "either": ""}},
		"each image is signed":   {false, []int{0, 1}, map[string]validator.Reason{"": validator.NoSignature, "index": validator.NoSignature, "each": "", "either": ""}},
		"one image is signed":    {false, []int{0}, map[string]validator.Reason{"index": validator.NoSignature, "each": validator.NoSignature, "either": validator.NoSignature}},
		"all of them are signed": {true, []int{0, 1}, map[string]validator.Reason{"index": "", "each": "", "either": ""}},
		"nothing is signed":      {false, nil, map[string]validator.Reason{"index": validator.NoSignature, "each": validator.NoSignature, "either": validator.NoSignature}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			index, children := s.reg.PushIndex(t, "team/multi:v1", "linux/amd64", "linux/arm64", registrytest.Attestation)
			s.img = index
			if c.index {
				s.sign(s.byKey())
			}
			for _, i := range c.children {
				s.trusts.SignLegacy(t, s.reg, children[i], s.byKey())
			}
			for platforms, want := range c.want {
				with := fields{}
				if platforms != "" {
					with["platforms"] = platforms
				}
				got, err := s.validate(s.whole(), with, keyed(t, "default", s.key))
				s.want(want, got, err)
			}
		})
	}
	t.Run("of an image for one", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		s.sign(s.byKey())
		got, err := s.validate(s.whole(), fields{"platforms": "each"}, keyed(t, "default", s.key))
		s.want("", got, err)
	})
}

// Signatures may be in a repository of their own.
func TestASignatureRepository(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	elsewhere := s.img
	elsewhere.Repository = "signatures/all"
	s.trusts.SignLegacy(t, s.reg, elsewhere, s.byKey())
	host := s.whole()
	got, err := s.validate(host, nil, keyed(t, "default", s.key))
	s.want(validator.NoSignature, got, err)
	host["signatureRepository"] = s.reg.Host() + "/signatures/all"
	got, err = s.validate(host, nil, keyed(t, "default", s.key))
	s.want("", got, err)
}
