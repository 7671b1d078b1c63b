//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// The validators of all tests.
const validators = `- name: allow
  type: static
  approve: true
- name: deny
  type: static
  approve: false
- name: ours
  type: cosign
  trustRoots:
    - name: default
      key: configmap://config-trust-roots/ours.pub
`

// baseRules trust our key for the tests' images, and nobody for others.
func baseRules() string {
	return fmt.Sprintf(`- pattern: "*:*"
  validator: deny
- pattern: "registry.k8s.io/*:*"
  validator: allow
- pattern: "%s:*"
  validator: ours
  with:
    verifyInTransparencyLog: false
`, repository())
}

// set changes keys of a ConfigMap of the webhook's namespace.
func set(ctx context.Context, name string, data map[string]string) error {
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return err
	}
	_, err = cluster.CoreV1().ConfigMaps(ownNamespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// configureBase puts the base policy in force.
func configureBase(ctx context.Context) error {
	if err := set(ctx, "config-trust-roots", map[string]string{"ours.pub": publicKey}); err != nil {
		return err
	}
	return set(ctx, "config-policy", map[string]string{"validators": validators, "policy": baseRules(), "registries": registries()})
}

// registries says how the tests' registry is talked to.
func registries() string {
	if !plainHTTP() {
		return ""
	}
	host, _, _ := strings.Cut(repository(), "/")
	return fmt.Sprintf("- {host: %q, insecure: true}\n", host)
}

// configuredBase also waits until every replica decides by it.
func configuredBase(ctx context.Context) error {
	if err := configureBase(ctx); err != nil {
		return err
	}
	return decidesByBase(ctx)
}

// decidesByBase waits for that.
func decidesByBase(ctx context.Context) error {
	// One request after the other meets another replica, or enough of them do.
	agreed := 0
	return clustertest.Poll(ctx, patience, func(ctx context.Context) error {
		if image, err := try(ctx, "default", "ready", signed.String()); err != nil || image != signed.pinned() {
			agreed = 0
			return fmt.Errorf("the signed image became %q: %w", image, err)
		}
		if _, err := try(ctx, "default", "ready", unsigned.String()); clustertest.Denied(err, "NoSignature") != nil {
			agreed = 0
			return fmt.Errorf("the unsigned image is not denied as such: %w", err)
		}
		if agreed++; agreed < 5 {
			return fmt.Errorf("only %d answers in a row", agreed)
		}
		return nil
	})
}

// restore has the base policy in force when the test is over.
func restore(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience+10*time.Second)
		defer cancel()
		if err := configuredBase(ctx); err != nil {
			t.Error(err)
		}
	})
}
