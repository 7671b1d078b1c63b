package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// maxRevocationBytes bounds what an OCSP responder or a CRL distribution point
// answers. The largest CRLs are larger, and mean to be fetched by those who keep
// them.
const maxRevocationBytes = 4 << 20

// Revocation asks OCSP responders and CRL distribution points, whose addresses
// stand in certificates. They are asked by plain HTTP, and their answers are
// signed: RFC 6960, appendix A, and RFC 5280, section 4.2.1.13. Everything else is
// as for registries: which addresses are connected to, proxies, bounds. An answer
// has been read whole, its ContentLength is known, and it counts towards what may
// be held in memory until its body is closed.
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
	ctx := context.WithValue(on(req.Context(), image.CanonicalHost(req.URL.Host), "revocation"), nounKey{}, "revocation server")
	ctx = context.WithValue(withLimit(ctx, maxRevocationBytes), selfProvingKey{}, true)
	ctx, end := r.client.begin(ctx)
	resp, err := r.client.guard.RoundTrip(req.WithContext(ctx))
	if err != nil {
		end()
		return nil, err
	}
	if read, ok := resp.Body.(*whole); ok {
		resp.ContentLength = int64(read.Len())
	}
	resp.Body = &paid{ReadCloser: resp.Body, end: sync.OnceFunc(end)}
	return resp, nil
}

// paid is a body that is paid for until it is closed.
type paid struct {
	io.ReadCloser
	end func()
}

// Close implements io.Closer.
func (p *paid) Close() error {
	defer p.end()
	return p.ReadCloser.Close()
}

type selfProvingKey struct{}

// selfProving tells whether what is asked for proves itself, so that plain HTTP
// takes nothing away.
func selfProving(ctx context.Context) bool {
	is, _ := ctx.Value(selfProvingKey{}).(bool)
	return is
}
