package cosign_test

import (
	"strings"
	"testing"

	fulcio "github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Whoever reads a denial can tell what to change.
func TestDenialsSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(*scene)
		host    func(*scene) fields
		with    fields
		root    fields
		reason  validator.Reason
		want    []string
	}{
		"an extension of the certificate": {func(s *scene) {
			s.sign(s.as(alice, sigstoretest.Extensions(fulcio.Extensions{SourceRepositoryRef: "refs/heads/main"})))
		}, nil, nil, fields{"name": "default", "keyless": fields{"issuer": issuer, "subject": alice, "extensions": fields{"sourceRepositoryRef": "refs/heads/other"}}},
			validator.UntrustedSigner, []string{alice, `trust root "default" wants another`, "refs/heads/main", "refs/heads/other"}},
		"a subject that only begins so": {func(s *scene) { s.sign(s.as("https://github.com/org/repo")) }, nil, nil,
			fields{"name": "default", "keyless": fields{"issuer": issuer, "subjectRegex": "https://github.com/org"}}, validator.UntrustedSigner, []string{"https://github.com/org/repo", "to match regex"}},
		"a log that is not known": {func(s *scene) { s.sign(s.byKey(), sigstoretest.LoggedBy(s.other)) }, nil, nil, nil,
			validator.InvalidTrustData, []string{"not among those of the configuration (log ID ", "host.rekorPubkey"}},
		"Rekor's second version without its URL": {func(s *scene) { s.sign(s.byKey(), sigstoretest.RekorV2()) },
			func(s *scene) fields { return fields{"rekorPubkey": string(s.trusts.RekorV2Key(s))} }, nil, nil,
			validator.InvalidTrustData, []string{"its URL into host.rekor"}},
		"an attestation instead of a signature": {func(s *scene) { s.attest(s.byKey(), fields{}) }, nil, demands(slsa, ""), nil,
			validator.NoSignature, []string{"an attestation is, which does not count as a signature"}},
		"an attestation of another type": {func(s *scene) {
			s.sign(s.byKey())
			s.attest(s.byKey(), fields{}, sigstoretest.PredicateType("https://example.com/other"))
		}, nil, demands(slsa, ""), nil, validator.MissingRequired, []string{slsa, "but there are attestations: https://example.com/other"}},
		"an expression that is false": {func(s *scene) { s.sign(s.byKey()); s.attest(s.byKey(), fields{"n": 1}) }, nil, demands(slsa, "predicate.n == 2"), nil,
			validator.PolicyDenied, []string{slsa, "predicate.n == 2 is false"}},
		"an expression that is a number": {func(s *scene) { s.sign(s.byKey()); s.attest(s.byKey(), fields{"n": 1}) }, nil, demands(slsa, "predicate.n"), nil,
			validator.PolicyDenied, []string{"neither true nor false, but of type double"}},
		"another repository of signatures": {func(*scene) {}, func(s *scene) fields {
			return fields{"rekorPubkey": string(s.trusts.RekorKey(s)), "signatureRepository": s.reg.Host() + "/signatures"}
		}, nil, nil, validator.NoSignature, []string{"/signatures"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, registrytest.Referrers())
			c.prepare(s)
			host, root := s.whole(), c.root
			if c.host != nil {
				host = c.host(s)
			}
			if root == nil {
				root = keyed(t, "default", s.key)
			}
			got, err := s.validate(host, c.with, root)
			s.want(c.reason, got, err)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in: %v", want, err)
				}
			}
		})
	}
}

// Trust material that is not there says nothing about what is not signed.
func TestWhatIsUnsignedIsSaidToBeWithoutTrustMaterialToo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v, errs := build(secrets{}, access(t, s.reg, registry.Limits{}), nil, nil, identity("default", alice))
	if errs != nil {
		t.Fatal(errs)
	}
	got, err := v.Validate(t.Context(), request(t, s.img.String()))
	s.want(validator.NoSignature, got, err)
	s.legacy(s.as(alice))
	got, err = v.Validate(t.Context(), request(t, s.img.String()))
	s.want(validator.TrustDataUnavailable, got, err)
	if err == nil || !strings.Contains(err.Error(), "rekorPubkey, fulcioCert, ctLogPubkey") {
		t.Errorf("it does not say what is missing: %v", err)
	}
}

// Who signed is told, for the log and the command line.
func TestResultsNameTheSigners(t *testing.T) {
	t.Parallel()
	s := newScene(t, registrytest.Referrers())
	s.sign(s.as(alice))
	got, err := s.validate(s.whole(), fields{"trustRoot": "release"}, identity("release", alice))
	if err != nil || len(got.Signers) != 1 || got.Signers[0] != `release (subject "alice@example.com" by issuer "https://issuer.example.com")` {
		t.Errorf("%q, %v", got.Signers, err)
	}
}
