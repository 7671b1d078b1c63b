package trust_test

import (
	"bytes"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // to be refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// rsaKey has a modulus of that many bits, and is good for nothing else.
func rsaKey(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	p256, p384, p521, ed := newECDSA(t, elliptic.P256()).Public(), newECDSA(t, elliptic.P384()).Public(), newECDSA(t, elliptic.P521()).Public(), newEd25519(t)
	big, pkcs1 := rsaKey(2048), rsaKey(3072)
	one := publicPEM(t, p256)
	for _, test := range []struct {
		name, text string
		want       []crypto.PublicKey
		verifiers  int
	}{
		{"a P-256 key", one, []crypto.PublicKey{p256}, 1},
		{"a P-384 key, which a KMS uses with SHA-384", publicPEM(t, p384), []crypto.PublicKey{p384}, 2},
		{"a P-521 key, which a KMS uses with SHA-512", publicPEM(t, p521), []crypto.PublicKey{p521}, 2},
		{"an Ed25519 key", publicPEM(t, ed), []crypto.PublicKey{ed}, 1},
		{"an RSA key of 2048 bits", publicPEM(t, big), []crypto.PublicKey{big}, 1},
		{"an RSA key as PKCS #1 has the same ID", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(pkcs1)), []crypto.PublicKey{pkcs1}, 1},
		{"two keys", one + publicPEM(t, ed), []crypto.PublicKey{p256, ed}, 1},
		{"two keys and blank lines", "\n\n" + one + "\n \n" + publicPEM(t, ed) + "\n", []crypto.PublicKey{p256, ed}, 1},
		{"a key with the line ends of Windows", strings.ReplaceAll(one, "\n", "\r\n"), []crypto.PublicKey{p256}, 1},
		{"a key without the last line end", strings.TrimSpace(one), []crypto.PublicKey{p256}, 1},
		{"64 keys", strings.Repeat(one, 64), make([]crypto.PublicKey, 64), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			keys, err := trust.ParseKeys([]byte(test.text))
			if err != nil || len(keys) != len(test.want) {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			for i, key := range keys {
				if test.want[i] == nil {
					continue
				}
				if key.ID != idOf(t, test.want[i]) || len(key.Verifiers) != test.verifiers {
					t.Errorf("key %d has the ID %s and %d verifiers", i, key.ID, len(key.Verifiers))
				}
				for _, v := range key.Verifiers {
					public, err := v.PublicKey()
					if err != nil || !bytes.Equal(spki(t, public), spki(t, test.want[i])) {
						t.Errorf("a verifier of key %d verifies with another: %v", i, err)
					}
				}
			}
		})
	}
}

// TestEachVerifierVerifies: what a client signs with the key, by either hash,
// one of the verifiers accepts, and a signature of something else none.
func TestEachVerifierVerifies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		curve  elliptic.Curve
		hashes []crypto.Hash
	}{{elliptic.P256(), []crypto.Hash{crypto.SHA256}}, {elliptic.P384(), []crypto.Hash{crypto.SHA256, crypto.SHA384}}, {elliptic.P521(), []crypto.Hash{crypto.SHA256, crypto.SHA512}}} {
		private := newECDSA(t, test.curve)
		keys, err := trust.ParseKeys([]byte(publicPEM(t, private.Public())))
		if err != nil {
			t.Fatal(err)
		}
		for _, hash := range test.hashes {
			h := hash.New()
			h.Write([]byte("payload"))
			signature, err := ecdsa.SignASN1(rand.Reader, private, h.Sum(nil))
			if err != nil {
				t.Fatal(err)
			}
			for payload, want := range map[string]int{"payload": 1, "another": 0} {
				accepted := 0
				for _, v := range keys[0].Verifiers {
					if v.VerifySignature(bytes.NewReader(signature), strings.NewReader(payload)) == nil {
						accepted++
					}
				}
				if accepted != want {
					t.Errorf("%s with %s: %d verifiers accept a signature of %q, want %d", test.curve.Params().Name, hash, accepted, payload, want)
				}
			}
		}
	}
}

// certificate is a self-signed one, an authority or a leaf.
func certificate(t testing.TB, authority bool) []byte {
	t.Helper()
	key := newECDSA(t, elliptic.P256())
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, IsCA: authority, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pkcs8(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(newECDSA(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// dsaKey is a public DSA key, which Go can read but no longer write.
func dsaKey(t testing.TB) []byte {
	t.Helper()
	key := dsa.PublicKey{Parameters: dsa.Parameters{P: big.NewInt(23), Q: big.NewInt(11), G: big.NewInt(4)}, Y: big.NewInt(8)}
	marshal := func(v any) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	return marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, Parameters: asn1.RawValue{FullBytes: marshal(key.Parameters)}},
		asn1.BitString{Bytes: marshal(key.Y), BitLength: 8 * len(marshal(key.Y))},
	})
}

// TestParseKeysRefuses covers rows T21 and T22: only public keys are trust
// roots here, and nothing beside them is passed over.
func TestParseKeysRefuses(t *testing.T) {
	t.Parallel()
	key := newPEM(t)
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", "is empty"},
		{"blanks", " \n", "is empty"},
		{"text", "alice", "text outside"},
		{"T21: a path", "/etc/ssl/key.pem", "text outside"},
		{"T21: a URL", "https://evil.io/key.pem", "text outside"},
		{"text before a key", "alice:\n" + key, "text outside"},
		{"text behind a key", key + "alice", "text outside"},
		{"text between keys", key + "# bob\n" + key, "text outside"},
		{"a NUL behind a key", key + "\x00", "text outside"},
		{"a key that is cut off", key[:60], "the block is broken"},
		{"a key without an end", strings.TrimSuffix(strings.TrimSpace(key), "-----END PUBLIC KEY-----"), "the block is broken"},
		{"a broken key before a good one", strings.Replace(key, "END PUBLIC", "END PUBIC", 1) + key, "the block is broken"},
		{"a broken key behind a good one", key + strings.Replace(key, "END PUBLIC", "END PUBIC", 1), "the block is broken"},
		{"letters that are no base64", strings.Replace(key, "M", "!", 1), "the block is broken"},
		{"a block of nothing", block("PUBLIC KEY", nil), "is not a PEM public key"},
		{"a block of rubbish", block("PUBLIC KEY", []byte("rubbish")), `is not a PEM public key: what its block "PUBLIC KEY" holds is no public key of a kind that can be read`},
		{"a damaged key", block("PUBLIC KEY", spki(t, newEd25519(t))[:40]), "(is it damaged?)"},
		{"a damaged RSA key", block("RSA PUBLIC KEY", []byte("rubbish")), `what its block "RSA PUBLIC KEY" holds is no public key`},
		{"rubbish behind the key in its block", block("PUBLIC KEY", append(spki(t, newEd25519(t)), 0)), "is not a PEM public key"},
		{"an unknown block", block("OPENSSH KEY", spki(t, newEd25519(t))), "is not a PEM public key"},
		{"a private key", block("PRIVATE KEY", pkcs8(t)), "is a private key, which does not belong here"},
		{"a private EC key", block("EC PRIVATE KEY", pkcs8(t)), "is a private key"},
		{"cosign's private key", block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("{}")), "is a private key"},
		{"a private key behind a public one", key + block("PRIVATE KEY", pkcs8(t)), "is a private key"},
		{"T22: a certificate authority", block("CERTIFICATE", certificate(t, true)), "is a certificate; it must be a public key"},
		{"T22: a leaf certificate", block("CERTIFICATE", certificate(t, false)), "is a certificate"},
		{"T22: a certificate by its old name", block("X509 CERTIFICATE", certificate(t, false)), "is not a PEM public key"},
		{"T22: a certificate that says it is a key", block("PUBLIC KEY", certificate(t, false)), "is not a PEM public key"},
		{"T22: a certificate behind a key", key + block("CERTIFICATE", certificate(t, true)), "is a certificate"},
		{"an RSA key of 2047 bits", publicPEM(t, rsaKey(2047)), "an RSA key of 2047 bits; it must have 2048 or more"},
		{"a P-224 key", publicPEM(t, newECDSA(t, elliptic.P224()).Public()), "the curve P-224"},
		{"a key for key exchange", publicPEM(t, exchange.PublicKey()), "must be ECDSA, RSA or Ed25519"},
		{"a DSA key", block("PUBLIC KEY", dsaKey(t)), "must be ECDSA, RSA or Ed25519"},
		{"65 keys", strings.Repeat(key, 65), "more than 64 keys"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			keys, err := trust.ParseKeys([]byte(test.text))
			if err == nil || keys != nil {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error does not say %q: %v", test.want, err)
			}
			if strings.Contains(err.Error(), "asn1") || strings.Contains(err.Error(), "x509") {
				t.Errorf("the error is for programmers: %v", err)
			}
			if lines := strings.Split(test.text, "\n"); len(lines) > 2 && strings.HasPrefix(lines[1], "MF") && strings.Contains(err.Error(), lines[1]) {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

func TestKeysHaveDistinctIDs(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for range 8 {
		keys, err := trust.ParseKeys([]byte(newPEM(t)))
		if err != nil {
			t.Fatal(err)
		}
		ids[keys[0].ID] = true
	}
	if diff := cmp.Diff(8, len(ids)); diff != "" {
		t.Errorf("IDs:\n%s", diff)
	}
}
