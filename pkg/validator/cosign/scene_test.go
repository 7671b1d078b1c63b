package cosign_test

import (
	"context"
	"crypto"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/cosign"
)

const (
	alice  = "alice@example.com"
	bob    = "bob@example.com"
	issuer = "https://issuer.example.com"
	slsa   = "https://slsa.dev/provenance/v1"
)

// scene is a registry with an image, a Sigstore that is trusted, and another
// that is not.
type scene struct {
	*testing.T
	reg    *registrytest.Registry
	img    registrytest.Image
	trusts *sigstoretest.Sigstore
	other  *sigstoretest.Sigstore
	key    crypto.Signer
}

func newScene(t *testing.T, options ...registrytest.Option) *scene {
	t.Helper()
	reg := registrytest.New(t, options...)
	return &scene{T: t, reg: reg, img: reg.Push(t, "team/app:v1"), trusts: sigstoretest.New(t), other: sigstoretest.New(t), key: registrytest.Key(t)}
}

// sign attaches a signature as cosign 3 does, attest an attestation, and legacy
// and legacyAttest do as cosign 2 does.
func (s *scene) sign(by *sigstoretest.Signer, options ...sigstoretest.Option) {
	s.Helper()
	s.trusts.Sign(s, s.reg, s.img, by, options...)
}

func (s *scene) legacy(by *sigstoretest.Signer, options ...sigstoretest.Option) {
	s.Helper()
	s.trusts.SignLegacy(s, s.reg, s.img, by, options...)
}

func (s *scene) attest(by *sigstoretest.Signer, predicate any, options ...sigstoretest.Option) {
	s.Helper()
	s.trusts.Attest(s, s.reg, s.img, by, slsa, predicate, options...)
}

func (s *scene) legacyAttest(by *sigstoretest.Signer, predicate any, options ...sigstoretest.Option) {
	s.Helper()
	s.trusts.AttestLegacy(s, s.reg, s.img, by, slsa, predicate, options...)
}

// as is a signer with a certificate.
func (s *scene) as(subject string, options ...sigstoretest.CertificateOption) *sigstoretest.Signer {
	s.Helper()
	return s.trusts.Certificate(s, subject, issuer, options...)
}

// byKey is the signer with the key.
func (s *scene) byKey() *sigstoretest.Signer { return sigstoretest.Key(s.key) }

type fields = map[string]any

// identity is a trust root of the configuration that is an identity.
func identity(name, subject string) fields {
	return fields{"name": name, "keyless": fields{"issuer": issuer, "subject": subject}}
}

// keyed is a trust root that is a key.
func keyed(t testing.TB, name string, key crypto.Signer) fields {
	t.Helper()
	return fields{"name": name, "key": string(registrytest.PublicPEM(t, key))}
}

// whole is the configuration's host with everything in one document.
func (s *scene) whole() fields { return fields{"trustedRoot": string(s.trusts.TrustedRoot(s))} }

// pieces is the configuration's host as operators have it who came from cosign.
func (s *scene) pieces() fields {
	return fields{
		"rekorPubkey": string(s.trusts.RekorKey(s)), "fulcioCert": string(s.trusts.FulcioChain(s)),
		"ctLogPubkey": string(s.trusts.CTLogKey(s)), "tsaCert": string(s.trusts.TSAChain(s)),
	}
}

// noNetwork is a trust.Source in which nothing is, and that fails the test if
// something is fetched.
type noNetwork struct {
	secrets
	t testing.TB
}

func (n noNetwork) Remote(where trust.Remote) ([]byte, error) {
	n.t.Errorf("%+v was fetched", where)
	return nil, trust.ErrUnavailable
}

// build makes a validator of the settings, or says what is wrong with them.
func build(source trust.Source, access cosign.Registry, host fields, with fields, roots ...fields) (validator.Validator, strict.Errors) {
	list := make([]any, len(roots))
	for i, r := range roots {
		list[i] = r
	}
	settings := fields{"trustRoots": list}
	if host != nil {
		settings["host"] = host
	}
	configured, errs := cosign.New(strict.Object{Path: "validators[0]", Fields: settings}, cosign.Dependencies{
		Trust: source,
		Open: func(strict.Object, registry.AccessConfig) (cosign.Access, strict.Errors) {
			return func(context.Context, validator.Identity) (cosign.Registry, error) { return access, nil }, nil
		},
	})
	if len(errs) > 0 {
		return nil, errs
	}
	return configured.Bind(strict.Object{Path: "policy[0].with", Fields: with})
}

// validate verifies the scene's image by tag.
func (s *scene) validate(host fields, with fields, roots ...fields) (validator.Result, error) {
	s.Helper()
	v, errs := build(noNetwork{t: s}, access(s, s.reg, registry.Limits{}), host, with, roots...)
	if len(errs) > 0 {
		s.Fatal(errs)
	}
	return v.Validate(s.Context(), request(s, s.img.String()))
}

// want makes sure that the outcome is the reason's, or trust for none.
func (s *scene) want(want validator.Reason, got validator.Result, err error) {
	s.Helper()
	switch {
	case want != "":
		wantDenied(s, got, err, want)
	case err != nil:
		s.Errorf("not trusted: %v", err)
	case got.Digest != image.Digest(s.img.Digest) || len(got.TrustRoots) == 0:
		s.Errorf("trusted without naming what and by whom: %+v", got)
	}
}
