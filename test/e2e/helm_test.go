//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// Two authorities of cert-manager's, and issuers that use them.
const issuers = `
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: e2e-self}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: e2e-first, namespace: kube-system}
spec: {isCA: true, commonName: first, secretName: e2e-first, issuerRef: {name: e2e-self, kind: ClusterIssuer}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: e2e-second, namespace: kube-system}
spec: {isCA: true, commonName: second, secretName: e2e-second, issuerRef: {name: e2e-self, kind: ClusterIssuer}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: e2e-first}
spec: {ca: {secretName: e2e-first}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: e2e-second}
spec: {ca: {secretName: e2e-second}}
`

// The chart is installed by helm, with a certificate that cert-manager makes and
// renews, and is removed again.
func TestHelmAndCertManager(t *testing.T) {
	clustertest.Within(t, patience, settled)
	t.Cleanup(func() {
		if _, err := install(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	startCertManager(t)
	helm, dir := tool(t, "helm"), t.TempDir()
	if _, err := command(t.Context(), "hack/release.sh", "--ko", "--version", "1.2.3", "-o", dir); err != nil {
		t.Fatal(err)
	}
	values := filepath.Join(dir, "values.yaml")
	install := []string{"upgrade", "--install", "connaisseur", filepath.Join(dir, "connaisseur"), "--namespace", ownNamespace, "--create-namespace", "--values", values}
	write(t, values, chartValues("e2e-first"))
	if _, err := command(t.Context(), helm, install...); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, settled)
	if err := decidesByBase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if issuer := serving(t).Issuer.CommonName; issuer != "first" {
		t.Errorf("the certificate is by %q", issuer)
	}

	// Renewed by the same authority: no request fails.
	load, old := newStream(t), serving(t)
	load.warm(t)
	kubectl(t, "-n", ownNamespace, "patch", "certificate", "connaisseur-webhook", "--subresource=status", "--type=merge", "-p",
		`{"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`)
	clustertest.Within(t, patience, func(context.Context) error {
		if serving(t).Equal(old) {
			return errors.New("cert-manager has not renewed the certificate")
		}
		return nil
	})
	time.Sleep(2 * time.Second)
	load.wantAllRight(t)

	// By another authority: there is nothing to overlap with, and it is over at once.
	write(t, values, chartValues("e2e-second"))
	load = newStream(t)
	load.warm(t)
	fault := time.Now()
	if _, err := command(t.Context(), helm, install...); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(context.Context) error {
		if issuer := serving(t).Issuer.CommonName; issuer != "second" {
			return fmt.Errorf("the certificate is by %q", issuer)
		}
		fault = time.Now()
		return nil
	})
	time.Sleep(4 * time.Second)
	load.wantNoneWrong(t)
	for _, f := range load.failures {
		if f.asked.After(fault.Add(3 * time.Second)) {
			t.Errorf("no verdict %v after the new certificate: %v", f.asked.Sub(fault), f.err)
		}
	}

	if _, err := command(t.Context(), helm, "uninstall", "connaisseur", "--namespace", ownNamespace, "--wait"); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		_, err := try(ctx, "default", "after", unsigned.String())
		return err
	})
	kubectl(t, "delete", "namespace", ownNamespace)
}

// startCertManager has cert-manager issue certificates until the test is over.
func startCertManager(t *testing.T) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager")
	list.Dir = root + "/hack/tools/certmanager"
	module, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	definitions := filepath.Join(strings.TrimSpace(string(module)), "deploy/crds")
	kubectl(t, "apply", "--server-side", "-f", definitions)
	t.Cleanup(func() {
		if _, err := command(context.Background(), "kubectl", "delete", "-f", definitions); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"e2e-first", "e2e-second"} {
			if err := cluster.CoreV1().Secrets("kube-system").Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	kubectl(t, "wait", "--for=condition=Established", "--timeout=30s", "-f", definitions)
	manager := exec.Command(tool(t, "certmanager"))
	log := filepath.Join(t.TempDir(), "log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	manager.Stdout, manager.Stderr = out, out
	if err := manager.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = manager.Process.Kill()
		_ = manager.Wait() // it was killed
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("cert-manager said:\n%s", text)
		}
	})
	file := filepath.Join(t.TempDir(), "issuers.yaml")
	write(t, file, issuers)
	kubectl(t, "apply", "-f", file)
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "clusterissuer/e2e-first", "clusterissuer/e2e-second")
}

// chartValues are the base policy, and a certificate by an issuer.
func chartValues(issuer string) string {
	indent := func(text, by string) string {
		return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by)
	}
	return fmt.Sprintf(`application:
  trustRoots:
    ours.pub: |
%s
  validators:
%s
  policy:
%s
  registries: [%s]
kubernetes:
  deployment:
    tls:
      source: cert-manager
      issuerRef: {name: %s, kind: ClusterIssuer}
`, indent(publicKey, "      "), indent(validators, "    "), indent(baseRules(), "    "), strings.TrimPrefix(strings.TrimSpace(registries()), "- "), issuer)
}

// tool is the path of a program that hack/tools.sh builds.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := command(t.Context(), "hack/tools.sh", name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(path)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
