package workloadtest

import (
	_ "embed"
	"encoding/json"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// Rules are those of the policy that the requests need besides one for the registry of
// their images. Validators allow and deny answer without a look.
const Rules = `- {pattern: "docker.io/admitted/*:*", validator: allow}
- {pattern: "docker.io/denied/*:*", validator: deny}
`

//go:embed requests.yaml
var requests string

// Request is an admission request and what is to be answered.
type Request struct {
	Name string
	// Artificial tells that no API server of today asks this.
	Artificial bool
	// Operation is CREATE if it is empty.
	Operation   admissionv1.Operation
	Subresource string
	Object, Old map[string]any // nil for none
	// Features are settings that differ from the defaults.
	Features map[string]string
	// Owner is what the cluster has in the place of the object's owner; nil for
	// nothing.
	Owner map[string]any
	// Pins are the references that are to be replaced, by JSON pointer.
	Pins map[string]string
	// Denied is what a denial is to say; empty if there is to be none.
	Denied []string
}

// Requests reads all of them, with references to a signed and to an unsigned image in
// their places.
func Requests(t testing.TB, signed, unsigned registrytest.Image) []Request {
	t.Helper()
	text := strings.NewReplacer(
		"UNSIGNEDDIGEST", unsigned.ByDigest(), "UNSIGNED", unsigned.String(),
		"SIGNED", signed.String(), "PINNED", signed.Pinned(), "DIGEST", signed.ByDigest(),
	).Replace(requests)
	var all []Request
	if err := yaml.UnmarshalStrict([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].Operation == "" {
			all[i].Operation = admissionv1.Create
		}
	}
	return all
}

// Plain tells whether to create the object in any cluster is the whole request.
func (r Request) Plain() bool {
	return !r.Artificial && r.Operation == admissionv1.Create && r.Owner == nil && len(r.Features) == 0
}

// Stored is the object with what is to be pinned.
func (r Request) Stored(t testing.TB) map[string]any {
	t.Helper()
	if r.Object == nil {
		return nil
	}
	stored := (&unstructured.Unstructured{Object: r.Object}).DeepCopy().Object
	for pointer, reference := range r.Pins {
		if err := set(stored, tokens(pointer), reference); err != nil {
			t.Fatalf("%s: %v", pointer, err)
		}
	}
	return stored
}

// About is the request about the object in its place.
func (r Request) About(t testing.TB, namespace string, object map[string]any) *admissionv1.AdmissionRequest {
	t.Helper()
	gvk := (&unstructured.Unstructured{Object: object}).GroupVersionKind()
	return &admissionv1.AdmissionRequest{
		UID:         "u-1",
		Operation:   r.Operation,
		SubResource: r.Subresource,
		Namespace:   namespace,
		Kind:        metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind},
		Object:      raw(t, object),
		OldObject:   raw(t, r.Old),
	}
}

func raw(t testing.TB, object map[string]any) runtime.RawExtension {
	t.Helper()
	if object == nil {
		return runtime.RawExtension{}
	}
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: text}
}
