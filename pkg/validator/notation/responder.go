package notation

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// maxResponse bounds the answer of an OCSP responder; the library reads no more.
const maxResponse = 20 << 10

// responderTimeout bounds an OCSP responder's answer, so that there is time left to
// look into a CRL.
const responderTimeout = revocationTimeout / 2

// authorizedResponders lets answers pass that were signed by who may sign them:
// the issuer, or whom it has authorized for that. golang.org/x/crypto/ocsp takes
// an answer that is signed with any certificate of the issuer's, so that whoever
// has stolen a signer's key, or that of an authority in between, could tell us with
// it that it was not revoked. RFC 6960, section 4.2.2.2.
type authorizedResponders struct {
	http.RoundTripper
	chain []*x509.Certificate
}

// RoundTrip implements http.RoundTripper.
func (a authorizedResponders) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), responderTimeout)
	defer cancel() // the answer has been read whole
	resp, err := a.RoundTripper.RoundTrip(req.WithContext(ctx))
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxResponse {
		return nil, errors.New("its answer is too large")
	}
	if err := a.check(body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// check looks at nothing but who signed; the library verifies that, and what is
// said.
func (a authorizedResponders) check(body []byte) error {
	said, err := a.parse(body)
	var refused ocsp.ResponseError
	if errors.As(err, &refused) {
		return nil // it says no more than that it does not answer
	}
	if err != nil {
		return fmt.Errorf("its answer cannot be read: %w", err)
	}
	by, last := said.Certificate, len(a.chain)-1
	// An issuer that sends its own certificate along is a root: the library has the
	// issuer vouch for what is sent.
	if by == nil || by.Equal(a.chain[last]) {
		return nil
	}
	now := time.Now()
	switch {
	case !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning), slices.ContainsFunc(a.chain[:last], by.Equal):
		return fmt.Errorf("its answer is signed by %q, who is not authorized to", by.Subject)
	case now.Before(by.NotBefore), now.After(by.NotAfter):
		return fmt.Errorf("its answer is signed by %q, whose certificate is not valid now", by.Subject)
	}
	return nil
}

// parse reads an answer about one of the certificates, which may say something
// about others too.
func (a authorizedResponders) parse(body []byte) (said *ocsp.Response, err error) {
	for _, c := range a.chain {
		if said, err = ocsp.ParseResponseForCert(body, c, nil); err == nil {
			return said, nil
		}
	}
	return nil, err
}
