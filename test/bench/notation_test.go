package bench

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notation"
)

// newNotationSystem starts a system that demands a signature of the Notary
// Project.
func newNotationSystem(tb testing.TB, options ...registrytest.Option) (*system, *notationtest.Signer) {
	tb.Helper()
	reg, ca := registrytest.New(tb, options...), notationtest.New(tb, "Example CA")
	s := systemOf(tb, reg.Host(), fields{"type": "notation", "trustRoots": []fields{{"name": "default", "cert": ca.PEM()}}}, fields{})
	s.registry = reg
	return s, ca.Signer(tb, "me")
}

// notationPlaces are where signatures are found, and what a new image costs where
// it is known which of them the registry has.
var notationPlaces = []struct {
	name    string
	options []registrytest.Option
	want    registrytest.Counts
}{
	{"listed", []registrytest.Option{registrytest.Referrers()},
		registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ReferrersGet: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}},
	{"tagged", nil, registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ManifestGet: 2, registrytest.BlobGet: 1}},
}

func TestASignatureOfTheNotaryProjectCostsFourRequests(t *testing.T) {
	t.Parallel()
	for _, place := range notationPlaces {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			s, me := newNotationSystem(t, place.options...)
			for i := range 2 {
				img := s.registry.Push(t, fmt.Sprintf("%s:v%d", repository, i))
				me.Sign(t, s.registry, img)
				s.registry.Reset()
				s.admit(t, img.String())
				if diff := cmp.Diff(place.want, s.registry.Requests()); i > 0 && diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// BenchmarkColdNotation admits images that were never seen, from a registry that
// takes 50 ms for each answer.
func BenchmarkColdNotation(b *testing.B) {
	for _, place := range notationPlaces {
		b.Run(place.name, func(b *testing.B) {
			s, me := newNotationSystem(b, append(place.options, registrytest.Latency(latency))...)
			n := 0
			signed := func() string {
				n++
				img := s.registry.Push(b, fmt.Sprintf("%s:v%d", repository, n))
				me.Sign(b, s.registry, img)
				return img.String()
			}
			s.admit(b, signed())
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

// BenchmarkVerifyNotation verifies what is attached to an image, without a
// registry.
func BenchmarkVerifyNotation(b *testing.B) {
	ca, other := notationtest.New(b, "Example CA"), notationtest.New(b, "Other CA")
	tsa := notationtest.NewTimestampAuthority(b)
	me, stranger := ca.Signer(b, "me"), other.Signer(b, "stranger")
	img := registrytest.Image{Host: "registry.example.com", Repository: "app", Digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	strangers := canned{}
	for range 50 {
		strangers = append(strangers, registry.Candidate{Kind: registry.JWS, Payload: stranger.Envelope(b, img)})
	}
	one := registry.Candidate{Kind: registry.JWS, Payload: me.Envelope(b, img)}
	for _, c := range []struct {
		name     string
		attached canned
		root     fields
	}{
		{"JWS", canned{one}, nil},
		{"COSE", canned{{Kind: registry.COSE, Payload: me.Envelope(b, img, notationtest.COSE())}}, nil},
		{"timestamp", canned{{Kind: registry.JWS, Payload: me.Envelope(b, img, notationtest.Stamped(tsa))}}, fields{"tsCert": tsa.Root.PEM()}},
		{"behind-50-strangers", append(strangers, one), nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			root := fields{"name": "default", "cert": ca.PEM()}
			for key, value := range c.root {
				root[key] = value
			}
			v := bindNotation(b, c.attached, root)
			ref, err := image.Parse(img.ByDigest())
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := v.Validate(b.Context(), validator.Request{Image: ref}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// bindNotation gives the validator of a rule with one trust root.
func bindNotation(tb testing.TB, access notation.Registry, root fields) validator.Validator {
	tb.Helper()
	open := func(strict.Object, registry.AccessConfig) (notation.Access, strict.Errors) {
		return func(context.Context, validator.Identity) (notation.Registry, error) { return access, nil }, nil
	}
	configured, errs := notation.New(strict.Object{Fields: fields{"trustRoots": []any{root}}}, notation.Dependencies{Trust: nowhere{}, Open: open, Revocation: &http.Client{}, State: notation.NewState()})
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	bound, errs := configured.Bind(strict.Object{})
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	return bound
}
