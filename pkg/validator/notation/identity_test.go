package notation_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestTrustedIdentities(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ca.Signer(t, "me").Sign(t, s.reg, s.img)
	for identities, want := range map[string]validator.Reason{
		"x509.subject: C=DE, ST=Berlin, O=Example":          "",
		"x509.subject: C=DE, ST=Berlin, O=Example, CN=me":   "",
		"x509.subject: C=DE, S=Berlin, O=Example, CN=me":    "",
		"x509.subject: C=DE, ST=Berlin, O=Example, CN=them": validator.UntrustedSigner,
		"x509.subject: C=DE, ST=Berlin, O=Exam":             validator.UntrustedSigner,
		"x509.subject: C=DE, ST=Berlin, O=Example, OU=":     validator.UntrustedSigner,
		"*": "",
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

// The library can read none of these subjects, or takes the last of two values.
func TestSubjectsAreComparedFieldByField(t *testing.T) {
	t.Parallel()
	extra := func(names ...pkix.AttributeTypeAndValue) notationtest.CertificateOption {
		return func(c *x509.Certificate) { c.Subject.ExtraNames = names }
	}
	units := func(units ...string) notationtest.CertificateOption {
		return func(c *x509.Certificate) { c.Subject.OrganizationalUnit = units }
	}
	component, country := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3}
	name := asn1.ObjectIdentifier{2, 5, 4, 3}
	for what, c := range map[string]struct {
		subject notationtest.CertificateOption
		more    string // that the identity names
		want    validator.Reason
	}{
		"a mail address":                {extra(pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "ci@example.com"}), "", ""},
		"a business":                    {extra(pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 15}, Value: "Private Organization"}, pkix.AttributeTypeAndValue{Type: country, Value: "DE"}), "", ""},
		"a domain":                      {extra(pkix.AttributeTypeAndValue{Type: component, Value: "corp"}, pkix.AttributeTypeAndValue{Type: component, Value: "example"}), "", ""},
		"two units, which nobody names": {units("a", "b"), "", ""},
		"a unit":                        {units("b"), ", OU=b", ""},
		"two units, one of them named":  {units("a", "b"), ", OU=b", validator.UntrustedSigner},
		"no unit":                       {units(), ", OU=b", validator.UntrustedSigner},
		"a comma in a unit":             {units("b, Berlin"), `, OU=b\, Berlin`, ""},
		"two names, the last of them named": {extra(
			pkix.AttributeTypeAndValue{Type: name, Value: "evil"}, pkix.AttributeTypeAndValue{Type: name, Value: "ci"}), ", CN=ci", validator.UntrustedSigner},
		"two names, the first of them named": {extra(
			pkix.AttributeTypeAndValue{Type: name, Value: "ci"}, pkix.AttributeTypeAndValue{Type: name, Value: "evil"}), ", CN=ci", validator.UntrustedSigner},
		"a name that is part of it": {extra(pkix.AttributeTypeAndValue{Type: name, Value: "ci,OU=b"}), ", CN=ci, OU=b", validator.UntrustedSigner},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.ca.Signer(t, "ci", c.subject).Sign(t, s.reg, s.img)
			v := s.bind(s.usual(fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=Berlin, O=Example" + c.more}}), nil)
			if c.want == "" {
				s.trusts(v)
				return
			}
			s.denies(v, c.want, "trustedIdentities")
		})
	}
}

// Who is not among the identities is not, whatever else is wrong, and is asked
// nothing about; and audit notes it.
func TestWhoIsNotAmongTheIdentitiesIsAStranger(t *testing.T) {
	t.Parallel()
	s, server, me := revocable(t, "OCSP")
	server.Revoke(me)
	somebody := s.usual(fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=Berlin, O=Example, CN=you"}})
	for _, level := range []string{"strict", "permissive"} {
		s.denies(s.bind(somebody, fields{"verificationLevel": level}), validator.UntrustedSigner, "trustedIdentities")
	}
	r := s.trusts(s.bind(somebody, fields{"verificationLevel": "audit"}))
	if len(r.TrustRoots) != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "the signer is not verified") || !strings.HasSuffix(r.Signers[0], "who is not trusted") {
		t.Errorf("got %+v", r)
	}
	if server.Asked() > 0 {
		t.Errorf("asked %d times", server.Asked())
	}
}
