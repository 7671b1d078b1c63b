package bench

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/cosign"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

const (
	signer = "alice@example.com"
	issuer = "https://issuer.example.com"
	slsa   = "https://slsa.dev/provenance/v1"
)

type fields = map[string]any

// newKeylessSystem starts a system that demands the signature of an identity,
// with everything switched on, beside that many other trust roots.
func newKeylessSystem(tb testing.TB, others int, options ...registrytest.Option) (*system, *sigstoretest.Sigstore) {
	tb.Helper()
	reg := registrytest.New(tb, append(options, registrytest.Bearer("", ""), registrytest.Referrers())...)
	sigstore := sigstoretest.New(tb)
	s := systemFor(tb, sigstore, reg.Host(), keyless(tb, others))
	s.registry = reg
	return s, sigstore
}

// systemFor is a system without its registry, which is at the host.
func systemFor(tb testing.TB, sigstore *sigstoretest.Sigstore, host string, roots []fields) *system {
	tb.Helper()
	return systemOf(tb, host, fields{"type": "cosign", "host": fields{"trustedRoot": string(sigstore.TrustedRoot(tb))}, "trustRoots": roots}, fields{"trustRoot": "*", "threshold": 1})
}

// systemOf is one with this validator, and one rule that has these settings.
func systemOf(tb testing.TB, host string, validator, with fields) *system {
	tb.Helper()
	validator["name"] = "default"
	text := func(v any) string {
		out, err := yaml.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		return string(out)
	}
	built := config.NewBuilder(cache.New(cache.Options{})).Build(configuration(map[string]string{
		"validators": text([]fields{validator}),
		"policy":     text([]fields{{"pattern": host + "/*:*", "with": with}}),
		"registries": text([]fields{{"host": host, "insecure": true}}),
	}))
	if len(built.Errors) > 0 {
		tb.Fatal(built.Errors)
	}
	return &system{handler: admission.NewMutating(verify.Engine{Now: time.Now}, func() (*verify.Snapshot, error) { return built.Snapshot, nil }, instruments(tb), logger())}
}

// keyless are trust roots: the signer, behind that many others.
func keyless(tb testing.TB, others int) []fields {
	tb.Helper()
	var roots []fields
	for i := range others {
		if i%2 == 0 {
			roots = append(roots, fields{"name": fmt.Sprint(i), "key": string(registrytest.PublicPEM(tb, registrytest.Key(tb)))})
			continue
		}
		roots = append(roots, fields{"name": fmt.Sprint(i), "keyless": fields{"issuer": issuer, "subject": fmt.Sprintf("%d@example.com", i)}})
	}
	return append(roots, fields{"name": "signer", "keyless": fields{"issuer": issuer, "subject": signer}})
}

// attach is how an image is signed.
type attach func(*sigstoretest.Sigstore, testing.TB, *registrytest.Registry, registrytest.Image, *sigstoretest.Signer)

var (
	inTag attach = func(s *sigstoretest.Sigstore, tb testing.TB, reg *registrytest.Registry, img registrytest.Image, by *sigstoretest.Signer) {
		s.SignLegacy(tb, reg, img, by)
	}
	inBundle attach = func(s *sigstoretest.Sigstore, tb testing.TB, reg *registrytest.Registry, img registrytest.Image, by *sigstoretest.Signer) {
		s.Sign(tb, reg, img, by)
	}
)

// A keyless signature with its log entry costs the registry's answers and
// nothing else, however many trust roots there are.
func TestKeylessSignaturesCostNoMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attach attach
		others int
		want   registrytest.Counts
	}{
		"under a tag: three":            {inTag, 0, registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}},
		"in a bundle: four":             {inBundle, 0, registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ReferrersGet: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}},
		"in a bundle, five trust roots": {inBundle, 4, registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ReferrersGet: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}},
		"under a tag, five trust roots": {inTag, 4, registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}},
		"in a bundle, beside another one": {func(s *sigstoretest.Sigstore, tb testing.TB, reg *registrytest.Registry, img registrytest.Image, by *sigstoretest.Signer) {
			s.Sign(tb, reg, img, sigstoretest.Key(registrytest.Key(tb)))
			inBundle(s, tb, reg, img, by)
		}, 0, registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ReferrersGet: 1, registrytest.ManifestGet: 2, registrytest.BlobGet: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, sigstore := newKeylessSystem(t, c.others)
			by := sigstore.Certificate(t, signer, issuer)
			for i := range 3 {
				img := s.registry.Push(t, fmt.Sprintf("%s:v%d", repository, i))
				c.attach(sigstore, t, s.registry, img, by)
				settle()
				s.registry.Reset()
				s.admit(t, img.String())
				got := s.registry.Requests()
				delete(got, registrytest.Ping)
				delete(got, registrytest.Token)
				if i == 0 && got.Total() > c.want.Total()+1 {
					t.Errorf("before the form is known: %v", got)
				}
				if diff := cmp.Diff(c.want, got); i > 0 && diff != "" {
					t.Errorf("image %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// BenchmarkColdKeyless admits images that were never seen, with everything
// switched on, from a registry that takes 50 ms for each answer.
func BenchmarkColdKeyless(b *testing.B) {
	for name, attach := range map[string]attach{"tag": inTag, "bundle": inBundle} {
		b.Run(name, func(b *testing.B) {
			s, sigstore := newKeylessSystem(b, 0, registrytest.Latency(latency))
			by := sigstore.Certificate(b, signer, issuer)
			n := 0
			signed := func() string {
				n++
				img := s.registry.Push(b, fmt.Sprintf("%s:v%d", repository, n))
				attach(sigstore, b, s.registry, img, by)
				return img.String()
			}
			s.admit(b, signed())
			settle()
			s.registry.Reset()
			var times []time.Duration
			for b.Loop() {
				b.StopTimer()
				req := request(b, 0, signed())
				b.StartTimer()
				start := time.Now()
				if err := s.admitted(req); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
			}
			b.ReportMetric(float64(s.registry.Requests().Total())/float64(len(times)), "requests/op")
			reportMedian(b, times)
		})
	}
}

// canned is a registry that has the same candidates for every image.
type canned []registry.Candidate

func (canned) Resolve(context.Context, image.Reference) (image.Digest, error) { return "", nil }

func (canned) Children(context.Context, image.Reference) ([]image.Digest, error) { return nil, nil }

func (c canned) Attached(context.Context, image.Reference, registry.Wanted) iter.Seq2[[]registry.Candidate, error] {
	return func(yield func([]registry.Candidate, error) bool) { yield(c, nil) }
}

// BenchmarkVerify is the CPU time of one verification, without the registry.
func BenchmarkVerify(b *testing.B) {
	sigstore := sigstoretest.New(b)
	key := registrytest.Key(b)
	img := registrytest.Image{Host: "registry.example.com", Repository: "app", Digest: "sha256:" + strings.Repeat("1", 64)}
	by := sigstore.Certificate(b, signer, issuer)
	bundle := func(by *sigstoretest.Signer, options ...sigstoretest.Option) canned {
		return canned{{Kind: registry.Bundle, Payload: sigstore.SignatureBundle(b, img, by, options...)}}
	}
	ofKey := []fields{{"name": "key", "key": string(registrytest.PublicPEM(b, key))}}
	attested := append(bundle(by), registry.Candidate{Kind: registry.Bundle, Payload: sigstore.AttestationBundle(b, img, by, slsa, fields{"builder": fields{"id": "x"}})})
	demanded := fields{"attestations": []any{fields{"predicateType": slsa, "cel": `predicate.builder.id == "x"`}}}
	for _, c := range []struct {
		name  string
		found canned
		roots []fields
		with  fields
	}{
		{"key", bundle(sigstoretest.Key(key), sigstoretest.WithoutEntry()), ofKey, fields{"verifyInTransparencyLog": false}},
		{"key-log", bundle(sigstoretest.Key(key)), ofKey, nil},
		{"keyless", bundle(by), keyless(b, 0), nil},
		{"keyless-rekor-v2", bundle(by, sigstoretest.RekorV2(), sigstoretest.TimestampedBy(sigstore)), keyless(b, 0), nil},
		{"keyless-5-roots", bundle(by), keyless(b, 4), nil},
		{"keyless-attestation", attested, keyless(b, 0), demanded},
	} {
		b.Run(c.name, func(b *testing.B) {
			v := bind(b, c.found, string(sigstore.TrustedRoot(b)), c.with, c.roots)
			ref, err := image.Parse(img.ByDigest())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Validate(context.Background(), validator.Request{Image: ref}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// nowhere is a trust.Source with nothing in it.
type nowhere struct{}

func (nowhere) ConfigMapEntry(string, string) ([]byte, error)      { return nil, trust.ErrNotThere }
func (nowhere) SecretEntry(string, string, string) ([]byte, error) { return nil, trust.ErrNotThere }
func (nowhere) Remote(trust.Remote) ([]byte, error)                { return nil, trust.ErrUnavailable }

// bind makes a validator on a canned registry.
func bind(b *testing.B, found canned, trustedRoot string, with fields, roots []fields) validator.Validator {
	b.Helper()
	list := make([]any, len(roots))
	for i, r := range roots {
		list[i] = r
	}
	settings := strict.Object{Fields: fields{"trustRoots": list, "host": fields{"trustedRoot": trustedRoot}}}
	configured, errs := cosign.New(settings, cosign.Dependencies{Trust: nowhere{}, Open: func(strict.Object, registry.AccessConfig) (cosign.Access, strict.Errors) {
		return func(context.Context, validator.Identity) (cosign.Registry, error) { return found, nil }, nil
	}})
	if len(errs) > 0 {
		b.Fatal(errs)
	}
	all := fields{"trustRoot": "*", "threshold": 1}
	for key, value := range with {
		all[key] = value
	}
	v, errs := configured.Bind(strict.Object{Fields: all})
	if len(errs) > 0 {
		b.Fatal(errs)
	}
	return v
}
