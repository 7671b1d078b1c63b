package dct

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/data"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// The types of keys. The last two are certificates.
const (
	typeECDSA     = "ecdsa"
	typeRSA       = "rsa"
	typeECDSACert = "ecdsa-x509"
	typeRSACert   = "rsa-x509"
)

// minRSABits is the smallest RSA modulus that Notary accepts too.
const minRSABits = 2048

// wireKey is a key as files have it.
type wireKey struct {
	Type  string `json:"keytype"`
	Value struct {
		Private *string `json:"private"`
		Public  string  `json:"public"`
	} `json:"keyval"`
}

// escape is what canonical JSON does to a string.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// id is what signatures and roles call the key: the hash of its canonical form.
func (k wireKey) id() string {
	sum := sha256.Sum256([]byte(`{"keytype":"` + escape.Replace(k.Type) + `","keyval":{"private":null,"public":"` + escape.Replace(k.Value.Public) + `"}}`))
	return hex.EncodeToString(sum[:])
}

// publicKey is a key that was read.
type publicKey struct {
	public crypto.PublicKey
	spki   []byte            // its SubjectPublicKeyInfo
	cert   *x509.Certificate // nil if it is no certificate
}

// errType is for keys of a type that cannot verify anything here.
var errType = errors.New("is of a type that is not supported")

func (k wireKey) parse() (*publicKey, error) {
	if !slices.Contains([]string{typeECDSA, typeRSA, typeECDSACert, typeRSACert}, k.Type) {
		return nil, errType
	}
	text, err := base64.StdEncoding.Strict().DecodeString(k.Value.Public)
	if err != nil {
		return nil, errors.New("is not base64")
	}
	key := &publicKey{}
	switch k.Type {
	case typeECDSACert, typeRSACert:
		// Certificates of authorities may follow; what is trusted is the key.
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, errors.New("holds no certificate in PEM form")
		}
		if key.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("holds a broken certificate: %w", err)
		}
		key.public = key.cert.PublicKey
	default:
		if key.public, err = x509.ParsePKIXPublicKey(text); err != nil {
			return nil, fmt.Errorf("is broken: %w", err)
		}
	}
	if err := check(k.Type, key.public); err != nil {
		return nil, err
	}
	// Of one key there are many encodings that are read, and it must count once.
	key.spki, err = x509.MarshalPKIXPublicKey(key.public)
	return key, err
}

// check refuses a key that is not what its type says, or too weak or too costly
// to verify with.
func check(keyType string, public crypto.PublicKey) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if keyType != typeECDSA && keyType != typeECDSACert {
			return errors.New("is an ECDSA key, but is said to be another")
		}
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return errors.New("is on a curve that is not supported")
		}
		return nil
	case *rsa.PublicKey:
		if keyType != typeRSA && keyType != typeRSACert {
			return errors.New("is an RSA key, but is said to be another")
		}
		if key.N.BitLen() < minRSABits {
			return fmt.Errorf("is an RSA key of less than %d bits", minRSABits)
		}
		return trust.CheckPublic(key)
	}
	return errType
}

// verifySignature verifies what Docker's and Notary's clients sign: ECDSA
// signatures are r‖s, and RSA's PSS with a salt of 32 bytes, all over SHA-256,
// which is given.
func verifySignature(public crypto.PublicKey, hash, signature []byte) error {
	if len(hash) != sha256.Size {
		return errSignature
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		if len(signature) != 2*size {
			return errSignature
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		if ecdsa.Verify(key, hash, r, s) {
			return nil
		}
	case *rsa.PublicKey:
		return rsa.VerifyPSS(key, crypto.SHA256, hash, signature, &rsa.PSSOptions{SaltLength: sha256.Size})
	}
	return errSignature
}

var errSignature = errors.New("the signature is not by this key")

// tufType is what go-tuf knows our keys by. Its types are one map for the whole
// process, in which those that it brings along stay as they are.
const tufType data.KeyType = "docker-content-trust"

// forTUF is the key as go-tuf takes it.
func (k *publicKey) forTUF() (*data.PublicKey, error) {
	value, err := json.Marshal(k.spki)
	return &data.PublicKey{Type: tufType, Value: value}, err
}
