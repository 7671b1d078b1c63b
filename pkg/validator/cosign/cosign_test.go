package cosign_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/cosign"
)

func ecdsaKey(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// unnamed compares results without the signers' names, which are for people.
var unnamed = cmpopts.IgnoreFields(validator.Result{}, "Signers")

// T4: what is asked by tag is resolved once, and the digest that was verified
// is the one in the result.
func TestAnImageSignedByTheKeyIsTrusted(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"ECDSA P-256": ecdsaKey(t, elliptic.P256()), "ECDSA P-384": ecdsaKey(t, elliptic.P384()),
		"ECDSA P-521": ecdsaKey(t, elliptic.P521()), "RSA 2048": rsaKey, "Ed25519": edKey,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "team/app:v1")
			reg.Sign(t, img, key)
			v := bind(t, access(t, reg, registry.Limits{}), with(), inline(t, "default", key))
			for _, asked := range []string{img.String(), img.ByDigest(), img.Pinned()} {
				reg.Reset()
				got, err := v.Validate(t.Context(), request(t, asked))
				want := validator.Result{Digest: image.Digest(img.Digest), TrustRoots: []string{"default"}}
				if diff := cmp.Diff(want, got, unnamed); err != nil || diff != "" {
					t.Errorf("%s: %v\n%s", asked, err, diff)
				}
				heads := 0
				if asked == img.String() {
					heads = 1
				}
				if got := reg.Requests(); got[registrytest.ManifestHead] != heads || got[registrytest.ManifestGet] != 1 {
					t.Errorf("%s: want %d resolutions and one manifest, got %v", asked, heads, got)
				}
			}
		})
	}
}

// A KMS signs with the hash that fits the curve.
func TestASignatureOverTheHashThatFitsTheCurveIsTrusted(t *testing.T) {
	t.Parallel()
	sum384 := func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }
	sum512 := func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }
	for name, c := range map[string]struct {
		curve elliptic.Curve
		hash  func([]byte) []byte
	}{
		"P-384 with SHA-384": {elliptic.P384(), sum384},
		"P-521 with SHA-512": {elliptic.P521(), sum512},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, key := registrytest.New(t), ecdsaKey(t, c.curve)
			img := reg.Push(t, "app")
			payload := []byte(claimFor(img.Digest))
			signature, err := key.Sign(rand.Reader, c.hash(payload), nil)
			if err != nil {
				t.Fatal(err)
			}
			reg.Sign(t, img, key, registrytest.Payload(payload), registrytest.Signature(base64.StdEncoding.EncodeToString(signature)))
			v := bind(t, access(t, reg, registry.Limits{}), with(), inline(t, "default", key))
			if _, err := v.Validate(t.Context(), request(t, img.String())); err != nil {
				t.Error(err)
			}
		})
	}
}

func claimFor(digest string) string {
	return `{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"` + digest + `"},"type":"cosign container image signature"},"optional":null}`
}

const otherDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// Each row is one image, and how it must not be accepted.
func TestAnImageIsDenied(t *testing.T) {
	t.Parallel()
	trusted, stranger := registrytest.Key(t), registrytest.Key(t)
	type registries = *registrytest.Registry
	type images = registrytest.Image
	flipped := func(text string) string { // one bit of the signature
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-1] ^= 1
		return base64.StdEncoding.EncodeToString(raw)
	}
	for name, c := range map[string]struct {
		sign func(*testing.T, registries, images)
		want validator.Reason
	}{
		"that has no signature": {func(*testing.T, registries, images) {}, validator.NoSignature},
		"that a stranger signed": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, stranger)
		}, validator.UntrustedSigner},
		"T14: whose signature is by the key, but for another digest": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.ClaimDigest(otherDigest))
		}, validator.DigestMismatch},
		"T14: whose signature was copied whole from another signed image": {func(t *testing.T, reg registries, img images) {
			other := reg.Push(t, "team/other:v1")
			reg.Sign(t, img, trusted, registrytest.Payload([]byte(claimFor(other.Digest))))
		}, validator.DigestMismatch},
		"T14: whose signature names no digest": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.ClaimDigest(""))
		}, validator.DigestMismatch},
		"T14: whose digest is claimed by a stranger, and whose key signed another": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, stranger)
			reg.Sign(t, img, trusted, registrytest.ClaimDigest(otherDigest))
		}, validator.DigestMismatch},
		"that a stranger signed for another digest": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, stranger, registrytest.ClaimDigest(otherDigest))
		}, validator.UntrustedSigner},
		"T15: about which the key says something else": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.ClaimType("Google cloud binauthz container signature"))
		}, validator.MalformedSignature},
		"T15: whose payload has no type": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.ClaimType(""))
		}, validator.MalformedSignature},
		"T15: whose signature is stored as another kind of layer": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.MediaType("application/vnd.dsse.envelope.v1+json"))
		}, validator.NoSignature},
		"T18: whose signature is not base64": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Signature("&&&"))
		}, validator.MalformedSignature},
		"T18: whose signature is empty": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Signature(""))
		}, validator.NoSignature},
		"T18: whose signature is a single byte": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Signature("AA=="))
		}, validator.UntrustedSigner},
		"T18: whose payload is not JSON": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Payload([]byte("{")))
		}, validator.MalformedSignature},
		"T18: whose payload is null": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Payload([]byte("null")))
		}, validator.MalformedSignature},
		"T18: whose payload is JSON of another shape": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Payload([]byte(`{"critical":[1]}`)))
		}, validator.MalformedSignature},
		"T18: whose payload is nested a thousand times": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Payload([]byte(strings.Repeat("[", 100_000))))
		}, validator.MalformedSignature},
		"T18: that has more signatures than are allowed": {func(t *testing.T, reg registries, img images) {
			for range 6 {
				reg.Sign(t, img, trusted)
			}
		}, validator.TooLarge},
		"T18: whose payload is larger than allowed": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Optional("x", strings.Repeat("x", 200<<10)))
		}, validator.TooLarge},
		"T18: whose signatures' manifest is larger than allowed": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted, registrytest.Annotation("x", strings.Repeat("x", 2<<20)))
		}, validator.TooLarge},
		"T18: whose signatures' manifest never ends": {func(t *testing.T, reg registries, img images) {
			reg.Inject(registrytest.Fault{Kind: registrytest.ManifestGet, Path: ".sig", Answer: registrytest.Endless(http.StatusOK, "Content-Type", "application/vnd.oci.image.manifest.v1+json")})
		}, validator.TooLarge},
		"T5: whose payload is not what its digest says": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted)
			reg.Inject(registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Body([]byte(claimFor(img.Digest)))})
		}, validator.DigestMismatch},
		"whose signature was changed by one bit": {func(t *testing.T, reg registries, img images) {
			payload := []byte(claimFor(img.Digest))
			sum := sha256.Sum256(payload)
			raw, err := trusted.Sign(rand.Reader, sum[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			reg.Sign(t, img, trusted, registrytest.Payload(payload), registrytest.Signature(flipped(base64.StdEncoding.EncodeToString(raw))))
		}, validator.UntrustedSigner},
		"T28: whose registry throttles": {func(t *testing.T, reg registries, img images) {
			reg.Inject(registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Status(http.StatusTooManyRequests)})
		}, validator.RegistryThrottled},
		"T28: whose registry is down": {func(t *testing.T, reg registries, img images) {
			reg.Inject(registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Status(http.StatusServiceUnavailable)})
		}, validator.RegistryUnavailable},
		"T28: whose registry hangs up": {func(t *testing.T, reg registries, img images) {
			reg.Inject(registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.HangUp()})
		}, validator.RegistryUnavailable},
		"T28: whose registry breaks off in the payload": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, trusted)
			reg.Inject(registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.BreakOff()})
		}, validator.RegistryUnavailable},
		"T28: whose registry refuses access": {func(t *testing.T, reg registries, img images) {
			reg.Inject(registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Status(http.StatusForbidden)})
		}, validator.RegistryUnauthorized},
		"T28: whose tag cannot be resolved for now": {func(t *testing.T, reg registries, img images) {
			reg.Inject(registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusBadGateway)})
		}, validator.RegistryUnavailable},
		"that is not there": {func(t *testing.T, reg registries, img images) {
			reg.Delete(t, img.Repository, img.Tag)
		}, validator.ImageNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "team/app:v1")
			c.sign(t, reg, img)
			v := bind(t, access(t, reg, registry.Limits{Signatures: 5}), with(), inline(t, "default", trusted))
			got, err := v.Validate(t.Context(), request(t, img.String()))
			wantDenied(t, got, err, c.want)
		})
	}
}

// T5: a registry that answers the tag with one digest and the signatures of
// another image gets nothing accepted.
func TestT5SignaturesServedForTheWrongImageAreRefused(t *testing.T) {
	t.Parallel()
	reg, key := registrytest.New(t), registrytest.Key(t)
	signed, evil := reg.Push(t, "team/app:signed"), reg.Push(t, "team/app:evil")
	reg.Sign(t, signed, key)
	reg.Inject(registrytest.Fault{Kind: registrytest.ManifestGet, Path: evil.SignatureTag(), Answer: func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, reg.URL()+"/v2/team/app/manifests/"+signed.SignatureTag(), http.StatusTemporaryRedirect)
	}})
	v := bind(t, access(t, reg, registry.Limits{}), with(), inline(t, "default", key))
	got, err := v.Validate(t.Context(), request(t, evil.String()))
	wantDenied(t, got, err, validator.DigestMismatch)
}

// One good signature among bad ones is enough, wherever it stands.
func TestOneGoodSignatureAmongBadOnesIsFound(t *testing.T) {
	t.Parallel()
	reg, key := registrytest.New(t), registrytest.Key(t)
	img := reg.Push(t, "app")
	reg.Sign(t, img, registrytest.Key(t))
	reg.Sign(t, img, key, registrytest.Payload([]byte("no JSON")))
	reg.Sign(t, img, key, registrytest.ClaimDigest(otherDigest))
	reg.Sign(t, img, key)
	reg.Sign(t, img, key, registrytest.Signature("&"))
	v := bind(t, access(t, reg, registry.Limits{}), with(), inline(t, "default", key))
	got, err := v.Validate(t.Context(), request(t, img.String()))
	if err != nil || got.Digest != image.Digest(img.Digest) {
		t.Errorf("got %v, %v", got, err)
	}
}

// T13: what is counted are distinct trust roots.
func TestT13QuorumsCountTrustRootsAndNotSignatures(t *testing.T) {
	t.Parallel()
	keys := map[string]crypto.Signer{}
	for _, name := range []string{"alice", "alice2", "bob", "carol", "mallory"} {
		keys[name] = registrytest.Key(t)
	}
	names := func(all ...any) []any { return all }
	for name, c := range map[string]struct {
		signers []string
		with    []any
		want    []string // trust roots
		denied  validator.Reason
	}{
		"all must have signed, and did":                      {[]string{"alice", "bob", "carol"}, []any{"trustRoot", "*"}, []string{"alice", "bob", "carol"}, ""},
		"all must have signed, and one did not":              {[]string{"alice", "bob"}, []any{"trustRoot", "*"}, nil, validator.ThresholdNotReached},
		"two of three must have signed, and did":             {[]string{"carol", "alice"}, []any{"trustRoot", "*", "threshold", 2}, []string{"alice", "carol"}, ""},
		"one signer signing three times is one":              {[]string{"alice", "alice", "alice"}, []any{"trustRoot", "*", "threshold", 2}, nil, validator.ThresholdNotReached},
		"one signer with two keys is one":                    {[]string{"alice", "alice2"}, []any{"trustRoot", "*", "threshold", 2}, nil, validator.ThresholdNotReached},
		"the second key of a trust root counts for it":       {[]string{"alice2", "bob"}, []any{"trustRoot", "*", "threshold", 2}, []string{"alice", "bob"}, ""},
		"strangers do not count":                             {[]string{"alice", "mallory", "mallory"}, []any{"trustRoot", "*", "threshold", 2}, nil, validator.ThresholdNotReached},
		"only strangers signed":                              {[]string{"mallory"}, []any{"trustRoot", "*", "threshold", 1}, nil, validator.UntrustedSigner},
		"the required one signed":                            {[]string{"bob"}, []any{"trustRoot", "*", "required", names("bob")}, []string{"bob"}, ""},
		"the required one did not sign":                      {[]string{"alice", "carol"}, []any{"trustRoot", "*", "required", names("bob")}, nil, validator.MissingRequired},
		"the required one did not sign, but the threshold":   {[]string{"alice", "carol"}, []any{"trustRoot", "*", "threshold", 2, "required", names("bob")}, nil, validator.MissingRequired},
		"the required one signed, but too few others":        {[]string{"bob"}, []any{"trustRoot", "*", "threshold", 2, "required", names("bob")}, nil, validator.ThresholdNotReached},
		"the required one and another one signed":            {[]string{"bob", "carol"}, []any{"trustRoot", "*", "threshold", 2, "required", names("bob")}, []string{"bob", "carol"}, ""},
		"the rule's one trust root signed":                   {[]string{"bob"}, []any{"trustRoot", "bob"}, []string{"bob"}, ""},
		"another trust root than the rule's signed":          {[]string{"alice", "carol"}, []any{"trustRoot", "bob"}, nil, validator.UntrustedSigner},
		"a threshold above the number of required is needed": {[]string{"alice", "bob"}, []any{"trustRoot", "*", "threshold", 3, "required", names("alice", "bob")}, nil, validator.ThresholdNotReached},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "app")
			for _, signer := range c.signers {
				reg.Sign(t, img, keys[signer])
			}
			v := bind(t, access(t, reg, registry.Limits{}), with(c.with...),
				inline(t, "alice", keys["alice"], keys["alice2"]), inline(t, "bob", keys["bob"]), inline(t, "carol", keys["carol"]))
			got, err := v.Validate(t.Context(), request(t, img.String()))
			if c.denied != "" {
				wantDenied(t, got, err, c.denied)
				return
			}
			want := validator.Result{Digest: image.Digest(img.Digest), TrustRoots: c.want}
			if diff := cmp.Diff(want, got, unnamed); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

// A trust root that cannot be read makes inconclusive what depends on it, and
// nothing else.
func TestAnUnavailableTrustRootMakesInconclusiveOnlyWhatNeedsIt(t *testing.T) {
	t.Parallel()
	alice, stranger := registrytest.Key(t), registrytest.Key(t)
	roots := []root{inline(t, "alice", alice), {"bob", "k8s://connaisseur/bob"}}
	for name, c := range map[string]struct {
		with   []any
		signer crypto.Signer // nil signs nothing
		denied validator.Reason
	}{
		"a rule for the other trust root":             {[]any{"trustRoot", "alice"}, alice, ""},
		"a threshold that the other one reaches":      {[]any{"trustRoot", "*", "threshold", 1}, alice, ""},
		"a rule for all":                              {[]any{"trustRoot", "*"}, alice, validator.TrustDataUnavailable},
		"a rule for it":                               {[]any{"trustRoot", "bob"}, alice, validator.TrustDataUnavailable},
		"a stranger's signature, which may be theirs": {[]any{"trustRoot", "*", "threshold", 1}, stranger, validator.TrustDataUnavailable},
		"no signature at all, whoever it be by":       {[]any{"trustRoot", "bob"}, nil, validator.NoSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "app")
			if c.signer != nil {
				reg.Sign(t, img, c.signer)
			}
			v := bind(t, access(t, reg, registry.Limits{}), with(c.with...), roots...)
			got, err := v.Validate(t.Context(), request(t, img.String()))
			if c.denied != "" {
				wantDenied(t, got, err, c.denied)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// canned is a registry that answers without a network.
type canned struct {
	digest     image.Digest
	signatures []registry.Candidate
	err        error
}

func (c canned) Resolve(context.Context, image.Reference) (image.Digest, error) {
	return c.digest, c.err
}

func (c canned) Attached(context.Context, image.Reference, registry.Wanted) iter.Seq2[[]registry.Candidate, error] {
	return func(yield func([]registry.Candidate, error) bool) { yield(c.signatures, c.err) }
}

func (c canned) Children(context.Context, image.Reference) ([]image.Digest, error) {
	return nil, c.err
}

func TestTheEndOfTheContextIsTimeoutEvenBetweenSignatures(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := make([]registry.Candidate, 10_000)
	for i := range many {
		many[i] = registry.Candidate{Payload: []byte(claimFor(otherDigest)), Base64Signature: "AAAA"}
	}
	v := bind(t, canned{signatures: many}, with(), inline(t, "default", ecdsaKey(t, elliptic.P521())))
	start := time.Now()
	got, err := v.Validate(ctx, request(t, "example.org/app@"+otherDigest))
	wantDenied(t, got, err, validator.Timeout)
	if took := time.Since(start); took > time.Second {
		t.Errorf("it went on for %v", took)
	}
}

// A registry that names nonsense as a digest, or a digest that cosign cannot
// sign, must not be verified as something else.
func TestADigestThatCannotBeVerifiedIsInvalid(t *testing.T) {
	t.Parallel()
	key := registrytest.Key(t)
	for _, digest := range []image.Digest{"nonsense", "sha256:", "sha256:zz"} {
		v := bind(t, canned{digest: digest}, with(), inline(t, "default", key))
		got, err := v.Validate(t.Context(), request(t, "example.org/app:v1"))
		wantDenied(t, got, err, validator.InvalidReference)
	}
}

// T3: whatever changes what is accepted changes the fingerprint.
func TestT3FingerprintsDifferWithEverySetting(t *testing.T) {
	t.Parallel()
	a, b, c := registrytest.Key(t), registrytest.Key(t), registrytest.Key(t)
	type configuration struct {
		settings strict.Object
		roots    []root
	}
	configurations := map[string]configuration{
		"one key":             {with(), []root{inline(t, "default", a)}},
		"another key":         {with(), []root{inline(t, "default", b)}},
		"two keys":            {with(), []root{inline(t, "default", a, b)}},
		"another name":        {with("trustRoot", "x"), []root{inline(t, "x", a)}},
		"all of two":          {with("trustRoot", "*"), []root{inline(t, "default", a), inline(t, "x", b)}},
		"one of two":          {with("trustRoot", "*", "threshold", 1), []root{inline(t, "default", a), inline(t, "x", b)}},
		"one of two, one set": {with("trustRoot", "*", "threshold", 1, "required", []any{"x"}), []root{inline(t, "default", a), inline(t, "x", b)}},
		"one of two, the other": {with("trustRoot", "*", "threshold", 1, "required", []any{"default"}),
			[]root{inline(t, "default", a), inline(t, "x", b)}},
		"keys split otherwise":     {with("trustRoot", "*", "threshold", 1), []root{inline(t, "default", a, b), inline(t, "x", c)}},
		"keys split yet otherwise": {with("trustRoot", "*", "threshold", 1), []root{inline(t, "default", a), inline(t, "x", b, c)}},
		"a root not available":     {with("trustRoot", "x"), []root{{"x", "k8s://connaisseur/x"}}},
		"a name like another text": {with("trustRoot", `x" "y`), []root{inline(t, `x" "y`, a)}},
	}
	seen := map[string]string{}
	for name, c := range configurations {
		first := bind(t, canned{}, c.settings, c.roots...).Fingerprint()
		if again := bind(t, canned{}, c.settings, c.roots...).Fingerprint(); again != first {
			t.Errorf("%s: the fingerprint is not stable", name)
		}
		if other, ok := seen[first]; ok {
			t.Errorf("%q and %q have the same fingerprint", name, other)
		}
		seen[first] = name
	}
}

// T25: nothing is silently ignored, and nothing weaker than what was written
// comes out.
func TestWrongSettingsAreErrorsWithTheirKeyPath(t *testing.T) {
	t.Parallel()
	key := registrytest.Key(t)
	good := inline(t, "default", key)
	for name, c := range map[string]struct {
		roots []root
		with  map[string]any
		want  []string
	}{
		"no trust roots":               {nil, nil, []string{"validators[0].trustRoots: is empty"}},
		"a name is missing":            {[]root{{"", good.key}}, nil, []string{"validators[0].trustRoots[0].name: is missing"}},
		"a name is the wildcard":       {[]root{{"*", good.key}}, nil, []string{`validators[0].trustRoots[0].name: must not be "*"`}},
		"a key is missing":             {[]root{{"a", ""}}, nil, []string{"validators[0].trustRoots[0].key: is missing"}},
		"T21: a key is a file":         {[]root{{"a", "/etc/passwd"}}, nil, []string{"validators[0].trustRoots[0].key: \"/etc/passwd\" is not supported"}},
		"T21: a key is a URL":          {[]root{{"a", "https://evil.io/key"}}, nil, []string{"is not supported"}},
		"T21: a key is an environment": {[]root{{"a", "env://HOME"}}, nil, []string{"is not supported"}},
		"T13: two roots share a key":   {[]root{good, {"b", good.key}}, nil, []string{`validators[0].trustRoots[1].key: holds a key of the trust root "default" too`}},
		"the transparency log is a text": {[]root{good}, map[string]any{"verifyInTransparencyLog": "false"},
			[]string{"policy[0].with.verifyInTransparencyLog: must be true or false, not a string"}},
		"a key is misspelled": {[]root{good}, map[string]any{"verifyInTransparencyLog": false, "treshold": 1},
			[]string{`policy[0].with.treshold: unknown key; did you mean "threshold"?`}},
		"a trust root is misspelled": {[]root{good}, map[string]any{"verifyInTransparencyLog": false, "trustRoot": "defualt"},
			[]string{`policy[0].with.trustRoot: no trust root named "defualt"; did you mean "default"?`}},
		"a threshold is zero": {[]root{good}, map[string]any{"verifyInTransparencyLog": false, "trustRoot": "*", "threshold": 0},
			[]string{"policy[0].with.threshold: is 0, but must be between 1 and"}},
		"everything is wrong at once": {[]root{good}, map[string]any{"trustRoot": "*", "threshold": 9, "required": []any{"x", "x"}, "foo": 1}, []string{
			"policy[0].with.foo: unknown key", "policy[0].with.threshold: is 9",
			`policy[0].with.required[0]: no trust root named "x"`, `policy[0].with.required[1]: "x" is listed twice`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			configured, errs := configure(c.roots, secrets{}, canned{})
			if len(errs) == 0 {
				var v validator.Validator
				if v, errs = configured.Bind(strict.Object{Path: "policy[0].with", Fields: c.with}); v != nil {
					t.Error("the errors come with a validator")
				}
			}
			for _, want := range c.want {
				if !strings.Contains(errs.Error(), want) {
					t.Errorf("want %q in:\n%v", want, errs)
				}
			}
		})
	}
}

var _ trust.Source = secrets{}
var _ cosign.Registry = canned{}
