package admission

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"knative.dev/pkg/logging"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

const digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// world is a registry with a signed and an unsigned image, and a policy that
// allows everything that is signed there.
type world struct {
	reg              *registrytest.Registry
	key              crypto.Signer
	signed, unsigned registrytest.Image
	snapshot         *verify.Snapshot
	features         map[string]string
	auth             string // of the validator that is the default
	secrets          map[string]*corev1.Secret
}

func newWorld(t testing.TB, rules ...string) *world {
	t.Helper()
	reg := registrytest.New(t)
	w := &world{reg: reg, key: registrytest.Key(t), signed: reg.Push(t, "team/signed:v1"), unsigned: reg.Push(t, "team/unsigned:v1")}
	reg.Sign(t, w.signed, w.key)
	w.snapshot = w.with(t, rules...)
	return w
}

// newForgetfulWorld is one in which nothing is answered from the cache.
func newForgetfulWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.features = map[string]string{"cache.expirySeconds": "0"}
	w.snapshot = w.with(t)
	return w
}

// with is a snapshot that has these rules too.
func (w *world) with(t testing.TB, rules ...string) *verify.Snapshot {
	t.Helper()
	return w.build(t, "", rules...)
}

// trusting is the same with a validator notation that trusts an authority.
func (w *world) trusting(t testing.TB, ca *notationtest.Authority, rules ...string) *verify.Snapshot {
	t.Helper()
	return w.build(t, "\n- name: notation\n  type: notation\n  trustRoots:\n  - name: default\n    cert: |\n"+indented(ca.PEM())+"\n", rules...)
}

// indented is PEM text as a trust root has it.
func indented(pem string) string {
	return "      " + strings.ReplaceAll(strings.TrimSpace(pem), "\n", "\n      ")
}

func (w *world) build(t testing.TB, validators string, rules ...string) *verify.Snapshot {
	t.Helper()
	built := config.NewBuilder(cache.New(cache.Options{})).Build(w.objects(t, validators, rules...))
	if len(built.Errors) > 0 {
		t.Fatal(built.Errors)
	}
	return built.Snapshot
}

func (w *world) objects(t testing.TB, validators string, rules ...string) config.Objects {
	t.Helper()
	policy := "- pattern: " + w.reg.Host() + "/*:*\n  with: {verifyInTransparencyLog: false}\n" + strings.Join(rules, "")
	validators = "- name: default\n  type: cosign\n" + w.auth + "  trustRoots:\n  - name: default\n    key: |\n" + indented(string(registrytest.PublicPEM(t, w.key))) +
		"\n- name: allow\n  type: static\n  approve: true\n- name: deny\n  type: static\n  approve: false" + validators + "\n"
	o := config.Objects{Namespace: "connaisseur", Secrets: w.secrets, ConfigMaps: map[string]*corev1.ConfigMap{}}
	for name, data := range map[string]map[string]string{
		config.PolicyName:    {"validators": validators, "policy": policy, "registries": fmt.Sprintf("- {host: %q, insecure: true}\n", w.reg.Host())},
		config.FeaturesName:  w.features,
		config.WorkloadsName: {"workloads": listed},
	} {
		o.ConfigMaps[name] = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	}
	return o
}

func (w *world) snapshots() (*verify.Snapshot, error) { return w.snapshot, nil }

func (w *world) mutating() *Handler {
	return NewMutating(verify.Engine{}, w.snapshots, nil, zap.NewNop())
}

func (w *world) validating() *Handler {
	return NewValidating(verify.Engine{}, w.snapshots, nil, zap.NewNop())
}

// quiet is a context whose logger says nothing.
func quiet(t testing.TB) context.Context {
	t.Helper()
	return logging.WithLogger(t.Context(), zap.NewNop().Sugar())
}

// listed is what config-workloads holds for Rollouts.
const listed = "[{group: example.org, version: v1, kind: Rollout, paths: [spec.template.spec]}]"

// kindOf is a kind and what stands around its pod spec.
type kindOf struct{ group, kind, before, after string }

var allKinds = map[string]kindOf{
	"Pod":                   {"", "Pod", `{"spec":`, `}`},
	"ReplicationController": {"", "ReplicationController", `{"spec":{"template":{"spec":`, `}}}`},
	"Deployment":            {"apps", "Deployment", `{"spec":{"template":{"spec":`, `}}}`},
	"ReplicaSet":            {"apps", "ReplicaSet", `{"spec":{"template":{"spec":`, `}}}`},
	"DaemonSet":             {"apps", "DaemonSet", `{"spec":{"template":{"spec":`, `}}}`},
	"StatefulSet":           {"apps", "StatefulSet", `{"spec":{"template":{"spec":`, `}}}`},
	"Job":                   {"batch", "Job", `{"spec":{"template":{"spec":`, `}}}`},
	"CronJob":               {"batch", "CronJob", `{"spec":{"jobTemplate":{"spec":{"template":{"spec":`, `}}}}}`},
	"Rollout":               {"example.org", "Rollout", `{"spec":{"template":{"spec":`, `}}}`},
}

func (k kindOf) object(spec string) []byte { return []byte(k.before + spec + k.after) }

// podSpec is a pod spec with these images in its containers.
func podSpec(images ...string) string { return list("containers", images...) }

func list(name string, images ...string) string {
	type container struct {
		Name  string `json:"name"`
		Image string `json:"image"`
	}
	var all []container
	for i, img := range images {
		all = append(all, container{fmt.Sprintf("c%d", i), img})
	}
	text, err := json.Marshal(map[string]any{name: all})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func create(k kindOf, spec string) *admissionv1.AdmissionRequest {
	return &admissionv1.AdmissionRequest{
		UID: "u-1", Operation: admissionv1.Create, Namespace: "prod", Name: "web",
		Kind:   metav1.GroupVersionKind{Group: k.group, Version: "v1", Kind: k.kind},
		Object: runtime.RawExtension{Raw: k.object(spec)},
	}
}

func update(k kindOf, old, spec string) *admissionv1.AdmissionRequest {
	req := create(k, spec)
	req.Operation, req.OldObject = admissionv1.Update, runtime.RawExtension{Raw: k.object(old)}
	return req
}

func wantAllowed(t testing.TB, got *admissionv1.AdmissionResponse) {
	t.Helper()
	if !got.Allowed {
		t.Errorf("denied: %s", got.Result.Message)
	}
	if (got.Patch == nil) != (got.PatchType == nil) {
		t.Errorf("patch %q of type %v", got.Patch, got.PatchType)
	}
}

// wantDenied makes sure of a denial that says all this.
func wantDenied(t testing.TB, got *admissionv1.AdmissionResponse, texts ...string) {
	t.Helper()
	if got.Allowed || got.Patch != nil || got.PatchType != nil || got.Result == nil || got.Result.Code != 403 {
		t.Fatalf("not a plain denial: %+v", got)
	}
	for _, text := range texts {
		if !strings.Contains(got.Result.Message, text) {
			t.Errorf("want %q in:\n%s", text, got.Result.Message)
		}
	}
}

// fakeValidator answers as told.
type fakeValidator func(context.Context, validator.Request) (validator.Result, error)

func (fakeValidator) Fingerprint() string { return "fake" }

func (f fakeValidator) Validate(ctx context.Context, req validator.Request) (validator.Result, error) {
	return f(ctx, req)
}
