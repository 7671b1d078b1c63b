package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"time"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// Material is what a Sigstore consists of: certification authority, logs and
// timestamp authorities. It is immutable; the zero value trusts nothing.
type Material struct {
	root.BaseTrustedMaterial

	authorities []root.CertificateAuthority
	timestamps  []root.TimestampingAuthority
	logs        map[string]*root.TransparencyLog
	ctLogs      map[string]*root.TransparencyLog
	fingerprint string
}

var _ root.TrustedMaterial = (*Material)(nil)

// FulcioCertificateAuthorities implements root.TrustedMaterial.
func (m *Material) FulcioCertificateAuthorities() []root.CertificateAuthority { return m.authorities }

// TimestampingAuthorities implements root.TrustedMaterial.
func (m *Material) TimestampingAuthorities() []root.TimestampingAuthority { return m.timestamps }

// RekorLogs implements root.TrustedMaterial.
func (m *Material) RekorLogs() map[string]*root.TransparencyLog { return m.logs }

// CTLogs implements root.TrustedMaterial.
func (m *Material) CTLogs() map[string]*root.TransparencyLog { return m.ctLogs }

// Fingerprint identifies the content.
func (m *Material) Fingerprint() string { return m.fingerprint }

// ParseTrustedRoot reads a trusted_root.json.
// https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
func ParseTrustedRoot(text []byte) (*Material, error) {
	parsed, err := root.NewTrustedRootFromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("is no trusted_root.json: %w", err)
	}
	return &Material{
		authorities: parsed.FulcioCertificateAuthorities(),
		timestamps:  parsed.TimestampingAuthorities(),
		logs:        parsed.RekorLogs(),
		ctLogs:      parsed.CTLogs(),
		fingerprint: fingerprintOf(text),
	}, nil
}

// ParseFulcio reads the certificates of the authority: what is self-signed is
// trusted, the rest leads there. If nothing is self-signed, all are trusted.
func ParseFulcio(text []byte) (*Material, error) {
	certificates, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	var anchors, intermediates []*x509.Certificate
	for _, c := range certificates {
		switch {
		case !isAuthority(c):
			return nil, fmt.Errorf("holds %q, which is no certification authority", c.Subject)
		case selfSigned(c):
			anchors = append(anchors, c)
		default:
			intermediates = append(intermediates, c)
		}
	}
	if len(anchors) == 0 {
		anchors, intermediates = intermediates, nil
	}
	return &Material{authorities: newAuthority(anchors, intermediates).CAs, fingerprint: fingerprintOf(text)}, nil
}

// ParseTimestampAuthority reads the certificates of a timestamp authority, from
// its own to its root's.
func ParseTimestampAuthority(text []byte) (*Material, error) {
	certificates, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	tsa := &root.SigstoreTimestampingAuthority{}
	for _, c := range certificates {
		switch {
		case !isAuthority(c) && tsa.Leaf == nil:
			tsa.Leaf = c
		case !isAuthority(c):
			return nil, errors.New("holds the certificates of two timestamp authorities; use a trusted_root.json for more than one")
		case selfSigned(c) && tsa.Root == nil:
			tsa.Root = c
		case selfSigned(c):
			return nil, errors.New("holds two roots; use a trusted_root.json for more than one timestamp authority")
		default:
			tsa.Intermediates = append(tsa.Intermediates, c)
		}
	}
	if tsa.Root == nil {
		return nil, errors.New("lacks the root of the timestamp authority's certificates")
	}
	return &Material{timestamps: []root.TimestampingAuthority{tsa}, fingerprint: fingerprintOf(text)}, nil
}

// ParseRekor reads the public keys of transparency logs, each in a PEM block.
// at is the log's URL, whose host names the log where that is part of what it
// signs (Rekor version 2); it may be empty.
func ParseRekor(text []byte, at string) (*Material, error) {
	logs, err := parseLogs(text, at)
	return &Material{logs: logs, fingerprint: fingerprintOf([]byte(at), text)}, err
}

// ParseCTLog reads the public keys of certificate transparency logs.
func ParseCTLog(text []byte) (*Material, error) {
	logs, err := parseLogs(text, "")
	return &Material{ctLogs: logs, fingerprint: fingerprintOf(text)}, err
}

// parseLogs reads the public keys of logs, by the IDs that entries name them
// by: RFC 6962, section 3.2, and for Rekor version 2 C2SP's signed-note.
func parseLogs(text []byte, at string) (map[string]*root.TransparencyLog, error) {
	if _, err := ParseKeys(text); err != nil {
		return nil, err
	}
	logs := map[string]*root.TransparencyLog{}
	for rest := text; ; {
		block, after := pem.Decode(rest)
		if block == nil {
			return logs, nil
		}
		rest = after
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("is not a PEM public key: %w", err)
		}
		id := sha256.Sum256(block.Bytes)
		log := root.TransparencyLog{BaseURL: at, ValidityPeriodStart: time.Unix(0, 0), ID: id[:], HashFunc: crypto.SHA256, PublicKey: public, SignatureHashFunc: signatureHash(public)}
		logs[hex.EncodeToString(id[:])] = &log
		if u, err := url.Parse(at); err == nil && u.Hostname() != "" {
			if _, noteID, err := note.KeyHash(u.Hostname(), public); err == nil {
				named := log
				named.ID = noteID
				logs[hex.EncodeToString(noteID)] = &named
			}
		}
	}
}

// signatureHash is the hash that goes with a log's key.
func signatureHash(public crypto.PublicKey) crypto.Hash {
	if key, ok := public.(*ecdsa.PublicKey); ok {
		switch key.Curve.Params().BitSize {
		case 384:
			return crypto.SHA384
		case 521:
			return crypto.SHA512
		}
	}
	return crypto.SHA256
}

// Join puts pieces together; nil pieces are left out.
func Join(pieces ...*Material) *Material {
	all := &Material{logs: map[string]*root.TransparencyLog{}, ctLogs: map[string]*root.TransparencyLog{}}
	for i, m := range pieces {
		if m == nil {
			continue
		}
		all.authorities = append(all.authorities, m.authorities...)
		all.timestamps = append(all.timestamps, m.timestamps...)
		maps.Copy(all.logs, m.logs)
		maps.Copy(all.ctLogs, m.ctLogs)
		all.fingerprint += fmt.Sprintf("%d:%s ", i, m.fingerprint)
	}
	return all
}

// Only is the material with the certification authorities of a trust root of
// its own instead.
func (m *Material) Only(a *Authority) *Material {
	own := *m
	own.authorities = a.CAs
	own.fingerprint += " " + a.ID
	return &own
}

// Logs is just the transparency logs, Authorities just the certification
// authorities, CertificateLogs just the certificate transparency logs, and
// Timestamps just the timestamp authorities.
func (m *Material) Logs() *Material { return &Material{logs: m.logs, fingerprint: m.fingerprint} }

// Authorities is just the certification authorities.
func (m *Material) Authorities() *Material {
	return &Material{authorities: m.authorities, fingerprint: m.fingerprint}
}

// CertificateLogs is just the certificate transparency logs.
func (m *Material) CertificateLogs() *Material {
	return &Material{ctLogs: m.ctLogs, fingerprint: m.fingerprint}
}

// Timestamps is just the timestamp authorities.
func (m *Material) Timestamps() *Material {
	return &Material{timestamps: m.timestamps, fingerprint: m.fingerprint}
}

func fingerprintOf(texts ...[]byte) string {
	sum := sha256.Sum256(bytes.Join(texts, []byte{0}))
	return hex.EncodeToString(sum[:])
}
