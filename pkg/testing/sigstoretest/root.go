package sigstoretest

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// The logs' addresses; checkpoints name their hosts.
const (
	rekorHost   = "rekor.sigstore.test"
	rekorV2Host = "log2025-1.rekor.sigstore.test"
	// RekorV2URL is where the Rekor v2 log says to be.
	RekorV2URL = "https://" + rekorV2Host
	ctLogHost  = "ctfe.sigstore.test"
)

// TrustedRoot is a trusted_root.json with all services.
func (s *Sigstore) TrustedRoot(tb TB) []byte {
	tb.Helper()
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root: s.fulcio.root.certificate, Intermediates: []*x509.Certificate{s.fulcio.intermediate.certificate},
			ValidityPeriodStart: s.start, ValidityPeriodEnd: s.end, URI: "https://fulcio.sigstore.test",
		}},
		logs(s.trustedLog(ctLogHost, s.ctLog.Public(), keyID(tb, s.ctLog.Public()))),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Root: s.tsa.root.certificate, Intermediates: []*x509.Certificate{s.tsa.intermediate.certificate}, Leaf: s.stamper.certificate,
			ValidityPeriodStart: s.start, ValidityPeriodEnd: s.end, URI: "https://timestamp.sigstore.test",
		}},
		logs(
			s.trustedLog(rekorHost, s.rekor.Public(), keyID(tb, s.rekor.Public())),
			s.trustedLog(rekorV2Host, s.rekorV2.Public(), s.rekorV2ID(tb)),
		),
	)
	if err != nil {
		tb.Fatalf("make a trusted root: %v", err)
	}
	text, err := trusted.MarshalJSON()
	if err != nil {
		tb.Fatalf("make a trusted root: %v", err)
	}
	return text
}

func (s *Sigstore) trustedLog(host string, key crypto.PublicKey, id []byte) *root.TransparencyLog {
	return &root.TransparencyLog{
		BaseURL: "https://" + host, ID: id, PublicKey: key, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
		ValidityPeriodStart: s.start, ValidityPeriodEnd: s.end,
	}
}

func logs(all ...*root.TransparencyLog) map[string]*root.TransparencyLog {
	byID := map[string]*root.TransparencyLog{}
	for _, log := range all {
		byID[hex.EncodeToString(log.ID)] = log
	}
	return byID
}

// RekorKey is the public key of the Rekor v1 log in PEM form.
func (s *Sigstore) RekorKey(tb TB) []byte { tb.Helper(); return publicPEM(tb, s.rekor.Public()) }

// RekorV2Key is the public key of the Rekor v2 log in PEM form.
func (s *Sigstore) RekorV2Key(tb TB) []byte { tb.Helper(); return publicPEM(tb, s.rekorV2.Public()) }

// CTLogKey is the public key of the certificate transparency log in PEM form.
func (s *Sigstore) CTLogKey(tb TB) []byte { tb.Helper(); return publicPEM(tb, s.ctLog.Public()) }

// FulcioChain is Fulcio's intermediate and root certificate in PEM form.
func (s *Sigstore) FulcioChain(tb TB) []byte {
	tb.Helper()
	return certificatesPEM(tb, s.fulcio.chain()...)
}

// TSAChain is the timestamp authority's leaf, intermediate and root certificate
// in PEM form.
func (s *Sigstore) TSAChain(tb TB) []byte {
	tb.Helper()
	return certificatesPEM(tb, append([]*x509.Certificate{s.stamper.certificate}, s.tsa.chain()...)...)
}

func publicPEM(tb TB, key crypto.PublicKey) []byte {
	tb.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER(tb, key)})
}

func publicDER(tb TB, key crypto.PublicKey) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		tb.Fatalf("encode a key: %v", err)
	}
	return der
}

// keyID is what Rekor v1 and CT logs are known by. RFC 6962, section 3.2.
func keyID(tb TB, key crypto.PublicKey) []byte {
	tb.Helper()
	sum := sha256.Sum256(publicDER(tb, key))
	return sum[:]
}

// rekorV2ID is what the Rekor v2 log is known by: its name and key.
// https://github.com/C2SP/C2SP/blob/main/signed-note.md
func (s *Sigstore) rekorV2ID(tb TB) []byte {
	tb.Helper()
	_, id, err := note.KeyHash(rekorV2Host, s.rekorV2.Public())
	if err != nil {
		tb.Fatalf("make a log: %v", err)
	}
	return id
}
