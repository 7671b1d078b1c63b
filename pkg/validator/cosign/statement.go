package cosign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

const (
	// maxSubjects and maxDigests bound what a statement is about, as
	// sigstore-go does.
	maxSubjects = 1024
	maxDigests  = 32
)

// claim is what was signed about an image.
type claim struct {
	digests       []image.Digest
	predicateType string
	predicate     json.RawMessage
	annotations   json.RawMessage
}

// about tells whether the claim is about the digest.
func (c claim) about(d image.Digest) bool { return slices.Contains(c.digests, d) }

// statement is the part of an in-toto statement that says what it is about.
// What else is in it is not decoded before it is known who made it.
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
type statement struct {
	Subject       subjects        `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Digest      map[string]string `json:"digest"`
	Annotations json.RawMessage   `json:"annotations"`
}

// subjects are decoded one by one, since there may be any number of empty ones.
type subjects []subject

// UnmarshalJSON implements json.Unmarshaler.
func (s *subjects) UnmarshalJSON(data []byte) error {
	*s = nil
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return errors.New("subject is not a list")
	}
	for d.More() {
		var one subject
		if err := d.Decode(&one); err != nil {
			return err
		}
		if *s = append(*s, one); len(*s) > maxSubjects || len(one.Digest) > maxDigests {
			return errors.New("it is about too many things")
		}
	}
	return nil
}

// readStatement reads the in-toto statement of an envelope.
func (c *candidate) readStatement(envelope *dsse.Envelope) error {
	if envelope.PayloadType != inTotoPayload {
		return fmt.Errorf("its envelope holds %.60q, not %q", envelope.PayloadType, inTotoPayload)
	}
	text, err := envelope.DecodeB64Payload()
	if err != nil {
		return fmt.Errorf("its payload is not base64: %w", err)
	}
	var read statement
	if err := json.Unmarshal(text, &read); err != nil {
		return fmt.Errorf("its payload is no in-toto statement: %w", err)
	}
	c.claim = claim{predicateType: read.PredicateType, predicate: read.Predicate}
	for _, about := range read.Subject {
		for algorithm, hexed := range about.Digest {
			c.claim.digests = append(c.claim.digests, image.Digest(algorithm+":"+hexed))
		}
		if len(read.Subject) == 1 {
			c.claim.annotations = about.Annotations
		}
	}
	return nil
}
