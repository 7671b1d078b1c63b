package registry_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// T34: an image name does not make us call our own ports or a metadata
// service, whatever the spelling.
func TestT34ForbiddenHosts(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	port := reg.Host()[strings.LastIndexByte(reg.Host(), ':'):]
	reg.Push(t, "x:latest")
	client := newClient(t, registry.Options{Proxy: noProxy})
	for _, host := range []string{
		reg.Host(), "localhost" + port, "127.1" + port, "[::1]" + port, "[::ffff:7f00:1]" + port, "0.0.0.0" + port, "a.localhost" + port,
		"2130706433" + port, "169.254.169.254", "169.254.169.254:80", "[fe80::1]:80", "[fd00:ec2::254]:80", "[64:ff9b::a9fe:a9fe]:80",
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			_, err := client.As(nil, "").Resolve(within(t, 5*time.Second), parse(t, host+"/x"))
			wantReason(t, err, validator.RegistryUnavailable)
			if strings.Contains(err.Error(), "plain HTTP") || !strings.Contains(err.Error(), "not asked") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if got := reg.Requests().Total(); got != 0 {
			t.Errorf("%d requests arrived", got)
		}
	})
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// T34: insecure is for one host and port, not for its machine.
func TestT34InsecureIsForOnePort(t *testing.T) {
	t.Parallel()
	reg, other := registrytest.New(t), registrytest.New(t)
	_, err := clientFor(t, reg).As(nil, "").Resolve(t.Context(), parse(t, other.Push(t, "x:v1").String()))
	wantReason(t, err, validator.RegistryUnavailable)
	if got := other.Requests().Total(); got != 0 || !strings.Contains(err.Error(), "insecure: true") {
		t.Errorf("%d requests, %v", got, err)
	}
}

func TestOutages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  registrytest.Fault
		want   validator.Reason
		heads  int
		atMost time.Duration
	}{
		{name: "a passing 503 is retried", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Times: 1, Answer: registrytest.Status(http.StatusServiceUnavailable)}, heads: 2},
		{name: "a lasting 503 is an outage", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusServiceUnavailable)}, heads: 3, want: validator.RegistryUnavailable},
		{name: "a 503 that comes twice is retried twice", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Times: 2, Answer: registrytest.Status(http.StatusServiceUnavailable)}, heads: 3},
		{name: "a 503 that says it will last is an outage at once", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusServiceUnavailable, "Retry-After", "60")}, heads: 1, want: validator.RegistryUnavailable},
		{name: "T28: throttling that is said to pass soon is waited for", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Times: 1, Answer: registrytest.Status(http.StatusTooManyRequests, "Retry-After", "1")}, heads: 2},
		{name: "T28: throttling that is said to last is not waited for", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusTooManyRequests, "Retry-After", "30")}, heads: 1, want: validator.RegistryThrottled},
		{name: "T28: nor is what does not fit the time there is", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusTooManyRequests, "Retry-After", "2")}, heads: 1, want: validator.RegistryThrottled},
		{name: "T28: throttling is waited for twice at most", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusTooManyRequests, "Retry-After", "0")}, heads: 3, want: validator.RegistryThrottled},
		{name: "T28: throttling is not answered with more requests", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Status(http.StatusTooManyRequests)}, heads: 1, want: validator.RegistryThrottled},
		{name: "a passing 502 of the ping is retried", fault: registrytest.Fault{Kind: registrytest.Ping, Times: 1, Answer: registrytest.Status(http.StatusBadGateway)}, heads: 1},
		{name: "a lasting closed connection is an outage", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.HangUp()}, want: validator.RegistryUnavailable},
		{name: "T24: a registry that hangs ends in time", fault: registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Hang()}, heads: 1, want: validator.Timeout},
		{name: "T24: a ping that hangs ends in time", fault: registrytest.Fault{Kind: registrytest.Ping, Answer: registrytest.Hang()}, want: validator.Timeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "app:v1")
			reg.Inject(c.fault)
			begin := time.Now()
			_, err := clientFor(t, reg).As(nil, "").Resolve(within(t, 2*time.Second), parse(t, img.String()))
			if c.want != "" {
				wantReason(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			if got := reg.Requests()[registrytest.ManifestHead]; c.heads > 0 && got != c.heads {
				t.Errorf("%d requests, want %d", got, c.heads)
			}
		})
	}
}

func TestABodyThatBreaksOffIsAskedForAgain(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	img := reg.Push(t, "app:v1")
	reg.Sign(t, img, registrytest.Key(t))
	reg.Inject(registrytest.Fault{Kind: registrytest.BlobGet, Times: 1, Answer: registrytest.BreakOff()})
	found, err := clientFor(t, reg).As(nil, "").Signatures(t.Context(), parse(t, img.ByDigest()))
	if err != nil || len(found) != 1 {
		t.Errorf("got %d, %v", len(found), err)
	}
}

// T24: without a deadline of the caller's, the client's own bound holds.
func TestT24TheClientHasItsOwnBound(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	img := reg.Push(t, "app:v1")
	reg.Inject(registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Hang()})
	client := newClient(t, registry.Options{Timeout: 300 * time.Millisecond, Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}})
	_, err := client.As(nil, "").Signatures(context.Background(), parse(t, img.ByDigest()))
	wantReason(t, err, validator.Timeout)
}

// T24: a first caller who gives up leaves the ping to the others.
func TestT24ACancelledCallerPoisonsNobody(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Latency(300*time.Millisecond))
	ref := parse(t, reg.Push(t, "app:v1").String())
	access := clientFor(t, reg).As(nil, "")
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := access.Resolve(within(t, 50*time.Millisecond), ref)
		wantReason(t, err, validator.Timeout)
	})
	time.Sleep(20 * time.Millisecond)
	if _, err := access.Resolve(t.Context(), ref); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if got := reg.Requests()[registrytest.Ping]; got != 1 {
		t.Errorf("%d pings", got)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	reg := registrytest.Start()
	host := reg.Host()
	reg.Close()
	client := newClient(t, registry.Options{Hosts: []registry.Host{{Name: host, Insecure: true}}, Proxy: noProxy})
	for _, name := range []string{host + "/app:v1", "does-not-exist.invalid/app:v1"} {
		_, err := client.As(nil, "").Resolve(t.Context(), parse(t, name))
		wantReason(t, err, validator.RegistryUnavailable)
	}
}

// Through a proxy, which may be on loopback, the registry's own rules hold.
func TestProxyAndTLS(t *testing.T) {
	t.Parallel()
	secure, plain := registrytest.New(t, registrytest.TLS()), registrytest.New(t)
	for _, c := range []struct {
		name  string
		reg   *registrytest.Registry
		image string
		host  registry.Host
		says  string // "" for success
	}{
		{"a registry with its own certification authority", secure, "example.com/app:v1", registry.Host{Name: "example.com", CAs: secure.CA()}, ""},
		{"one with unverified TLS", secure, "example.net/app:v1", registry.Host{Name: "example.net", Insecure: true}, ""},
		{"one with an unknown certification authority", secure, "example.com/app:v1", registry.Host{Name: "example.net", CAs: secure.CA()}, "put it into cert"},
		{"one with another's certificate", secure, "example.net/app:v1", registry.Host{Name: "example.net", CAs: secure.CA()}, "put it into cert"},
		{"one with plain HTTP", plain, "example.com/app:v1", registry.Host{Name: "example.net", Insecure: true}, "insecure: true"},
		{"T34: one that is this machine", secure, "localhost:5000/app:v1", registry.Host{Name: "example.com"}, "this machine"},
		{"T34: one that is a metadata service", secure, "169.254.169.254/app:v1", registry.Host{Name: "example.com"}, "metadata"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.reg.Push(t, "app:v1")
			client := newClient(t, registry.Options{Hosts: []registry.Host{c.host}, Proxy: tunnel(t, c.reg)})
			_, err := client.As(nil, "").Resolve(within(t, 10*time.Second), parse(t, c.image))
			if c.says == "" && err != nil {
				t.Error(err)
			}
			if c.says != "" {
				wantReason(t, err, validator.RegistryUnavailable)
				if !strings.Contains(err.Error(), c.says) {
					t.Errorf("the message does not help: %v", err)
				}
			}
		})
	}
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Bearer("", ""))
	client := newClient(t, registry.Options{UserAgent: "connaisseur/v4", Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}})
	if _, err := client.As(nil, "").Resolve(t.Context(), parse(t, reg.Push(t, "app:v1").String())); err != nil {
		t.Fatal(err)
	}
	for _, r := range reg.Log() {
		if r.UserAgent != "connaisseur/v4" {
			t.Errorf("%s came from %q", r.Kind, r.UserAgent)
		}
	}
}
