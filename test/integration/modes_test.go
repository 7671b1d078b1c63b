//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// feature is the base configuration with a setting of config-features.
func feature(key, value string) configuration { return base.set(featuresName, key, value) }

// warned tells of what the user is warned who creates a Pod.
func warned(t *testing.T, namespace, image string, about ...string) ([]string, error) {
	t.Helper()
	client, heard := attentive(t)
	_, err := client.CoreV1().Pods(namespace).Create(t.Context(), newPod("try-", image), dryRun())
	return heard.about(about...), err
}

func TestDetectionModeIsSwitchedOnAndOff(t *testing.T) {
	namespace, image := newNamespace(t, nil), newUnsigned(t)
	configure(t, feature("detectionMode", "true"))
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, namespace, image.String()) })
	if texts, err := warned(t, namespace, image.String(), "would be denied, but for detection mode", image.String(), "NoSignature"); err != nil || len(texts) == 0 {
		t.Errorf("%v, warned of %q", err, texts)
	}
	pod := create(t, cluster.CoreV1().Pods(namespace).Create, newPod("mixed-", image.String(), signed.String()))
	if got := []string{pod.Spec.Containers[0].Image, pod.Spec.Containers[1].Image}; got[0] != image.String() || got[1] != signed.Pinned() {
		t.Errorf("the images became %q", got)
	}
	if err := base.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, promised, func(ctx context.Context) error {
		return clustertest.Denied(try(ctx, namespace, image.String()), "NoSignature")
	})
}

// T12: labels count where an operator has chosen so, and as soon as they change.
func TestNamespacedValidation(t *testing.T) {
	const label = "securesystemsengineering.connaisseur/webhook"
	plain, ignored, validated := newNamespace(t, nil), newNamespace(t, map[string]string{label: "ignore"}), newNamespace(t, map[string]string{label: "validate"})
	for _, c := range []struct {
		mode                      string
		plain, ignored, validated bool // whether they are looked at
	}{{"ignore", true, false, true}, {"validate", false, false, true}, {`""`, true, true, true}} {
		configure(t, feature("namespacedValidation.mode", c.mode))
		clustertest.Within(t, patience, func(ctx context.Context) error {
			var errs []error
			for namespace, looked := range map[string]bool{plain: c.plain, ignored: c.ignored, validated: c.validated} {
				err := try(ctx, namespace, unsigned.String())
				if looked {
					err = clustertest.Denied(err, "NoSignature")
				}
				if err != nil {
					errs = append(errs, fmt.Errorf("mode %s, looked at: %t: %w", c.mode, looked, err))
				}
			}
			return errors.Join(errs...)
		})
	}
	configure(t, feature("namespacedValidation.mode", "validate"))
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"validate"}}}`, label)
	if _, err := cluster.CoreV1().Namespaces().Patch(t.Context(), plain, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		return clustertest.Denied(try(ctx, plain, unsigned.String()), "NoSignature")
	})
}

func TestPodsOnlyIsSwitchedOn(t *testing.T) {
	namespace, image := newNamespace(t, nil), newUnsigned(t)
	configure(t, feature("resourceValidationMode", "podsOnly"))
	client, heard := attentive(t)
	clustertest.Within(t, promised, func(ctx context.Context) error {
		_, err := client.AppsV1().Deployments(namespace).Create(ctx, newDeployment("web", 0, image.String()), dryRun())
		return err
	})
	if texts := heard.about("its Pods would be denied", image.String(), "NoSignature"); len(texts) == 0 {
		t.Errorf("warned of %q", heard.about())
	}
	wantDenied(t, try(t.Context(), namespace, image.String()), "NoSignature")
	deployment := create(t, cluster.AppsV1().Deployments(namespace).Create, newDeployment("signed", 1, signed.String()))
	if got := deployment.Spec.Template.Spec.Containers[0].Image; got != signed.String() {
		t.Errorf("the Deployment has %s", got)
	}
	wantPod(t, namespace, signed.Pinned())
}

// GitOps tools see no drift, and controllers do not fight: the ReplicaSet is as the
// Deployment has it, and its Pods are pinned.
func TestMutatePodsOnlyPinsPodsAndLeavesWhatMakesThem(t *testing.T) {
	namespace, image := newNamespace(t, nil), newSigned(t)
	configure(t, base.with(fmt.Sprintf("- {pattern: '%s:*', validator: ours, with: {mode: mutatePodsOnly, verifyInTransparencyLog: false}}\n", image.Name())))
	clustertest.Within(t, promised, func(ctx context.Context) error {
		got, err := cluster.AppsV1().Deployments(namespace).Create(ctx, newDeployment("try", 0, image.String()), dryRun())
		if err == nil && got.Spec.Template.Spec.Containers[0].Image != image.String() {
			err = errors.New("the Deployment is pinned")
		}
		return err
	})
	create(t, cluster.AppsV1().Deployments(namespace).Create, newDeployment("web", 1, image.String()))
	wantPod(t, namespace, image.Pinned())
	sets, err := cluster.AppsV1().ReplicaSets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(sets.Items) != 1 || sets.Items[0].Spec.Template.Spec.Containers[0].Image != image.String() {
		t.Errorf("%v, %d ReplicaSets", err, len(sets.Items))
	}
	_, err = cluster.AppsV1().Deployments(namespace).Create(t.Context(), newDeployment("unsigned", 0, unsigned.String()), dryRun())
	wantDenied(t, err, "NoSignature")
}

func TestAnExceptionHoldsUntilItEnds(t *testing.T) {
	namespace, other, image := newNamespace(t, nil), newNamespace(t, nil), newUnsigned(t)
	start := time.Now()
	until := start.Add(8 * time.Second).UTC().Truncate(time.Second)
	configure(t, base.set(policyName, "exceptions", fmt.Sprintf("- {pattern: '%s:*', namespaces: [%s], until: '%s', reason: INC-%[2]s}\n", image.Name(), namespace, until.Format(time.RFC3339))))
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, namespace, image.String()) })
	wantDenied(t, try(t.Context(), other, image.String()), "NoSignature")
	client, heard := attentive(t)
	create(t, client.CoreV1().Pods(namespace).Create, newPod("glass-", image.String()))
	if texts := heard.about("admitted by exceptions[0] of config-policy", "INC-"+namespace, "NoSignature"); len(texts) == 0 {
		t.Error("nobody is warned")
	}
	wantEvent(t, "ExceptionUsed", start, namespace, image.String())
	clustertest.Within(t, time.Until(until)+patience, func(ctx context.Context) error {
		return clustertest.Denied(try(ctx, namespace, image.String()), "NoSignature")
	})
	if time.Now().Before(until) {
		t.Error("it ended too soon")
	}
	wantEvent(t, "ExceptionEnded", start, "exceptions[0]", "INC-"+namespace)
}

// T28, T33: what was verified is admitted in an outage, and nothing else.
func TestTheLastKnownGoodIsAdmittedInAnOutage(t *testing.T) {
	start, namespace, image, other := time.Now(), newNamespace(t, nil), newSigned(t), newSigned(t)
	configure(t, feature("onInconclusive", "lastKnownGood").set(featuresName, "cache.expirySeconds", "0"))
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, namespace, image.String()) })
	down := registrytest.Fault{Answer: registrytest.Status(http.StatusServiceUnavailable)}
	breakDown(t, image, down)
	breakDown(t, other, down)
	clustertest.Within(t, patience, func(ctx context.Context) error { // it is asked three times
		return clustertest.Denied(try(ctx, namespace, other.String()), "RegistryUnavailable")
	})
	client, heard := attentive(t)
	pod := create(t, client.CoreV1().Pods(namespace).Create, newPod("known-", image.String()))
	if got := pod.Spec.Containers[0].Image; got != image.Pinned() {
		t.Errorf("the Pod runs %s", got)
	}
	if texts := heard.about("admitted as "+image.Digest, "RegistryUnavailable"); len(texts) == 0 {
		t.Error("nobody is warned")
	}
	wantEvent(t, "LastKnownGoodUsed", start, namespace, image.Digest)
}

// Children of what was verified start while the registry is down.
func TestPodsOfAVerifiedDeploymentStartInAnOutage(t *testing.T) {
	namespace, image := newNamespace(t, nil), newSigned(t)
	configure(t, feature("cache.expirySeconds", "0"))
	deployments := cluster.AppsV1().Deployments(namespace)
	create(t, deployments.Create, newDeployment("web", 0, image.String()))
	clustertest.Within(t, patience, func(ctx context.Context) error { return hasReplicaSet(ctx, cluster, namespace) })
	breakDown(t, image, registrytest.Fault{Answer: registrytest.Status(http.StatusServiceUnavailable)})
	clustertest.Within(t, patience, func(ctx context.Context) error { // it is asked three times
		return clustertest.Denied(try(ctx, namespace, image.Pinned()), "RegistryUnavailable")
	})
	scaleUp(t, deployments, "web")
	wantPod(t, namespace, image.Pinned())
}

func hasReplicaSet(ctx context.Context, client kubernetes.Interface, namespace string) error {
	sets, err := client.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
	if err == nil && len(sets.Items) == 0 {
		err = errors.New("there is no ReplicaSet")
	}
	return err
}

// T33: what got in while nobody looked does not run for ever.
func TestT33ChildrenOfWhatWasNeverVerifiedAreDenied(t *testing.T) {
	namespace, image := newNamespace(t, nil), newUnsigned(t)
	configure(t, base.set(featuresName, "excludedNamespaces", "[kube-system, "+namespace+"]"))
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, namespace, image.ByDigest()) })
	deployments := cluster.AppsV1().Deployments(namespace)
	create(t, deployments.Create, newDeployment("web", 0, image.ByDigest()))
	clustertest.Within(t, patience, func(ctx context.Context) error { return hasReplicaSet(ctx, cluster, namespace) })
	for approval, admitted := range map[string]bool{"true": false, "trustOwners": true} {
		if err := feature("automaticChildApproval", approval).apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		clustertest.Within(t, promised, func(ctx context.Context) error {
			return clustertest.Denied(try(ctx, namespace, image.ByDigest()), "NoSignature")
		})
		sets, err := cluster.AppsV1().ReplicaSets(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pod := newPod("child-", image.ByDigest())
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(&sets.Items[0], sets.Items[0].GroupVersionKind())}
		pod.OwnerReferences[0].APIVersion, pod.OwnerReferences[0].Kind = "apps/v1", "ReplicaSet"
		clustertest.Within(t, patience, func(ctx context.Context) error {
			_, err := cluster.CoreV1().Pods(namespace).Create(ctx, pod, dryRun())
			if !admitted {
				err = clustertest.Denied(err, "NoSignature")
			}
			return err
		})
		// T11: another object's UID.
		pod.OwnerReferences[0].UID = "00000000-0000-0000-0000-000000000000"
		_, err = cluster.CoreV1().Pods(namespace).Create(t.Context(), pod, dryRun())
		wantDenied(t, err, "NoSignature")
	}
}

func TestAnUpdateWithoutAnotherImageIsLeftAlone(t *testing.T) {
	namespace, image := newNamespace(t, nil), newUnsigned(t)
	letThrough(t, image)
	deployments := cluster.AppsV1().Deployments(namespace)
	create(t, deployments.Create, newDeployment("web", 0, image.String()))
	label := func(ctx context.Context, value string) error {
		_, err := deployments.Patch(ctx, "web", types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"a":%q}}}`, value), metav1.PatchOptions{})
		return err
	}
	verifyAgain(t, image)
	wantDenied(t, label(t.Context(), "1"), "NoSignature")
	configure(t, feature("automaticUnchangedApproval", "true"))
	clustertest.Within(t, promised, func(ctx context.Context) error { return label(ctx, "2") })
	_, err := deployments.Patch(t.Context(), "web", types.StrategicMergePatchType, imagePatch(image.ByDigest()), metav1.PatchOptions{})
	wantDenied(t, err, "NoSignature")
}
