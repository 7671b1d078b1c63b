package sigstoretest_test

import (
	"context"
	"crypto/x509"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	rekorclient "github.com/sigstore/rekor/pkg/client"
	"github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/tuf" //nolint:staticcheck // cosign 2 takes keys with its types

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	st "github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
)

// operator verifies with the single pieces, as an operator configures them.
func operator(t *testing.T, s *st.Sigstore, by *st.Signer) *cosign.CheckOpts {
	t.Helper()
	opts := &cosign.CheckOpts{Identities: []cosign.Identity{{Subject: me, Issuer: issuer}}, Offline: true}
	if by.Certificate() == nil {
		verifier, err := signature.LoadDefaultVerifier(by.Public())
		if err != nil {
			t.Fatal(err)
		}
		opts.SigVerifier, opts.IgnoreSCT = verifier, true
	}
	pool := func(certificates ...*x509.Certificate) *x509.CertPool {
		p := x509.NewCertPool()
		for _, c := range certificates {
			p.AddCert(c)
		}
		return p
	}
	fulcio, stampers := parse(t, s.FulcioChain(t)), parse(t, s.TSAChain(t))
	opts.IntermediateCerts, opts.RootCerts = pool(fulcio[0]), pool(fulcio[1])
	opts.TSACertificate, opts.TSAIntermediateCertificates, opts.TSARootCertificates = stampers[0], stampers[1:2], stampers[2:]
	opts.RekorPubKeys, opts.CTLogPubKeys = logKey(t, s.RekorKey(t)), logKey(t, s.CTLogKey(t))
	return opts
}

func parse(t *testing.T, text []byte) []*x509.Certificate {
	t.Helper()
	all, err := cryptoutils.UnmarshalCertificatesFromPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func logKey(t *testing.T, text []byte) *cosign.TrustedTransparencyLogPubKeys {
	t.Helper()
	keys := cosign.NewTrustedTransparencyLogPubKeys()
	if err := keys.AddTransparencyLogPubKey(text, tuf.Active); err != nil {
		t.Fatal(err)
	}
	return &keys
}

// cosignFinds verifies as cosign 2 does and returns what it found wrong.
func cosignFinds(ctx context.Context, t *testing.T, img registrytest.Image, opts *cosign.CheckOpts, attestation bool) error {
	t.Helper()
	ref, err := name.NewDigest(img.ByDigest())
	if err != nil {
		t.Fatal(err)
	}
	opts.ClaimVerifier = cosign.SimpleClaimVerifier
	find := cosign.VerifyImageSignatures
	if attestation {
		opts.ClaimVerifier, find = cosign.IntotoSubjectClaimVerifier, cosign.VerifyImageAttestations
	}
	_, _, err = find(ctx, ref, opts)
	return err
}

func TestCosignAcceptsLegacySignatures(t *testing.T) {
	t.Parallel()
	s, reg := st.New(t), registrytest.New(t)
	key, past := st.Key(registrytest.Key(t)), time.Now().Add(-48*time.Hour)
	old := s.Certificate(t, me, issuer, st.Valid(past, past.Add(time.Minute)))
	noLog := func(o *cosign.CheckOpts) { o.IgnoreTlog = true }
	stamps := func(o *cosign.CheckOpts) { o.UseSignedTimestamps = true }
	for title, c := range map[string]struct {
		by   *st.Signer
		opts []st.Option
		want []func(*cosign.CheckOpts)
	}{
		"a certificate, as is the default":   {s.Certificate(t, me, issuer), nil, nil},
		"a certificate and a timestamp":      {s.Certificate(t, me, issuer), []st.Option{st.TimestampedBy(s)}, []func(*cosign.CheckOpts){stamps}},
		"a timestamp instead of a log entry": {s.Certificate(t, me, issuer), []st.Option{st.WithoutEntry(), st.TimestampedBy(s)}, []func(*cosign.CheckOpts){stamps, noLog}},
		"a certificate that was valid once":  {old, []st.Option{st.IntegratedAt(past)}, nil},
		"a key with an entry":                {key, nil, nil},
		"a key alone":                        {key, []st.Option{st.WithoutEntry()}, []func(*cosign.CheckOpts){noLog}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			opts := operator(t, s, c.by)
			for _, change := range c.want {
				change(opts)
			}
			img := reg.Push(t, "team/app:v1")
			s.SignLegacy(t, reg, img, c.by, c.opts...)
			if err := cosignFinds(t.Context(), t, img, opts, false); err != nil {
				t.Errorf("signature: %v", err)
			}
			s.AttestLegacy(t, reg, img, c.by, slsa, map[string]string{"a": "b"}, c.opts...)
			if err := cosignFinds(t.Context(), t, img, opts, true); err != nil {
				t.Errorf("attestation: %v", err)
			}
		})
	}
}

func TestCosignRefusesLegacySignatures(t *testing.T) {
	t.Parallel()
	s, other, reg := st.New(t), st.New(t), registrytest.New(t)
	past := time.Now().Add(-48 * time.Hour)
	certificate := func(options ...st.CertificateOption) *st.Signer { return s.Certificate(t, me, issuer, options...) }
	for title, c := range map[string]struct {
		by   *st.Signer
		opts []st.Option
		err  string
	}{
		"another digest":                {certificate(), []st.Option{st.ForDigest("sha256:" + strings.Repeat("00", 32))}, "digest"},
		"a broken signature":            {certificate(), []st.Option{st.BrokenSignature()}, "signature"},
		"no entry":                      {certificate(), []st.Option{st.WithoutEntry()}, "offline verification failed"},
		"an entry of another signature": {certificate(), []st.Option{st.OtherEntry()}, "match"},
		"an entry by another log":       {certificate(), []st.Option{st.LoggedBy(other)}, "rekor log public key not found"},
		"a forged entry":                {certificate(), []st.Option{st.ForgedBy(other)}, "unable to verify SET"},
		"an integrated time too early":  {certificate(), []st.Option{st.IntegratedAt(past)}, "certificate was issued after signatures were entered in log"},
		"no SCT":                        {certificate(st.WithoutSCT()), nil, "SCT"},
		"an SCT by another":             {certificate(st.SCTBy(other)), nil, "ctfe public key not found"},
		"a certificate by another":      {other.Certificate(t, me, issuer, st.SCTBy(s)), nil, "certificate signed by unknown authority"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			img := reg.Push(t, "team/app:v1")
			s.SignLegacy(t, reg, img, c.by, c.opts...)
			err := cosignFinds(t.Context(), t, img, operator(t, s, c.by), false)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("want an error about %q, got %v", c.err, err)
			}
		})
	}
}

// What carries no entry is found in the log.
func TestCosignLooksEntriesUp(t *testing.T) {
	t.Parallel()
	s, reg := st.New(t), registrytest.New(t)
	rekor := rekorOf(t, s)
	for title, by := range map[string]*st.Signer{"key": st.Key(registrytest.Key(t)), "certificate": s.Certificate(t, me, issuer)} {
		img := reg.Push(t, "team/app:"+title)
		s.SignLegacy(t, reg, img, by, st.InLogOnly())
		s.AttestLegacy(t, reg, img, by, slsa, nil, st.InLogOnly())
		unlogged := reg.Push(t, "team/other:"+title)
		s.SignLegacy(t, reg, unlogged, by, st.WithoutEntry())
		opts := operator(t, s, by)
		opts.Offline, opts.RekorClient = false, rekor
		for _, attestation := range []bool{false, true} {
			if err := cosignFinds(t.Context(), t, img, opts, attestation); err != nil {
				t.Errorf("%s: attestation %v: %v", title, attestation, err)
			}
		}
		if err := cosignFinds(t.Context(), t, unlogged, opts, false); err == nil {
			t.Errorf("%s: found what is not in the log", title)
		}
	}
}

func rekorOf(t *testing.T, s *st.Sigstore) *client.Rekor {
	t.Helper()
	address, err := url.Parse(s.Server(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	rekor, err := rekorclient.GetRekorClient(address.String(), rekorclient.WithRetryCount(0))
	if err != nil {
		t.Fatal(err)
	}
	return rekor
}
