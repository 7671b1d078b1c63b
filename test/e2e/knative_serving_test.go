//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// parse reads a reference by digest.
func parse(t *testing.T, reference string) builtImage {
	t.Helper()
	repository, digest, found := strings.Cut(reference, "@")
	if !found {
		t.Fatalf("%s has no digest", reference)
	}
	return builtImage{repository: repository, digest: digest}
}

// signAll has whatever comes from our registry need our signature: Knative's own images
// too, and the sidecar that it puts into each Pod. They get it, but for those that the
// test makes itself.
func signAll(t *testing.T) {
	t.Helper()
	restore(t)
	for _, image := range append(knativesOwn(t), parse(t, sidecar(t))) {
		if err := sign(t.Context(), "ours", image); err != nil {
			t.Fatal(err)
		}
	}
	rules := baseRules() + fmt.Sprintf(`- pattern: "%s/*:*"
  validator: ours
  with:
    verifyInTransparencyLog: false
`, os.Getenv("KO_DOCKER_REPO"))
	if err := set(t.Context(), "config-policy", map[string]string{"policy": rules}); err != nil {
		t.Fatal(err)
	}
	agreed := 0
	clustertest.Within(t, patience, func(ctx context.Context) error {
		if _, err := try(ctx, "default", "ready", sidecar(t)); err != nil {
			agreed = 0
			return err
		}
		if agreed++; agreed < 5 {
			return fmt.Errorf("only %d answers in a row", agreed)
		}
		return nil
	})
}

// knativesOwn are the images that Knative and its ingress run.
func knativesOwn(t *testing.T) (images []builtImage) {
	t.Helper()
	for _, namespace := range []string{servingNamespace, "traefik"} {
		list, err := cluster.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, deployment := range list.Items {
			for _, container := range deployment.Spec.Template.Spec.Containers {
				images = append(images, parse(t, container.Image))
			}
		}
	}
	if len(images) < 5 {
		t.Fatalf("there are only %d: %v", len(images), images)
	}
	return images
}

const sidecarKey = "queue-sidecar-image"

// sidecar is what Knative puts into each Pod besides.
func sidecar(t *testing.T) string {
	t.Helper()
	settings, err := cluster.CoreV1().ConfigMaps(servingNamespace).Get(t.Context(), "config-deployment", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return settings.Data[sidecarKey]
}

// useSidecar has Knative use another one.
func useSidecar(ctx context.Context, image string) error {
	patch, err := json.Marshal(map[string]any{"data": map[string]string{sidecarKey: image}})
	if err != nil {
		return err
	}
	_, err = cluster.CoreV1().ConfigMaps(servingNamespace).Patch(ctx, "config-deployment", types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// copyOf is the same program in an image of its own, which nobody has signed.
func copyOf(t *testing.T, reference string) builtImage {
	t.Helper()
	auth, ctx := remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithContext(t.Context())
	source, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(source, auth, ctx)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.Config.Labels = map[string]string{"variant": rand.Text()}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	made := builtImage{os.Getenv("KO_DOCKER_REPO") + "/e2e/queue-proxy", "unsigned", digest.String()}
	target, err := name.ParseReference(made.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(target, image, auth, ctx); err != nil {
		t.Fatal(err)
	}
	return made
}

// podsOf are those of a Knative Service.
func podsOf(ctx context.Context, namespace, service string) ([]corev1.Pod, error) {
	list, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "serving.knative.dev/service=" + service})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// images are those that a Pod runs, by container.
func images(pod corev1.Pod) map[string]string {
	found := map[string]string{}
	for _, c := range pod.Spec.Containers {
		found[c.Name] = c.Image
	}
	return found
}

func TestAKnativeServiceRunsWhatWasVerified(t *testing.T) {
	client := knative(t)
	signAll(t)
	hello, namespace := buildHello(t, "signed"), newNamespace(t)
	if err := sign(t.Context(), "ours", hello); err != nil {
		t.Fatal(err)
	}
	if err := apply(t.Context(), namespace, knativeService("hello", hello.String())); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error { return knativeReady(ctx, client, "services", namespace, "hello") })

	t.Run("its Revision is pinned", func(t *testing.T) {
		revision, err := client.Resource(servingKind("revisions")).Namespace(namespace).Get(t.Context(), "hello-00001", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(revision.Object["spec"])
		if err != nil || !strings.Contains(string(text), fmt.Sprintf("%q:%q", "image", hello.pinned())) {
			t.Errorf("%s is not in its spec: %s %v", hello.pinned(), text, err)
		}
	})
	t.Run("its Pods run the digest, and the sidecar's", func(t *testing.T) {
		pods, err := podsOf(t.Context(), namespace, "hello")
		if err != nil || len(pods) != 1 {
			t.Fatalf("there are %d: %v", len(pods), err)
		}
		want := map[string]string{"user-container": hello.pinned(), "queue-proxy": sidecar(t)}
		if got := images(pods[0]); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("it runs %v, want %v", got, want)
		}
		for _, status := range pods[0].Status.ContainerStatuses {
			if status.Name == "user-container" && !strings.HasSuffix(status.ImageID, hello.digest) {
				t.Errorf("it was pulled as %s", status.ImageID)
			}
		}
	})
	t.Run("it answers, is scaled to zero, and back by a request", func(t *testing.T) {
		way := toIngress(t)
		clustertest.Within(t, patience, func(ctx context.Context) error { return way.get(ctx, namespace, "hello") })
		start := time.Now()
		clustertest.Within(t, patience, func(ctx context.Context) error {
			deployment, err := cluster.AppsV1().Deployments(namespace).Get(ctx, "hello-00001-deployment", metav1.GetOptions{})
			if err == nil && (deployment.Status.Replicas != 0 || *deployment.Spec.Replicas != 0) {
				err = fmt.Errorf("there are %d replicas", deployment.Status.Replicas)
			}
			return err
		})
		zero := time.Now()
		if err := way.get(t.Context(), namespace, "hello"); err != nil {
			t.Error(err)
		}
		t.Logf("no replica after %v; the next request was answered after %v", zero.Sub(start), time.Since(zero))
	})
}

func TestAKnativeServiceOfAnUnsignedImageIsRefused(t *testing.T) {
	knative(t)
	signAll(t)
	hello := buildHello(t, "unsigned")
	err := apply(t.Context(), newNamespace(t), knativeService("hello", hello.String()))
	if err == nil {
		t.Fatal("it was admitted")
	}
	for _, text := range []string{"denied the request", "spec.template.spec.containers[0].image", "Unable to find signed digest for image " + hello.String(), "NoSignature"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in what kubectl says: %v", text, err)
		}
	}
}

// Nobody applies Knative's sidecar: it comes with the Revision's Deployment, which the
// controller makes. So it is the Revision's events that say why; its conditions say that
// it is being deployed, since Knative tries again.
func TestKnativesSidecarIsVerified(t *testing.T) {
	client := knative(t)
	signAll(t)
	before := sidecar(t)
	unsigned := copyOf(t, before)
	hello, namespace := buildHello(t, "signed"), newNamespace(t)
	if err := sign(t.Context(), "ours", hello); err != nil {
		t.Fatal(err)
	}
	if err := apply(t.Context(), namespace, knativeService("old", hello.String())); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error { return knativeReady(ctx, client, "services", namespace, "old") })
	t.Cleanup(func() {
		if err := useSidecar(context.Background(), before); err != nil {
			t.Error(err)
		}
	})
	if err := useSidecar(t.Context(), unsigned.byDigest()); err != nil {
		t.Fatal(err)
	}
	t.Run("a Revision that runs keeps the one before", func(t *testing.T) {
		for kind, reason := range map[string]string{"Revision/old-00001": "InternalError", "Deployment/old-00001-deployment": "ImageDenied"} {
			kind, name, _ := strings.Cut(kind, "/")
			clustertest.Within(t, patience, func(ctx context.Context) error { return refusal(ctx, namespace, kind, name, reason, unsigned) })
		}
		deployment, err := cluster.AppsV1().Deployments(namespace).Get(t.Context(), "old-00001-deployment", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := images(corev1.Pod{Spec: deployment.Spec.Template.Spec})["queue-proxy"]; got != before {
			t.Errorf("its sidecar is %s", got)
		}
		if err := knativeReady(t.Context(), client, "services", namespace, "old"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a new Revision has no Pods", func(t *testing.T) {
		if err := apply(t.Context(), namespace, knativeService("new", hello.String())); err != nil {
			t.Fatal(err)
		}
		for _, reason := range []string{"InternalError", "ImageDenied"} { // Knative's word for it, and ours
			clustertest.Within(t, patience, func(ctx context.Context) error {
				return refusal(ctx, namespace, "Revision", "new-00001", reason, unsigned)
			})
		}
		pods, err := podsOf(t.Context(), namespace, "new")
		if err != nil || len(pods) != 0 {
			t.Errorf("there are %d: %v", len(pods), err)
		}
	})
	t.Run("it has some once the sidecar is signed", func(t *testing.T) {
		if err := sign(t.Context(), "ours", unsigned); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		clustertest.Within(t, patience, func(ctx context.Context) error { return knativeReady(ctx, client, "services", namespace, "new") })
		t.Logf("after %v", time.Since(start))
		pods, err := podsOf(t.Context(), namespace, "new")
		if err != nil || len(pods) != 1 {
			t.Fatalf("there are %d Pods: %v", len(pods), err)
		}
		if got := images(pods[0])["queue-proxy"]; got != unsigned.byDigest() {
			t.Errorf("its sidecar is %s", got)
		}
	})
}

// refusal is a complaint unless an event about the object has this reason and says
// that the image has no signature.
func refusal(ctx context.Context, namespace, kind, name, reason string, image builtImage) error {
	events, err := cluster.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=" + kind + ",involvedObject.name=" + name})
	if err != nil {
		return err
	}
	for _, event := range events.Items {
		if event.Reason == reason && strings.Contains(event.Message, image.byDigest()) && strings.Contains(event.Message, "NoSignature") {
			return nil
		}
	}
	return fmt.Errorf("none of the %d events about %s %s is %s because of %s", len(events.Items), kind, name, reason, image.byDigest())
}
