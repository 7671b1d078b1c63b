package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestTokenServices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   validator.Reason
	}{
		{"T18: one without an end", registrytest.Endless(http.StatusOK), validator.TooLarge},
		{"T18: one whose token is very long", registrytest.Body([]byte(`{"token":"` + strings.Repeat("secret", 3<<10) + `"}`)), validator.RegistryUnavailable},
		{"T18: one whose access token is very long", registrytest.Body([]byte(`{"token":"x","access_token":"` + strings.Repeat("secret", 3<<10) + `"}`)), validator.RegistryUnavailable},
		{"T28: one that throttles", registrytest.Status(http.StatusTooManyRequests), validator.RegistryThrottled},
		{"T28: one that is down", registrytest.Status(http.StatusInternalServerError), validator.RegistryUnavailable},
		{"one that refuses", registrytest.Status(http.StatusForbidden), validator.RegistryUnauthorized},
		{"one that talks nonsense", registrytest.Body([]byte("secret-refresh-token\n")), validator.RegistryUnavailable},
		{"one without a token", registrytest.Body([]byte(`{"refresh_token":"secret-refresh-token"}`)), validator.RegistryUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, registrytest.Bearer("alice", "s3cret-password"))
			ref := parse(t, reg.Push(t, "app:v1").String())
			reg.Inject(registrytest.Fault{Kind: registrytest.Token, Answer: c.answer})
			_, err := clientFor(t, reg).As(alice, "a").Resolve(t.Context(), ref)
			wantReason(t, err, c.want)
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the message shows a secret: %v", err)
			}
		})
	}
}

// Nothing that a registry says is repeated, since it can echo what it was told.
func TestMessagesDoNotEchoCredentials(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter, secret string){
		"in an error body": func(w http.ResponseWriter, secret string) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q,"detail":%q}]}`, secret, secret, secret)
		},
		"in a redirect": func(w http.ResponseWriter, secret string) {
			w.Header().Set("Location", "https://127.0.0.1:1/%zz"+secret)
			w.WriteHeader(http.StatusFound)
		},
		"instead of HTTP": func(w http.ResponseWriter, secret string) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(conn, "%s\r\n\r\n", secret)
				_ = conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, registrytest.Basic("alice", "s3cret-password"))
			ref := parse(t, reg.Push(t, "app:v1").String())
			reg.Inject(registrytest.Fault{Kind: registrytest.ManifestHead, Answer: func(w http.ResponseWriter, r *http.Request) {
				answer(w, r.Header.Get("Authorization"))
			}})
			_, err := clientFor(t, reg).As(alice, "a").Resolve(t.Context(), ref)
			if err == nil || strings.Contains(err.Error(), "YWxpY2U6") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// brokenKeychain quotes a secret in its error.
type brokenKeychain struct{}

func TestUnreadableCredentials(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	_, err := clientFor(t, reg).As(brokenKeychain{}, "b").Resolve(t.Context(), parse(t, reg.Push(t, "app:v1").String()))
	wantReason(t, err, validator.RegistryUnauthorized)
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the message shows a secret: %v", err)
	}
}
