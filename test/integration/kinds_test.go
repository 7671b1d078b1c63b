//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// place is where in a pod spec an image can stand.
type place struct {
	name  string
	field string // below the pod spec
	put   func(spec *corev1.PodSpec, image string)
	get   func(spec corev1.PodSpec) string
}

var places = []place{
	{
		"container", "containers[0].image",
		func(spec *corev1.PodSpec, image string) { spec.Containers[0].Image = image },
		func(spec corev1.PodSpec) string { return spec.Containers[0].Image },
	},
	{
		"init container", "initContainers[0].image",
		func(spec *corev1.PodSpec, image string) {
			spec.InitContainers = []corev1.Container{{Name: "init", Image: image}}
		},
		func(spec corev1.PodSpec) string { return spec.InitContainers[0].Image },
	},
	{
		"image volume", "volumes[0].image.reference",
		func(spec *corev1.PodSpec, image string) {
			spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image}}}}
		},
		func(spec corev1.PodSpec) string { return spec.Volumes[0].Image.Reference },
	},
}

func TestEveryImageOfEveryKindIsVerified(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, nil)
			for _, p := range places {
				with := func(image registrytest.Image) corev1.PodSpec {
					spec := podSpec(signed.String())
					p.put(&spec, image.String())
					return spec
				}
				t.Run("the signed image of "+article(p.name)+" is stored pinned", func(t *testing.T) {
					stored, err := k.create(t.Context(), namespace, with(signed))
					if err != nil {
						t.Fatal(err)
					}
					if got := p.get(stored); got != signed.Pinned() {
						t.Errorf("stored as %s, want %s", got, signed.Pinned())
					}
					if got := stored.Containers[0].Image; got != signed.Pinned() {
						t.Errorf("the container's image is stored as %s, want %s", got, signed.Pinned())
					}
				})
				t.Run("the unsigned image of "+article(p.name)+" is denied", func(t *testing.T) {
					_, err := k.create(t.Context(), namespace, with(unsigned))
					wantDenied(t, err, k.path+"."+p.field+" "+unsigned.String(),
						"Unable to find signed digest for image "+unsigned.String(), "NoSignature")
				})
				t.Run("a stranger's image of "+article(p.name)+" is denied", func(t *testing.T) {
					_, err := k.create(t.Context(), namespace, with(foreign))
					wantDenied(t, err, k.path+"."+p.field+" "+foreign.String(), "UntrustedSigner", `rule policy[1] "127.0.0.1:*/*:*", validator "ours"`)
				})
			}
		})
	}
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an " + noun
	}
	return "a " + noun
}

// T8
func TestEphemeralContainersAreVerified(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, nil)
	pods := cluster.CoreV1().Pods(namespace)
	pod := create(t, pods.Create, newPod("debugged-", signed.String()))
	debug := func(image string) (*corev1.Pod, error) {
		return pods.Patch(t.Context(), pod.Name, types.StrategicMergePatchType,
			fmt.Appendf(nil, `{"spec":{"ephemeralContainers":[{"name":"debug","image":%q}]}}`, image), metav1.PatchOptions{}, "ephemeralcontainers")
	}
	t.Run("an unsigned one is denied", func(t *testing.T) {
		_, err := debug(unsigned.String())
		wantDenied(t, err, "spec.ephemeralContainers[0].image", "Unable to find signed digest for image "+unsigned.String())
	})
	t.Run("a stranger's is denied", func(t *testing.T) {
		_, err := debug(foreign.String())
		wantDenied(t, err, "spec.ephemeralContainers[0].image", "UntrustedSigner")
	})
	t.Run("a signed one is stored pinned", func(t *testing.T) {
		got, err := debug(signed.String())
		if err != nil {
			t.Fatal(err)
		}
		if image := got.Spec.EphemeralContainers[0].Image; image != signed.Pinned() {
			t.Errorf("stored as %s, want %s", image, signed.Pinned())
		}
	})
}

func TestADenialListsEveryFailingImageAndNoOther(t *testing.T) {
	t.Parallel()
	pod := newPod("mixed-", signed.String(), unsigned.String(), "not a reference")
	pod.Spec.InitContainers = []corev1.Container{{Name: "init", Image: foreign.String()}}
	_, err := cluster.CoreV1().Pods(newNamespace(t, nil)).Create(t.Context(), pod, metav1.CreateOptions{})
	wantDenied(t, err,
		"3 of 4 images must not run",
		"\n  spec.initContainers[0].image "+foreign.String()+": ",
		"\n  spec.containers[1].image "+unsigned.String()+": Unable to find signed digest for image ",
		"\n  spec.containers[2].image not a reference: ",
		"UntrustedSigner", "NoSignature", "InvalidReference",
	)
	if strings.Contains(err.Error(), signed.String()) {
		t.Errorf("the denial names the signed image too: %v", err)
	}
}

func TestADigestIsWhatCounts(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, nil)
	image := func(reference string) (string, error) {
		got, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), newPod("digest-", reference), dryRun())
		if err != nil {
			return "", err
		}
		return got.Spec.Containers[0].Image, nil
	}
	t.Run("a signed digest needs no tag and stays as it is", func(t *testing.T) {
		if got, err := image(signed.ByDigest()); err != nil || got != signed.ByDigest() {
			t.Errorf("stored as %s, error %v", got, err)
		}
	})
	t.Run("a signed tag beside an unsigned digest is denied", func(t *testing.T) {
		_, err := image(signed.String() + "@" + unsigned.Digest)
		wantDenied(t, err)
	})
}

// T31
func TestALenientRuleForATagIsNotForEveryDigest(t *testing.T) {
	lenient := newUnsigned(t)
	other := reg.Push(t, lenient.Repository+":other")
	configure(t, base.with(fmt.Sprintf("- {pattern: %q, validator: allow}\n", lenient.String())))
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, "default", lenient.String()) })
	t.Run("the tag is admitted beside its own digest", func(t *testing.T) {
		if err := try(t.Context(), "default", lenient.Pinned()); err != nil {
			t.Error(err)
		}
	})
	t.Run("the tag does not admit another digest", func(t *testing.T) {
		wantDenied(t, try(t.Context(), "default", lenient.String()+"@"+other.Digest), "NoSignature")
	})
	t.Run("another tag is verified", func(t *testing.T) {
		wantDenied(t, try(t.Context(), "default", other.String()), "NoSignature")
	})
}

func TestAControllersPodsRunWhatItWasGiven(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, nil)
	create(t, cluster.AppsV1().Deployments(namespace).Create, newDeployment("web", 1, signed.String()))
	wantPod(t, namespace, signed.Pinned())
}
