package registry

import (
	"context"
	"errors"
	"net/http"
)

// maxRevocationBytes bounds what an OCSP responder or a CRL distribution point
// answers. The largest CRLs are larger, and mean to be fetched by those who keep
// them.
const maxRevocationBytes = 4 << 20

// Revocation asks OCSP responders and CRL distribution points, whose addresses
// stand in certificates. They are asked by plain HTTP, and their answers are
// signed: RFC 6960, appendix A, and RFC 5280, section 4.2.1.13. Everything else is
// as for registries: which addresses are connected to, proxies, bounds.
func (c *Client) Revocation() *http.Client {
	return &http.Client{
		Transport: revocation{c},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it redirects, which is not followed")
		},
	}
}

type revocation struct{ client *Client }

// RoundTrip implements http.RoundTripper.
func (r revocation) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := context.WithValue(req.Context(), nounKey{}, "revocation server")
	ctx = context.WithValue(withLimit(ctx, maxRevocationBytes), selfProvingKey{}, true)
	ctx, end := r.client.begin(ctx)
	defer end() // the answer has been read whole
	return r.client.guard.RoundTrip(req.WithContext(ctx))
}

type selfProvingKey struct{}

// selfProving tells whether what is asked for proves itself, so that plain HTTP
// takes nothing away.
func selfProving(ctx context.Context) bool {
	is, _ := ctx.Value(selfProvingKey{}).(bool)
	return is
}
