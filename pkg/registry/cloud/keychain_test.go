package cloud

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// T20: a cloud's credentials are for registries of that cloud, whose names
// nobody else can get.
func TestT20OnlyACloudsOwnHostsAreAskedFor(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com":          "Amazon ECR",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "Amazon ECR",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":      "Amazon ECR",
		"123456789012.dkr-ecr.eu-west-1.on.aws":                 "Amazon ECR",
		"myregistry.azurecr.io":                                 "Azure",
		"myregistry.azurecr.cn":                                 "Azure",
		"gcr.io":                                                "Google",
		"eu.gcr.io":                                             "Google",
		"europe-west1-docker.pkg.dev":                           "Google",

		"docker.io": "", "ghcr.io": "", "localhost:5000": "", "127.0.0.1:5000": "",
		"gcr.io.evil.com": "", "evilgcr.io": "", "evil.gcr.io": "", "gcr.io:8443": "", "x.eu.gcr.io": "", "google.com": "", "evil.google.com": "",
		"pkg.dev": "", "x.pkg.dev.evil.com": "", "evilpkg.dev": "", "a.b.pkg.dev": "", "x.pkg.dev:5000": "",
		"123.dkr.ecr.eu-west-1.amazonaws.com": "", "123.dkr.ecr.eu-west-1.amazonaws.com.evil.io": "",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.io": "", "123456789012.dkr.ecr.evil.io": "",
		"evil-123456789012.dkr.ecr.eu-west-1.amazonaws.com": "", "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com": "",
		"123456789012xdkr.ecr.eu-west-1.amazonaws.com": "", "123456789012.dkr.ecr.evil.io.amazonaws.com": "",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com:8443": "", "s3.eu-west-1.amazonaws.com": "", "public.ecr.aws": "",
		"azurecr.io": "", "evilazurecr.io": "", "x.azurecr.io.evil.com": "", "azurecr.io.evil.com": "", "a.b.azurecr.io": "",
		"-x.azurecr.io": "", "x.azurecr.io:5000": "", "x.azurecr.me": "", "mcr.microsoft.com": "", "xazurecr.io": "",
	} {
		got := ""
		for _, p := range []provider{amazon(), azure(), google()} {
			if p.owns(host) {
				got += p.name
			}
		}
		if got != want {
			t.Errorf("%s: want %q, got %q", host, want, got)
		}
	}
}

// T32: whatever the spelling of the host, it is the canonical one that counts.
func TestT32OtherHostsAreNotAskedFor(t *testing.T) {
	t.Parallel()
	var asked sync.Map
	k := newKeychain(cloudOf("cloud.example", func(_ context.Context, host string) (*authn.AuthConfig, error) {
		asked.Store(host, true)
		return &authn.AuthConfig{Username: "u", Password: "p"}, nil
	}))
	for host, want := range map[string]bool{
		"cloud.example": true, "CLOUD.example": true, "cloud.example:443": true,
		"cloud.example:80": false, "cloud.example.evil.io": false, "evil.io": false, "docker.io": false,
	} {
		got, err := k.Resolve(repository(t, host))
		if err != nil || (got != authn.Anonymous) != want {
			t.Errorf("%s: got %v, %v", host, got, err)
		}
	}
	asked.Range(func(host, _ any) bool {
		if host != "cloud.example" {
			t.Errorf("the cloud was asked for %v", host)
		}
		return true
	})
}

func TestALoginIsReusedForAWhile(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	k := newKeychain(cloudOf("cloud.example", func(context.Context, string) (*authn.AuthConfig, error) {
		asked.Add(1)
		return &authn.AuthConfig{Username: "u", Password: "p"}, nil
	}))
	now := time.Now()
	k.now = func() time.Time { return now }
	for _, step := range []time.Duration{0, 0, 9 * time.Minute, 2 * time.Minute} {
		now = now.Add(step)
		if _, err := k.Resolve(repository(t, "cloud.example")); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked.Load(); got != 2 {
		t.Errorf("the cloud was asked %d times", got)
	}
}

func TestACloudThatGivesNothing(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for _, c := range []struct {
		name  string
		login func(context.Context, string) (*authn.AuthConfig, error)
		want  validator.Reason // "" for anonymous
	}{
		{"has none set up", func(context.Context, string) (*authn.AuthConfig, error) { return nil, nil }, ""},
		{"fails", func(context.Context, string) (*authn.AuthConfig, error) {
			return nil, errors.New("POST https://sts: token=s3cret")
		}, validator.RegistryUnauthorized},
		{"panics", func(context.Context, string) (*authn.AuthConfig, error) { panic("s3cret") }, validator.RegistryUnauthorized},
		{"T24: hangs", func(context.Context, string) (*authn.AuthConfig, error) { <-hang; return nil, nil }, validator.Timeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newKeychain(cloudOf("cloud.example", c.login))
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			got, err := k.ResolveContext(ctx, repository(t, "cloud.example"))
			if c.want == "" {
				if err != nil || got != authn.Anonymous {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if failure := validator.AsError(err); failure == nil || failure.Reason != c.want || strings.Contains(failure.Message, "s3cret") {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// T24: a cloud that hangs costs a bounded number of goroutines, and no other
// cloud.
func TestT24ACloudThatHangsIsNotAskedForEver(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	slow := provider{name: "slow", owns: func(host string) bool { return strings.HasSuffix(host, ".slow.example") },
		login: func(context.Context, string) (*authn.AuthConfig, error) { asked.Add(1); <-hang; return nil, nil }}
	k := newKeychain(slow, cloudOf("cloud.example", func(context.Context, string) (*authn.AuthConfig, error) {
		return &authn.AuthConfig{Username: "u", Password: "p"}, nil
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	for range 5 * maxConcurrent {
		group.Go(func() { _, _ = k.ResolveContext(ctx, repository(t, "a.slow.example")) })
	}
	group.Wait()
	if got := asked.Load(); got != maxConcurrent {
		t.Errorf("it was asked %d times", got)
	}
	if _, err := k.Resolve(repository(t, "cloud.example")); err != nil {
		t.Error(err)
	}
}

func cloudOf(host string, login func(context.Context, string) (*authn.AuthConfig, error)) provider {
	return provider{name: "the cloud", owns: func(h string) bool { return h == host }, login: login}
}

func repository(t *testing.T, host string) name.Repository {
	t.Helper()
	r, err := name.NewRepository(host + "/app")
	if err != nil {
		t.Fatal(err)
	}
	return r
}
