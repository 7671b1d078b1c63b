// Package observabilitytest reads what is measured and traced, for tests.
package observabilitytest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// Values are those of metrics, by name and attributes: name{key=value,key=value}.
// Those of histograms are how often something was measured.
type Values map[string]float64

// Only are the values whose names begin like that.
func (v Values) Only(prefix string) Values {
	only := maps.Clone(v)
	maps.DeleteFunc(only, func(name string, _ float64) bool { return !strings.HasPrefix(name, prefix) })
	return only
}

// Measured makes instruments, and what reads their values.
func Measured(t testing.TB) (*observability.Instruments, func() Values) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	instruments, err := observability.New(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	return instruments, func() Values {
		t.Helper()
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		values := Values{}
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				values.add(m)
			}
		}
		return values
	}
}

func (v Values) add(m metricdata.Metrics) {
	switch data := m.Data.(type) {
	case metricdata.Gauge[float64]:
		addPoints(v, m.Name, data.DataPoints)
	case metricdata.Gauge[int64]:
		addPoints(v, m.Name, data.DataPoints)
	case metricdata.Sum[int64]:
		addPoints(v, m.Name, data.DataPoints)
	case metricdata.Histogram[float64]:
		for _, point := range data.DataPoints {
			v[m.Name+labels(point.Attributes)] = float64(point.Count)
		}
	}
}

func addPoints[N int64 | float64](v Values, name string, points []metricdata.DataPoint[N]) {
	for _, point := range points {
		v[name+labels(point.Attributes)] = float64(point.Value)
	}
}

func labels(set attribute.Set) string {
	var pairs []string
	for _, kv := range set.ToSlice() {
		pairs = append(pairs, string(kv.Key)+"="+kv.Value.String())
	}
	slices.Sort(pairs)
	return "{" + strings.Join(pairs, ",") + "}"
}
