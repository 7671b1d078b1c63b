package registry_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/observabilitytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// measuredClient is a client for an insecure registry, and what it measured with the
// registry's host left out.
func measuredClient(t *testing.T, reg *registrytest.Registry) (*registry.Client, func(prefix string) observabilitytest.Values) {
	t.Helper()
	instruments, values := observabilitytest.Measured(t)
	client := newClient(t, registry.Options{Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}, Instruments: instruments})
	return client, func(prefix string) observabilitytest.Values {
		short := observabilitytest.Values{}
		for name, value := range values().Only("connaisseur.registry." + prefix) {
			short[strings.ReplaceAll(strings.TrimPrefix(name, "connaisseur.registry."), "host="+reg.Host(), "host=R")] = value
		}
		return short
	}
}

func TestRequestsAreMeasuredByHostAndKind(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Bearer("", ""))
	img := reg.Push(t, "team/app:v1")
	client, measured := measuredClient(t, reg)
	for range 2 {
		if _, err := client.As(nil, "").Resolve(t.Context(), parse(t, img.String())); err != nil {
			t.Fatal(err)
		}
	}
	want := observabilitytest.Values{"requests{host=R,kind=token}": 1, "requests{host=R,kind=manifests}": 2}
	got := measured("requests")
	// With an insecure registry both TLS and plain HTTP are tried.
	if pings := got["requests{host=R,kind=ping}"]; pings < 1 || pings > 2 {
		t.Errorf("%v pings", pings)
	}
	delete(got, "requests{host=R,kind=ping}")
	delete(got, "requests{host=other,kind=ping}")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(observabilitytest.Values{}, measured("errors")); diff != "" {
		t.Errorf("errors, though that a ping is to log in is none (-want +got):\n%s", diff)
	}
}

func TestFailedAttemptsAreMeasuredByReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  registrytest.Fault
		reason validator.Reason
		want   float64
	}{
		{"throttled", registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusTooManyRequests)}, validator.RegistryThrottled, 1},
		{"unavailable, and asked again", registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusBadGateway)}, validator.RegistryUnavailable, 3},
		{"recovering", registrytest.Fault{Kind: registrytest.ManifestHead, Times: 1, Answer: registrytest.Status(http.StatusBadGateway)}, validator.RegistryUnavailable, 1},
		{"unauthorised", registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusForbidden)}, validator.RegistryUnauthorized, 1},
		{"late", registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Hang()}, validator.Timeout, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "team/app:v1")
			client, measured := measuredClient(t, reg)
			access := client.As(nil, "")
			if _, err := access.Resolve(t.Context(), parse(t, img.String())); err != nil {
				t.Fatal(err) // so that the ping is over
			}
			reg.Inject(c.fault)
			_, _ = access.Resolve(within(t, 2*time.Second), parse(t, img.String()))
			want := observabilitytest.Values{"errors{host=R,kind=manifests,reason=" + string(c.reason) + "}": c.want}
			if diff := cmp.Diff(want, measured("errors")); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// A registry that sends us elsewhere for its blobs is answerable for that.
func TestRedirectsCountForWhoRedirects(t *testing.T) {
	t.Parallel()
	elsewhere, reg := registrytest.New(t), registrytest.New(t)
	img := elsewhere.Push(t, "team/app:v1")
	reg.Push(t, "team/app:v1")
	reg.Inject(registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Redirect(http.StatusTemporaryRedirect, "http://"+elsewhere.Host())})
	instruments, values := observabilitytest.Measured(t)
	client := newClient(t, registry.Options{Instruments: instruments, Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}, {Name: elsewhere.Host(), Insecure: true}}})
	digest, err := client.As(nil, "").Resolve(t.Context(), parse(t, reg.Host()+"/team/app:v1"))
	if err != nil || string(digest) != img.Digest {
		t.Fatalf("%s, %v", digest, err)
	}
	got := values()
	if n := got["connaisseur.registry.requests{host="+reg.Host()+",kind=manifests}"]; n != 2 {
		t.Errorf("%v requests for manifests, want 2: %v", n, got)
	}
	if strings.Contains(strings.Join(keysOf(got), " "), elsewhere.Host()) {
		t.Errorf("%s has values of its own: %v", elsewhere.Host(), got)
	}
}

func keysOf(v observabilitytest.Values) (keys []string) {
	for key := range v {
		keys = append(keys, key)
	}
	return keys
}

func TestHostsAreThoseThatAreConfigured(t *testing.T) {
	t.Parallel()
	client := newClient(t, registry.Options{Hosts: []registry.Host{
		{Name: "a.example", Mirror: "mirror.example/prefix"}, {Name: "b.example:5000", Insecure: true},
	}})
	got := client.Hosts()
	for _, host := range []string{"a.example", "b.example:5000", "mirror.example"} {
		if !strings.Contains(strings.Join(got, " "), host) {
			t.Errorf("%s is not among %v", host, got)
		}
	}
}
