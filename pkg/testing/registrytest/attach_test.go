package registrytest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

func artifact(content string) registrytest.Artifact {
	return registrytest.Artifact{
		ArtifactType: bundleType, MediaType: bundleType, Content: []byte(content),
		Annotations: map[string]string{"content": content},
	}
}

func referrers(t *testing.T, img registrytest.Image, options ...remote.Option) []v1.Descriptor {
	t.Helper()
	ref, err := name.NewDigest(img.ByDigest())
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(ref, options...)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Manifests
}

func digests(manifests []v1.Descriptor) []string {
	var all []string
	for _, m := range manifests {
		all = append(all, m.Digest.String())
	}
	return all
}

// A client finds the same whether the registry has the referrers API or not,
// and asks for a blob in the end.
func TestClientsFindWhatIsAttached(t *testing.T) {
	t.Parallel()
	for title, reg := range map[string]*registrytest.Registry{
		"referrers API": registrytest.New(t, registrytest.Referrers()), "referrers tag": registrytest.New(t),
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			img := reg.Push(t, "team/app:v1")
			want := []string{reg.Attach(t, img, artifact("one")), reg.Attach(t, img, artifact("two"))}
			found := referrers(t, img)
			if diff := cmp.Diff(want, digests(found)); diff != "" {
				t.Fatal(diff)
			}
			if found[1].ArtifactType != bundleType || found[1].Size == 0 {
				t.Errorf("described as %+v", found[1])
			}
			if reg.Requests()[registrytest.ReferrersGet] != 1 {
				t.Errorf("requests: %v", reg.Requests())
			}
			if got := referrers(t, img, remote.WithFilter("artifactType", "other")); len(got) != 0 {
				t.Errorf("the filter found %+v", got)
			}
			ref, _ := name.NewDigest(img.Name() + "@" + want[0])
			attached, err := remote.Image(ref)
			if err != nil {
				t.Fatal(err)
			}
			if manifest, err := attached.Manifest(); err != nil || manifest.Subject.Digest.String() != img.Digest || manifest.Annotations["content"] != "one" {
				t.Errorf("manifest %+v, %v", manifest, err)
			}
		})
	}
}

// What clients push themselves is listed too, and the registry tells them that
// they need not do it.
func TestClientsThatAttachAreToldWhoLists(t *testing.T) {
	t.Parallel()
	for want, options := range map[bool][]registrytest.Option{false: nil, true: {registrytest.Referrers()}} {
		reg := registrytest.New(t, options...)
		img := reg.Push(t, "app:v1")
		manifest := fmt.Sprintf(`{"schemaVersion": 2, "config": {}, "subject": {"mediaType": %q, "digest": %q, "size": 1}}`, types.DockerManifestSchema2, img.Digest)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, reg.URL()+"/v2/app/manifests/referrer", strings.NewReader(manifest))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", string(types.OCIManifestSchema1))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("OCI-Subject"); resp.StatusCode != http.StatusCreated || got != map[bool]string{true: img.Digest}[want] {
			t.Errorf("referrers API %v: %s, OCI-Subject %q", want, resp.Status, got)
		}
		if listed := referrers(t, img); len(listed) == 1 != want {
			t.Errorf("referrers API %v: listed %v", want, listed)
		}
	}
}

func TestReferrersOfNothing(t *testing.T) {
	t.Parallel()
	for _, options := range [][]registrytest.Option{nil, {registrytest.Referrers()}} {
		reg := registrytest.New(t, options...)
		if got := referrers(t, reg.Push(t, "app")); len(got) != 0 {
			t.Errorf("found %+v", got)
		}
	}
}

func TestReferrersCanBeListedWrongly(t *testing.T) {
	t.Parallel()
	for _, options := range [][]registrytest.Option{
		{registrytest.EmptyTypes()}, {registrytest.EmptyTypes(), registrytest.Referrers()},
	} {
		reg := registrytest.New(t, options...)
		img := reg.Push(t, "app")
		reg.Attach(t, img, artifact("one"))
		reg.Attach(t, img, artifact("two"), registrytest.ListedSize(7), registrytest.ListedType("other"))
		got := referrers(t, img)
		if len(got) != 2 || got[0].ArtifactType != "application/vnd.oci.empty.v1+json" || got[1].Size != 7 || got[1].ArtifactType != "other" {
			t.Errorf("listed as %+v", got)
		}
	}
}

func TestPushIndex(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	index, children := reg.PushIndex(t, "team/app:v1", "linux/amd64", "linux/arm64/v8", registrytest.Attestation)
	ref, err := name.ParseReference(index.String())
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := got.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var want, platforms []string
	for i, child := range children {
		want, platforms = append(want, child.Digest), append(platforms, manifest.Manifests[i].Platform.String())
		if _, err := got.Image(manifest.Manifests[i].Digest); err != nil {
			t.Errorf("%s: %v", child, err)
		}
	}
	if diff := cmp.Diff(want, digests(manifest.Manifests)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64/v8", "unknown/unknown"}, platforms); diff != "" {
		t.Error(diff)
	}
	reg.Sign(t, children[0], registrytest.Key(t))
}
