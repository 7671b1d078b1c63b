package notationtest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
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
	other   *Signer              // whom OCSP answers are about too
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

// Address is where its CRL is.
func (r *Revocations) Address() string { return r.server.URL + "/crl" }

// CRL is described at OCSP.
func (r *Revocations) CRL() CertificateOption { return CRL(r.Address()) }

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

// AnswerAbout has OCSP answers say something about another certificate first.
func (r *Revocations) AnswerAbout(other *Signer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.other = other
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
	by, other, responder, key := r.by, r.other, r.authority.Certificate, r.authority.key
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
	if err == nil && other != nil {
		answer.SerialNumber, answer.Status = other.Chain[0].SerialNumber, ocsp.Good
		var more []byte
		more, err = ocsp.CreateResponse(r.authority.Certificate, responder, answer, key)
		body = bothAnswers(more, body, key)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(body)
}

// bothAnswers is one answer for two. RFC 6960, section 4.2.1.
func bothAnswers(a, b []byte, key crypto.Signer) []byte {
	type response struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type  asn1.ObjectIdentifier
			Basic []byte
		} `asn1:"explicit,tag:0"`
	}
	type data struct {
		Responder asn1.RawValue
		At        time.Time `asn1:"generalized"`
		Answers   []asn1.RawValue
	}
	type basic struct {
		Data      data
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
		Chain     asn1.RawValue `asn1:"optional"`
	}
	var outer response
	both := make([]basic, 2)
	for i, one := range [][]byte{a, b} {
		if _, err := asn1.Unmarshal(one, &outer); err != nil {
			panic(err)
		}
		if _, err := asn1.Unmarshal(outer.Bytes.Basic, &both[i]); err != nil {
			panic(err)
		}
	}
	all := both[1]
	all.Data.Answers = append(both[0].Data.Answers, all.Data.Answers...)
	said, err := asn1.Marshal(all.Data)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(said)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	all.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	if outer.Bytes.Basic, err = asn1.Marshal(all); err != nil {
		panic(err)
	}
	made, err := asn1.Marshal(outer)
	if err != nil {
		panic(err)
	}
	return made
}

func (r *Revocations) serveCRL(w http.ResponseWriter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := r.authority.list([]ListOption{func(l *x509.RevocationList) {
		for serial, at := range r.revoked {
			number, _ := new(big.Int).SetString(serial, 10)
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: number, RevocationTime: at})
		}
	}})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/pkix-crl")
	_, _ = w.Write(body)
}
