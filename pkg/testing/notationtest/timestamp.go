package notationtest

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/notaryproject/tspclient-go"
)

// TimestampAuthority is one, with a root of its own. It is a handler for the
// protocol of RFC 3161 over HTTP.
type TimestampAuthority struct {
	Root   *Authority
	signer *Signer
	// At is the time that it states; the present if zero.
	At time.Time
}

// NewTimestampAuthority makes one. The options are for its own certificate.
func NewTimestampAuthority(tb TB, options ...CertificateOption) *TimestampAuthority {
	tb.Helper()
	root := New(tb, "Timestamp Root", Valid(time.Now().AddDate(-20, 0, 0), time.Now().AddDate(20, 0, 0)))
	valid := Valid(time.Now().AddDate(-19, 0, 0), time.Now().AddDate(19, 0, 0))
	return &TimestampAuthority{Root: root, signer: root.Signer(tb, "Timestamps", append([]CertificateOption{forTimestamps, valid}, options...)...)}
}

// Timestamp implements tspclient.Timestamper.
func (a *TimestampAuthority) Timestamp(_ context.Context, req *tspclient.Request) (*tspclient.Response, error) {
	question, err := req.MarshalBinary()
	if err != nil {
		return nil, err
	}
	answer, err := a.answer(question)
	if err != nil {
		return nil, err
	}
	var resp tspclient.Response
	return &resp, resp.UnmarshalBinary(answer)
}

// ServeHTTP implements http.Handler.
func (a *TimestampAuthority) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	question, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := a.answer(question)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	_, _ = w.Write(answer)
}

func (a *TimestampAuthority) answer(question []byte) ([]byte, error) {
	asked, err := timestamp.ParseRequest(question)
	if err != nil {
		return nil, err
	}
	at := a.At
	if at.IsZero() {
		at = time.Now()
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Time: at, Accuracy: time.Second, Nonce: asked.Nonce,
		Policy: asn1.ObjectIdentifier{0, 4, 0, 2023, 1, 1}, SerialNumber: big.NewInt(at.UnixNano()), AddTSACertificate: true,
	}
	return stamp.CreateResponseWithOpts(a.signer.Chain[0], a.signer.Key, crypto.SHA256)
}

// pool are the roots that a signing client trusts.
func (a *TimestampAuthority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Root.Certificate)
	return pool
}
