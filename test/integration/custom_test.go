//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// resource is a kind of custom resource that a test makes.
type resource struct{ group, version, kind, plural string }

func (r resource) gvr() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.group, Version: r.version, Resource: r.plural}
}

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// anyClient talks about objects of any kind.
func anyClient(t *testing.T) dynamic.Interface {
	t.Helper()
	var client dynamic.Interface
	var err error
	if _, failed := clustertest.Connect(func(c *rest.Config) { client, err = dynamic.NewForConfig(c) }); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	return client
}

// define has the cluster know a resource until the end of the test.
func define(t *testing.T, client dynamic.Interface, r resource) {
	t.Helper()
	install(t, client, r, map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": r.plural + "." + r.group},
		"spec": map[string]any{
			"group": r.group, "scope": "Namespaced", "names": map[string]any{"kind": r.kind, "plural": r.plural},
			"versions": []any{map[string]any{
				"name": r.version, "served": true, "storage": true,
				"subresources": map[string]any{"status": map[string]any{}, "scale": map[string]any{"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
				"schema":       map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	})
}

// servingGroup is Knative's, whose definitions are in the module.
const (
	servingGroup  = "serving.knative.dev"
	servingModule = "../../hack/tools/knative"
)

// defineKnative has the cluster know the kinds of Knative Serving, as it defines
// them, until the end of the test.
func defineKnative(t *testing.T, client dynamic.Interface) {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "knative.dev/serving")
	download.Dir, download.Env = servingModule, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := download.Output()
	var module struct{ Dir string }
	if err := errors.Join(err, json.Unmarshal(out, &module)); err != nil {
		t.Fatalf("%s: %v\n%s", download, err, out)
	}
	for _, kind := range []string{"Service", "Configuration", "Revision"} {
		name := strings.ToLower(kind)
		text, err := os.ReadFile(filepath.Join(module.Dir, "config/core/300-resources", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var definition map[string]any
		if err := yaml.Unmarshal(text, &definition); err != nil {
			t.Fatal(err)
		}
		install(t, client, resource{servingGroup, "v1", kind, name + "s"}, definition)
	}
}

// install brings the definition of a resource into the cluster until the end of the
// test.
func install(t *testing.T, client dynamic.Interface, r resource, definition map[string]any) {
	t.Helper()
	if _, err := client.Resource(definitions).Create(t.Context(), &unstructured.Unstructured{Object: definition}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Resource(definitions).Delete(context.Background(), r.plural+"."+r.group, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	clustertest.Within(t, patience, func(ctx context.Context) error {
		_, err := client.Resource(r.gvr()).List(ctx, metav1.ListOptions{})
		return err
	})
}

// newObject is one of the resource's with this spec.
func (r resource) newObject(spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": r.group + "/" + r.version, "kind": r.kind, "metadata": map[string]any{"generateName": "custom-"}, "spec": spec,
	}}
}

// inTemplate is the spec of an object that makes Pods of the image.
func inTemplate(image, revision string) map[string]any {
	return map[string]any{"template": map[string]any{"metadata": map[string]any{"name": revision}, "spec": inSpec(image)}}
}

func inSpec(image string) map[string]any {
	return map[string]any{"containers": []any{map[string]any{"name": "c", "image": image}}}
}

// imageIn is the image of an object's first container.
func imageIn(object *unstructured.Unstructured, path ...string) string {
	containers, _, _ := unstructured.NestedSlice(object.Object, append(path, "containers")...)
	if len(containers) == 0 {
		return ""
	}
	image, _, _ := unstructured.NestedString(containers[0].(map[string]any), "image")
	return image
}

// What config-workloads lists is looked at within a second or two, and no longer
// when it is taken out; a kind that the cluster does not have matters to nobody.
func TestCustomResourcesAreLookedAtLive(t *testing.T) {
	client, namespace := anyClient(t), newNamespace(t, nil)
	rollout := resource{"rollouts.example.org", "v1alpha1", "Rollout", "rollouts"}
	define(t, client, rollout)
	objects := client.Resource(rollout.gvr()).Namespace(namespace)
	try := func(ctx context.Context, image string) (string, error) {
		got, err := objects.Create(ctx, rollout.newObject(inTemplate(image, "")), dryRun())
		if err != nil {
			return "", err
		}
		return imageIn(got, "spec", "template", "spec"), nil
	}
	if image, err := try(t.Context(), unsigned.String()); err != nil || image != unsigned.String() {
		t.Fatalf("before: %s, %v", image, err)
	}
	configure(t, base.set(workloadsName, "workloads", fmt.Sprintf(`
- {group: %s, version: v1alpha1, kind: Rollout, paths: [spec.template.spec]}
- {group: nobody.example.org, version: v1, kind: Missing, paths: [spec.image]}
`, rollout.group)))
	clustertest.Within(t, patience, func(ctx context.Context) error {
		_, err := try(ctx, unsigned.String())
		return clustertest.Denied(err, "NoSignature", "spec.template.spec.containers[0].image "+unsigned.String())
	})
	if image, err := try(t.Context(), signed.String()); err != nil || image != signed.Pinned() {
		t.Errorf("signed: %s, %v", image, err)
	}
	if err := base.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		image, err := try(ctx, signed.String())
		if err == nil && image != signed.String() {
			err = errors.New("it is still pinned")
		}
		return err
	})
}
