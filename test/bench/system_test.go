package bench

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/test/bench/review"
)

// repository is where images are pushed; one token is good for all of them.
const repository = "team/app"

// system is the webhook within the process, with a registry, a key and a
// policy that demands its signature.
type system struct {
	registry *registrytest.Registry
	key      crypto.Signer
	handler  *admission.Handler
	images   int
}

// newSystem starts a system whose registry is asked for a token.
func newSystem(tb testing.TB, options ...registrytest.Option) *system {
	tb.Helper()
	s := &system{
		registry: registrytest.New(tb, append(options, registrytest.Bearer("", ""))...),
		key:      registrytest.Key(tb),
	}
	built := config.NewBuilder(cache.New(cache.Options{})).Build(objects(tb, s.registry.Host(), s.key))
	if len(built.Errors) > 0 {
		tb.Fatal(built.Errors)
	}
	s.handler = admission.NewMutating(verify.Engine{Now: time.Now}, func() (*verify.Snapshot, error) { return built.Snapshot, nil },
		instruments(tb), logger())
	return s
}

// objects is a configuration that demands the key's signature in one registry.
func objects(tb testing.TB, host string, key crypto.Signer) config.Objects {
	tb.Helper()
	pem := strings.ReplaceAll(strings.TrimSpace(string(registrytest.PublicPEM(tb, key))), "\n", "\n        ")
	return configuration(map[string]string{
		"validators": "- name: default\n  type: cosign\n  trustRoots:\n    - name: default\n      key: |\n        " + pem + "\n",
		"policy":     fmt.Sprintf("- pattern: %q\n  with: {verifyInTransparencyLog: false}\n", host+"/*:*"),
		"registries": fmt.Sprintf("- host: %q\n  insecure: true\n", host),
	})
}

// configuration is one with this policy.
func configuration(policy map[string]string) config.Objects {
	cm := &corev1.ConfigMap{Data: policy}
	cm.Name, cm.Namespace = config.PolicyName, config.DefaultNamespace
	return config.Objects{Namespace: config.DefaultNamespace, ConfigMaps: map[string]*corev1.ConfigMap{cm.Name: cm}}
}

// instruments record as those of the webhook do, and are read by nobody.
func instruments(tb testing.TB) *observability.Instruments {
	tb.Helper()
	i, err := observability.New(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())))
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

// logger writes the lines that the webhook writes, to nowhere.
func logger() *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zapcore.InfoLevel))
}

// signed pushes a new image and signs it.
func (s *system) signed(tb testing.TB) registrytest.Image {
	tb.Helper()
	s.images++
	img := s.registry.Push(tb, fmt.Sprintf("%s:v%d", repository, s.images))
	s.registry.Sign(tb, img, s.key)
	return img
}

// admit has a Pod of these images admitted, as the API server would.
func (s *system) admit(tb testing.TB, references ...string) {
	if err := s.admitted(request(tb, 0, references...)); err != nil {
		tb.Fatal(err)
	}
}

// admitted asks for a verdict and tells whether it is the right one.
func (s *system) admitted(req *admissionv1.AdmissionRequest) error {
	response := s.handler.Admit(context.Background(), req)
	switch {
	case !response.Allowed:
		return fmt.Errorf("denied: %s", response.Result.Message)
	case len(response.Patch) == 0 && !strings.Contains(string(req.Object.Raw), "@sha256:"):
		return fmt.Errorf("admitted, but not pinned")
	}
	return nil
}

// warm has the registry pinged and a token fetched, and forgets the counts.
func (s *system) warm(tb testing.TB) {
	tb.Helper()
	s.admit(tb, s.signed(tb).String())
	settle()
	s.registry.Reset()
}

// settle waits until requests have arrived that were given up since what they
// looked for was found elsewhere.
func settle() { time.Sleep(50 * time.Millisecond) }

// request is the request of a review of that many bytes.
func request(tb testing.TB, size int, references ...string) *admissionv1.AdmissionRequest {
	tb.Helper()
	var parsed admissionv1.AdmissionReview
	if err := json.Unmarshal(body(tb, size, references...), &parsed); err != nil {
		tb.Fatal(err)
	}
	return parsed.Request
}

func body(tb testing.TB, size int, references ...string) []byte {
	tb.Helper()
	text, err := review.Pod(size, references...)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// median is the 50th percentile of the times; it sorts them.
func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// reportMedian adds the median, in milliseconds, to a benchmark's line.
func reportMedian(b *testing.B, times []time.Duration) {
	b.Helper()
	b.ReportMetric(float64(median(times).Microseconds())/1000, "p50-ms")
}
