package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

func TestVerifyWithNotation(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Referrers())
	ca := notationtest.New(t, "Example CA")
	signed, strange, unsigned := reg.Push(t, "team/app:v1"), reg.Push(t, "weak/app:v1"), reg.Push(t, "team/app:v2")
	ca.Signer(t, "me").Sign(t, reg, signed)
	notationtest.SelfSigned(t, "stranger").Sign(t, reg, strange)
	file := writeConfigMaps(t, t.TempDir(), "all.yaml",
		configMap(config.PolicyName, map[string]string{
			"validators": "- name: default\n  type: notation\n  trustRoots: [{name: default, cert: \"configmap://config-trust-roots/ca.pem\"}]\n",
			"policy":     fmt.Sprintf("[{pattern: '%[1]s/*:*'}, {pattern: '%[1]s/weak/*:*', with: {verificationLevel: audit}}]", reg.Host()),
			"registries": fmt.Sprintf("[{host: %q, insecure: true}]", reg.Host()),
		}),
		configMap(config.TrustRootsName, map[string]string{"ca.pem": ca.PEM()}))

	got := call(t, "verify", signed.String(), strange.String(), unsigned.String(), "--config", file)
	if got.code != exitDenied {
		t.Errorf("code %d: %s", got.code, got.err)
	}
	wantText(t, "output", got.out, "Trusted", "signed by default (CN=me,", "signed by CN=stranger,", "who is not trusted",
		"warning: of a signature by CN=stranger,", "verificationLevel: audit lets pass", "Unable to find signed digest for image "+unsigned.String())

	got = call(t, "verify", strange.String(), "--config", file, "-o", "json")
	var results []struct{ Warnings, TrustRoots []string }
	if err := json.Unmarshal([]byte(got.out), &results); err != nil || len(results) != 1 || len(results[0].Warnings) != 1 || len(results[0].TrustRoots) > 0 {
		t.Errorf("%v: %s", err, got.out)
	}
	got = call(t, "explain", strange.String(), "--config", file)
	wantText(t, "explanation", got.out, `"default" of type notation`, "verificationLevel: audit")
}
