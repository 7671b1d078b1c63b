package cosign

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/digitorus/pkcs7"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// maxBrought bounds the certificates that come with a signature, and with each
// of its timestamps. What comes with a signature is looked at by libraries that
// verify with the keys they find there, before anybody knows whether to trust
// them; so these are checked first.
const maxBrought = 16

func checkCertificates(certificates []*x509.Certificate) error {
	if len(certificates) > maxBrought {
		return fmt.Errorf("more than the %d certificates that are allowed", maxBrought)
	}
	for _, c := range certificates {
		if err := trust.CheckPublic(c.PublicKey); err != nil {
			return err
		}
	}
	return nil
}

// checkKeyPEM checks the key or certificate that an entry names the signer by.
func checkKeyPEM(text []byte) error {
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 {
		return errors.New("the signer of a log entry is not one PEM block")
	}
	return checkKeyDER(block.Bytes)
}

func checkKeyDER(der []byte) error {
	if c, err := x509.ParseCertificate(der); err == nil {
		return trust.CheckPublic(c.PublicKey)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return fmt.Errorf("the signer of a log entry cannot be read: %w", err)
	}
	return trust.CheckPublic(public)
}

// entryFields are the fields of the entries that logs make of what cosign signs,
// by kind and version: those that must be there with which check, and none
// besides. (An entry may also be a proposal, with any number of keys that all
// are tried; what is in a log never is.)
var entryFields = map[string]map[string]func([]byte) error{
	"hashedrekord 0.0.1": {
		"spec.data.hash.algorithm": nil, "spec.data.hash.value": nil,
		"spec.signature.content": nil, "spec.signature.publicKey.content": checkKeyPEM,
	},
	"hashedrekord 0.0.2": {
		"spec.hashedRekordV002.data.algorithm": nil, "spec.hashedRekordV002.data.digest": nil,
		"spec.hashedRekordV002.signature.content": nil, "spec.hashedRekordV002.signature.verifier.keyDetails": nil,
		"spec.hashedRekordV002.signature.verifier.publicKey.rawBytes":       checkKeyDER,
		"spec.hashedRekordV002.signature.verifier.x509Certificate.rawBytes": checkKeyDER,
	},
	"dsse 0.0.1": {
		"spec.envelopeHash.algorithm": nil, "spec.envelopeHash.value": nil, "spec.payloadHash.algorithm": nil, "spec.payloadHash.value": nil,
		"spec.signatures.signature": nil, "spec.signatures.verifier": checkKeyPEM,
	},
	"intoto 0.0.2": {
		"spec.content.envelope.payloadType": nil, "spec.content.envelope.signatures.keyid": nil, "spec.content.envelope.signatures.sig": nil,
		"spec.content.envelope.signatures.publicKey": checkKeyPEM,
		"spec.content.hash.algorithm":                nil, "spec.content.hash.value": nil, "spec.content.payloadHash.algorithm": nil, "spec.content.payloadHash.value": nil,
	},
}

// checkEntry makes sure that a log entry is one that can be parsed at no cost.
func checkEntry(entry *protorekor.TransparencyLogEntry) error {
	var body map[string]any
	if err := json.Unmarshal(entry.GetCanonicalizedBody(), &body); err != nil {
		return fmt.Errorf("a log entry cannot be read: %w", err)
	}
	kind := fmt.Sprintf("%v %v", body["kind"], body["apiVersion"])
	fields, ok := entryFields[kind]
	if !ok {
		return fmt.Errorf("a log entry is of the kind %.40q, which is not supported", kind)
	}
	delete(body, "kind")
	delete(body, "apiVersion")
	return walk("", body, fields)
}

// walk checks each field below a path.
func walk(path string, value any, fields map[string]func([]byte) error) error {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			at := key
			if path != "" {
				at = path + "." + key
			}
			if err := walk(at, inner, fields); err != nil {
				return err
			}
		}
		return nil
	case []any:
		if len(v) != 1 {
			return fmt.Errorf("a log entry has %d signatures, not one", len(v))
		}
		return walk(path, v[0], fields)
	case string:
		check, ok := fields[path]
		if !ok {
			return fmt.Errorf("a log entry has a field %.60q, which does not belong there", path)
		}
		if check == nil {
			return nil
		}
		raw, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return fmt.Errorf("the signer of a log entry is not base64: %w", err)
		}
		return check(raw)
	}
	return fmt.Errorf("a log entry has a field %.60q of another type than a text", path)
}

// checkTimestamp makes sure of the same for a timestamp: RFC 3161, section
// 2.4.2.
func checkTimestamp(response []byte) error {
	var answer struct {
		Status asn1.RawValue
		Token  asn1.RawValue `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(response, &answer); err != nil || len(rest) > 0 {
		return errors.New("a timestamp cannot be read")
	}
	token, err := pkcs7.Parse(answer.Token.FullBytes)
	if err != nil {
		return fmt.Errorf("a timestamp cannot be read: %w", err)
	}
	if len(token.Signers) != 1 {
		return fmt.Errorf("a timestamp has %d signatures, not one", len(token.Signers))
	}
	return checkCertificates(token.Certificates)
}
