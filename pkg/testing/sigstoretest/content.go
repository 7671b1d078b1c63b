package sigstoretest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

const (
	inTotoMediaType = "application/vnd.in-toto+json"
	statementV01    = "https://in-toto.io/Statement/v0.1"
	statementV1     = "https://in-toto.io/Statement/v1"
)

// content is what is signed: a claim as it is, or a statement in an envelope.
type content struct {
	payload  []byte
	envelope bool
}

// message is what the signature is over.
func (c content) message() []byte {
	if c.envelope {
		return dsse.PAE(inTotoMediaType, c.payload)
	}
	return c.payload
}

// wrap is the envelope. https://github.com/secure-systems-lab/dsse
func (c content) wrap(tb TB, signature []byte) []byte {
	tb.Helper()
	return encode(tb, dsse.Envelope{
		PayloadType: inTotoMediaType,
		Payload:     base64.StdEncoding.EncodeToString(c.payload),
		Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(signature)}},
	})
}

// stamped is what a legacy timestamp is over: of an attestation, cosign 2 has
// the envelope timestamped.
func (c content) stamped(tb TB, signature []byte) []byte {
	tb.Helper()
	if c.envelope {
		return c.wrap(tb, signature)
	}
	return signature
}

// other is content that differs in nothing that matters, but has another
// signature.
func (c content) other() content {
	return content{payload: append(slices.Clone(c.payload), '\n'), envelope: c.envelope}
}

// subject is the in-toto statement's only subject.
type subject struct {
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// statement is an in-toto statement.
// https://github.com/in-toto/attestation/tree/main/spec
type statement struct {
	Type          string    `json:"_type"`
	PredicateType string    `json:"predicateType"`
	Subject       []subject `json:"subject"`
	Predicate     any       `json:"predicate"`
}

func (o *signing) subject(name string) subject {
	algorithm, digest, _ := strings.Cut(o.digest, ":")
	return subject{Name: name, Digest: map[string]string{algorithm: digest}, Annotations: o.annotations}
}

// attestation is a statement as cosign writes it for attestations; it has the
// old type even in cosign 3.
func (o *signing) attestation(tb TB, predicate any) content {
	tb.Helper()
	return o.content(tb, true, statement{
		Type: statementV01, PredicateType: o.predicateType, Subject: []subject{o.subject(o.name)}, Predicate: predicate,
	})
}

func (o *signing) content(tb TB, envelope bool, value any) content {
	tb.Helper()
	if o.payload != nil {
		return content{payload: o.payload, envelope: envelope}
	}
	return content{payload: encode(tb, value), envelope: envelope}
}

// signed is what all forms of signatures carry.
type signed struct {
	signature  []byte
	entries    []*protorekor.TransparencyLogEntry
	timestamps [][]byte
}

// sign signs, logs and timestamps. stamped is what timestamps are over.
func (s *Sigstore) sign(tb TB, o *signing, by *Signer, c content, stamped func(TB, []byte) []byte) signed {
	tb.Helper()
	result := signed{signature: by.sign(tb, c.message())}
	logged, loggedSignature := c, result.signature
	if o.otherEntry {
		logged = c.other()
		loggedSignature = by.sign(tb, logged.message())
	}
	for _, log := range o.logs {
		if o.version == 2 {
			result.entries = append(result.entries, log.logV2(tb, o, by, logged, loggedSignature))
		} else {
			result.entries = append(result.entries, log.logV1(tb, o, by, logged, loggedSignature))
		}
	}
	if o.inLogOnly {
		result.entries = nil
	}
	message := stamped(tb, result.signature)
	if o.otherStamp {
		message = by.sign(tb, c.other().message())
	}
	for _, stamper := range o.stampers {
		result.timestamps = append(result.timestamps, stamper.stamp(tb, message, o.stampedAt))
	}
	if o.broken {
		result.signature = by.sign(tb, c.other().message())
	}
	return result
}

func encode(tb TB, value any) []byte {
	tb.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		tb.Fatalf("encode: %v", err)
	}
	return text
}

func sha256Of(content []byte) []byte {
	sum := sha256.Sum256(content)
	return sum[:]
}
