package admission

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// DESIGN §8: with no usable configuration the webhook is not ready, and says
// why; a refused edit beside a good configuration is told, but no reason.
func TestReadinessSaysWhyNot(t *testing.T) {
	t.Parallel()
	good := func() (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	there := func() (*verify.Snapshot, error) { return &verify.Snapshot{Revision: "r1"}, nil }
	fine := func() error { return nil }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx         context.Context
		certificate func() (*tls.Certificate, error)
		snapshots   Snapshots
		problem     func() error
		status      int
		text        string
	}{
		"everything is there":   {t.Context(), good, there, fine, http.StatusOK, "ready, policy revision r1"},
		"an edit was refused":   {t.Context(), good, there, func() error { return errors.New("policy[0]: no") }, http.StatusOK, "the newest configuration is refused:\npolicy[0]: no"},
		"there is no config":    {t.Context(), good, noSnapshot, fine, http.StatusServiceUnavailable, "not yet"},
		"there is no cert":      {t.Context(), func() (*tls.Certificate, error) { return nil, errors.New("no certificate") }, there, fine, http.StatusServiceUnavailable, "no certificate"},
		"the process is ending": {ended, good, there, fine, http.StatusServiceUnavailable, "shutting down"},
	} {
		got := httptest.NewRecorder()
		Readiness(c.ctx, c.certificate, c.snapshots, c.problem)(got, httptest.NewRequest(http.MethodGet, "/readiness", nil))
		if got.Code != c.status || !strings.Contains(got.Body.String(), c.text) {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
	alive := httptest.NewRecorder()
	if Liveness(alive, nil); alive.Code != http.StatusOK {
		t.Error(alive.Code)
	}
}
