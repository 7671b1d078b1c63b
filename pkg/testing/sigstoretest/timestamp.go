package sigstoretest

import (
	"crypto"
	"encoding/asn1"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// policy is Sigstore's timestamp policy.
var policy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}

// stamp is a timestamp response with the authority's certificate in it, as
// cosign asks for it. RFC 3161, section 2.4.2.
func (s *Sigstore) stamp(tb TB, message []byte, at time.Time) []byte {
	tb.Helper()
	serial, err := cryptoutils.GenerateSerialNumber()
	if err != nil {
		tb.Fatalf("make a timestamp: %v", err)
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: sha256Of(message), Time: at, Policy: policy,
		SerialNumber: serial, AddTSACertificate: true,
	}
	response, err := stamp.CreateResponseWithOpts(s.stamper.certificate, s.stamper.key, crypto.SHA256)
	if err != nil {
		tb.Fatalf("make a timestamp: %v", err)
	}
	return response
}
