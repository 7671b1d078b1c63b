//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// values are those of a chart whose policy trusts us.
const values = `
application:
  validators:
    - {name: deny, type: static, approve: false}
    - name: default
      type: cosign
      trustRoots: [{name: default, key: %q}]
  policy:
    - {pattern: "*:*", validator: deny}
    - {pattern: "%s/*:*", with: {verifyInTransparencyLog: false}}
    - {pattern: "%[2]s/gone/*:*", validator: gone}
  features: {cache: {expirySeconds: 0}}
`

// migrates runs connaisseur migrate --apply, and gives what it says.
func migrates(ctx context.Context, t *testing.T, args ...string) (out, said string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	text := fmt.Sprintf(values, registrytest.PublicPEM(t, ours), reg.Host())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "../../cmd/connaisseur", "migrate", file, "--apply"}, args...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

func TestAMigratedPolicyIsApplied(t *testing.T) {
	configure(t, base.set(policyName, "policy", "- {pattern: '*:*', validator: allow}\n"))
	image, stranger, gone := newSigned(t), newUnsigned(t), push("gone/unsigned")
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, "default", stranger.String()) })

	for what, args := range map[string][]string{
		"a loss is not accepted":       {"--yes"},
		"nobody is asked":              {"--accept-losses"},
		"the namespace does not exist": {"--yes", "--accept-losses", "--system-namespace", "nowhere"},
	} {
		if _, said, err := migrates(t.Context(), t, args...); err == nil || !strings.Contains(said, "nothing is applied") {
			t.Errorf("though %s: %v, %s", what, err, said)
		}
	}
	if err := try(t.Context(), "default", stranger.String()); err != nil {
		t.Fatalf("something was applied: %v", err)
	}

	out, said, err := migrates(t.Context(), t, "--yes", "--accept-losses")
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if lacking := lacks(out+said, []string{"lost: application.policy[2].validator: ", "+    - pattern: \"*:*\"\n", "ConfigMap connaisseur/config-features is applied."}); lacking != "" {
		t.Errorf("%q is not in\n%s%s", lacking, out, said)
	}
	clustertest.Within(t, promised, func(ctx context.Context) error {
		return errors.Join(try(ctx, "default", image.String()),
			clustertest.Denied(try(ctx, "default", stranger.String()), "NoSignature"),
			clustertest.Denied(try(ctx, "default", gone.String()), "PolicyDenied", "not-migrated"),
			clustertest.Denied(try(ctx, "default", "nginx"), "PolicyDenied"))
	})
	cm, err := cluster.CoreV1().ConfigMaps(ownNamespace).Get(t.Context(), policyName, metav1.GetOptions{})
	if err != nil || cm.Data["registries"] != base[policyName]["registries"] {
		t.Errorf("what else was set is %q, %v", cm.Data["registries"], err)
	}
	if out, said, err := migrates(t.Context(), t, "--yes", "--accept-losses"); err != nil || out != "" || !strings.Contains(said, "The cluster has all of this already") {
		t.Errorf("again: %v, %s%s", err, out, said)
	}
}
