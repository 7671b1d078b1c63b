package trust

import (
	"crypto/x509"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Expiry is when trust material of a validator expires.
type Expiry struct {
	// Root is the name of the trust root, or the key of the validator's settings
	// that the material is from.
	Root string
	At   time.Time
}

// Earliest is the end of the first of the certificates to expire; zero if there
// are none.
func Earliest(certificates ...*x509.Certificate) (first time.Time) {
	for _, c := range certificates {
		if c != nil && (first.IsZero() || c.NotAfter.Before(first)) {
			first = c.NotAfter
		}
	}
	return first
}

// Expires is when the first of the authority's certificates does; zero if there
// are none.
func (a *Authority) Expires() time.Time {
	var all []*x509.Certificate
	for _, ca := range a.CAs {
		all = append(all, chainOf(ca)...)
	}
	return Earliest(all...)
}

// Expires is when no certification authority of the material, or no timestamp
// authority, is left whose certificates are valid: it keeps those of former years
// for what they have signed. It is zero where it has no certificates.
func (m *Material) Expires() time.Time {
	var authorities, timestamps time.Time
	for _, ca := range m.authorities {
		authorities = latest(authorities, Earliest(chainOf(ca)...))
	}
	for _, tsa := range m.timestamps {
		if t, ok := tsa.(*root.SigstoreTimestampingAuthority); ok {
			timestamps = latest(timestamps, Earliest(append([]*x509.Certificate{t.Root, t.Leaf}, t.Intermediates...)...))
		}
	}
	if authorities.IsZero() || !timestamps.IsZero() && timestamps.Before(authorities) {
		return timestamps
	}
	return authorities
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func chainOf(ca root.CertificateAuthority) []*x509.Certificate {
	if f, ok := ca.(*root.FulcioCertificateAuthority); ok {
		return append([]*x509.Certificate{f.Root}, f.Intermediates...)
	}
	return nil
}
