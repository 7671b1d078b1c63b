package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestConcurrentCallersShareOnePingAndOneToken(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Bearer("alice", "s3cret-password"), registrytest.Latency(5*time.Millisecond))
	img, other := reg.Push(t, "team/app:v1"), reg.Push(t, "team/other:v1")
	client := clientFor(t, reg)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			ref := parse(t, []string{img.String(), other.String()}[i%2])
			if _, err := client.As(alice, "alice").Resolve(t.Context(), ref); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := reg.Requests(); got[registrytest.Ping] != 1 || got[registrytest.Token] != 2 || got[registrytest.ManifestHead] != 40 {
		t.Errorf("got %v", got)
	}
}

// T35: what one identity may see is not shown to another.
func TestT35SessionsBelongToTheirCredentials(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]registrytest.Option{
		"basic": registrytest.Basic("alice", "s3cret-password"), "bearer": registrytest.Bearer("alice", "s3cret-password"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, option)
			ref := parse(t, reg.Push(t, "team/private:v1").String())
			client := clientFor(t, reg)
			if _, err := client.As(alice, "a").Resolve(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			_, err := client.As(nil, "a").Resolve(t.Context(), ref)
			wantReason(t, err, validator.RegistryUnauthorized)
			if !strings.Contains(err.Error(), "needs pull credentials and we have none") {
				t.Errorf("without a login: %v", err)
			}
			_, err = client.As(logins{Username: "mallory", Password: "guess"}, "m").Resolve(t.Context(), ref)
			wantReason(t, err, validator.RegistryUnauthorized)
			if !strings.Contains(err.Error(), "that we have for it are wrong") {
				t.Errorf("with a wrong login: %v", err)
			}
			if strings.Contains(err.Error(), "guess") {
				t.Errorf("the message shows a password: %v", err)
			}
			if _, err := client.As(alice, "a").Resolve(t.Context(), ref); err != nil {
				t.Error(err)
			}
		})
	}
}

// T35: the token for one repository is not used for another.
func TestT35TokensBelongToTheirRepository(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Bearer("", ""))
	one, two := reg.Push(t, "team/one:v1"), reg.Push(t, "team/two:v1")
	access := clientFor(t, reg).As(nil, "")
	for _, img := range []registrytest.Image{one, two} {
		if _, err := access.Resolve(t.Context(), parse(t, img.String())); err != nil {
			t.Error(err)
		}
	}
	used := map[string]string{}
	for _, r := range reg.Log() {
		if r.Kind == registrytest.ManifestHead {
			used[r.Path] = r.Authorization
		}
	}
	if len(used) != 2 || used["/v2/team/one/manifests/v1"] == used["/v2/team/two/manifests/v1"] {
		t.Errorf("got %v", used)
	}
}

func TestTokensAreRenewedBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Bearer("", ""), registrytest.TokenLifetime(2*time.Second))
	ref := parse(t, reg.Push(t, "app:v1").String())
	access := clientFor(t, reg).As(nil, "")
	for range 3 {
		if _, err := access.Resolve(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1600 * time.Millisecond)
	}
	if got := reg.Requests(); got[registrytest.Ping] != 1 || got[registrytest.Token] != 3 {
		t.Errorf("got %v", got)
	}
}

// A registry that refuses always is not asked twice each time.
func TestAFreshTokenIsNotRenewed(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Bearer("", ""))
	ref := parse(t, reg.Push(t, "app:v1").String())
	reg.Inject(registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusUnauthorized)})
	access := clientFor(t, reg).As(nil, "")
	for range 5 {
		_, err := access.Resolve(t.Context(), ref)
		wantReason(t, err, validator.RegistryUnauthorized)
	}
	if got := reg.Requests(); got[registrytest.Token] != 1 || got[registrytest.ManifestHead] != 5 {
		t.Errorf("got %v", got)
	}
}

func TestFailuresAreNotRemembered(t *testing.T) {
	t.Parallel()
	for _, kind := range []registrytest.Kind{registrytest.Ping, registrytest.Token} {
		reg := registrytest.New(t, registrytest.Bearer("", ""))
		ref := parse(t, reg.Push(t, "app:v1").String())
		access := clientFor(t, reg).As(nil, "")
		remove := reg.Inject(registrytest.Fault{Kind: kind, Answer: registrytest.Status(http.StatusInternalServerError)})
		_, err := access.Resolve(t.Context(), ref)
		wantReason(t, err, validator.RegistryUnavailable)
		remove()
		if _, err := access.Resolve(t.Context(), ref); err != nil {
			t.Error(err)
		}
	}
}

func (brokenKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return nil, fmt.Errorf("cannot parse %q", "s3cret")
}
