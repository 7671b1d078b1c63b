//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

const secretName = "connaisseur-webhook-certificate"

// A certificate and its authority are replaced while everybody deploys: API servers
// trust the new authority before any replica serves what it has signed.
func TestARotationFailsNoRequest(t *testing.T) {
	clustertest.Within(t, patience, settled)
	load := newStream(t)
	load.warm(t)
	old := serving(t)
	follow(t, runbook(t, "webhook's key may be known"))
	clustertest.Within(t, patience, func(ctx context.Context) error {
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
	clustertest.Within(t, patience, settled)
	load := newStream(t)
	load.warm(t)
	old, fault := serving(t), time.Now()
	kubectl(t, "-n", ownNamespace, "patch", "secret", secretName, "--type=json", "-p", `[{"op": "remove", "path": "/data"}]`)
	clustertest.Within(t, patience, func(context.Context) error {
		if now := serving(t); now == nil || bytes.Equal(now.Raw, old.Raw) {
			return fmt.Errorf("there is no new certificate")
		}
		return nil
	})
	time.Sleep(4 * time.Second)
	load.wantFailuresOnly(t, fault, 3*time.Second)
}

// The certificate may be the user's own. The commands are config/README.md's.
func TestACertificateOfTheUsersOwn(t *testing.T) {
	clustertest.Within(t, patience, settled)
	t.Cleanup(func() { // as an installation has it
		if err := cluster.CoreV1().Secrets(ownNamespace).Delete(context.Background(), secretName, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := command(context.Background(), "kubectl", "apply", "-f", "config/300-secret.yaml"); err != nil {
			t.Error(err)
		}
		if err := configuredBase(context.Background()); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	makeCertificate(t, dir)
	load, commands := newStream(t), documented(t, "config/README.md", "ca.crt")
	load.warm(t)
	fault := time.Now()
	for _, line := range commands {
		for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
			line = strings.ReplaceAll(line, "--from-file="+name, "--from-file="+filepath.Join(dir, name))
		}
		follow(t, []string{line})
	}
	if name := serving(t).Issuer.CommonName; name != "own authority" {
		t.Errorf("the certificate is by %q", name)
	}
	time.Sleep(4 * time.Second)
	load.wantFailuresOnly(t, fault, 3*time.Second)
	for _, pod := range webhooks(t) {
		leaf, err := served(t.Context(), pod)
		if err != nil || !leaf.Equal(serving(t)) {
			t.Errorf("%s does not serve it: %v", pod.Name, err)
		}
	}
	// What is installed again leaves it alone.
	kubectl(t, "apply", "-f", "config/300-secret.yaml")
	if name := serving(t).Issuer.CommonName; name != "own authority" {
		t.Errorf("it was replaced by one of %q", name)
	}
}

// makeCertificate writes tls.crt, tls.key and ca.crt.
func makeCertificate(t *testing.T, dir string) {
	t.Helper()
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "own authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "webhook"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		DNSNames: []string{"connaisseur-webhook." + ownNamespace + ".svc"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.crt": {Type: "CERTIFICATE", Bytes: authorityDER}, "tls.crt": {Type: "CERTIFICATE", Bytes: leafDER}, "tls.key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		write(t, filepath.Join(dir, name), string(pem.EncodeToMemory(block)))
	}
}

// serving is the certificate in the Secret; nil if there is none.
func serving(t *testing.T) *x509.Certificate {
	t.Helper()
	secret, err := cluster.CoreV1().Secrets(ownNamespace).Get(t.Context(), secretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := secret.Data["server-cert.pem"]
	if secret.Type == corev1.SecretTypeTLS {
		text = secret.Data[corev1.TLSCertKey]
	}
	block, _ := pem.Decode(text)
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

// served asks a replica for its certificate.
func served(ctx context.Context, pod corev1.Pod) (*x509.Certificate, error) {
	address, stop, err := forward(ctx, ownNamespace, "pod/"+pod.Name, 8443)
	if err != nil {
		return nil, err
	}
	defer stop()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // which one it is is the question
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}
