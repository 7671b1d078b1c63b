//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os/exec"
	"regexp"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const secretName = "connaisseur-webhook-certificate"

// A certificate and its authority are replaced while everybody deploys: API servers
// trust the new authority before any replica serves what it has signed.
func TestARotationFailsNoRequest(t *testing.T) {
	within(t, patience, settled)
	load := newStream(t)
	load.warm(t)
	old := serving(t)
	follow(t, runbook(t, "webhook's key may be known"))
	within(t, patience, func(ctx context.Context) error {
		for _, pod := range webhooks(t) {
			leaf, err := served(ctx, pod)
			if err != nil {
				return err
			}
			if bytes.Equal(leaf.Raw, old.Raw) {
				return fmt.Errorf("%s still serves the old certificate", pod.Name)
			}
		}
		return nil
	})
	bundle := published(t)
	if _, err := old.Verify(x509.VerifyOptions{Roots: bundle}); err != nil {
		t.Errorf("the old authority is not trusted beside the new one: %v", err)
	}
	if _, err := serving(t).Verify(x509.VerifyOptions{Roots: bundle}); err != nil {
		t.Errorf("the new authority is not trusted: %v", err)
	}
	time.Sleep(time.Second) // under the new one
	load.wantAllRight(t)
}

// Somebody has emptied the Secret: there is nothing to overlap with, and it is over
// at once.
func TestALostCertificateIsReplacedAtOnce(t *testing.T) {
	within(t, patience, settled)
	load := newStream(t)
	load.warm(t)
	old, fault := serving(t), time.Now()
	kubectl(t, "-n", ownNamespace, "patch", "secret", secretName, "--type=json", "-p", `[{"op": "remove", "path": "/data"}]`)
	within(t, patience, func(context.Context) error {
		if now := serving(t); now == nil || bytes.Equal(now.Raw, old.Raw) {
			return fmt.Errorf("there is no new certificate")
		}
		return nil
	})
	time.Sleep(4 * time.Second)
	load.wantFailuresOnly(t, fault, 3*time.Second)
}

// serving is the certificate in the Secret; nil if there is none.
func serving(t *testing.T) *x509.Certificate {
	t.Helper()
	secret, err := cluster.CoreV1().Secrets(ownNamespace).Get(t.Context(), secretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(secret.Data["server-cert.pem"])
	if block == nil {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// published are the authorities that API servers trust.
func published(t *testing.T) *x509.CertPool {
	t.Helper()
	c, err := cluster.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "connaisseur", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.Webhooks[0].ClientConfig.CABundle) {
		t.Fatal("no authority is published")
	}
	return pool
}

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// served asks a replica for its certificate.
func served(ctx context.Context, pod corev1.Pod) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", "-n", pod.Namespace, "port-forward", "--address", "127.0.0.1", "pod/"+pod.Name, ":8443")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // killed
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("kubectl port-forward: %w", err)
	}
	address := forwarding.FindStringSubmatch(line)
	if address == nil {
		return nil, fmt.Errorf("kubectl port-forward said %q", line)
	}
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // which one it is is the question
	conn, err := dialer.DialContext(ctx, "tcp", address[1])
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}
