package admission

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	certresources "knative.dev/pkg/webhook/certificates/resources"
)

const (
	// certificateLifetime and renewBefore leave a cluster that stood still
	// for ten days enough time to come back.
	certificateLifetime = 30 * 24 * time.Hour
	renewBefore         = 10 * 24 * time.Hour
	// maxSkew is how far an API server's clock, or the next leader's, may be behind.
	maxSkew = time.Hour
	// nextPrefix marks the pair that is to be served once its CA is known.
	nextPrefix = "next-"
)

// external tells whether somebody else looks after the Secret: cert-manager,
// or the user. Such a Secret is of type kubernetes.io/tls.
func external(secret *corev1.Secret) bool { return secret.Type == corev1.SecretTypeTLS }

// pair gives the serving certificate and key of a Secret.
func pair(secret *corev1.Secret) (certificate, key []byte) {
	if external(secret) {
		return secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	}
	return secret.Data[certresources.ServerCert], secret.Data[certresources.ServerKey]
}

// authorities gives the PEM bundle that API servers must trust.
func authorities(secret *corev1.Secret) []byte {
	if external(secret) {
		return secret.Data["ca.crt"]
	}
	return secret.Data[certresources.CACert]
}

// CertificateSource serves the certificate of a Secret, parsed once for each
// version. As long as it has not expired it is served on where the Secret is gone, or
// what is in it cannot be used.
func CertificateSource(get func() (*corev1.Secret, error)) func() (*tls.Certificate, error) {
	var mu sync.Mutex
	var version string
	var parsed *tls.Certificate
	return func() (*tls.Certificate, error) {
		secret, err := get()
		mu.Lock()
		defer mu.Unlock()
		if err == nil && parsed != nil && version == secret.ResourceVersion {
			return parsed, nil
		}
		loaded, err := load(secret, err)
		switch {
		case err == nil:
			parsed, version = loaded, secret.ResourceVersion
		case parsed == nil || !time.Now().Before(parsed.Leaf.NotAfter):
			return nil, err
		}
		return parsed, nil
	}
}

// missing says what to do about a Secret that is not there. The webhook may not make it:
// whoever may make one Secret may make any.
func missing(name string) error {
	return fmt.Errorf("Secret %s is missing: apply the manifest that it came with (config/300-secret.yaml), or put your own certificate in its place", name)
}

// load parses the certificate of a Secret that was read, or was not.
func load(secret *corev1.Secret, err error) (*tls.Certificate, error) {
	if err != nil {
		return nil, fmt.Errorf("cannot read the webhook's certificate: %w", err)
	}
	certificate, key := pair(secret)
	if len(certificate) == 0 || len(key) == 0 {
		return nil, fmt.Errorf("Secret %s holds no certificate yet", secret.Name)
	}
	loaded, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate in Secret %s cannot be used: %w", secret.Name, err)
	}
	return &loaded, nil
}

// issued is a new certificate under a new authority, as PEM.
type issued struct{ authority, certificate, key []byte }

// issue makes a certificate for the hosts. The authority's key is thrown away:
// it signs this one certificate only.
func issue(hosts []string, now time.Time) (issued, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issued{}, err
	}
	authority := template("connaisseur webhook CA", now)
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign
	authority.MaxPathLenZero = true
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return issued{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issued{}, err
	}
	leaf := template(hosts[0], now)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	if err != nil {
		return issued{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return issued{}, err
	}
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	return issued{encode("CERTIFICATE", authorityDER), encode("CERTIFICATE", leafDER), encode("PRIVATE KEY", keyDER)}, nil
}

func template(name string, now time.Time) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // crypto/rand does not fail
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"connaisseur"}},
		NotBefore:    now.Add(-maxSkew),
		NotAfter:     now.Add(certificateLifetime),
	}
}

// leafOf parses a pair and makes sure that it serves for the hosts now, with
// an authority of the bundle.
func leafOf(certificate, key, bundle []byte, hosts []string, now time.Time) (*x509.Certificate, error) {
	loaded, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	leaf := loaded.Leaf
	if leaf == nil {
		return nil, errors.New("no certificate")
	}
	for _, host := range hosts {
		if err := leaf.VerifyHostname(host); err != nil {
			return nil, err
		}
	}
	if !now.Before(leaf.NotAfter) { // as unexpired sees it
		return nil, errors.New("the certificate has expired")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	for _, der := range loaded.Certificate[1:] {
		if one, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(one)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now}); err != nil {
		return nil, err
	}
	return leaf, nil
}

// unexpired gives the authorities of a bundle that have not expired, as PEM.
func unexpired(bundle []byte, now time.Time) (kept [][]byte) {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && now.Before(cert.NotAfter) {
			kept = append(kept, pem.EncodeToMemory(block))
		}
	}
	return kept
}

// split parts the authorities of a bundle in those by which a certificate is valid
// and the others, without those that have expired.
func split(bundle []byte, leaf *x509.Certificate, now time.Time) (needed, spare [][]byte) {
	for _, authority := range unexpired(bundle, now) {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(authority)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now}); err == nil {
			needed = append(needed, authority)
		} else {
			spare = append(spare, authority)
		}
	}
	return needed, spare
}

// newest are the last ones, as many as may be kept beside what is served.
func newest(authorities [][]byte) [][]byte {
	return authorities[max(len(authorities)-maxSpare, 0):]
}
