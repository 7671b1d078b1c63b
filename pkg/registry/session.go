package registry

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	pingLifetime = 15 * time.Minute
	// loginLifetime is how long credentials are used that are no tokens. A
	// keychain may renew them at any time.
	loginLifetime = 5 * time.Minute
	// defaultTokenSeconds is what a token is worth that does not say so:
	// distribution's token specification, "expires_in".
	defaultTokenSeconds = 60
	maxTokenSeconds     = 60 * 60
)

// session is an open door to one repository.
type session struct {
	host          string // as in URLs
	scheme        string
	authorization string // the header's value; empty for none
	as            as
	opened        time.Time
}

// authorize adds credentials to a request only if it goes to the very host,
// port and scheme that they are for, wherever redirects led.
func (s *session) authorize(req *http.Request) *http.Request {
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	if s.authorization != "" && req.URL.Scheme == s.scheme && req.URL.Host == s.host {
		req.Header.Set("Authorization", s.authorization)
	}
	return req
}

// authorized is a transport with a session's credentials.
type authorized struct {
	session *session
	guard   *guard
}

// RoundTrip implements http.RoundTripper.
func (a authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	return a.guard.RoundTrip(a.session.authorize(req))
}

func (a *Access) sessionKey(t target) string {
	return t.host + "\x00" + t.repository + "\x00" + a.scope
}

// session returns the open session for a repository, or opens one.
func (a *Access) session(ctx context.Context, t target) (*session, error) {
	s, err := a.client.sessions.Get(ctx, a.sessionKey(t), func(ctx context.Context) (*session, time.Duration, error) {
		return a.open(ctx, t)
	})
	if err != nil {
		return nil, classify(called(ctx, t.host), "access to "+t.repository, unasked, err)
	}
	return s, nil
}

// open finds out how the registry wants to be spoken to and gets what
// credentials or token it wants for pulling from the repository.
func (a *Access) open(ctx context.Context, t target) (*session, time.Duration, error) {
	ctx, closeAccount := a.client.budget.open(ctx) // whoever started the flight may leave
	defer closeAccount()
	challenge, err := a.client.ping(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	s := &session{host: t.registry.RegistryStr(), scheme: "https", opened: time.Now()}
	if challenge.Insecure {
		s.scheme = "http"
	}
	login, err := a.login(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	if s.as = loggedIn; *login == (authn.AuthConfig{}) {
		s.as = nobody
	}
	if !strings.EqualFold(challenge.Scheme, "bearer") || login.RegistryToken != "" {
		if s.authorization = header(login); len(s.authorization) > maxAuthorization {
			return nil, 0, validator.Errorf(validator.RegistryUnauthorized,
				"the pull credentials for %s are longer than the %d bytes that are allowed; check the pull secrets", called(ctx, t.host), maxAuthorization)
		}
		return s, loginLifetime, nil
	}
	token, err := transport.Exchange(on(ctx, t.host, "token"), t.registry, authn.FromConfig(*login), a.client.guard,
		[]string{t.registry.Repo(t.repository).Scope(transport.PullScope)}, challenge)
	if err != nil {
		return nil, 0, classify(called(ctx, t.host), "a token for "+t.repository, s.as, err)
	}
	bearer := cmp.Or(token.AccessToken, token.Token)
	if len(bearer) > maxAuthorization {
		return nil, 0, validator.Errorf(validator.RegistryUnavailable,
			"%s gives out a token for %s that is longer than the %d bytes that are allowed", called(ctx, t.host), t.repository, maxAuthorization)
	}
	s.authorization = "Bearer " + bearer
	return s, tokenLifetime(token.ExpiresIn), nil
}

// ping asks a registry, once, how it wants to be spoken to. OCI distribution
// specification, section "Determining Support".
func (c *Client) ping(ctx context.Context, t target) (*transport.Challenge, error) {
	return c.pings.Get(ctx, t.host, func(ctx context.Context) (*transport.Challenge, time.Duration, error) {
		ctx, closeAccount := c.budget.open(ctx)
		defer closeAccount()
		challenge, err := transport.Ping(on(ctx, t.host, "ping"), t.registry, c.guard)
		if err != nil {
			return nil, 0, classify(called(ctx, t.host), "its API", unasked, err)
		}
		if challengeBytes(challenge) > maxChallenge {
			return nil, 0, validator.Errorf(validator.RegistryUnavailable,
				"%s says in more than the %d bytes that are allowed where to get a token", called(ctx, t.host), maxChallenge)
		}
		return trimmed(challenge), pingLifetime, nil
	})
}

// challengeBytes is how much a registry said.
func challengeBytes(c *transport.Challenge) int {
	n := len(c.Scheme)
	for name, value := range c.Parameters {
		n += len(name) + len(value)
	}
	return n
}

// trimmed is what transport.Exchange needs of a challenge, copied out of the
// header, which would be kept with it.
func trimmed(c *transport.Challenge) *transport.Challenge {
	kept := &transport.Challenge{Scheme: strings.Clone(c.Scheme), Insecure: c.Insecure, Parameters: map[string]string{}}
	for _, name := range []string{"realm", "service"} {
		if value, ok := c.Parameters[name]; ok {
			kept.Parameters[name] = strings.Clone(value)
		}
	}
	return kept
}

// login asks the keychain for the credentials.
func (a *Access) login(ctx context.Context, t target) (*authn.AuthConfig, error) {
	authenticator, err := authn.Resolve(ctx, a.keychain, t.registry.Repo(t.repository))
	if err == nil {
		var login *authn.AuthConfig
		if login, err = authn.Authorization(ctx, authenticator); err == nil {
			return login, nil
		}
	}
	var classified *validator.Error
	switch {
	case ctx.Err() != nil:
		return nil, late(called(ctx, t.host), ctx.Err())
	case errors.As(err, &classified):
		return nil, classified // by a keychain of ours, which knows what may be said
	}
	// The text is not repeated: it may quote credentials.
	return nil, &validator.Error{
		Reason:  validator.RegistryUnauthorized,
		Message: "the pull credentials for " + called(ctx, t.host) + " cannot be read; check the pull secrets",
		Err:     err,
	}
}

// header is the value of the Authorization header for credentials.
func header(login *authn.AuthConfig) string {
	switch {
	case login.RegistryToken != "":
		return "Bearer " + login.RegistryToken
	case login.Username != "" && login.Password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(login.Username+":"+login.Password))
	case login.Auth != "":
		return "Basic " + login.Auth
	}
	return ""
}

// tokenLifetime is how long a token is used that is said to last that many
// seconds: a little less, since it is still under way for a while.
func tokenLifetime(seconds int) time.Duration {
	if seconds <= 0 {
		seconds = defaultTokenSeconds
	}
	lifetime := time.Duration(min(seconds, maxTokenSeconds)) * time.Second
	return lifetime - min(lifetime/4, 10*time.Second)
}
