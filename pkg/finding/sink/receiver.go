package sink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// Reader reads what a receiver's settings refer to, for receivers that take
// something else than events. What is not there yet is a warning.
type Reader struct{ r reader }

// NewReader makes a Reader of the settings.
func NewReader(o strict.Object, source trust.Source) *Reader {
	return &Reader{reader{object: o, source: source, identity: sha256.New()}}
}

// Secret reads an entry of a Secret; empty if it is not there.
func (r *Reader) Secret(key, reference string) string { return r.r.secret(key, reference) }

// ConfigMap reads an entry of a ConfigMap; nil if it is not there.
func (r *Reader) ConfigMap(key, reference string) []byte {
	ref, err := trust.ParseReference(reference)
	if _, _, ok := ref.ConfigMap(); err != nil || !ok {
		r.r.add(key, "%.100q must read configmap://NAME/KEY", reference)
		return nil
	}
	return r.r.read(key, reference, ref)
}

// Authorities reads certificates that are trusted besides the system's; nil if
// there is no reference.
func (r *Reader) Authorities(key, reference string) *x509.CertPool {
	return r.r.authorities(key, reference)
}

// Identity is a hash of all that was read, and of more.
func (r *Reader) Identity(more ...any) string {
	fmt.Fprintf(r.r.identity, "%q %v", fmt.Sprint(more...), r.r.missing)
	return hex.EncodeToString(r.r.identity.Sum(nil))
}

// Missing is what is not there yet, without which nothing can be sent.
func (r *Reader) Missing() error { return r.r.missing }

// Problems are what is probably not meant, and what is wrong.
func (r *Reader) Problems() (warnings, errs strict.Errors) { return r.r.warnings, r.r.errs }

// Client posts documents by HTTP.
type Client struct{ client *http.Client }

// NewClient makes a Client that trusts these authorities, or the system's.
func NewClient(authorities *x509.CertPool) *Client { return &Client{newClient(authorities)} }

// Post sends a document, and gives what is answered. Neither the URL nor headers are
// in the error, which is as a Sink's.
func (c *Client) Post(ctx context.Context, url string, header http.Header, body []byte) (answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, finding.Permanent(errors.New("the URL is not valid"))
	}
	request.Header = header
	return do(c.client, request)
}

// Close ends connections.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// Refused tells whether an error is the receiver's answer.
func Refused(err error) bool { return errors.As(err, new(refused)) }
