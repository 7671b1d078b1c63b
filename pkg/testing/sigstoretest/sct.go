package sigstoretest

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509util"
)

// sctListOID is of the extension with signed certificate timestamps. RFC 6962,
// section 3.3.
var sctListOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}

// sctList has the CT log timestamp a certificate and returns the extension to
// add to it. What the log signs is the certificate without that extension, so
// there is no need of a precertificate with a poison extension.
func (s *Sigstore) sctList(tb TB, certificate, issuer *x509.Certificate) pkix.Extension {
	tb.Helper()
	at := certificate.NotBefore
	if now := time.Now(); now.Before(at) {
		at = now
	}
	sct := &ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1, LogID: ct.LogID{KeyID: sha256.Sum256(publicDER(tb, s.ctLog.Public()))},
		Timestamp: uint64(at.UnixMilli()),
	}
	input, err := ct.SerializeSCTSignatureInput(*sct, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version: ct.V1, LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			EntryType: ct.PrecertLogEntryType, Timestamp: sct.Timestamp,
			PrecertEntry: &ct.PreCert{
				IssuerKeyHash:  sha256.Sum256(issuer.RawSubjectPublicKeyInfo),
				TBSCertificate: certificate.RawTBSCertificate,
			},
		},
	}})
	if err != nil {
		tb.Fatalf("make a certificate timestamp: %v", err)
	}
	signature, err := cttls.CreateSignature(*s.ctLog, cttls.SHA256, input)
	if err != nil {
		tb.Fatalf("make a certificate timestamp: %v", err)
	}
	sct.Signature = ct.DigitallySigned(signature)
	return pkix.Extension{Id: sctListOID, Value: encodeSCTs(tb, sct)}
}

func encodeSCTs(tb TB, scts ...*ct.SignedCertificateTimestamp) []byte {
	tb.Helper()
	list, err := x509util.MarshalSCTsIntoSCTList(scts)
	if err != nil {
		tb.Fatalf("encode certificate timestamps: %v", err)
	}
	raw, err := cttls.Marshal(*list)
	if err != nil {
		tb.Fatalf("encode certificate timestamps: %v", err)
	}
	der, err := asn1.Marshal(raw)
	if err != nil {
		tb.Fatalf("encode certificate timestamps: %v", err)
	}
	return der
}
