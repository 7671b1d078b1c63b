package registry_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
	slsaPredicate = "https://slsa.dev/provenance/v1"
)

// bundle is an artifact as cosign 3 attaches it, with any content.
func bundle(content, predicateType string) registrytest.Artifact {
	return registrytest.Artifact{ArtifactType: bundleType, MediaType: bundleType, Content: []byte(content), Annotations: map[string]string{
		"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicateType,
	}}
}

var wanted = registry.Wanted{Signature: signPredicate}

// attached collects what is attached, or what there is until the first payload
// named until, as a validator does that is satisfied with it.
func attached(ctx context.Context, t *testing.T, access *registry.Access, img string, want registry.Wanted, until string) (found []string, errs []error) {
	t.Helper()
	for candidates, err := range access.Attached(ctx, parse(t, img), want) {
		if err != nil {
			errs = append(errs, err)
		}
		for _, c := range candidates {
			found = append(found, fmt.Sprintf("%d %s", c.Kind, c.Payload))
			if string(c.Payload) == until {
				return found, errs
			}
		}
	}
	return found, errs
}

// In each row the image has just what the row attaches, and it is found whatever
// the registry speaks.
func TestWhatIsAttachedIsFoundInEveryForm(t *testing.T) {
	t.Parallel()
	key := registrytest.Key(t)
	type registries = *registrytest.Registry
	type images = registrytest.Image
	both := registry.Wanted{Signature: signPredicate, Attestations: []string{slsaPredicate}}
	for name, c := range map[string]struct {
		attach func(*testing.T, registries, images)
		want   registry.Wanted
		found  []string
	}{
		"nothing": {func(*testing.T, registries, images) {}, both, nil},
		"a signature under the .sig tag": {func(t *testing.T, reg registries, img images) {
			reg.Sign(t, img, key, registrytest.Payload([]byte("x")))
		}, wanted, []string{"0 x"}},
		"a bundle": {func(t *testing.T, reg registries, img images) {
			reg.Attach(t, img, bundle("b", signPredicate))
		}, wanted, []string{"2 b"}},
		"a bundle listed as something empty": {func(t *testing.T, reg registries, img images) {
			reg.Attach(t, img, bundle("b", signPredicate), registrytest.ListedType("application/vnd.oci.empty.v1+json"))
		}, wanted, []string{"2 b"}},
		"a bundle listed without type and annotations": {func(t *testing.T, reg registries, img images) {
			reg.Attach(t, img, bundle("b", signPredicate), registrytest.ListedType(""), registrytest.ListedAnnotations(nil))
		}, wanted, []string{"2 b"}},
		"a bundle that does not say what it attests": {func(t *testing.T, reg registries, img images) {
			reg.Attach(t, img, bundle("b", ""))
		}, wanted, []string{"2 b"}},
		"a signature that refers by itself": {func(t *testing.T, reg registries, img images) {
			reg.Attach(t, img, registrytest.Artifact{
				ArtifactType: "application/vnd.dev.cosign.artifact.sig.v1+json", MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Content: []byte("x"),
			})
		}, wanted, nil}, // its layer has no signature
		"an attestation that nobody wants": {func(t *testing.T, reg registries, img images) {
			reg.Attach(t, img, bundle("b", slsaPredicate))
			reg.Attest(t, img, key, slsaPredicate, map[string]any{})
		}, wanted, nil},
		"an attestation that is wanted": {func(t *testing.T, reg registries, img images) {
			reg.Attach(t, img, bundle("b", slsaPredicate))
			reg.Attach(t, img, bundle("c", "https://example.com/other"))
		}, both, []string{"2 b"}},
		"something else that refers to it": {func(t *testing.T, reg registries, img images) {
			reg.Attach(t, img, registrytest.Artifact{ArtifactType: "application/vnd.cncf.notary.signature", MediaType: "application/jose+json", Content: []byte("n")})
			reg.Attach(t, img, registrytest.Artifact{ArtifactType: bundleType, MediaType: "text/plain", Content: []byte("n")})
		}, wanted, nil},
	} {
		for speaks, options := range map[string][]registrytest.Option{
			"with the referrers API": {registrytest.Referrers()}, "with the fallback tag": nil, "with empty types": {registrytest.Referrers(), registrytest.EmptyTypes()},
		} {
			t.Run(name+" "+speaks, func(t *testing.T) {
				t.Parallel()
				reg := registrytest.New(t, options...)
				img := reg.Push(t, "team/app:v1")
				c.attach(t, reg, img)
				access := clientFor(t, reg).As(nil, "")
				for range 2 { // with the habits of the first time
					found, errs := attached(t.Context(), t, access, img.ByDigest(), c.want, "")
					if diff := cmp.Diff(c.found, found); diff != "" || errs != nil {
						t.Errorf("%v (-want +got):\n%s", errs, diff)
					}
				}
			})
		}
	}
}

// The numbers of the issue: three requests for an image whose signature is under
// a tag and four for one with a bundle as soon as the repository's form is
// known, and one more before.
func TestAKnownFormCostsNoRequestTooMany(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options []registrytest.Option
		attach  func(*testing.T, *registrytest.Registry, registrytest.Image)
		known   registrytest.Counts
		before  int // requests more, at most
	}{
		"a tag": {nil, func(t *testing.T, reg *registrytest.Registry, img registrytest.Image) {
			reg.Sign(t, img, registrytest.Key(t), registrytest.Payload([]byte("x")))
		}, registrytest.Counts{registrytest.ManifestGet: 1, registrytest.BlobGet: 1}, 1},
		"a tag beside the referrers API": {[]registrytest.Option{registrytest.Referrers()}, func(t *testing.T, reg *registrytest.Registry, img registrytest.Image) {
			reg.Sign(t, img, registrytest.Key(t), registrytest.Payload([]byte("x")))
		}, registrytest.Counts{registrytest.ManifestGet: 1, registrytest.BlobGet: 1}, 1},
		"the referrers API": {[]registrytest.Option{registrytest.Referrers()}, func(t *testing.T, reg *registrytest.Registry, img registrytest.Image) {
			reg.Attach(t, img, bundle("x", signPredicate))
		}, registrytest.Counts{registrytest.ReferrersGet: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}, 1},
		// Before, it asks the API in vain, too.
		"the fallback tag": {nil, func(t *testing.T, reg *registrytest.Registry, img registrytest.Image) {
			reg.Attach(t, img, bundle("x", signPredicate))
		}, registrytest.Counts{registrytest.ManifestGet: 2, registrytest.BlobGet: 1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, c.options...)
			access := clientFor(t, reg).As(nil, "")
			var previous string // a request for it that was given up may arrive late
			for i := range 3 {
				img := reg.Push(t, fmt.Sprintf("team/app:v%d", i))
				c.attach(t, reg, img)
				if _, err := access.Resolve(t.Context(), parse(t, img.Pinned())); err != nil { // pings
					t.Fatal(err)
				}
				reg.Reset()
				if found, errs := attached(t.Context(), t, access, img.ByDigest(), wanted, "x"); len(found) != 1 || errs != nil {
					t.Fatalf("got %v, %v", found, errs)
				}
				got := registrytest.Counts{}
				for _, r := range reg.Log() {
					if previous == "" || !strings.Contains(r.Path, previous) {
						got[r.Kind]++
					}
				}
				previous = strings.TrimPrefix(img.Digest, "sha256:")
				if i == 0 && got.Total() > c.known.Total()+c.before {
					t.Errorf("the first image cost %v", got)
				}
				if diff := cmp.Diff(c.known, got); i > 0 && diff != "" {
					t.Errorf("image %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// A habit decides about the order only: what is elsewhere is found all the same.
func TestHabitsHideNothing(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	access := clientFor(t, reg).As(nil, "")
	for i, attach := range []func(registrytest.Image){
		func(img registrytest.Image) {
			reg.Sign(t, img, registrytest.Key(t), registrytest.Payload([]byte("x")))
		},
		func(img registrytest.Image) { reg.Attach(t, img, bundle("x", signPredicate)) },
		func(img registrytest.Image) {
			reg.Sign(t, img, registrytest.Key(t), registrytest.Payload([]byte("x")))
		},
	} {
		img := reg.Push(t, fmt.Sprintf("team/app:v%d", i))
		attach(img)
		if found, errs := attached(t.Context(), t, access, img.ByDigest(), wanted, "x"); len(found) != 1 || errs != nil {
			t.Errorf("image %d: got %v, %v", i, found, errs)
		}
	}
}

// T18, T28: a place that cannot be read is told, and hides no other.
func TestHostileReferrers(t *testing.T) {
	t.Parallel()
	limits := registry.Limits{ManifestBytes: 64 << 10, PayloadBytes: 512, Signatures: 3}
	good := bundle("good", signPredicate)
	for _, c := range []struct {
		name     string
		artifact registrytest.Artifact
		times    int
		options  []registrytest.AttachOption
		fault    registrytest.Fault
		want     validator.Reason
		hides    bool // the good bundle beside it
	}{
		{name: "T18: more bundles than allowed", artifact: good, times: 4, want: validator.TooLarge},
		{name: "T18: ten thousand bundles", artifact: good, fault: registrytest.Fault{Kind: registrytest.ReferrersGet, Answer: registrytest.Body(
			[]byte(`{"manifests":[`+strings.Repeat(`{},`, 10_000)+`{}]}`), "Content-Type", "application/vnd.oci.image.index.v1+json")}, want: validator.TooLarge, hides: true},
		{name: "T18: a bundle that is too large", artifact: bundle(strings.Repeat("x", 600), signPredicate), want: validator.TooLarge},
		{name: "T18: a bundle that says it is small", artifact: bundle(strings.Repeat("x", 600), signPredicate), options: []registrytest.AttachOption{registrytest.LayerSize(10)}, want: validator.TooLarge},
		{name: "T18: a bundle of a gigabyte", artifact: bundle("x", signPredicate), options: []registrytest.AttachOption{registrytest.LayerSize(1 << 30)}, want: validator.TooLarge},
		{name: "T5: a bundle that is another", artifact: bundle("x", signPredicate), fault: registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Body([]byte("y"))}, want: validator.DigestMismatch, hides: true},
		{name: "T5: a manifest that is another", artifact: bundle("x", signPredicate), fault: registrytest.Fault{Kind: registrytest.ManifestGet, Path: "/sha256:", Answer: registrytest.Body([]byte("{}"), "Content-Type", ociManifest)}, want: validator.DigestMismatch, hides: true},
		{name: "a layer without a valid digest", artifact: bundle("x", signPredicate), options: []registrytest.AttachOption{registrytest.LayerDigest("sha256:../../secret")}, want: validator.MalformedSignature},
		{name: "a manifest that is none", artifact: bundle("x", signPredicate), options: []registrytest.AttachOption{registrytest.Manifest([]byte(`{"mediaType":"` + ociManifest + `","layers":7}`))}, want: validator.MalformedSignature},
		{name: "T28: bundles that are throttled", artifact: bundle("x", signPredicate), fault: registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Status(http.StatusTooManyRequests)}, want: validator.RegistryThrottled, hides: true},
		{name: "T28: a list that fails", artifact: bundle("x", signPredicate), fault: registrytest.Fault{Kind: registrytest.ReferrersGet, Answer: registrytest.Status(http.StatusInternalServerError)}, want: validator.RegistryUnavailable, hides: true},
		{name: "T18: a list without an end", artifact: bundle("x", signPredicate), fault: registrytest.Fault{Kind: registrytest.ReferrersGet, Answer: registrytest.Endless(http.StatusOK, "Content-Type", "application/vnd.oci.image.index.v1+json")}, want: validator.TooLarge, hides: true},
		{name: "T18: pages without an end", artifact: bundle("x", signPredicate), fault: registrytest.Fault{Kind: registrytest.ReferrersGet, Answer: registrytest.Body([]byte(`{"manifests":[]}`), "Content-Type", "application/vnd.oci.image.index.v1+json", "Link", `</v2/app/referrers/x?n=1>; rel="next"`)}, want: validator.TooLarge, hides: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, registrytest.Referrers())
			img := reg.Push(t, "app:v1")
			reg.Attach(t, img, good)
			artifact := c.artifact
			artifact.Annotations = maps.Clone(artifact.Annotations) // others use it at the same time
			for i := range max(c.times, 1) {
				artifact.Annotations["n"] = fmt.Sprint(i)
				reg.Attach(t, img, artifact, c.options...)
			}
			if c.fault.Answer != nil {
				reg.Inject(c.fault)
			}
			client := newClient(t, registry.Options{Limits: limits, Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}})
			found, errs := attached(t.Context(), t, client.As(nil, ""), img.ByDigest(), wanted, "")
			if len(errs) == 0 {
				t.Fatalf("no error, but %v", found)
			}
			wantReason(t, errs[0], c.want)
			if hidden := len(found) == 0; hidden != c.hides {
				t.Errorf("got %v", found)
			}
		})
	}
}

// CVE-2021-41190, and what runtimes make of an index.
func TestChildren(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	access := clientFor(t, reg).As(nil, "")
	index, children := reg.PushIndex(t, "app:multi", "linux/amd64", "linux/arm64", registrytest.Attestation)
	got, err := access.Children(t.Context(), parse(t, index.ByDigest()))
	if err != nil || len(got) != 2 || string(got[0]) != children[0].Digest || string(got[1]) != children[1].Digest {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := access.Children(t.Context(), parse(t, children[0].ByDigest())); got != nil || err != nil {
		t.Errorf("an image: %v, %v", got, err)
	}
	const list = "application/vnd.oci.image.index.v1+json"
	for name, c := range map[string]struct {
		body string
		want validator.Reason
	}{
		"that is an image as well":       {`{"mediaType":"` + list + `","manifests":[{"digest":"` + index.Digest + `"}],"layers":[]}`, validator.InvalidReference},
		"without images":                 {`{"mediaType":"` + list + `","manifests":[]}`, validator.InvalidReference},
		"with an image without a digest": {`{"mediaType":"` + list + `","manifests":[{"digest":"x"}]}`, validator.InvalidReference},
		"with a list in other letters":   {`{"mediaType":"` + list + `","manifests":[{"digest":"` + index.Digest + `"}],"Manifests":[{"digest":"` + children[0].Digest + `"}]}`, validator.InvalidReference},
		"with one list in other letters": {`{"mediaType":"` + list + `","ManiFests":[{"digest":"` + children[0].Digest + `"}]}`, validator.InvalidReference},
		"with two lists":                 {`{"mediaType":"` + list + `","manifests":[{"digest":"` + index.Digest + `"}],"manifests":[{"digest":"` + children[0].Digest + `"}]}`, validator.InvalidReference},
		"with a platform of two minds": {`{"mediaType":"` + list + `","manifests":[{"digest":"` + children[0].Digest + `"},{"digest":"` + index.Digest +
			`","platform":{"architecture":"amd64","os":"linux","ARCHITECTURE":"unknown","OS":"unknown"},"annotations":{"vnd.docker.reference.type":"x"}}]}`, validator.InvalidReference},
		"that is an image of Docker's first schema": {`{"schemaVersion":1,"fsLayers":[],"history":[],"manifests":[{"digest":"` + children[0].Digest + `"}]}`, validator.InvalidReference},
		"that is nested":              {`{"mediaType":"` + list + `","manifests":[{"digest":"` + children[0].Digest + `"}],"x":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`, validator.InvalidReference},
		"with too many images":        {`{"mediaType":"` + list + `","manifests":[` + strings.Repeat(`{"digest":"x"},`, 70) + `{}]}`, validator.TooLarge},
		"of nothing but attestations": {`{"mediaType":"` + list + `","manifests":[{"digest":"` + index.Digest + `","platform":{"os":"unknown","architecture":"unknown"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}}]}`, validator.InvalidReference},
	} {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(c.body)))
		reg.Inject(registrytest.Fault{Path: digest, Answer: registrytest.Body([]byte(c.body), "Content-Type", list)})
		_, err := access.Children(t.Context(), parse(t, reg.Host()+"/app@"+digest))
		t.Run("an index "+name, func(t *testing.T) { wantReason(t, err, c.want) })
	}
	// What only claims to be an attestation can be chosen by a runtime.
	for _, disguised := range []string{
		`"platform":{"os":"unknown","architecture":"unknown"}`, `"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`,
		`"platform":{"os":"unknown","architecture":"unknown","variant":"v8"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`,
		`"platform":{"os":"linux","architecture":"unknown"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`,
	} {
		digest := reg.PutManifest(t, "app", "x", list, []byte(`{"mediaType":"`+list+`","manifests":[{"digest":"`+children[0].Digest+`",`+disguised+`}]}`))
		if got, err := access.Children(t.Context(), parse(t, reg.Host()+"/app@"+digest)); len(got) != 1 || err != nil {
			t.Errorf("%s: got %v, %v", disguised, got, err)
		}
	}
}

// T18: manifests that refer to an image share one allowance, however they hold
// signatures.
func TestT18ReferrersShareOneAllowance(t *testing.T) {
	t.Parallel()
	const signatures = "application/vnd.dev.cosign.artifact.sig.v1+json"
	reg := registrytest.New(t, registrytest.Referrers())
	img := reg.Push(t, "app:v1")
	for i := range 3 {
		layer := fmt.Sprintf(`{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":1,"digest":%q,"annotations":{"dev.cosignproject.cosign/signature":"AAAA"}}`,
			reg.PutBlob(t, "app", []byte{byte('a' + i)}))
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":%q},"layers":[%s,%s],"subject":{"mediaType":%q,"size":1,"digest":%q}}`,
			ociManifest, signatures, reg.PutBlob(t, "app", []byte("{}")), layer, layer, ociManifest, img.Digest)
		reg.Attach(t, img, registrytest.Artifact{ArtifactType: signatures}, registrytest.Manifest([]byte(manifest)))
	}
	client := newClient(t, registry.Options{Limits: registry.Limits{Signatures: 5}, Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}})
	found, errs := attached(t.Context(), t, client.As(nil, ""), img.ByDigest(), wanted, "")
	if len(found) != 4 || len(errs) != 1 {
		t.Fatalf("got %v, %v", found, errs)
	}
	wantReason(t, errs[0], validator.TooLarge)
}
