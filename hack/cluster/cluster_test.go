package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestComponentsTrustOneAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ids := identities([]string{"10.96.0.1"}, "node1", []string{"10.244.0.1"})
	if err := writeCerts(dir, "https://127.0.0.1:6443", ids); err != nil {
		t.Fatal(err)
	}
	roots := readRoots(t, dir)
	for _, id := range ids {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, id.file+".crt"), filepath.Join(dir, id.file+".key"))
		if err != nil {
			t.Fatal(err)
		}
		client := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if _, err := pair.Leaf.Verify(client); err != nil {
			t.Errorf("%s as a client: %v", id.file, err)
		}
		for _, host := range id.hosts {
			server := x509.VerifyOptions{Roots: roots, DNSName: host}
			if _, err := pair.Leaf.Verify(server); err != nil {
				t.Errorf("%s as the server %s: %v", id.file, host, err)
			}
		}
	}
}

func TestSecretsAreTheOwnersOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writeCerts(dir, "https://127.0.0.1:6443", identities(nil, "node1", nil)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		public := strings.HasSuffix(e.Name(), ".crt") || strings.HasSuffix(e.Name(), ".pub")
		if !public && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}

func TestProbeTrustsOnlyTheGivenAuthority(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	roots := x509.NewCertPool()
	if err := probe(t.Context(), server.URL, roots); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("unknown authority: got %v", err)
	}
	roots.AddCert(server.Certificate())
	if err := probe(t.Context(), server.URL, roots); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an answer that is not 200: got %v", err)
	}
}

func TestImageRoundTrip(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(program, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newRegistry(t.TempDir(), false))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/pause:nonroot"
	if err := runImage(t.Context(), []string{"-ref", ref, "-program", program}); err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.OS != "linux" || file.Config.User != nonroot || file.Config.Entrypoint[0] != "/pause" || len(file.RootFS.DiffIDs) != 1 {
		t.Errorf("got %+v", file)
	}
}

func TestBusyPortIsReplaced(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	busy := l.Addr().(*net.TCPAddr).Port
	got, err := freePorts([]string{strconv.Itoa(busy), strconv.Itoa(busy)})
	if err != nil {
		t.Fatal(err)
	}
	if got[0] == busy || got[1] == busy || got[0] == got[1] {
		t.Errorf("%d is busy, got %v", busy, got)
	}
	if _, err := freePorts([]string{"http"}); err == nil {
		t.Error("a name is no port")
	}
}

func readRoots(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("ca.crt holds no certificate")
	}
	return roots
}
