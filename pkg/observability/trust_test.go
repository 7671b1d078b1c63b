package observability_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

func TestTrustMaterialIsMeasured(t *testing.T) {
	t.Parallel()
	reader := sdk.NewManualReader()
	instruments, err := observability.New(sdk.NewMeterProvider(sdk.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	instruments.WatchTrustMaterial(func() map[string]time.Duration {
		return map[string]time.Duration{"tuf": time.Hour, "kms": 90 * time.Second}
	})
	instruments.Refresh(t.Context(), "kms", "failed")
	instruments.Refresh(t.Context(), "kms", "failed")
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Gauge[float64]:
			for _, point := range data.DataPoints {
				source, _ := point.Attributes.Value("source")
				got[m.Name+" "+source.AsString()] = point.Value
			}
		case metricdata.Sum[int64]:
			for _, point := range data.DataPoints {
				source, _ := point.Attributes.Value("source")
				result, _ := point.Attributes.Value("result")
				got[m.Name+" "+source.AsString()+" "+result.AsString()] = float64(point.Value)
			}
		}
	}
	want := map[string]float64{"connaisseur.trust.material.age tuf": 3600, "connaisseur.trust.material.age kms": 90, "connaisseur.trust.refreshes kms failed": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestWithoutInstrumentsNothingIsMeasured(t *testing.T) {
	t.Parallel()
	var none *observability.Instruments
	none.WatchTrustMaterial(nil)
	none.Refresh(t.Context(), "kms", "failed")
}
