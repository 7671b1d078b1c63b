package dct

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/data"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// RootClaim is what a server says is a repository's root. It is not trusted.
type RootClaim struct {
	*document
	*authority
	raw []byte
}

// ReadRoot reads a root.
func ReadRoot(raw []byte) (*RootClaim, *validator.Error) {
	var content struct {
		header
		Keys  map[string]wireKey  `json:"keys"`
		Roles map[string]wireRole `json:"roles"`
	}
	d, failure := read(RootRole, raw, &content)
	if failure != nil {
		return nil, failure
	}
	a, err := newAuthority(content.Keys, content.Roles)
	if err != nil {
		return nil, validator.Errorf(validator.InvalidTrustData, "the root of its trust data cannot be used: %s", validator.Quote(err.Error()))
	}
	for _, role := range []string{RootRole, TimestampRole, SnapshotRole, TargetsRole} {
		if _, ok := content.Roles[role]; !ok {
			return nil, validator.Errorf(validator.InvalidTrustData, "the root of its trust data names no keys for the %s", role)
		}
	}
	return &RootClaim{d, a, raw}, nil
}

// RootKey is one of the keys that roots are signed with.
type RootKey struct {
	// ID is what the metadata calls the key.
	ID string
	// PEM is the public key.
	PEM []byte
	// Certificate is what the key stands in; nil if it stands for itself.
	Certificate *x509.Certificate
}

// Keys are those of the root itself, in the order of the file.
func (c *RootClaim) Keys() []RootKey {
	var found []RootKey
	for _, id := range c.roles[RootRole].KeyIDs {
		if key, ok := c.keys[id]; ok {
			found = append(found, RootKey{
				ID: id, Certificate: key.cert,
				PEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key.spki}),
			})
		}
	}
	return found
}

// Version is the root's, from 1.
func (c *RootClaim) Version() int64 { return c.header.Version }

// Hash identifies what the root says, whoever has signed it: 128 bits of SHA-256, in
// base64. That is enough against whoever looks for another root with the same.
func (c *RootClaim) Hash() string {
	sum := sha256.Sum256(c.canonical)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Seen turns the claim into a Root that nobody has signed: the caller knows by its hash
// that it was trusted before.
func (c *RootClaim) Seen(repository string) *Root { return &Root{RootClaim: c, repository: repository} }

// Is tells whether it is the root of this file.
func (c *RootClaim) Is(raw []byte) bool { return bytes.Equal(c.raw, raw) }

// consistent tells whether the root is signed by its own keys, as many as it
// demands. Of those that are certificates only the ones count that are for the
// repository, and at a time that is given are valid.
func (c *RootClaim) consistent(repository string, now time.Time) *validator.Error {
	return c.signs(c.document, repository, now)
}

// signs tells whether a root is signed by the keys of this one.
func (c *RootClaim) signs(d *document, repository string, now time.Time) *validator.Error {
	var unfit string
	db, err := c.database(map[string]wireRole{RootRole: c.roles[RootRole]}, func(k *publicKey) bool {
		why := k.unfit(repository, now)
		if why != "" {
			unfit = why
		}
		return why == ""
	})
	if err != nil {
		return validator.Errorf(validator.InvalidTrustData, "the root of its trust data cannot be used: %s", validator.Quote(err.Error()))
	}
	failure := verifyWith(db, d)
	if failure != nil && unfit != "" {
		failure.Message += "; " + unfit
	}
	return failure
}

// unfit says why a certificate does not count for a repository: its common name
// is for another. One that names no repository at all is as good as a plain
// key. A zero time is not compared.
func (k *publicKey) unfit(repository string, now time.Time) string {
	if k.cert == nil {
		return ""
	}
	name := k.cert.Subject.CommonName
	prefix, wild := strings.CutSuffix(name, "*")
	switch {
	case strings.Contains(name, "/") && name != repository && (!wild || !strings.HasPrefix(repository, prefix)):
		return fmt.Sprintf("a certificate of its root key is for another repository, %s", validator.Quote(name))
	case !now.IsZero() && now.After(k.cert.NotAfter):
		return "the certificate of its root key expired at " + k.cert.NotAfter.UTC().Format(time.RFC3339)
	case !now.IsZero() && now.Before(k.cert.NotBefore):
		return "the certificate of its root key is valid from " + k.cert.NotBefore.UTC().Format(time.RFC3339)
	}
	return ""
}

// signedBy tells which trust roots have signed.
func (c *RootClaim) signedBy(roots []trust.Root) (signed []trust.Signed) {
	hash := sha256.Sum256(c.canonical)
	for _, root := range roots {
		for _, key := range root.Keys {
			if slices.ContainsFunc(c.signatures, func(s data.Signature) bool {
				return verifySignature(key.Public, hash[:], s.Signature) == nil
			}) {
				signed = append(signed, trust.Signed{Root: root.Name, Signer: "root key " + key.ID, Key: key.ID})
			}
		}
	}
	return signed
}

// has tells whether a key is one of the root's own, in a certificate for the
// repository if it is in one. One that is not may have signed, since it was
// replaced; then it is for the version before to say for what repository.
func (c *RootClaim) has(key, repository string) bool {
	return slices.ContainsFunc(c.roles[RootRole].KeyIDs, func(id string) bool {
		k, ok := c.keys[id]
		return ok && trust.KeyID(k.spki) == key && k.unfit(repository, time.Time{}) == ""
	})
}

// Pinned turns the claim into a Root if the quorum of pinned keys has signed it.
// The error's reason is UntrustedSigner, ThresholdNotReached or MissingRequired
// if they have not; a successor of an older root may still be trusted.
func (c *RootClaim) Pinned(repository string, by trust.Quorum) (*Root, *validator.Error) {
	signed := c.signedBy(by.Roots)
	if failure := by.Check(by.Distinct(signed)); failure != nil {
		return nil, failure
	}
	if failure := c.consistent(repository, time.Time{}); failure != nil {
		return nil, failure
	}
	signed = slices.DeleteFunc(signed, func(s trust.Signed) bool { return !c.has(s.Key, repository) })
	if failure := by.Check(by.Distinct(signed)); failure != nil {
		return nil, failure
	}
	return &Root{RootClaim: c, repository: repository, signed: signed}, nil
}

// Root is a root that is trusted.
type Root struct {
	*RootClaim
	repository string
	signed     []trust.Signed
}

// Signed tells which trust roots have signed it, or what it descends from.
func (r *Root) Signed() []trust.Signed { return r.signed }

// Successor turns a claim into a Root: the next version, signed by the keys of
// this one and by its own. TUF specification, section 5.3.
func (r *Root) Successor(c *RootClaim) (*Root, *validator.Error) {
	if c.Version() != r.Version()+1 {
		return nil, validator.Errorf(validator.InvalidTrustData, "the root of its trust data has the version %d, where %d should follow", c.Version(), r.Version()+1)
	}
	if failure := r.signs(c.document, r.repository, time.Time{}); failure != nil {
		failure.Reason = validator.UntrustedSigner
		failure.Message = fmt.Sprintf("version %d of its root is not signed by the keys of version %d", c.Version(), r.Version())
		return nil, failure
	}
	if failure := c.consistent(r.repository, time.Time{}); failure != nil {
		return nil, failure
	}
	return &Root{RootClaim: c, repository: r.repository, signed: r.signed}, nil
}

// Current refuses a root that has expired, or is signed only with certificates
// that have.
func (r *Root) Current(now time.Time) *validator.Error {
	if failure := r.current(now); failure != nil {
		return failure
	}
	if failure := r.consistent(r.repository, now); failure != nil {
		failure.Reason = validator.Expired
		return failure
	}
	return nil
}

// Ends is when a root that is current expires, or so many certificates of its keys that
// it is not signed any more.
func (r *Root) Ends(now time.Time) time.Time {
	ends := r.Expires
	for _, key := range r.Keys() {
		if key.Certificate == nil || !key.Certificate.NotAfter.Before(ends) || key.Certificate.NotAfter.Before(now) {
			continue
		}
		if r.consistent(r.repository, key.Certificate.NotAfter.Add(time.Nanosecond)) != nil {
			ends = key.Certificate.NotAfter
		}
	}
	return ends
}

// Servers identifies the keys of timestamp and snapshot, which servers hold.
func (r *Root) Servers() string {
	var ids []string
	for _, role := range []string{TimestampRole, SnapshotRole} {
		of := slices.Sorted(slices.Values(r.roles[role].KeyIDs))
		ids = append(ids, fmt.Sprintf("%d of %q", r.roles[role].Threshold, of))
	}
	sum := sha256.Sum256([]byte(strings.Join(ids, " ")))
	return hex.EncodeToString(sum[:8])
}
