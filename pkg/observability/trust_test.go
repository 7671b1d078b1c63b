package observability_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/observabilitytest"
)

func TestTrustMaterialIsMeasured(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	instruments.WatchTrustMaterial(func() map[string]time.Duration {
		return map[string]time.Duration{"tuf": time.Hour, "kms": 90 * time.Second}
	}, func() map[string]time.Time {
		return map[string]time.Time{"https://tuf.example": time.Unix(2e9, 0)}
	})
	instruments.Refresh(t.Context(), "kms", "failed")
	instruments.Refresh(t.Context(), "kms", "failed")
	want := observabilitytest.Values{
		"connaisseur.trust.material.age{source=tuf}":                             3600,
		"connaisseur.trust.material.age{source=kms}":                             90,
		"connaisseur.trust.tuf.expiry.timestamp{repository=https://tuf.example}": 2e9,
		"connaisseur.trust.refreshes{result=failed,source=kms}":                  2,
	}
	if diff := cmp.Diff(want, values().Only("connaisseur.trust.")); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestTheWebhooksCertificateIsMeasured(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	served := false
	instruments.WatchCertificate(func() (time.Time, bool) { return time.Unix(2e9, 0), served })
	if got := values().Only("connaisseur.webhook."); len(got) > 0 {
		t.Errorf("without one: %v", got)
	}
	served = true
	if diff := cmp.Diff(observabilitytest.Values{"connaisseur.webhook.certificate.expiry.timestamp{}": 2e9}, values().Only("connaisseur.webhook.")); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestWithoutInstrumentsNothingIsMeasured(t *testing.T) {
	t.Parallel()
	var none *observability.Instruments
	none.Admission(t.Context(), "/mutate", "Denied", "NoSignature", time.Second)
	none.Image(t.Context(), observability.Image{})
	none.PredecessorRequest(true, false)
	none.PredecessorImage(observability.Image{}, true, false, false)
	none.Reload(t.Context(), observability.Applied, "r1", time.Second)
	none.InForce(nil, nil)
	none.RegistryRequest(t.Context(), observability.RegistryRequest{})
	none.WatchCache(nil)
	none.WatchTrustMaterial(nil, nil)
	none.WatchCertificate(nil)
	none.Refresh(t.Context(), "kms", "failed")
	none.SinkQueue(nil)
	none.SinkEvents(t.Context(), "broker", observability.SinkDropped, 1)
}
