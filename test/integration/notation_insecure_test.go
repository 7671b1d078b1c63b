//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
)

// Settings that let something pass are warned of when they are made, and leave
// traces when they come into force.
func TestWeakSettingsOfNotationLeaveTraces(t *testing.T) {
	ca := notationtest.New(t, "Example CA")
	const validators = `
- {name: revoked-too, type: notation, insecureSkipRevocation: true, trustRoots: [{name: default, cert: configmap://config-trust-roots/notation.pem}]}
`
	weak := base.with(`
- {pattern: "registry.example.com/expired/*:*", validator: revoked-too, with: {verificationLevel: permissive}}
- {pattern: "registry.example.com/anybody/*:*", validator: revoked-too, with: {verificationLevel: audit}}
- {pattern: "registry.example.com/sound/*:*", validator: revoked-too, with: {verificationLevel: strict}}
`).
		set(policyName, "validators", base[policyName]["validators"]+strings.TrimLeft(validators, "\n")).
		set(trustRootsName, "notation.pem", ca.PEM())
	traces := [][]string{
		{"policy[4].with.verificationLevel", "permissive is insecure"},
		{"policy[5].with.verificationLevel", "audit is insecure"},
		{"validators[3].insecureSkipRevocation", "whose certificates were revoked"},
	}
	start := time.Now()
	configure(t, weak.set(policyName, "policy", base[policyName]["policy"])) // the rest, so that one edit is left
	client, heard := attentive(t)
	if err := writeConfigMap(t.Context(), client, policyName, weak[policyName], metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, trace := range traces {
		if len(heard.about(trace...)) == 0 {
			t.Errorf("no warning says %q, but: %q", trace, heard.texts)
		}
		all = append(all, trace...)
	}
	if about := heard.about("policy[6]", "insecure"); len(about) > 0 {
		t.Errorf("the level strict is warned of: %q", about)
	}
	wantEvent(t, "InsecureConfiguration", start, all...)
	revision, err := hook.revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEvent(t, "InsecureConfiguration", start, append(all, "in force with revision "+revision)...)
	if len(hook.logged(t, func(e entry) bool {
		return e.Severity == "warn" && e.Revision == revision && lacks(e.Settings, all) == ""
	})) == 0 {
		t.Errorf("the log does not say so of revision %s", revision)
	}
}
