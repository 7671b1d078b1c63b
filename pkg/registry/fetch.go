package registry

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// question is one request to a repository.
type question struct {
	method string
	path   string // within the repository: manifests/… or blobs/…
	query  string
	accept string
	limit  int64 // bytes of the answer's body
	fresh  bool  // past all caches on the way
}

// answer is a response that was read whole.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	foreign bool // given by another host, after a redirect
	as      as
}

// ask sends a question with the session of the repository. Every status is an
// answer; an error is a *validator.Error.
func (a *Access) ask(ctx context.Context, t target, q question) (*answer, error) {
	s, err := a.session(ctx, t)
	if err != nil {
		return nil, err
	}
	got, err := a.client.send(ctx, t, s, q)
	if err != nil || got.foreign || got.status != http.StatusUnauthorized || time.Since(s.opened) < a.client.renewAfter {
		return got, err
	}
	a.client.sessions.Forget(a.sessionKey(t))
	a.client.pings.Forget(t.host)
	if s, err = a.session(ctx, t); err != nil {
		return nil, err
	}
	return a.client.send(ctx, t, s, q)
}

func (c *Client) send(ctx context.Context, t target, s *session, q question) (*answer, error) {
	at := url.URL{Scheme: s.scheme, Host: s.host, Path: "/v2/" + t.repository + "/" + q.path, RawQuery: q.query}
	req, err := http.NewRequestWithContext(withLimit(on(ctx, t.host, q.kind()), q.limit), q.method, at.String(), nil)
	if err != nil {
		return nil, classify(called(ctx, t.host), q.path, s.as, err)
	}
	if q.accept != "" {
		req.Header.Set("Accept", q.accept)
	}
	if q.fresh {
		req.Header.Set("Cache-Control", "no-cache") // RFC 9111, section 5.2.1.4
	}
	resp, err := (&http.Client{Transport: authorized{session: s, guard: c.guard}}).Do(req)
	if err != nil {
		return nil, c.guard.unreachable(ctx, t.host, err)
	}
	defer resp.Body.Close()
	read, ok := resp.Body.(*whole) // a copy would not be paid for
	if !ok {
		return nil, validator.Errorf(validator.Internal, "what registry %s answers went past its limits", t.host)
	}
	return &answer{
		status:  resp.StatusCode,
		header:  resp.Header,
		body:    read.body,
		foreign: resp.Request.URL.Host != s.host,
		as:      s.as,
	}, nil
}

// refused is the error for an answer that is not success.
func (g *answer) refused(t target, what string) error {
	return refusedBy(registryNoun+" "+t.host, what, g.status, codeIn(g.body), g.as)
}
