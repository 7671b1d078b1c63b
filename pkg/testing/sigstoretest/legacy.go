package sigstoretest

import (
	"encoding/base64"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// Annotations of legacy signatures.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
const (
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	chainAnnotation       = "dev.sigstore.cosign/chain"
	bundleAnnotation      = "dev.sigstore.cosign/bundle"
	timestampAnnotation   = "dev.sigstore.cosign/rfc3161timestamp"
)

// rekorBundle is the log entry that legacy signatures carry.
type rekorBundle struct {
	SignedEntryTimestamp []byte
	Payload              tlog.RekorPayload
}

type rfc3161Timestamp struct {
	SignedRFC3161Timestamp []byte
}

// SignLegacy adds a signature under the image's .sig tag, as cosign 2 does.
func (s *Sigstore) SignLegacy(tb TB, reg *registrytest.Registry, img registrytest.Image, by *Signer, options ...Option) {
	tb.Helper()
	o := s.signing(img, "", options)
	c := o.content(tb, false, map[string]any{
		"critical": map[string]any{
			"identity": map[string]string{"docker-reference": o.name},
			"image":    map[string]string{"docker-manifest-digest": o.digest},
			"type":     "cosign container image signature",
		},
		"optional": o.annotations,
	})
	result := s.sign(tb, o, by, c, c.stamped)
	reg.Sign(tb, img, nil, append([]registrytest.SignOption{
		registrytest.Payload(c.payload), registrytest.Signature(base64.StdEncoding.EncodeToString(result.signature)),
	}, result.legacy(tb, o, by)...)...)
}

// AttestLegacy adds an attestation under the image's .att tag, as cosign 2 does.
func (s *Sigstore) AttestLegacy(
	tb TB, reg *registrytest.Registry, img registrytest.Image, by *Signer, predicateType string, predicate any, options ...Option,
) {
	tb.Helper()
	o := s.signing(img, predicateType, options)
	c := o.attestation(tb, predicate)
	result := s.sign(tb, o, by, c, c.stamped)
	reg.Attest(tb, img, nil, predicateType, nil, append([]registrytest.SignOption{
		registrytest.Payload(c.wrap(tb, result.signature)),
	}, result.legacy(tb, o, by)...)...)
}

// legacy is what goes into the layer's annotations.
func (r signed) legacy(tb TB, o *signing, by *Signer) []registrytest.SignOption {
	tb.Helper()
	var all []registrytest.SignOption
	if by.certificate != nil {
		all = append(all,
			registrytest.Annotation(certificateAnnotation, string(by.PEM(tb))),
			registrytest.Annotation(chainAnnotation, string(certificatesPEM(tb, by.chain...))))
	}
	if len(r.entries) > 0 {
		if o.version != 1 {
			tb.Fatalf("legacy signatures cannot carry entries of Rekor v2")
		}
		all = append(all, registrytest.Annotation(bundleAnnotation, string(encode(tb, rekorBundleOf(r.entries[0])))))
	}
	if len(r.timestamps) > 0 {
		all = append(all, registrytest.Annotation(timestampAnnotation, string(encode(tb, rfc3161Timestamp{r.timestamps[0]}))))
	}
	return append(all, o.legacy...)
}

func rekorBundleOf(entry *protorekor.TransparencyLogEntry) rekorBundle {
	return rekorBundle{
		SignedEntryTimestamp: entry.GetInclusionPromise().GetSignedEntryTimestamp(),
		Payload:              payloadOf(entry),
	}
}
