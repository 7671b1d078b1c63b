package cosign

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// addAnnotations takes over what cosign attaches beside a signature that is in
// no bundle: certificate, chain, log entry and timestamp.
func (c *candidate) addAnnotations(annotations map[string]string) error {
	if text := annotations[static.CertificateAnnotationKey]; text != "" {
		if err := c.addCertificate(text, annotations[static.ChainAnnotationKey]); err != nil {
			return err
		}
	}
	if text := annotations[static.BundleAnnotationKey]; text != "" {
		if entry, err := parseLogEntry(text); err != nil {
			c.unreadable = fmt.Errorf("its log entry cannot be read: %w", err)
		} else {
			c.entries = []*tlog.Entry{entry}
		}
	}
	if text := annotations[static.RFC3161TimestampAnnotationKey]; text != "" {
		var stamp cosignbundle.RFC3161Timestamp
		err := json.Unmarshal([]byte(text), &stamp)
		if err == nil {
			err = checkTimestamp(stamp.SignedRFC3161Timestamp)
		}
		if err != nil {
			c.unreadable = fmt.Errorf("its timestamp cannot be read: %w", err)
		} else {
			c.timestamps = [][]byte{stamp.SignedRFC3161Timestamp}
		}
	}
	return nil
}

func (c *candidate) addCertificate(text, chainText string) error {
	leaves, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(text))
	if err != nil || len(leaves) != 1 {
		return errors.New("its certificate cannot be read")
	}
	chain, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(chainText))
	if err != nil || len(chain) > maxBrought {
		return errors.New("its certificate chain cannot be read")
	}
	certified := &certified{VerificationContent: bundle.NewCertificate(leaves[0])}
	for _, intermediate := range chain {
		if intermediate.IsCA {
			certified.intermediates = append(certified.intermediates, intermediate)
		}
	}
	return c.setCertificate(leaves[0], certified)
}

// certified is a certificate with what came along to lead to a trusted one.
type certified struct {
	verify.VerificationContent
	intermediates []*x509.Certificate
}

var _ verify.VerificationContent = (*certified)(nil)

// Intermediates implements verify.VerificationContent.
func (c *certified) Intermediates() []*x509.Certificate { return c.intermediates }

// parseLogEntry reads the entry of a transparency log with the promise that it
// was logged, in cosign's form.
func parseLogEntry(text string) (*tlog.Entry, error) {
	var promised struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := json.Unmarshal([]byte(text), &promised); err != nil {
		return nil, err
	}
	return newLogEntry(promised.Payload.Body, promised.Payload.LogID, &protorekor.TransparencyLogEntry{
		LogIndex:         promised.Payload.LogIndex,
		IntegratedTime:   promised.Payload.IntegratedTime,
		InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: promised.SignedEntryTimestamp},
	})
}

// newLogEntry completes an entry with its body and the hexadecimal ID of its
// log.
func newLogEntry(body []byte, logID string, entry *protorekor.TransparencyLogEntry) (*tlog.Entry, error) {
	id, err := hex.DecodeString(logID)
	if err != nil {
		return nil, fmt.Errorf("the log's ID is not hexadecimal: %w", err)
	}
	var kind struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(body, &kind); err != nil {
		return nil, err
	}
	entry.CanonicalizedBody = body
	entry.LogId = &protocommon.LogId{KeyId: id}
	entry.KindVersion = &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion}
	if err := checkEntry(entry); err != nil {
		return nil, err
	}
	return tlog.ParseTransparencyLogEntry(entry)
}

// hashWith hashes with the algorithm of that name in log entries; nil if that is
// none of those.
func hashWith(algorithm string, content []byte) []byte {
	hash, ok := map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}[algorithm]
	if !ok {
		return nil
	}
	h := hash.New()
	_, _ = h.Write(content)
	return h.Sum(nil)
}

// base64Of is the standard encoding.
func base64Of(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
