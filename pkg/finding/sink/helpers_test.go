package sink_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// objects are entries of ConfigMaps and Secrets by what refers to them.
type objects map[string]string

func (o objects) ConfigMapEntry(name, key string) ([]byte, error) {
	return o.entry("configmap://" + name + "/" + key)
}

func (o objects) SecretEntry(namespace, name, key string) ([]byte, error) {
	return o.entry("k8s://" + namespace + "/" + name + "/" + key)
}

func (objects) Remote(trust.Remote) ([]byte, error) { return nil, trust.ErrNotThere }

func (o objects) entry(reference string) ([]byte, error) {
	text, ok := o[reference]
	if !ok {
		return nil, trust.ErrNotThere
	}
	return []byte(text), nil
}

// settings are an item of the list of sinks.
type settings map[string]any

// parse reads a sink's settings, which must be right.
func parse(t *testing.T, s settings, o objects) finding.Spec {
	t.Helper()
	s["name"] = "test"
	spec, warnings, errs := sink.Parse(strict.Object{Path: "sinks[0]", Fields: s}, o)
	if len(errs)+len(warnings) > 0 {
		t.Fatal(errs, warnings)
	}
	return spec
}

// open connects a sink, which must be possible.
func open(t *testing.T, s settings, o objects) finding.Sink {
	t.Helper()
	opened, err := parse(t, s, o).Open(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// send sends events, which must be possible.
func send(t *testing.T, s finding.Sink, events ...cloudevents.Event) {
	t.Helper()
	if err := s.Send(soon(t), events); err != nil {
		t.Fatal(err)
	}
}

// attempt is how long a queue lets an attempt take.
const attempt = 10 * time.Second

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), attempt)
	t.Cleanup(cancel)
	return ctx
}

// event is one with all attributes that findings have.
func event(t *testing.T, id, subject string) cloudevents.Event {
	t.Helper()
	e := cloudevents.New()
	e.SetType(string(finding.Denied))
	e.SetSource("/clusters/test/namespaces/connaisseur/services/connaisseur-webhook")
	e.SetSubject(subject)
	e.SetID(id)
	e.SetTime(time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC))
	e.SetDataSchema("https://example.com/schema.json")
	e.SetExtension(finding.OutcomeExtension, "denied")
	e.SetExtension(finding.NamespaceExtension, "prod")
	if err := e.SetData(cloudevents.ApplicationJSON, map[string]string{"id": id, "umlaut": "ä"}); err != nil {
		t.Fatal(err)
	}
	return e
}

// says checks what an error says, and whether it would come again.
func says(t *testing.T, err error, permanent bool, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) || finding.IsPermanent(err) != permanent {
		t.Errorf("error %q (permanent: %t), want one with %q (%t)", err, finding.IsPermanent(err), words, permanent)
	}
}

// mute listens, and never says anything.
func mute(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return listener.Addr().String()
}

// dead is an address at which nobody listens.
func dead(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// endsWithItsContext checks that opening a sink takes no longer than it may.
func endsWithItsContext(t *testing.T, s settings, o objects) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := parse(t, s, o).Open(ctx); err == nil {
		t.Error("no error")
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

// authority issues certificates.
type authority struct {
	PEM  string
	Pool *x509.CertPool
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{PEM: encode("CERTIFICATE", der), Pool: x509.NewCertPool(), key: key}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Pool.AddCert(a.cert)
	return a
}

// issue gives a certificate for 127.0.0.1, for servers and clients, and its key.
func (a *authority) issue(t *testing.T, name string) (certificate, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

// server is what a server needs that wants to see certificates of clients.
func (a *authority) server(t *testing.T) *tls.Config {
	t.Helper()
	certificate, key := a.issue(t, "server")
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: a.Pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
