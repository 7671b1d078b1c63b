//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// operation is what differs between modes for those who use kubectl.
type operation struct {
	mode string
	configuration
	keepsTags   bool // in what makes Pods
	admitsMakes bool // what makes Pods of unsigned images
	admitsPods  bool // of unsigned images
}

// inMaker is how a signed image stands in a Deployment.
func (o operation) inMaker(image registrytest.Image) string {
	if o.keepsTags {
		return image.String()
	}
	return image.Pinned()
}

func TestKubectlInEveryMode(t *testing.T) {
	const older = "older"
	operations := []operation{
		{mode: "defaults"},
		{mode: "detection", configuration: feature("detectionMode", "true"), admitsMakes: true, admitsPods: true},
		{mode: "podsOnly", configuration: feature("resourceValidationMode", "podsOnly"), keepsTags: true, admitsMakes: true},
		{mode: "mutatePodsOnly", keepsTags: true, configuration: base.set(policyName, "policy",
			strings.ReplaceAll(base[policyName]["policy"], "verifyInTransparencyLog: false", "verifyInTransparencyLog: false, mode: mutatePodsOnly"))},
		{mode: "no child approval", configuration: feature("automaticChildApproval", "false")},
		{mode: "trustOwners", configuration: feature("automaticChildApproval", "trustOwners")},
		{mode: "unchanged approval", configuration: feature("automaticUnchangedApproval", "true")},
	}
	image := newUnsigned(t)
	letThrough(t, image)
	namespaces := map[string]string{} // with a Deployment from before the policy
	for _, o := range operations {
		namespaces[o.mode] = newNamespace(t, nil)
		hold(t, namespaces[o.mode], older, image)
	}
	verifyAgain(t, image)
	does := map[string]func(*testing.T, operation, string){
		"apply again changes nothing":                applyAgain,
		"debug takes signed images":                  debug,
		"scale makes pinned Pods":                    scale,
		"set image and rollout undo change images":   setImage,
		"delete works while the registry is down":    deleteInAnOutage,
		"delete works, with finalizers, if unsigned": func(t *testing.T, o operation, _ string) { deleteHeld(t, namespaces[o.mode], older) },
	}
	for _, o := range operations {
		t.Run(o.mode, func(t *testing.T) {
			if o.configuration != nil {
				configure(t, o.configuration)
				clustertest.Within(t, promised, func(ctx context.Context) error {
					revision, err := hook.revision(ctx)
					if err == nil && revision == baseRevision {
						err = errors.New("the base configuration is still in force")
					}
					return err
				})
			}
			for name, do := range does {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					do(t, o, newNamespace(t, nil))
				})
			}
		})
	}
}

// kubectl executes a command. What it prints is in the error if it fails.
func kubectl(t *testing.T, namespace, stdin string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kubectl", append([]string{"-n", namespace}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func mustKubectl(t *testing.T, namespace, stdin string, args ...string) {
	t.Helper()
	if err := kubectl(t, namespace, stdin, args...); err != nil {
		t.Fatal(err)
	}
}

// kubectlUnsigned executes a command that brings an unsigned image in.
func kubectlUnsigned(t *testing.T, admitted bool, namespace string, args ...string) {
	t.Helper()
	switch err := kubectl(t, namespace, "", args...); {
	case admitted && err != nil:
		t.Error(err)
	case !admitted && err == nil:
		t.Errorf("kubectl %s was not denied", strings.Join(args, " "))
	case !admitted && lacks(err.Error(), []string{"denied the request", "NoSignature"}) != "":
		t.Error(err)
	}
}

// wantDeployment fails the test unless the Deployment has the image, and was stored
// as often as it should.
func wantDeployment(t *testing.T, namespace, name, image string, generation int64) {
	t.Helper()
	got, err := cluster.AppsV1().Deployments(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if is := got.Spec.Template.Spec.Containers[0].Image; is != image || got.Generation != generation {
		t.Fatalf("%s has generation %d with image %s, want %d with %s", name, got.Generation, is, generation, image)
	}
}

func applyAgain(t *testing.T, o operation, namespace string) {
	for name, more := range map[string][]string{"clientside": nil, "serverside": {"--server-side"}} {
		deployment := newDeployment(name, 0, signed.String())
		deployment.APIVersion, deployment.Kind = "apps/v1", "Deployment"
		manifest, err := yaml.Marshal(deployment)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			mustKubectl(t, namespace, string(manifest), append([]string{"apply", "-f", "-"}, more...)...)
			wantDeployment(t, namespace, name, o.inMaker(signed), 1)
		}
		// It fails if there is a difference, be it one that the controller made meanwhile.
		clustertest.Within(t, patience, func(context.Context) error {
			return kubectl(t, namespace, string(manifest), append([]string{"diff", "-f", "-"}, more...)...)
		})
	}
}

func debug(t *testing.T, o operation, namespace string) {
	pod := create(t, cluster.CoreV1().Pods(namespace).Create, newPod("debugged-", signed.String()))
	mustKubectl(t, namespace, "", "debug", pod.Name, "--image="+signed.String(), "-c", "debug", "--", "true")
	kubectlUnsigned(t, o.admitsPods, namespace, "debug", pod.Name, "--image="+unsigned.String(), "-c", "more", "--", "true")
	got, err := cluster.CoreV1().Pods(namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{signed.Pinned()}
	if o.admitsPods {
		want = append(want, unsigned.String())
	}
	if fmt.Sprint(ephemeralImages(got)) != fmt.Sprint(want) {
		t.Errorf("the ephemeral containers run %q, want %q", ephemeralImages(got), want)
	}
}

func ephemeralImages(pod *corev1.Pod) (images []string) {
	for _, c := range pod.Spec.EphemeralContainers {
		images = append(images, c.Image)
	}
	return images
}

func scale(t *testing.T, o operation, namespace string) {
	create(t, cluster.AppsV1().Deployments(namespace).Create, newDeployment("web", 0, signed.String()))
	mustKubectl(t, namespace, "", "scale", "deployment/web", "--replicas=1")
	wantPod(t, namespace, signed.Pinned())
	wantDeployment(t, namespace, "web", o.inMaker(signed), 2)
}

func setImage(t *testing.T, o operation, namespace string) {
	second := newSigned(t)
	create(t, cluster.AppsV1().Deployments(namespace).Create, newDeployment("web", 0, signed.String()))
	rolledOut := func(revision string) {
		t.Helper()
		clustertest.Within(t, patience, func(ctx context.Context) error {
			got, err := cluster.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
			if err == nil && got.Annotations["deployment.kubernetes.io/revision"] != revision {
				err = fmt.Errorf("there is no revision %s yet", revision)
			}
			return err
		})
	}
	rolledOut("1")
	mustKubectl(t, namespace, "", "set", "image", "deployment/web", "c0="+second.String())
	wantDeployment(t, namespace, "web", o.inMaker(second), 2)
	rolledOut("2")
	mustKubectl(t, namespace, "", "rollout", "undo", "deployment/web")
	wantDeployment(t, namespace, "web", o.inMaker(signed), 3)
	rolledOut("3")
	kubectlUnsigned(t, o.admitsMakes, namespace, "set", "image", "deployment/web", "c0="+unsigned.String())
	if !o.admitsMakes {
		wantDeployment(t, namespace, "web", o.inMaker(signed), 3)
	}
}

func deleteInAnOutage(t *testing.T, _ operation, namespace string) {
	image := newSigned(t)
	hold(t, namespace, "held", image)
	breakDown(t, image, registrytest.Fault{Answer: registrytest.Status(http.StatusServiceUnavailable)})
	deleteHeld(t, namespace, "held")
}

// hold stores a Deployment that has finalizers.
func hold(t *testing.T, namespace, name string, image registrytest.Image) {
	t.Helper()
	deployments := cluster.AppsV1().Deployments(namespace)
	held := newDeployment(name, 0, image.String())
	held.Finalizers = []string{"example.com/held"}
	create(t, deployments.Create, held)
	t.Cleanup(func() { // the namespace could not go otherwise
		_, _ = deployments.Patch(context.Background(), name, types.MergePatchType, withoutFinalizers, metav1.PatchOptions{})
	})
}

// deleteHeld deletes it, and then its finalizers.
func deleteHeld(t *testing.T, namespace, name string) {
	t.Helper()
	mustKubectl(t, namespace, "", "delete", "deployment", name, "--wait=false")
	mustKubectl(t, namespace, "", "label", "deployment", name, "touched=true")
	mustKubectl(t, namespace, "", "patch", "deployment", name, "--type=merge", "-p", string(withoutFinalizers))
	clustertest.Within(t, patience, func(ctx context.Context) error {
		_, err := cluster.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return errors.New("it is still there")
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}
