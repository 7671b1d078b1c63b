package notation

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/tspclient-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	gocose "github.com/veraison/go-cose"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// maxChain bounds the certificates that come with a signature, and with its
// timestamp: the library verifies each with the key of the next before anybody
// knows whether to trust them.
const maxChain = 8

// candidate is something that may be a signature. Nothing about it is verified.
type candidate struct {
	mediaType string
	envelope  []byte
	chain     []*x509.Certificate // from the signer's own
	signer    signature.SignerInfo
	target    ocispec.Descriptor
}

// open finds out who is said to have signed, and makes sure that it costs little to
// find out more.
func open(found registry.Candidate) (*candidate, error) {
	c := &candidate{envelope: found.Payload}
	var (
		chain [][]byte
		err   error
	)
	switch found.Kind {
	case registry.JWS:
		c.mediaType = jws.MediaTypeEnvelope
		chain, err = chainInJWS(found.Payload)
	case registry.COSE:
		c.mediaType = cose.MediaTypeEnvelope
		chain, err = chainInCOSE(found.Payload)
	default:
		err = errors.New("it has an unknown form")
	}
	if err != nil {
		return nil, err
	}
	c.chain, err = parseChain(chain)
	return c, err
}

// read reads what is said, and by whom. The chain of certificates is in order
// then.
func (c *candidate) read() error {
	envelope, err := signature.ParseEnvelope(c.mediaType, c.envelope)
	if err != nil {
		return err
	}
	content, err := envelope.Content()
	if err != nil {
		return err
	}
	var payload struct {
		TargetArtifact ocispec.Descriptor `json:"targetArtifact"`
	}
	if err := json.Unmarshal(content.Payload.Content, &payload); err != nil {
		return fmt.Errorf("what it signs: %w", err)
	}
	c.signer, c.target = content.SignerInfo, payload.TargetArtifact
	if !slices.EqualFunc(c.signer.CertificateChain, c.chain, (*x509.Certificate).Equal) {
		return errors.New("its certificates can be read in two ways")
	}
	// A signature of a file, or of anything else that is no image, must not become
	// one of an image with the same content.
	if t := types.MediaType(c.target.MediaType); !t.IsImage() && !t.IsIndex() {
		return fmt.Errorf("it signs something of the type %.80q, which is no image", c.target.MediaType)
	}
	return checkTimestamp(c.signer.UnsignedAttributes.TimestampSignature)
}

// chainInJWS finds the certificates of a JWS envelope.
// https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-envelope-jws.md#unprotected-headers
func chainInJWS(envelope []byte) ([][]byte, error) {
	var e struct {
		Header struct {
			CertChain [][]byte `json:"x5c"`
		} `json:"header"`
	}
	err := json.Unmarshal(envelope, &e)
	return e.Header.CertChain, err
}

// chainInCOSE finds those of a COSE envelope.
// https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-envelope-cose.md#unprotected-headers
func chainInCOSE(envelope []byte) ([][]byte, error) {
	var m gocose.Sign1Message
	if err := m.UnmarshalCBOR(envelope); err != nil {
		return nil, err
	}
	list, _ := m.Headers.Unprotected[gocose.HeaderLabelX5Chain].([]any)
	var chain [][]byte
	for _, one := range list {
		der, _ := one.([]byte)
		chain = append(chain, der)
	}
	return chain, nil
}

// parseChain makes sure that certificates are few, and their keys not costly.
func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("it comes with %d certificates, and not with 1 to %d", len(chain), maxChain)
	}
	certificates := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("a certificate of it is broken: %w", err)
		}
		if err := trust.CheckPublic(c.PublicKey); err != nil {
			return nil, err
		}
		certificates[i] = c
	}
	return certificates, nil
}

// checkTimestamp makes sure of the same for a timestamp, if there is one.
func checkTimestamp(token []byte) error {
	if len(token) == 0 {
		return nil
	}
	parsed, err := tspclient.ParseSignedToken(token)
	if err != nil {
		return fmt.Errorf("its timestamp cannot be read: %w", err)
	}
	if len(parsed.SignerInfos) != 1 || len(parsed.Certificates) > maxChain {
		return fmt.Errorf("its timestamp has %d signatures and %d certificates, and not one and at most %d", len(parsed.SignerInfos), len(parsed.Certificates), maxChain)
	}
	for _, c := range parsed.Certificates {
		if err := trust.CheckPublic(c.PublicKey); err != nil {
			return err
		}
	}
	return nil
}

// leadsTo tells whether a certificate of the signature's is one of these.
func (c *candidate) leadsTo(anchors []*x509.Certificate) bool {
	for _, own := range c.chain {
		for _, anchor := range anchors {
			if own.Equal(anchor) {
				return true
			}
		}
	}
	return false
}

// leaf is the signer's certificate.
func (c *candidate) leaf() *x509.Certificate { return c.chain[0] }

// who names the signer: the subject of a certificate, and who vouches for it. A
// certificate that nobody vouches for is named by its key, since everybody can
// make one.
func (c *candidate) who() string {
	leaf := c.leaf()
	if bytes.Equal(leaf.RawSubject, leaf.RawIssuer) {
		return fmt.Sprintf("%s, self-signed, key %.16s", leaf.Subject, trust.KeyID(leaf.RawSubjectPublicKeyInfo))
	}
	return fmt.Sprintf("%s, issued by %s", leaf.Subject, leaf.Issuer)
}
