//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// T24: the answer comes before the API server has stopped waiting for it.
func TestARegistryThatHangs(t *testing.T) {
	const timeout = 2 * time.Second
	configure(t, base.set(featuresName, "webhook.timeoutSeconds", "2"))
	clustertest.Within(t, promised, func(ctx context.Context) error {
		r, err := readRegistrations(ctx)
		if err != nil {
			return err
		}
		return hasSettings(r.mutating.TimeoutSeconds, r.mutating.FailurePolicy, 2, "Fail")
	})
	hanging := []struct {
		name  string
		fault registrytest.Fault
	}{
		{"at once", registrytest.Fault{Answer: registrytest.Hang()}},
		{"when asked for signatures", registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Hang()}},
		{"in the middle of an endless answer", registrytest.Fault{Kind: registrytest.ManifestGet, Answer: trickle}},
	}
	for _, h := range hanging {
		t.Run(h.name, func(t *testing.T) {
			first, second := newSigned(t), newSigned(t)
			breakDown(t, first, h.fault)
			breakDown(t, second, h.fault)
			start := time.Now()
			err := try(t.Context(), "default", first.String(), signed.String(), second.String(), unsigned.String())
			took := time.Since(start)
			wantDenied(t, err, "3 of 4 images must not run or could not be checked", "Timeout",
				"spec.containers[0].image "+first.String(), "spec.containers[2].image "+second.String(),
				"Unable to find signed digest for image "+unsigned.String())
			if strings.Contains(err.Error(), signed.String()) {
				t.Errorf("the denial names an image that was verified: %v", err)
			}
			if took >= timeout {
				t.Errorf("it took %v, the API server waits for %v", took, timeout)
			}
		})
	}
}

// trickle sends a byte now and then.
func trickle(w http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
}

// T28: an outage is not reported as a missing signature.
func TestARegistryThatFails(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		answer http.HandlerFunc
		reason string
	}{
		{"throttles", registrytest.Status(http.StatusTooManyRequests, "Retry-After", "30"), "RegistryThrottled"},
		{"is overloaded", registrytest.Status(http.StatusServiceUnavailable), "RegistryUnavailable"},
		{"has a bug", registrytest.Status(http.StatusInternalServerError), "RegistryUnavailable"},
		{"hangs up", registrytest.HangUp(), "RegistryUnavailable"},
		{"breaks off", registrytest.BreakOff(), "RegistryUnavailable"},
		{"wants credentials", registrytest.Status(http.StatusForbidden), "RegistryUnauthorized"},
	}
	for _, r := range rows {
		for _, kind := range []registrytest.Kind{"", registrytest.ManifestGet} {
			name := r.name
			if kind != "" {
				name += " when asked for signatures"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				image := newSigned(t)
				repair := breakDown(t, image, registrytest.Fault{Kind: kind, Answer: r.answer})
				err := try(t.Context(), "default", image.String())
				wantDenied(t, err, r.reason, "could not be checked, which says nothing about the image itself")
				if strings.Contains(err.Error(), "Unable to find signed digest") || strings.Contains(err.Error(), "NoSignature") {
					t.Errorf("it reads as if there was no signature: %v", err)
				}
				repair()
				if err := try(t.Context(), "default", image.String()); err != nil {
					t.Errorf("the registry is back: %v", err)
				}
			})
		}
	}
}

// T34: an image name does not make the webhook call its own ports, others of
// its machine or a metadata service.
func TestAnImageNameThatIsNoRegistryIsNotConnectedTo(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			connections.Add(1)
			if err == nil {
				_ = conn.Close()
			}
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	hosts := map[string]string{
		"a port of this machine by address":      "127.0.0.1:" + port,
		"a port of this machine by name":         "localhost:" + port,
		"the webhook's own port by address":      hook.address.Host,
		"the webhook's own port by name":         "localhost:" + hook.address.Port(),
		"the webhook's own port for probes":      strings.TrimPrefix(hook.health, "http://"),
		"a metadata service":                     "169.254.169.254",
		"the registry's address by another name": strings.Replace(reg.Host(), "127.0.0.1", "localhost", 1),
	}
	for name, host := range hosts {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			err := try(t.Context(), "default", host+"/x:v1")
			wantDenied(t, err, "RegistryUnavailable", fmt.Sprintf("registry %s is not asked", host))
			if took := time.Since(start); took > time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("there were %d connections to a port that is no registry", n)
	}
}
