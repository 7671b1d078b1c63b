package observability_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// measured makes instruments, and what reads the values of all but the
// histograms: by the metric's name and attributes, as in "name{key=value}".
func measured(t *testing.T) (*observability.Instruments, func() map[string]float64) {
	t.Helper()
	reader := sdk.NewManualReader()
	instruments, err := observability.New(sdk.NewMeterProvider(sdk.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	return instruments, func() map[string]float64 {
		t.Helper()
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				switch data := m.Data.(type) {
				case metricdata.Gauge[float64]:
					add(values, m.Name, data.DataPoints)
				case metricdata.Gauge[int64]:
					add(values, m.Name, data.DataPoints)
				case metricdata.Sum[int64]:
					add(values, m.Name, data.DataPoints)
				}
			}
		}
		return values
	}
}

// only are the values whose names begin like that.
func only(values map[string]float64, prefix string) map[string]float64 {
	maps.DeleteFunc(values, func(name string, _ float64) bool { return !strings.HasPrefix(name, prefix) })
	return values
}

func add[N int64 | float64](values map[string]float64, name string, points []metricdata.DataPoint[N]) {
	for _, point := range points {
		values[name+"{"+labels(point.Attributes)+"}"] = float64(point.Value)
	}
}

func labels(set attribute.Set) string {
	var pairs []string
	for _, kv := range set.ToSlice() {
		pairs = append(pairs, string(kv.Key)+"="+kv.Value.String())
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}
