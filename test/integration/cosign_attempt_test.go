//go:build integration

package integration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// attempt is an image to be, what is done to it, and the answer to a Pod of it.
type attempt struct {
	name      string
	validator string // "cosigns" if empty
	with      string // the rule's settings, if they differ from the others'
	referrers bool   // whether the registry has the referrers API
	index     bool   // whether the image is for two platforms
	steps     []step
	denied    []string // what the denial says; the Pod is admitted if empty
}

// answer makes all images, asks for a Pod of each, and compares. One policy has
// a rule for each, with these settings.
func (c *cosigns) answer(t *testing.T, with string, attempts []attempt) {
	t.Helper()
	plain, referring := registrytest.New(t), registrytest.New(t, registrytest.Referrers())
	registryOf := func(a attempt) *registrytest.Registry {
		if a.referrers {
			return referring
		}
		return plain
	}
	rules := ""
	images := make([]registrytest.Image, len(attempts))
	for i, a := range attempts {
		on := registryOf(a)
		name := fmt.Sprintf("cosigns/%d:v1", i)
		if a.index {
			images[i], _ = on.PushIndex(t, name, "linux/amd64", "linux/arm64")
		} else {
			images[i] = on.Push(t, name)
		}
		rules += fmt.Sprintf("- {pattern: %q, validator: %s, with: {%s}}\n", images[i].Name()+":*", cmp.Or(a.validator, "cosigns"), cmp.Or(a.with, with))
	}
	configure(t, c.configuration(rules, plain, referring))
	clustertest.Within(t, promised, func(ctx context.Context) error {
		if now, err := hook.revision(ctx); err != nil || now == baseRevision {
			return errors.Join(errors.New("the base policy is in force"), err)
		}
		return nil
	})
	namespace := newNamespace(t, nil)
	for i, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			for _, step := range a.steps {
				step(t, registryOf(a), images[i])
			}
			pod, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), newPod("cosign-", images[i].String()), metav1.CreateOptions{})
			if len(a.denied) > 0 {
				wantDenied(t, err, a.denied...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantPinned(t, pod, images[i])
		})
	}
}

func wantPinned(t *testing.T, pod *corev1.Pod, image registrytest.Image) {
	t.Helper()
	if got := pod.Spec.Containers[0].Image; got != image.Pinned() {
		t.Errorf("the stored image is %s, not %s", got, image.Pinned())
	}
}

// configuration is the base with the clients' keys and services, and rules.
// A validator has the trusted_root.json, and one for each version of Rekor has
// pieces of it.
func (c *cosigns) configuration(rules string, registries ...*registrytest.Registry) configuration {
	roots := fmt.Sprintf(`
  trustRoots:
    - {name: default, key: "configmap://config-trust-roots/cosigns.pub"}
    - {name: me, keyless: {issuer: %q, subject: %s}}
    - {name: elsewhere, keyless: {issuer: "https://elsewhere.example.com", subject: %s}}
    - {name: colleagues, keyless: {issuerRegex: "http://127[.]0[.]0[.]1:[0-9]+", subjectRegex: ".*@example[.]com"}}
    - name: main
      keyless:
        issuer: %q
        subjectRegex: "https://git[.]example[.]com/team/app/workflow@.*"
        extensions: {sourceRepositoryURI: %q, sourceRepositoryRef: refs/heads/main}
`, c.Issuer, me, me, c.BuildIssuer, "https://"+repository)
	pieces := func(url string, key []byte) string {
		return fmt.Sprintf("{rekor: %q, rekorPubkey: %q, fulcioCert: %q, ctLogPubkey: %q, tsaCert: %q}", url, key, c.FulcioChain, c.CTLogKey, c.TSAChain)
	}
	validators := base[policyName]["validators"]
	for name, host := range map[string]string{
		"cosigns": `{trustedRoot: "configmap://config-trust-roots/trusted_root.json"}`,
		"pieces":  pieces(c.RekorURL, c.RekorKey),
		"tiles":   pieces(c.RekorTilesURL, c.RekorTilesKey),
	} {
		validators += fmt.Sprintf("\n- name: %s\n  type: cosign%s  host: %s\n", name, roots, host)
	}
	var insecure strings.Builder
	for _, r := range registries {
		fmt.Fprintf(&insecure, "- {host: %q, insecure: true}\n", r.Host())
	}
	return base.with(rules).
		set(policyName, "validators", validators).
		set(policyName, "registries", base[policyName]["registries"]+insecure.String()).
		set(trustRootsName, "cosigns.pub", string(c.public)).
		set(trustRootsName, "trusted_root.json", string(c.TrustedRoot))
}
