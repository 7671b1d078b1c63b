//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// wantBaseInForce complains unless images are verified as the base policy says.
func wantBaseInForce(t *testing.T) {
	t.Helper()
	if err := try(t.Context(), "default", signed.String()); err != nil {
		t.Errorf("the signed image: %v", err)
	}
	if err := clustertest.Denied(try(t.Context(), "default", unsigned.String()), "NoSignature"); err != nil {
		t.Errorf("the unsigned image: %v", err)
	}
}

// told waits until readiness says all this, and that it is ready all the same.
func told(t *testing.T, texts ...string) {
	t.Helper()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		state, err := hook.readiness(ctx)
		if lacking := lacks(state, append(texts, "ready, policy revision "+baseRevision, "the newest configuration is refused")); err == nil && lacking != "" {
			err = fmt.Errorf("readiness does not say %q: %s", lacking, state)
		}
		return err
	})
}

// wantEvent waits for an event on a ConfigMap of ours that the configuration is
// refused, or has insecure settings: ConfigurationRejected, InsecureConfiguration.
func wantEvent(t *testing.T, reason string, since time.Time, texts ...string) {
	t.Helper()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		events, err := cluster.CoreV1().Events(ownNamespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.InvolvedObject.Kind == "ConfigMap" && e.Type == corev1.EventTypeWarning && !e.LastTimestamp.Time.Before(since.Truncate(time.Second)) && lacks(e.Message, texts) == "" {
				return nil
			}
		}
		return fmt.Errorf("none of %d events says %q", len(events.Items), texts)
	})
}

func TestADeletedConfigMapChangesNothing(t *testing.T) {
	for _, name := range configMaps {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { restoreBase(t) })
			start := time.Now()
			if err := cluster.CoreV1().ConfigMaps(ownNamespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			told(t, name)
			wantBaseInForce(t)
			wantEvent(t, "ConfigurationRejected", start, name, "stays in force")
			if len(hook.logged(t, func(e entry) bool {
				return e.Severity == "error" && strings.Contains(e.Message, "The configuration is refused") && strings.Contains(e.Errors, name)
			})) == 0 {
				t.Error("the log does not say so")
			}
		})
	}
}

// bypass removes the webhook that checks our ConfigMaps; restore puts it back.
func bypass(t *testing.T) (restore func()) {
	t.Helper()
	configurations := cluster.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	before, err := configurations.Get(t.Context(), registeredConfig, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := configurations.Delete(t.Context(), registeredConfig, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	restore = func() {
		t.Helper()
		again := before.DeepCopy()
		again.ResourceVersion, again.UID = "", ""
		if _, err := configurations.Create(context.Background(), again, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	return restore
}

func TestABrokenEditThatGotInChangesNothing(t *testing.T) {
	start := time.Now()
	t.Cleanup(func() { restoreBase(t) })
	broken := base.with("- {pattern: 'x.io/*:*', validator: ourss}\n")
	restore := bypass(t)
	clustertest.Within(t, patience, broken.apply) // until the API server has noticed
	restore()

	told(t, "policy[4].validator", `did you mean "ours"?`)
	wantBaseInForce(t)
	wantEvent(t, "ConfigurationRejected", start, "policy[4].validator", "stays in force")

	t.Run("and is refused again as soon as the check is back", func(t *testing.T) {
		worse := broken.with("- {pattern: 'y.io/*:*', validator: ourss}\n")
		clustertest.Within(t, patience, func(ctx context.Context) error {
			err := writeConfigMap(ctx, cluster, policyName, worse[policyName], metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			if !apierrors.IsForbidden(err) {
				return fmt.Errorf("it is not refused: %w", err)
			}
			return nil
		})
	})
	t.Run("not even after a restart", func(t *testing.T) {
		hook.restart(t)
		told(t, "policy[4].validator")
		wantBaseInForce(t)
		if len(hook.logged(t, func(e entry) bool {
			return e.Revision == baseRevision && strings.Contains(e.Message, "The last good configuration of before the restart is in force")
		})) == 0 {
			t.Error("the log does not say that the last good configuration was restored")
		}
	})
	t.Run("and can be repaired", func(t *testing.T) {
		if err := base.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		clustertest.Within(t, promised, func(ctx context.Context) error {
			revision, err := hook.revision(ctx)
			if err == nil && revision != baseRevision {
				err = errors.New(revision + " is in force")
			}
			return err
		})
	})
}

func TestAReferenceToAConfigMapThatIsNotThereYetWarns(t *testing.T) {
	const name = "integration-keys"
	mine := cluster.CoreV1().ConfigMaps(ownNamespace)
	image := push("team/dangling")
	reg.Sign(t, image, stranger)
	client, heard := attentive(t)
	t.Cleanup(func() {
		restoreBase(t)
		_ = mine.Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	dangling := base.
		set(policyName, "validators", baseValidators+"- {name: later, type: cosign, trustRoots: [{name: default, key: 'configmap://integration-keys/stranger.pub'}]}\n").
		with(fmt.Sprintf("- {pattern: %q, validator: later, with: {verifyInTransparencyLog: false}}\n", image.Name()))
	if err := writeConfigMap(t.Context(), client, policyName, dangling[policyName], metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(heard.about("validators[3].trustRoots[0].key", "integration-keys", "stays in force")) == 0 {
		t.Errorf("no warning about it, but: %q", heard.texts)
	}
	told(t, "validators[3].trustRoots[0].key")
	wantBaseInForce(t)
	wantDenied(t, try(t.Context(), "default", image.String()), "UntrustedSigner")

	keys := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"stranger.pub": string(registrytest.PublicPEM(t, stranger))}}
	create(t, mine.Create, keys)
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, "default", image.String()) })
}

func TestATrustRootInASecret(t *testing.T) {
	const name = "integration-trust-root"
	secrets := cluster.CoreV1().Secrets(ownNamespace)
	image, missing := push("team/secret"), newSigned(t)
	reg.Sign(t, image, stranger)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"cosign.pub": registrytest.PublicPEM(t, stranger)}}
	t.Cleanup(func() { _ = secrets.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	configure(t, base.
		set(policyName, "validators", baseValidators+"- {name: secret, type: cosign, trustRoots: [{name: default, key: 'k8s://connaisseur/integration-trust-root'}]}\n").
		with(fmt.Sprintf("- {pattern: %q, validator: secret, with: {verifyInTransparencyLog: false}}\n", image.Name())))
	unavailable := func(ctx context.Context) error {
		return clustertest.Denied(try(ctx, "default", image.String()), "TrustDataUnavailable", "could not be checked")
	}
	clustertest.Within(t, promised, unavailable)
	t.Run("that is missing concerns its own validator only", func(t *testing.T) {
		if err := try(t.Context(), "default", missing.String()); err != nil {
			t.Error(err)
		}
		wantBaseInForce(t)
	})
	t.Run("is used within a second once it is there", func(t *testing.T) {
		create(t, secrets.Create, secret)
		clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, "default", image.String()) })
	})
	t.Run("that is replaced by another is trusted no more within a second", func(t *testing.T) {
		other := secret.DeepCopy()
		other.Data["cosign.pub"] = registrytest.PublicPEM(t, ours)
		if _, err := secrets.Update(t.Context(), other, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		clustertest.Within(t, promised, func(ctx context.Context) error {
			return clustertest.Denied(try(ctx, "default", image.String()), "UntrustedSigner")
		})
	})
	t.Run("that is gone is noticed within a second", func(t *testing.T) {
		if err := secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		clustertest.Within(t, promised, unavailable)
	})
}
