package sigstoretest

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"strings"
	"time"

	fulcio "github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// certifying is one certificate to be.
type certifying struct {
	template *x509.Certificate
	key      crypto.Signer
	other    bool // the identity is an OtherName
	ctLog    *Sigstore
}

// CertificateOption makes a certificate other than the default.
type CertificateOption func(*certifying)

// WithoutSCT embeds no signed certificate timestamp.
func WithoutSCT() CertificateOption { return func(c *certifying) { c.ctLog = nil } }

// SCTBy has the certificate timestamped by another's CT log.
func SCTBy(other *Sigstore) CertificateOption { return func(c *certifying) { c.ctLog = other } }

// Valid says when the certificate is valid, in whole seconds; the default is
// ten minutes from now.
func Valid(from, until time.Time) CertificateOption {
	return func(c *certifying) { c.template.NotBefore, c.template.NotAfter = from, until }
}

// ForKey certifies this key instead of a new one.
func ForKey(key crypto.Signer) CertificateOption { return func(c *certifying) { c.key = key } }

// OtherName puts the identity in the alternative name that Fulcio has for user
// names, which are neither an e-mail address nor a URI.
func OtherName() CertificateOption { return func(c *certifying) { c.other = true } }

// Identities adds further identities.
func Identities(identities ...string) CertificateOption {
	return func(c *certifying) {
		for _, identity := range identities {
			c.name(identity)
		}
	}
}

// Usage replaces the extended key usage, which is code signing.
func Usage(usages ...x509.ExtKeyUsage) CertificateOption {
	return func(c *certifying) { c.template.ExtKeyUsage = usages }
}

// Extensions adds Fulcio's extensions about a build. The issuer is set already.
func Extensions(e fulcio.Extensions) CertificateOption {
	return func(c *certifying) {
		c.template.ExtraExtensions = append(c.template.ExtraExtensions, buildExtensions(e)...)
	}
}

// Certificate issues a short-lived certificate for an identity (a URI where
// there is "://" in it, an e-mail address otherwise) by Fulcio, with a signed
// certificate timestamp by the CT log.
func (s *Sigstore) Certificate(tb TB, identity, issuer string, options ...CertificateOption) *Signer {
	tb.Helper()
	now := time.Now()
	c := &certifying{
		template: &x509.Certificate{
			NotBefore: now, NotAfter: now.Add(10 * time.Minute),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		},
		ctLog: s,
	}
	for _, option := range options {
		option(c)
	}
	if c.key == nil {
		c.key = newKey(tb)
	}
	if c.other {
		c.template.ExtraExtensions = append(c.template.ExtraExtensions, otherName(tb, identity))
	} else {
		c.name(identity)
	}
	c.template.ExtraExtensions = append(c.template.ExtraExtensions, buildExtensions(fulcio.Extensions{Issuer: issuer})...)
	by := s.fulcio.intermediate
	certificate := issue(tb, c.template, by.certificate, c.key.Public(), by.key)
	if c.ctLog != nil {
		c.template.ExtraExtensions = append(c.template.ExtraExtensions, c.ctLog.sctList(tb, certificate, by.certificate))
		certificate = issue(tb, c.template, by.certificate, c.key.Public(), by.key)
	}
	return &Signer{key: c.key, certificate: certificate, chain: s.fulcio.chain()}
}

func otherName(tb TB, identity string) pkix.Extension {
	tb.Helper()
	san, err := cryptoutils.MarshalOtherNameSAN(identity, true)
	if err != nil {
		tb.Fatalf("make a certificate: %v", err)
	}
	return *san
}

func (c *certifying) name(identity string) {
	if uri, err := url.Parse(identity); err == nil && strings.Contains(identity, "://") {
		c.template.URIs = append(c.template.URIs, uri)
		return
	}
	c.template.EmailAddresses = append(c.template.EmailAddresses, identity)
}

// buildExtensions encodes what is set; extensions are numbered from 1.
// https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
func buildExtensions(e fulcio.Extensions) []pkix.Extension {
	var all []pkix.Extension
	add := func(number int, value string, der []byte) {
		if value != "" {
			all = append(all, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, number}, Value: der})
		}
	}
	// The first six are the characters themselves, by an old mistake.
	for i, value := range []string{
		e.Issuer, e.GithubWorkflowTrigger, e.GithubWorkflowSHA, e.GithubWorkflowName, e.GithubWorkflowRepository, e.GithubWorkflowRef,
	} {
		add(1+i, value, []byte(value))
	}
	for i, value := range []string{
		e.Issuer, e.BuildSignerURI, e.BuildSignerDigest, e.RunnerEnvironment, e.SourceRepositoryURI,
		e.SourceRepositoryDigest, e.SourceRepositoryRef, e.SourceRepositoryIdentifier, e.SourceRepositoryOwnerURI,
		e.SourceRepositoryOwnerIdentifier, e.BuildConfigURI, e.BuildConfigDigest, e.BuildTrigger, e.RunInvocationURI,
		e.SourceRepositoryVisibilityAtSigning,
	} {
		der, err := asn1.MarshalWithParams(value, "utf8")
		if err != nil {
			panic(err) // only for text that is no UTF-8
		}
		add(8+i, value, der)
	}
	return all
}
