package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestATagCostsThreeRequestsAndADigestTwo(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]registrytest.Option{
		"open": nil, "basic": {registrytest.Basic("alice", "s3cret-password")}, "bearer": {registrytest.Bearer("alice", "s3cret-password")},
		"access token": {registrytest.Bearer("alice", "s3cret-password"), registrytest.AccessTokenOnly()},
		"TLS":          {registrytest.TLS(), registrytest.Bearer("alice", "s3cret-password")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, options...)
			access := clientFor(t, reg).As(alice, "alice")
			key := registrytest.Key(t)
			for i := range 3 {
				img := reg.Push(t, fmt.Sprintf("team/app:v%d", i))
				reg.Sign(t, img, key)
				reg.Sign(t, img, key) // a second signature over the same payload
				reg.Reset()
				ref := parse(t, img.String())
				d, err := access.Resolve(t.Context(), ref)
				if err != nil || string(d) != img.Digest {
					t.Fatalf("got %q, %v", d, err)
				}
				found, err := access.Signatures(t.Context(), ref.WithDigest(d))
				if err != nil || len(found) != 2 {
					t.Fatalf("got %d signatures, %v", len(found), err)
				}
				want := registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}
				if i == 0 {
					want[registrytest.Ping] = 1
					if strings.Contains(name, "e") && name != "open" || name == "TLS" {
						want[registrytest.Token] = 1
					}
				}
				if diff := cmp.Diff(want, reg.Requests()); diff != "" {
					t.Errorf("image %d (-want +got):\n%s", i, diff)
				}
				if _, err = access.Signatures(t.Context(), parse(t, img.ByDigest())); err != nil || reg.Requests().Total() != want.Total()+2 {
					t.Errorf("the digest cost %d, %v", reg.Requests().Total()-want.Total(), err)
				}
			}
		})
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options []registrytest.Option
		fault   registrytest.Fault
		tag     string
		want    validator.Reason // "" for success
		gets    int
	}{
		{name: "a tag is its digest"},
		{name: "without the header the manifest is hashed", options: []registrytest.Option{registrytest.WithoutContentDigest()}, gets: 1},
		{name: "where HEAD is refused the manifest is fetched", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusMethodNotAllowed)}, gets: 1},
		{name: "a digest that is none is not believed", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Body(nil, "Docker-Content-Digest", "sha256:../../x")}, gets: 1},
		{name: "a missing tag is an image that does not exist", tag: "nope", want: validator.ImageNotFound},
		{name: "T28: throttling is not absence", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusTooManyRequests)}, want: validator.RegistryThrottled},
		{name: "T28: an outage is not absence", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusInternalServerError)}, want: validator.RegistryUnavailable},
		{name: "a refusal is not absence", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusForbidden)}, want: validator.RegistryUnauthorized},
		{name: "an odd status is an outage", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusTeapot)}, want: validator.RegistryUnavailable},
		{name: "T28: a ping is throttled", fault: registrytest.Fault{Kind: registrytest.Ping, Answer: registrytest.Status(http.StatusTooManyRequests)}, want: validator.RegistryThrottled},
		{name: "T28: a ping fails", fault: registrytest.Fault{Kind: registrytest.Ping, Answer: registrytest.Status(http.StatusInternalServerError)}, want: validator.RegistryUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, c.options...)
			img := reg.Push(t, "team/app:v1")
			if c.fault.Answer != nil {
				reg.Inject(c.fault)
			}
			if c.tag != "" {
				img.Tag = c.tag
			}
			d, err := clientFor(t, reg).As(nil, "").Resolve(t.Context(), parse(t, img.String()))
			if c.want != "" {
				wantReason(t, err, c.want)
				return
			}
			if err != nil || string(d) != img.Digest {
				t.Errorf("got %q, %v", d, err)
			}
			if got := reg.Requests()[registrytest.ManifestGet]; got != c.gets {
				t.Errorf("%d manifests fetched, want %d", got, c.gets)
			}
		})
	}
}

// T5: a manifest that is hashed must have the digest that comes with it.
func TestT5ResolveComparesTheClaimedDigest(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	img := reg.Push(t, "app:v1")
	reg.Inject(registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusMethodNotAllowed)})
	reg.Inject(registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Body([]byte("{}"), "Docker-Content-Digest", img.Digest)})
	_, err := clientFor(t, reg).As(nil, "").Resolve(t.Context(), parse(t, img.String()))
	wantReason(t, err, validator.DigestMismatch)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, hosts := range map[string][]registry.Host{
		"a host twice":                       {{Name: "ghcr.io"}, {Name: "GHCR.io:443"}},
		"a host that is none":                {{Name: "myregistry"}},
		"an empty host":                      {{}},
		"a host with a path":                 {{Name: "ghcr.io/org"}},
		"a URL":                              {{Name: "https://ghcr.io"}},
		"a mirror that is none":              {{Name: "ghcr.io", Mirror: "https://mirror.example"}},
		"certificates that are none":         {{Name: "ghcr.io", CAs: []byte("nonsense")}},
		"two kinds of security for a mirror": {{Name: "ghcr.io", Mirror: "m.example", Insecure: true}, {Name: "m.example", CAs: registrytest.New(t, registrytest.TLS()).CA()}},
	} {
		if _, err := registry.New(registry.Options{Hosts: hosts}); err == nil {
			t.Errorf("%s was accepted", name)
		} else {
			t.Log(err)
		}
	}
}
