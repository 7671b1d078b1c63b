package notationtest

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// ListOption makes a CRL other than the default.
type ListOption func(*x509.RevocationList)

// ListExtension adds an extension to it.
func ListExtension(id asn1.ObjectIdentifier, value []byte) ListOption {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: id, Critical: !id.Equal(freshestCRL), Value: value})
	}
}

var freshestCRL = asn1.ObjectIdentifier{2, 5, 29, 46}

// ListFreshest has it name the places of what changes after it.
func ListFreshest(urls ...string) ListOption { return ListExtension(freshestCRL, points(urls)) }

// ListRevokes adds certificates to it.
func ListRevokes(certificates ...*x509.Certificate) ListOption {
	return func(l *x509.RevocationList) {
		for _, c := range certificates {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Hour)})
		}
	}
}

// ListNumber numbers it; the default is 1.
func ListNumber(n int64) ListOption {
	return func(l *x509.RevocationList) { l.Number = big.NewInt(n) }
}

// ListUntil has it be valid until then; the default is an hour from now.
func ListUntil(t time.Time) ListOption {
	return func(l *x509.RevocationList) { l.NextUpdate = t }
}

// List is a CRL of the authority.
func (a *Authority) List(tb TB, options ...ListOption) []byte {
	tb.Helper()
	body, err := a.list(options)
	if err != nil {
		tb.Fatalf("make a CRL: %v", err)
	}
	return body
}

func (a *Authority) list(options []ListOption) ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, option := range options {
		option(list)
	}
	return x509.CreateRevocationList(rand.Reader, list, a.Certificate, a.key)
}

// points are distribution points of one address each. RFC 5280, section 4.2.1.13.
func points(urls []string) []byte {
	var all []byte
	for _, u := range urls {
		all = append(all, wrap(0x30, wrap(0xa0, wrap(0xa0, wrap(0x86, []byte(u)))))...)
	}
	return wrap(0x30, all)
}

// Scope is an issuing distribution point with that address, and the elements that
// follow it. RFC 5280, section 5.2.5.
func Scope(url string, more ...byte) ListOption {
	var name []byte
	if url != "" {
		name = wrap(0xa0, wrap(0xa0, wrap(0x86, []byte(url))))
	}
	return ListExtension(asn1.ObjectIdentifier{2, 5, 29, 28}, wrap(0x30, append(name, more...)))
}

// wrap is DER with a tag.
func wrap(tag byte, content []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.Tag(tag), func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.BytesOrPanic()
}
