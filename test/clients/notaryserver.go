//go:build integration

package clients

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// Notary is a running server of Notary V1 that forgets everything when it ends.
type Notary struct {
	// Host is where it is, and CA the certificate, in PEM form, that its own is by.
	Host string
	CA   []byte

	dir    string
	client string // the program
	server *server
}

// StartNotary builds and starts a server. Close must be called if there is no
// error.
func StartNotary(ctx context.Context) (*Notary, error) {
	tools, err := find(ctx, "notary", "notary-server")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "notary-")
	if err != nil {
		return nil, err
	}
	n := &Notary{dir: dir, client: tools["notary"]}
	if err := errors.Join(n.start(ctx, tools["notary-server"]), ctx.Err()); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *Notary) start(ctx context.Context, program string) error {
	if err := n.writeCertificates(); err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	n.Host = local(ports[0])
	started, err := startServer(n.dir, "notary-server", program, "-address", n.Host, "-certificate", "server.pem", "-key", "server.key")
	if err != nil {
		return err
	}
	n.server = started
	return started.await(ctx, answersTo(n.HTTPClient(), "https://"+n.Host+"/v2/"))
}

// writeCertificates makes what the server shows to its clients.
func (n *Notary) writeCertificates() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	certificates, err := chain(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "notary"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key, authority("notary root"), rootKey)
	if err != nil {
		return err
	}
	n.CA = certificatesPEM(certificates[1])
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return errors.Join(err,
		os.WriteFile(n.caFile(), n.CA, 0o600),
		os.WriteFile(filepath.Join(n.dir, "server.pem"), certificatesPEM(certificates...), 0o600),
		os.WriteFile(filepath.Join(n.dir, "server.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

func (n *Notary) caFile() string { return filepath.Join(n.dir, "ca.pem") }

// HTTPClient trusts the server's certificate, and no other.
func (n *Notary) HTTPClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(n.CA)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

// Close stops the server and removes all files, those of the clients too.
func (n *Notary) Close() {
	if n.server != nil {
		n.server.stop()
	}
	_ = os.RemoveAll(n.dir) // in the folder of temporary files
}
