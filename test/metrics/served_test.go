package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"knative.dev/pkg/observability/metrics"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// metric is what is served under a name.
type metric struct {
	kind   string          // counter, gauge or histogram
	labels map[string]bool // but le
}

// served are the metrics of a webhook to which everything has happened, as
// Prometheus is told them.
var served map[string]metric

func TestMain(m *testing.M) {
	provider, url, err := prometheus()
	if err == nil {
		err = everything(provider)
	}
	if err == nil {
		served, err = scrape(url)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// prometheus is what knative makes of config-observability as it is shipped, on
// another port.
func prometheus() (*metrics.MeterProvider, string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, "", err
	}
	provider, err := metrics.NewMeterProvider(context.Background(), metrics.Config{Protocol: metrics.ProtocolPrometheus, Endpoint: address})
	return provider, "http://" + address + "/metrics", err
}

// noTest fails by panic, before tests have begun.
type noTest struct{ testing.TB }

func (noTest) Helper()                      {}
func (noTest) Cleanup(func())               {}
func (noTest) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (noTest) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// everything happens once.
func everything(provider *metrics.MeterProvider) error {
	ctx, tb := context.Background(), noTest{}
	instruments, err := observability.New(provider)
	if err != nil {
		return err
	}
	reg, key := registrytest.New(tb), registrytest.Key(tb)
	signed, unsigned := reg.Push(tb, "app:signed"), reg.Push(tb, "app:unsigned")
	throttled, slow := reg.Push(tb, "throttled:v1"), reg.Push(tb, "slow:v1")
	reg.Sign(tb, signed, key)
	results := cache.New(cache.Options{})
	instruments.WatchCache(results.Use)
	store := config.NewStore(config.NewBuilder(results).WithInstruments(instruments))
	store.OnChange(func(c config.Change) { // as the controller does
		instruments.Reload(ctx, observability.Applied, c.Snapshot.Revision, c.Duration)
		instruments.InForce(c.Expiries, c.Hosts)
	})
	store.Offer(objects(reg.Host(), string(registrytest.PublicPEM(tb, key)), notationtest.New(tb, "ca").PEM()))
	if err := store.Problem(); err != nil {
		return err
	}
	handler := admission.NewMutating(verify.Engine{}, store.Snapshot, instruments, zap.NewNop())
	admit := func(reference string) {
		text, _ := json.Marshal(corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: reference}}}}) // cannot fail
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		handler.Admit(ctx, &admissionv1.AdmissionRequest{
			UID: "u", Operation: admissionv1.Create, Namespace: "prod", Name: "web",
			Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Object: runtime.RawExtension{Raw: text},
		})
	}
	for _, reference := range []string{signed.String(), signed.String(), unsigned.String()} {
		admit(reference)
	}
	reg.Inject(registrytest.Fault{Answer: registrytest.Status(http.StatusTooManyRequests), Times: 1})
	admit(throttled.String())
	reg.Inject(registrytest.Fault{Answer: registrytest.Hang()})
	admit(slow.String())
	// What takes a Redis, a TUF repository, a server, an owner that is trusted and a sink.
	instruments.WatchSharedCache(func() observability.SharedCacheUse { return observability.SharedCacheUse{Configured: true, Up: true} })
	instruments.PredecessorImage(observability.Image{ValidatorType: "cosign", ValidatorName: "default"}, true, true, false)
	instruments.Refresh(ctx, "tuf", "changed")
	instruments.WatchTrustMaterial(
		func() map[string]time.Duration { return map[string]time.Duration{"tuf": time.Hour} },
		func() map[string]time.Time { return map[string]time.Time{"https://tuf.example": time.Now()} })
	instruments.WatchCertificate(func() (time.Time, bool) { return time.Now(), true })
	instruments.SinkEvents(ctx, "broker", observability.SinkDelivered, 1)
	instruments.SinkQueue(func() map[string]int { return map[string]int{"broker": 1} })
	return nil
}

func objects(host, key, ca string) config.Objects {
	cm := func(name string, data map[string]string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	}
	return config.Objects{Namespace: config.DefaultNamespace, ConfigMaps: map[string]*corev1.ConfigMap{
		config.TrustRootsName: cm(config.TrustRootsName, map[string]string{"key.pub": key, "ca.pem": ca}),
		config.PolicyName: cm(config.PolicyName, map[string]string{
			"validators": `
- {name: default, type: cosign, trustRoots: [{name: default, key: "configmap://config-trust-roots/key.pub"}]}
- {name: certified, type: notation, trustRoots: [{name: default, cert: "configmap://config-trust-roots/ca.pem"}]}
`,
			"policy":     fmt.Sprintf("- {pattern: '%s/*:*', with: {verifyInTransparencyLog: false}}\n- {pattern: 'certified.example/*', validator: certified}\n", host),
			"registries": fmt.Sprintf("- {host: '%s', insecure: true}\n", host),
		}),
	}}
}

var (
	typeLine = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)
	sample   = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? \S+$`)
	label    = regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
	suffix   = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// scrape reads what is served at a URL, once somebody serves it.
func scrape(url string) (map[string]metric, error) {
	var (
		resp *http.Response
		err  error
	)
	for range 100 {
		if resp, err = http.Get(url); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	found := map[string]metric{}
	for _, match := range typeLine.FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = metric{match[2], map[string]bool{}}
	}
	for _, match := range sample.FindAllStringSubmatch(string(text), -1) {
		m, ok := found[match[1]]
		if !ok {
			m = found[suffix.ReplaceAllString(match[1], "")]
		}
		for _, pair := range label.FindAllStringSubmatch(match[2], -1) {
			if name := pair[1]; name != "le" && !strings.HasPrefix(name, "otel_scope_") {
				m.labels[name] = true
			}
		}
	}
	return found, nil
}

// ours are the names of those that are not Go's or knative's.
func ours() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(served)), func(name string) bool { return !strings.HasPrefix(name, "connaisseur_") })
}

// https://prometheus.io/docs/practices/naming/
func TestMetricsAreNamedAsIsUsual(t *testing.T) {
	t.Parallel()
	if len(ours()) < 25 {
		t.Errorf("only %d metrics are served: %q", len(ours()), ours())
	}
	for _, name := range ours() {
		kind := served[name].kind
		if (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, kind)
		}
		if strings.Contains(name, "_ratio") || kind == "histogram" && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s has the wrong unit", name)
		}
	}
}

// Those of Connaisseur 3, with their labels.
func TestTheMetricsOfConnaisseur3AreServed(t *testing.T) {
	t.Parallel()
	for name, labels := range map[string]string{
		"connaisseur_requests_total":               "",
		"connaisseur_requests_admitted_total":      "",
		"connaisseur_requests_denied_total":        "timeout",
		"connaisseur_validations_total":            "result type validator_name",
		"connaisseur_validations_successful_total": "type validator_name",
		"connaisseur_validations_failed_total":     "type validator_name",
		"connaisseur_validations_skipped_total":    "reason type validator_name",
		"connaisseur_validations_timeouted_total":  "type validator_name",
	} {
		got := served[name]
		if has := strings.Join(slices.Sorted(maps.Keys(got.labels)), " "); got.kind != "counter" || has != labels {
			t.Errorf("%s is a %q with the labels %q, want a counter with %q", name, got.kind, has, labels)
		}
	}
	// And what every program in Go has told it.
	for _, name := range []string{"go_goroutines", "go_memstats_alloc_bytes", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} {
		if served[name].kind == "" {
			t.Errorf("%s is not served", name)
		}
	}
}
