package notationtest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Revocations is where it can be asked which certificates of an authority were
// revoked: an OCSP responder and a CRL distribution point.
type Revocations struct {
	authority *Authority
	server    *httptest.Server

	mu      sync.Mutex
	revoked map[string]time.Time // by serial number
	by      *Signer              // signs OCSP answers instead of the authority
	handler http.Handler         // answers instead
	asked   int
}

// Revocations serves what there is to ask about the authority's certificates.
func (a *Authority) Revocations(tb TB) *Revocations {
	tb.Helper()
	r := &Revocations{authority: a, revoked: map[string]time.Time{}}
	r.server = httptest.NewServer(r)
	tb.Cleanup(r.server.Close)
	return r
}

// OCSP and CRL have a certificate name this server.
func (r *Revocations) OCSP() CertificateOption { return OCSP(r.server.URL + "/ocsp") }

// CRL is described at OCSP.
func (r *Revocations) CRL() CertificateOption { return CRL(r.server.URL + "/crl") }

// Host is the server's host and port.
func (r *Revocations) Host() string { return r.server.Listener.Addr().String() }

// Revoke revokes a certificate.
func (r *Revocations) Revoke(s *Signer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked[s.Chain[0].SerialNumber.String()] = time.Now().Add(-time.Hour)
}

// AnswerBy has OCSP answers signed by somebody with a certificate of the
// authority.
func (r *Revocations) AnswerBy(s *Signer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by = s
}

// Answer has all questions answered by another; nil ends that.
func (r *Revocations) Answer(h http.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handler = h
}

// Asked is how often somebody asked.
func (r *Revocations) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// ServeHTTP implements http.Handler.
func (r *Revocations) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.asked++
	handler := r.handler
	r.mu.Unlock()
	switch {
	case handler != nil:
		handler.ServeHTTP(w, req)
	case req.URL.Path == "/crl":
		r.serveCRL(w)
	default:
		r.serveOCSP(w, req)
	}
}

func (r *Revocations) serveOCSP(w http.ResponseWriter, req *http.Request) {
	question, err := io.ReadAll(req.Body)
	if req.Method == http.MethodGet {
		escaped := strings.TrimPrefix(req.URL.EscapedPath(), "/ocsp/")
		text, _ := url.PathUnescape(escaped)
		if unescaped, err := url.QueryUnescape(text); err == nil && strings.Contains(text, "%") {
			text = unescaped // the library escapes twice
		}
		question, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	asked, err := ocsp.ParseRequest(question)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	at, revoked := r.revoked[asked.SerialNumber.String()]
	by, responder, key := r.by, r.authority.Certificate, r.authority.key
	r.mu.Unlock()
	answer := ocsp.Response{
		Status: ocsp.Good, SerialNumber: asked.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
		IssuerHash: crypto.SHA1,
	}
	if revoked {
		answer.Status, answer.RevokedAt = ocsp.Revoked, at
	}
	if by != nil {
		answer.Certificate = by.Chain[0]
		responder, key = by.Chain[0], by.Key
	}
	body, err := ocsp.CreateResponse(r.authority.Certificate, responder, answer, key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(body)
}

func (r *Revocations) serveCRL(w http.ResponseWriter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for serial, at := range r.revoked {
		number, _ := new(big.Int).SetString(serial, 10)
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: number, RevocationTime: at})
	}
	body, err := x509.CreateRevocationList(rand.Reader, list, r.authority.Certificate, r.authority.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/pkix-crl")
	_, _ = w.Write(body)
}
