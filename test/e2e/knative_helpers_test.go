//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// Where Knative Serving is.
const servingNamespace = "knative-serving"

// servingKind is one of Knative Serving's, by its plural.
func servingKind(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: plural}
}

// knative is a client for its objects; it needs what hack/knative.sh installs.
func knative(t *testing.T) dynamic.Interface {
	t.Helper()
	if _, err := cluster.AppsV1().Deployments(servingNamespace).Get(t.Context(), "controller", metav1.GetOptions{}); err != nil {
		t.Fatalf("there is no Knative Serving, which hack/knative.sh up installs: %v", err)
	}
	c, err := clustertest.Config()
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// knativeService is the manifest of one that has an image and nothing else.
func knativeService(name, image string) string {
	return fmt.Sprintf(`{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": %q},
		"spec": {"template": {"spec": {"containers": [{"image": %q}]}}}}`, name, image)
}

// apply has kubectl apply a manifest.
func apply(ctx context.Context, namespace, manifest string) error {
	cmd := exec.CommandContext(ctx, "kubectl", "--namespace", namespace, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w\n%s", err, out)
	}
	return nil
}

// condition gives one of an object's conditions.
func condition(object *unstructured.Unstructured, kind string) (status, reason, message string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if c := c.(map[string]any); c["type"] == kind {
			status, _ = c["status"].(string)
			reason, _ = c["reason"].(string)
			message, _ = c["message"].(string)
		}
	}
	return status, reason, message
}

// knativeReady is a complaint while the object is not ready.
func knativeReady(ctx context.Context, client dynamic.Interface, kind, namespace, name string) error {
	object, err := client.Resource(servingKind(kind)).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if status, reason, message := condition(object, "Ready"); status != "True" {
		return fmt.Errorf("%s %s is not ready: %q %s %s", kind, name, status, reason, message)
	}
	return nil
}

// buildHello makes an image that answers HTTP requests.
func buildHello(t *testing.T, tag string) builtImage {
	t.Helper()
	repository := os.Getenv("KO_DOCKER_REPO") + "/e2e/hello"
	out, err := commandWith(t.Context(), []string{"KO_DOCKER_REPO=" + repository},
		"ko", "build", "--bare", "--sbom=none", "--tags", tag, "--image-label", "variant="+tag, "./test/e2e/hello")
	if err != nil {
		t.Fatal(err)
	}
	_, digest, _ := strings.Cut(strings.TrimSpace(out), "@")
	return builtImage{repository, tag, digest}
}

// ingress is a way to what Knative serves by HTTP.
type ingress struct{ address string }

// toIngress opens one until the end of the test.
func toIngress(t *testing.T) ingress {
	t.Helper()
	address, stop, err := forward(t.Context(), "traefik", "service/traefik", 80)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return ingress{"http://" + address}
}

// get is a complaint unless the Knative Service answers.
func (i ingress) get(ctx context.Context, namespace, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // it may have to be started first
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.address, nil)
	if err != nil {
		return err
	}
	request.Host = name + "." + namespace + ".example.com"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || string(body) != "hello\n") {
		err = fmt.Errorf("%s answers %s %q", request.Host, response.Status, body)
	}
	return err
}
