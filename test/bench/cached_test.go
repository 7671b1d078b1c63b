package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"knative.dev/pkg/logging"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
)

// sizes are those of the AdmissionReviews, in bytes.
var sizes = []int{1024, 8192}

// BenchmarkCachedAdmit admits an image whose verification is remembered,
// without HTTP and without reading the review.
func BenchmarkCachedAdmit(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newSystem(b)
			req := request(b, size, s.signed(b).String())
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.admitted(req); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkCachedHTTPS admits it over HTTPS on loopback. The time per operation
// includes what the client takes.
func BenchmarkCachedHTTPS(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newSystem(b)
			url, client := s.serve(b)
			text := body(b, size, s.signed(b).String())
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := post(client, url+admission.MutatePath, text); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func TestTheServerOfTheBenchmarksAdmits(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	url, client := s.serve(t)
	for _, size := range sizes {
		text := body(t, size, s.signed(t).String())
		if len(text) != size {
			t.Errorf("the review has %d bytes, want %d", len(text), size)
		}
		if err := post(client, url+admission.MutatePath+"?timeout=10s", text); err != nil {
			t.Error(err)
		}
	}
}

func post(client *http.Client, url string, review []byte) error {
	resp, err := client.Post(url, "application/json", bytes.NewReader(review))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"allowed":true`)) {
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return nil
}

// serve serves the system with the webhook's own server, and gives a client
// for it.
func (s *system) serve(tb testing.TB) (url string, client *http.Client) {
	tb.Helper()
	certificate, roots := selfSigned(tb)
	port := freePort(tb)
	ctx, cancel := context.WithCancel(logging.WithLogger(context.Background(), logger().Sugar()))
	server, err := admission.NewServer(ctx, admission.ServerOptions{
		Port: port, GracePeriod: time.Millisecond,
		Certificate: func() (*tls.Certificate, error) { return certificate, nil },
	}, s.handler)
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 64}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for range 100 {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "https://" + address, &http.Client{Transport: transport}
}

// freePort is a port that was free a moment ago.
func freePort(tb testing.TB) int {
	tb.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// selfSigned is a certificate for loopback, of the kind that the webhook makes.
func selfSigned(tb testing.TB) (*tls.Certificate, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}
