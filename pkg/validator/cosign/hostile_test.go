package cosign_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// hugeBytes is the size of an RSA key with which one verification takes half a
// minute, in which no deadline is looked at.
const hugeBytes = 100_000

func huge() *rsa.PublicKey {
	raw := make([]byte, hugeBytes)
	_, _ = rand.Read(raw)
	raw[0], raw[hugeBytes-1] = raw[0]|0x80, raw[hugeBytes-1]|1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(raw), E: 1<<31 - 1}
}

// pretender has a key with which it cannot sign.
type pretender struct{ public crypto.PublicKey }

func (p pretender) Public() crypto.PublicKey { return p.public }

func (pretender) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return append([]byte{1}, make([]byte, hugeBytes-1)...), nil
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// certificateOf is one that somebody else has issued for the key.
func certificateOf(t *testing.T, template x509.Certificate, public crypto.PublicKey) []byte {
	t.Helper()
	template.SerialNumber, template.Subject = big.NewInt(1), pkix.Name{CommonName: "huge"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &template, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "root"}}, public, ecdsaKey(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// entry is a log entry as cosign attaches it.
func entry(t *testing.T, body any) registrytest.SignOption {
	t.Helper()
	text, ok := body.([]byte)
	if !ok {
		text = []byte(marshal(t, body))
	}
	return registrytest.Annotation("dev.sigstore.cosign/bundle", marshal(t, fields{
		"SignedEntryTimestamp": []byte("x"), "Payload": fields{"body": text, "integratedTime": 1, "logIndex": 1, "logID": "00"},
	}))
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func hashedrekord(key string, content []byte) fields {
	return fields{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": fields{
		"data":      fields{"hash": fields{"algorithm": "sha256", "value": strings.Repeat("0", 64)}},
		"signature": fields{"content": content, "publicKey": fields{"content": []byte(key)}},
	}}
}

// proposal is an entry of n keys and n signatures, each of which would be tried
// with each.
func proposal(t *testing.T, n int) fields {
	t.Helper()
	var keys, signatures []any
	for range n {
		keys = append(keys, registrytest.PublicPEM(t, registrytest.Key(t)))
		signatures = append(signatures, fields{"sig": base64.StdEncoding.EncodeToString([]byte("x"))})
	}
	envelope := marshal(t, fields{"payloadType": "x", "payload": "eA==", "signatures": signatures})
	return fields{"apiVersion": "0.0.1", "kind": "dsse", "spec": fields{"proposedContent": fields{"envelope": envelope, "verifiers": keys}}}
}

// T18, T24: what comes with a signature takes no time before it is known who made
// it, and not much then. In each row it would take minutes.
func TestT18WhatComesWithASignatureIsBounded(t *testing.T) {
	t.Parallel()
	der, err := x509.MarshalPKIXPublicKey(huge())
	if err != nil {
		t.Fatal(err)
	}
	hugePEM := pemOf("PUBLIC KEY", der)
	for name, attach := range map[string]func(*testing.T, *scene){
		"a huge key in a log entry": func(t *testing.T, s *scene) {
			s.reg.Sign(t, s.img, s.key, entry(t, hashedrekord(hugePEM, make([]byte, hugeBytes))))
		},
		"a huge key in a log entry, in other letters": func(t *testing.T, s *scene) {
			body := marshal(t, hashedrekord(string(registrytest.PublicPEM(t, s.key)), []byte("x")))
			body = strings.Replace(body, `"publicKey":`, fmt.Sprintf(`"PublicKey":{"content":%q},"publicKey":`, base64.StdEncoding.EncodeToString([]byte(hugePEM))), 1)
			s.reg.Sign(t, s.img, s.key, entry(t, []byte(body)))
		},
		"a huge key in a bundle's log entry": func(t *testing.T, s *scene) {
			s.sign(s.byKey(), sigstoretest.Edit(func(b *protobundle.Bundle) {
				b.VerificationMaterial.TlogEntries[0].CanonicalizedBody = []byte(marshal(t, hashedrekord(hugePEM, make([]byte, hugeBytes))))
			}))
		},
		"a huge certificate in a chain": func(t *testing.T, s *scene) {
			chain := certificateOf(t, x509.Certificate{IsCA: true, BasicConstraintsValid: true}, huge())
			s.reg.Sign(t, s.img, s.key, registrytest.Annotation("dev.sigstore.cosign/certificate", string(s.other.Certificate(t, alice, issuer).PEM(t))),
				registrytest.Annotation("dev.sigstore.cosign/chain", pemOf("CERTIFICATE", chain)))
		},
		"a huge certificate of the signer": func(t *testing.T, s *scene) {
			leaf := certificateOf(t, x509.Certificate{EmailAddresses: []string{alice}}, huge())
			s.reg.Sign(t, s.img, s.key, registrytest.Annotation("dev.sigstore.cosign/certificate", pemOf("CERTIFICATE", leaf)))
		},
		"a huge certificate in a timestamp": func(t *testing.T, s *scene) {
			c, err := x509.ParseCertificate(certificateOf(t, x509.Certificate{}, huge()))
			if err != nil {
				t.Fatal(err)
			}
			stamp := timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: make([]byte, 32), Time: time.Now(), Policy: asn1.ObjectIdentifier{1, 2}, SerialNumber: big.NewInt(1), AddTSACertificate: true}
			token, err := stamp.CreateResponseWithOpts(c, pretender{huge()}, crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			s.legacy(s.other.Certificate(t, alice, issuer), sigstoretest.WithoutEntry(), sigstoretest.Legacy(
				registrytest.Annotation("dev.sigstore.cosign/rfc3161timestamp", marshal(t, fields{"SignedRFC3161Timestamp": token}))))
		},
		"a proposed entry of 1,000 keys": func(t *testing.T, s *scene) {
			s.reg.Sign(t, s.img, s.key, entry(t, proposal(t, 1000)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			attach(t, s)
			limits := registry.Limits{PayloadBytes: 1 << 20}
			v, errs := build(noNetwork{t: t}, access(t, s.reg, limits), s.whole(), fields{"trustRoot": "*", "threshold": 1}, keyed(t, "key", s.key), identity("identity", alice))
			if errs != nil {
				t.Fatal(errs)
			}
			start := time.Now()
			got, err := v.Validate(t.Context(), request(t, s.img.String()))
			if err == nil {
				t.Errorf("it is trusted: %+v", got)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// T19: entries that no log makes are malformed, whatever a library would make of
// them, and concern nobody who does not need them.
func TestT19EntriesThatNoLogMakes(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"apiVersion":"0.0.2","kind":"intoto","spec":{"content":{"envelope":{"payloadType":"x","payload":"eA==","signatures":[{}]}}}}`,
		`{"apiVersion":"0.0.2","kind":"intoto","spec":{"content":{"envelope":{"payloadType":"x","signatures":[null]}}}}`,
		`{"apiVersion":"0.0.2","kind":"intoto","spec":null}`, `{"apiVersion":"0.0.1","kind":"intoto","spec":{}}`,
		`{"apiVersion":"0.0.1","kind":"dsse","spec":{"proposedContent":{"envelope":"null","verifiers":["AA=="]}}}`,
		`{"apiVersion":"0.0.1","kind":"dsse","spec":{"signatures":[{},{}]}}`, `{"apiVersion":"0.0.1","kind":"dsse","spec":{"signatures":[]}}`,
		`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"signature":{"publicKey":{"content":"AA=="}}}}`,
		`{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"signature":{"verifier":{"x509Certificate":{"rawBytes":"AA=="}}}}}}`,
		`null`, `{}`, `[]`, `{"kind":"tuf","apiVersion":"0.0.1","spec":{}}`, `{"kind":"alpine","apiVersion":"0.0.1","spec":{}}`,
	} {
		s := newScene(t)
		s.reg.Sign(t, s.img, s.key, entry(t, []byte(body)))
		t.Log(body)
		got, err := s.validate(s.whole(), nil, keyed(t, "default", s.key))
		s.want(validator.MalformedSignature, got, err)
		got, err = s.validate(s.whole(), fields{"verifyInTransparencyLog": false}, keyed(t, "default", s.key)) // nobody needs it
		s.want("", got, err)
	}
}

// T18: what nobody has signed is not decoded into a structure that takes fifty
// times its size.
func TestT18UnsignedStatementsTakeLittleMemory(t *testing.T) {
	s := newScene(t) // not parallel, so that what is allocated is this test's
	text := `{"subject":[{"annotations":{"x":[` + strings.Repeat(`{"":0},`, 200_000) + `0]}}],"predicateType":"` + slsa + `"}`
	envelope := fields{"payloadType": "application/vnd.in-toto+json", "signatures": []any{fields{"sig": "AA=="}}, "payload": []byte(text)}
	s.reg.Sign(t, s.img, s.key)
	s.reg.Attest(t, s.img, nil, slsa, nil, registrytest.Payload([]byte(marshal(t, envelope))))
	with := demands(slsa, "")
	with["verifyInTransparencyLog"] = false
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := s.validate(nil, with, keyed(t, "default", s.key))
	runtime.ReadMemStats(&after)
	if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 40 || err == nil {
		t.Errorf("%d MiB were allocated for %d KiB: %v", grown, len(text)>>10, err)
	}
}

// T13: a key that has a certificate is still one signer.
func TestT13OneSignatureOfAKeyWithACertificateCountsOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.sign(s.as(alice, sigstoretest.ForKey(s.key)), sigstoretest.WithoutEntry(), sigstoretest.TimestampedBy(s.trusts))
	with := fields{"trustRoot": "*", "threshold": 2, "verifyInTransparencyLog": false}
	got, err := s.validate(s.whole(), with, keyed(t, "key", s.key), identity("identity", alice))
	s.want(validator.ThresholdNotReached, got, err)
	s.legacy(sigstoretest.Key(s.key), sigstoretest.WithoutEntry()) // the same key again
	got, err = s.validate(s.whole(), with, keyed(t, "key", s.key), identity("identity", alice))
	s.want(validator.ThresholdNotReached, got, err)
}

// Whoever may push can add rubbish to a signed image, which stays trusted.
func TestRubbishBesideAGoodSignature(t *testing.T) {
	t.Parallel()
	for name, attach := range map[string]func(*testing.T, *scene){
		"bundles that claim to be large": func(t *testing.T, s *scene) {
			for i := range 8 {
				s.attest(s.as(bob), fields{}, sigstoretest.Bytes(fmt.Append(nil, "{", i)), sigstoretest.Attached(registrytest.LayerSize(2<<20)))
			}
		},
		"bundles that are none": func(t *testing.T, s *scene) {
			for i := range 20 {
				s.sign(s.byKey(), sigstoretest.Bytes(fmt.Append(nil, "{", i)))
			}
		},
		"more bundles than are looked at, behind it": func(t *testing.T, s *scene) {
			for i := range 105 {
				s.sign(s.byKey(), sigstoretest.Bytes(fmt.Append(nil, "{", i)))
			}
		},
		"a signature that is none": func(t *testing.T, s *scene) {
			s.reg.Sign(t, s.img, s.key, registrytest.Payload([]byte("{")))
			s.reg.Sign(t, s.img, s.key, entry(t, []byte("{")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, registrytest.Referrers())
			s.sign(s.as(alice))
			s.attest(s.as(alice), fields{})
			attach(t, s)
			for range 5 {
				got, err := s.validate(s.whole(), demands(slsa, ""), identity("default", alice))
				s.want("", got, err)
			}
		})
	}
}
