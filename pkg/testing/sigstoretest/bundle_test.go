package sigstoretest_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	fulcio "github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	st "github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
)

const (
	me     = "me@example.com"
	issuer = "https://issuer.example.com"
	slsa   = "https://slsa.dev/provenance/v1"
)

// Combinations of what a verifier wants to see.
var (
	log        = verify.WithTransparencyLog(1)
	sct        = verify.WithSignedCertificateTimestamps(1)
	integrated = verify.WithIntegratedTimestamps(1)
	stamped    = verify.WithSignedTimestamps(1)
	untimed    = verify.WithNoObserverTimestamps()
)

var anyImage = registrytest.Image{
	Host: "registry.test", Repository: "team/app", Tag: "v1", Digest: "sha256:" + strings.Repeat("0123456789abcdef", 4),
}

// check verifies a bundle by certificate or, with a signer without one, by key.
func check(tb testing.TB, s *st.Sigstore, raw []byte, by *st.Signer, options ...verify.VerifierOption) (*verify.VerificationResult, error) {
	tb.Helper()
	trusted, err := root.NewTrustedRootFromJSON(s.TrustedRoot(tb))
	if err != nil {
		tb.Fatal(err)
	}
	material := root.TrustedMaterialCollection{trusted}
	policies := []verify.PolicyOption{}
	if by.Certificate() == nil {
		verifier, err := signature.LoadDefaultVerifier(by.Public())
		if err != nil {
			tb.Fatal(err)
		}
		key := root.NewExpiringKey(verifier, time.Time{}, time.Time{})
		material = append(material, root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return key, nil }))
		policies = append(policies, verify.WithKey())
	} else {
		identity, err := verify.NewShortCertificateIdentity(issuer, "", me, "")
		if err != nil {
			tb.Fatal(err)
		}
		policies = append(policies, verify.WithCertificateIdentity(identity))
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	verifier, err := verify.NewVerifier(material, options...)
	if err != nil {
		tb.Fatal(err)
	}
	digest, _ := hex.DecodeString(strings.TrimPrefix(anyImage.Digest, "sha256:"))
	return verifier.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), policies...))
}

func TestSigstoreAcceptsBundles(t *testing.T) {
	t.Parallel()
	s, other := st.New(t), st.New(t)
	key := st.Key(registrytest.Key(t))
	past := time.Now().Add(-48 * time.Hour)
	certificate := func(options ...st.CertificateOption) *st.Signer { return s.Certificate(t, me, issuer, options...) }
	for title, c := range map[string]struct {
		by   *st.Signer
		opts []st.Option
		want []verify.VerifierOption
	}{
		"a certificate, as is the default":     {certificate(), nil, []verify.VerifierOption{log, sct, integrated}},
		"a certificate without SCT":            {certificate(st.WithoutSCT()), nil, []verify.VerifierOption{log, integrated}},
		"a timestamp instead of a log entry":   {certificate(), []st.Option{st.WithoutEntry(), st.TimestampedBy(s)}, []verify.VerifierOption{sct, stamped}},
		"both a timestamp and a log entry":     {certificate(), []st.Option{st.TimestampedBy(s)}, []verify.VerifierOption{log, sct, stamped, integrated}},
		"Rekor v2 with a timestamp":            {certificate(), []st.Option{st.RekorV2(), st.TimestampedBy(s)}, []verify.VerifierOption{log, sct, stamped}},
		"an entry of the kind intoto":          {certificate(), []st.Option{st.Intoto()}, []verify.VerifierOption{log, sct, integrated}},
		"a proof without a promise and a time": {certificate(), []st.Option{st.WithoutPromise(), st.TimestampedBy(s)}, []verify.VerifierOption{log, sct, stamped}},
		"entries in several logs":              {certificate(), []st.Option{st.LoggedBy(other, s, s)}, []verify.VerifierOption{log, sct, integrated}},
		"a certificate that was valid once":    {certificate(st.Valid(past, past.Add(time.Minute))), []st.Option{st.IntegratedAt(past)}, []verify.VerifierOption{log, sct, integrated}},
		"a timestamp of long ago":              {certificate(st.Valid(past, past.Add(time.Minute))), []st.Option{st.WithoutEntry(), st.TimestampedBy(s), st.TimestampedAt(past)}, []verify.VerifierOption{sct, stamped}},
		"a key with an entry":                  {key, nil, []verify.VerifierOption{log, integrated}},
		"a key alone":                          {key, []st.Option{st.WithoutEntry()}, []verify.VerifierOption{untimed}},
		"a key with an entry in Rekor v2":      {key, []st.Option{st.RekorV2()}, []verify.VerifierOption{log, untimed}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if _, err := check(t, s, s.SignatureBundle(t, anyImage, c.by, c.opts...), c.by, c.want...); err != nil {
				t.Errorf("signature: %v", err)
			}
			if _, err := check(t, s, s.AttestationBundle(t, anyImage, c.by, slsa, map[string]string{"a": "b"}, c.opts...), c.by, c.want...); err != nil {
				t.Errorf("attestation: %v", err)
			}
		})
	}
}

// Each is wrong in one respect: the error names it.
func TestSigstoreRefusesBundles(t *testing.T) {
	t.Parallel()
	s, other := st.New(t), st.New(t)
	key := st.Key(registrytest.Key(t))
	past := time.Now().Add(-48 * time.Hour)
	certificate := func(options ...st.CertificateOption) *st.Signer { return s.Certificate(t, me, issuer, options...) }
	all := []verify.VerifierOption{log, sct, integrated}
	v2 := []verify.VerifierOption{log, sct, stamped}
	for title, c := range map[string]struct {
		by   *st.Signer
		opts []st.Option
		want []verify.VerifierOption
		err  string
	}{
		"another digest":                   {certificate(), []st.Option{st.ForDigest("sha256:" + strings.Repeat("00", 32))}, all, "digest"},
		"no statement":                     {certificate(), []st.Option{st.Payload([]byte("{}"))}, all, "statement"},
		"a broken signature":               {certificate(), []st.Option{st.BrokenSignature()}, all, "signature"},
		"another key":                      {key, []st.Option{st.BrokenSignature(), st.WithoutEntry()}, []verify.VerifierOption{untimed}, "signature"},
		"no entry":                         {certificate(), []st.Option{st.WithoutEntry()}, all, "not enough verified log entries"},
		"an entry of another signature":    {certificate(), []st.Option{st.OtherEntry()}, all, "transparency log signature does not match"},
		"a v2 entry of another signature":  {certificate(), []st.Option{st.OtherEntry(), st.RekorV2(), st.TimestampedBy(s)}, v2, "verifying log entry"},
		"an entry by another log":          {certificate(), []st.Option{st.LoggedBy(other)}, all, "not enough verified log entries"},
		"a forged entry":                   {certificate(), []st.Option{st.ForgedBy(other)}, all, "not enough verified log entries"},
		"a forged v2 entry":                {certificate(), []st.Option{st.ForgedBy(other), st.RekorV2(), st.TimestampedBy(s)}, v2, "verifying log entry"},
		"an integrated time too early":     {certificate(), []st.Option{st.IntegratedAt(past)}, all, "integrated time outside certificate validity"},
		"a timestamp too early":            {certificate(), []st.Option{st.TimestampedBy(s), st.TimestampedAt(past)}, v2, "leaf certificate verification failed"},
		"a timestamp by another":           {certificate(), []st.Option{st.TimestampedBy(other)}, v2, "threshold not met"},
		"a timestamp of another signature": {certificate(), []st.Option{st.TimestampedBy(s), st.OtherTimestamp()}, v2, "threshold not met"},
		"no SCT":                           {certificate(st.WithoutSCT()), nil, all, "SCT"},
		"an SCT by another":                {certificate(st.SCTBy(other)), nil, all, "SCT"},
		"a certificate by another":         {other.Certificate(t, me, issuer, st.SCTBy(s)), nil, all, "leaf certificate verification failed"},
		"an identity of another":           {s.Certificate(t, "you@example.com", issuer), nil, all, "no matching CertificateIdentity"},
		"a wrong issuer":                   {s.Certificate(t, me, "https://other.example.com"), nil, all, "no matching CertificateIdentity"},
		"no proof":                         {certificate(), []st.Option{st.WithoutProof()}, all, "inclusion proof"},
		"no bundle":                        {certificate(), []st.Option{st.Bytes([]byte("{}"))}, all, "bundle"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			_, err := check(t, s, s.SignatureBundle(t, anyImage, c.by, c.opts...), c.by, c.want...)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("want an error about %q, got %v", c.err, err)
			}
		})
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	s := st.New(t)
	by := s.Certificate(t, me, issuer)
	signed, err := check(t, s, s.SignatureBundle(t, anyImage, by, st.Annotations(map[string]string{"env": "prod"})), by, log, integrated)
	if err != nil {
		t.Fatal(err)
	}
	subject := signed.Statement.GetSubject()[0]
	if signed.Statement.GetPredicateType() != st.SignaturePredicate || subject.GetAnnotations().AsMap()["env"] != "prod" || subject.GetName() != "" {
		t.Errorf("signed %v", signed.Statement)
	}
	attested, err := check(t, s, s.AttestationBundle(t, anyImage, by, slsa, map[string]string{"a": "b"}), by, log, integrated)
	if err != nil {
		t.Fatal(err)
	}
	if attested.Statement.GetPredicateType() != slsa || attested.Statement.GetPredicate().AsMap()["a"] != "b" || attested.Statement.GetSubject()[0].GetName() != anyImage.Name() {
		t.Errorf("attested %v", attested.Statement)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	s := st.New(t)
	const workflow = "https://github.com/team/app/.github/workflows/release.yaml@refs/tags/v1"
	by := s.Certificate(t, workflow, issuer, st.Extensions(fulcio.Extensions{
		GithubWorkflowRepository: "team/app", SourceRepositoryURI: "https://github.com/team/app", BuildTrigger: "push",
		SourceRepositoryVisibilityAtSigning: "public",
	}))
	got, err := fulcio.SummarizeCertificate(by.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	if got.SubjectAlternativeName != workflow || got.Issuer != issuer || got.SourceRepositoryURI != "https://github.com/team/app" ||
		got.GithubWorkflowRepository != "team/app" || got.BuildTrigger != "push" || got.SourceRepositoryVisibilityAtSigning != "public" {
		t.Errorf("summarized as %+v", got)
	}
	named, err := fulcio.SummarizeCertificate(s.Certificate(t, "me", issuer, st.OtherName()).Certificate())
	if err != nil || named.SubjectAlternativeName != "me" {
		t.Errorf("summarized as %+v, %v", named, err)
	}
}
