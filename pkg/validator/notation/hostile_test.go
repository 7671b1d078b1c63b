package notation_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// hugeBytes is the size of an RSA key with which a verification takes seconds, in
// which no deadline is looked at. Two certificates of it fit in an envelope.
const hugeBytes = 45_000

// hugeChain is a signer's certificate that claims to be issued with such a key, and
// the certificate of that.
func hugeChain(t *testing.T) []any {
	t.Helper()
	raw := make([]byte, hugeBytes)
	_, _ = rand.Read(raw)
	raw[0], raw[hugeBytes-1] = raw[0]|0x80, raw[hugeBytes-1]|1
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(raw), E: 1<<31 - 1}
	name := pkix.Name{CommonName: "huge"}
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	authority, err := x509.CreateCertificate(rand.Reader, issuer, &x509.Certificate{Subject: name}, public, notationtest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: issuer.NotBefore, NotAfter: issuer.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}, &x509.Certificate{Subject: name}, notationtest.NewKey(t).Public(), small)
	if err != nil {
		t.Fatal(err)
	}
	var parts struct {
		Content, Algorithm asn1.RawValue
		Signature          asn1.BitString
	}
	if _, err := asn1.Unmarshal(leaf, &parts); err != nil {
		t.Fatal(err)
	}
	parts.Signature = asn1.BitString{Bytes: append([]byte{1}, make([]byte, hugeBytes-1)...), BitLength: 8 * hugeBytes}
	if leaf, err = asn1.Marshal(parts); err != nil {
		t.Fatal(err)
	}
	return []any{base64.StdEncoding.EncodeToString(leaf), base64.StdEncoding.EncodeToString(authority)}
}

// withChain replaces the certificates of a JWS envelope.
func withChain(chain func(own []any) []any) notationtest.Option {
	return jws(func(parts map[string]any) {
		header := parts["header"].(map[string]any)
		header["x5c"] = chain(header["x5c"].([]any))
	})
}

func TestT18HostileSignaturesCostLittle(t *testing.T) {
	t.Parallel()
	huge := hugeChain(t)
	for name, c := range map[string]struct {
		option notationtest.Option
		reason validator.Reason
	}{
		"a huge key":            {withChain(func([]any) []any { return []any{huge} }), validator.MalformedSignature},
		"a huge key further up": {withChain(func([]any) []any { return huge }), validator.MalformedSignature},
		"many certificates": {withChain(func(own []any) []any {
			for len(own) < 100 {
				own = append(own, own[0])
			}
			return own
		}), validator.MalformedSignature},
		"depth":            {notationtest.Changed(func([]byte) []byte { return []byte(strings.Repeat(`{"header":`, 12_000)) }), validator.MalformedSignature},
		"a depth of lists": {notationtest.Changed(func([]byte) []byte { return []byte(`{"payload":` + strings.Repeat("[", 100_000)) }), validator.MalformedSignature},
		"no JSON object":   {notationtest.Changed(func([]byte) []byte { return []byte("[]") }), validator.MalformedSignature},
		"null":             {notationtest.Changed(func([]byte) []byte { return []byte("null") }), validator.MalformedSignature},
		"nothing":          {notationtest.Changed(func([]byte) []byte { return nil }), validator.MalformedSignature},
		"too many bytes":   {notationtest.Changed(func(e []byte) []byte { return append(e, make([]byte, 200<<10)...) }), validator.TooLarge},
		"a timestamp that is none": {jws(func(parts map[string]any) {
			parts["header"].(map[string]any)["io.cncf.notary.timestampSignature"] = base64.StdEncoding.EncodeToString([]byte("no"))
		}), validator.MalformedSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.ca.Signer(t, "me").Sign(t, s.reg, s.img, c.option)
			for _, level := range []string{"strict", "audit"} {
				start := time.Now()
				s.denies(s.bind(s.usual(), fields{"verificationLevel": level}), c.reason)
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("it took %s", took)
				}
			}
			// And it stands in nobody's way.
			s.ca.Signer(t, "me").Sign(t, s.reg, s.img)
			s.trusts(s.bind(s.usual(), nil))
		})
	}
}

func TestT18HostileCBOR(t *testing.T) {
	t.Parallel()
	for name, envelope := range map[string][]byte{
		"depth":        []byte(strings.Repeat("\x81", 100_000)),
		"a long list":  append([]byte{0xd2, 0x84, 0x9a, 0x7f, 0xff, 0xff, 0xff}, make([]byte, 1000)...),
		"a long text":  {0xd2, 0x84, 0x5a, 0x7f, 0xff, 0xff, 0xff},
		"another tag":  {0xd1, 0x84, 0x40, 0xa0, 0x40, 0x40},
		"no signature": {0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40},
		"nothing":      {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.ca.Signer(t, "me").Sign(t, s.reg, s.img, notationtest.COSE(), notationtest.Changed(func([]byte) []byte { return envelope }))
			s.denies(s.bind(s.usual(), nil), validator.MalformedSignature)
		})
	}
}

func TestT18SignaturesAreBounded(t *testing.T) {
	t.Parallel()
	for _, reg := range [][]registrytest.Option{{registrytest.Referrers()}, {registrytest.Latency(0)}} {
		s := newScene(t, reg...)
		s.limits = registry.Limits{Signatures: 3}
		for i := range 4 {
			s.other.Signer(t, fmt.Sprint(i)).Sign(t, s.reg, s.img)
		}
		s.denies(s.bind(s.usual(), nil), validator.TooLarge, "more than the 3 that are allowed")
		if n := s.reg.Requests()[registrytest.BlobGet]; n > 6 {
			t.Errorf("%d signatures were fetched", n)
		}
	}
}

func TestManifestsThatHoldNoSignature(t *testing.T) {
	t.Parallel()
	manifest := func(layers ...fields) []byte {
		text, err := json.Marshal(fields{
			"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
			"config": fields{"mediaType": notationtest.ArtifactType, "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2},
			"layers": layers,
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	layer := func(mediaType string) fields {
		return fields{"mediaType": mediaType, "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2}
	}
	for name, c := range map[string]struct {
		manifest []byte
		words    string
	}{
		"no layer":       {manifest(), "not exactly one layer"},
		"two layers":     {manifest(layer("application/cose"), layer("application/cose")), "not exactly one layer"},
		"something else": {manifest(layer("application/json")), "neither application/jose+json nor application/cose"},
		"no manifest":    {[]byte("{"), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, registrytest.Latency(0))
			s.ca.Signer(t, "me").Sign(t, s.reg, s.img, notationtest.Attached(registrytest.Manifest(c.manifest)))
			s.denies(s.bind(s.usual(), nil), validator.MalformedSignature, c.words)
		})
	}
}

// T28: what cannot be looked at is not taken for what is not there.
func TestT28AnOutageIsNoMissingSignature(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   registrytest.Kind
		answer http.HandlerFunc
		reason validator.Reason
	}{
		"no list":                  {registrytest.ReferrersGet, registrytest.Status(http.StatusInternalServerError), validator.RegistryUnavailable},
		"a list is throttled":      {registrytest.ReferrersGet, registrytest.Status(http.StatusTooManyRequests), validator.RegistryThrottled},
		"no manifest":              {registrytest.ManifestGet, registrytest.Status(http.StatusBadGateway), validator.RegistryUnavailable},
		"no envelope":              {registrytest.BlobGet, registrytest.Status(http.StatusServiceUnavailable), validator.RegistryUnavailable},
		"an envelope is forbidden": {registrytest.BlobGet, registrytest.Status(http.StatusForbidden), validator.RegistryUnauthorized},
		"T5 another envelope":      {registrytest.BlobGet, registrytest.Body([]byte(strings.Repeat("x", 100))), validator.DigestMismatch},
		"an endless envelope":      {registrytest.BlobGet, registrytest.Endless(http.StatusOK), validator.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.ca.Signer(t, "me").Sign(t, s.reg, s.img)
			remove := s.reg.Inject(registrytest.Fault{Kind: c.kind, Answer: c.answer})
			v := s.bind(s.usual(), nil)
			s.denies(v, c.reason)
			remove()
			s.trusts(v)
		})
	}
}

// An image costs four requests, and one more where the registry is not known yet.
func TestRequestsPerImage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reg  []registrytest.Option
		want registrytest.Counts
	}{
		"a registry that lists": {[]registrytest.Option{registrytest.Referrers()}, registrytest.Counts{
			registrytest.ManifestHead: 1, registrytest.ReferrersGet: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1,
		}},
		"one that does not": {[]registrytest.Option{registrytest.Latency(0)}, registrytest.Counts{
			registrytest.ManifestHead: 1, registrytest.ManifestGet: 2, registrytest.BlobGet: 1,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c.reg...)
			me := s.ca.Signer(t, "me")
			me.Sign(t, s.reg, s.img)
			v := s.bind(s.usual(), nil)
			s.trusts(v)
			second := s.reg.Push(t, "team/app:v2")
			me.Sign(t, s.reg, second)
			s.reg.Reset()
			if _, failure := s.validateRef(v, second.String()); failure != nil {
				t.Fatal(failure)
			}
			if got := s.reg.Requests(); !cmp.Equal(c.want, got) {
				t.Error(cmp.Diff(c.want, got))
			}
		})
	}
}

func TestNobodyWaitsLongerThanTheyWant(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ca.Signer(t, "me").Sign(t, s.reg, s.img)
	s.reg.Inject(registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Hang()})
	v := s.bind(s.usual(), nil)
	impatient := &scene{T: t, reg: s.reg, img: s.img}
	start := time.Now()
	impatient.deniesWithin(v, 200*time.Millisecond, validator.Timeout)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}
