package registry

import (
	"context"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/sse-secure-systems/connaisseur/pkg/memo"
)

const (
	// maxPings and maxSessions bound what is remembered, in registries and in
	// repositories with credentials; maxChallenge and maxAuthorization bound
	// each. Together that is less than 20 MiB.
	maxPings         = 256
	maxSessions      = 1024
	maxChallenge     = 4 << 10
	maxAuthorization = 16 << 10
	// maxForms bounds of how many repositories and registries it is remembered
	// in which form signatures are found there: less than 2 MiB.
	maxForms = 8192
	// openingBound bounds a ping and the getting of a token, whoever waits.
	openingBound = 10 * time.Second
	// renewAfter is how old a session must be to be opened anew when it is
	// refused: a token may have been revoked, but a registry that always
	// refuses is not to be asked twice each time.
	renewAfter = 10 * time.Second
)

// Client talks to registries. It is safe for concurrent use.
type Client struct {
	options  Options
	hosts    *hosts
	guard    *guard
	limits   Limits
	budget   *budget
	timeout  time.Duration
	pings    *memo.Memo[*transport.Challenge]
	sessions *memo.Memo[*session]
	habits   *memo.Memo[habit]

	renewAfter time.Duration
}

// New makes a client. It returns an error for a host that is no host, that is
// configured twice, or whose certificates cannot be parsed.
func New(options Options) (*Client, error) {
	options = options.orDefaults()
	h, err := newHosts(options.Hosts)
	if err != nil {
		return nil, err
	}
	g, err := newGuard(h, options)
	if err != nil {
		return nil, err
	}
	return &Client{
		options: options,
		hosts:   h,
		guard:   g,
		limits:  options.Limits,
		budget:  newBudget(options.Limits),
		timeout: options.Timeout,
		pings:   memo.New[*transport.Challenge](maxPings, openingBound),
		// Opening a session may include a ping.
		sessions: memo.New[*session](maxSessions, 2*openingBound),
		habits:   memo.New[habit](maxForms, openingBound),

		renewAfter: renewAfter,
	}, nil
}

// Trusting is a client that trusts a PEM bundle for every registry, besides what
// this one trusts. They share nothing but the bound of what they read at a time:
// what was learnt by the one could come from somebody whom the other does not
// trust. It must be closed like any other.
func (c *Client) Trusting(cas []byte) (*Client, error) {
	options := c.options
	options.CAs = slices.Concat(options.CAs, []byte("\n"), cas)
	other, err := New(options)
	if err != nil {
		return nil, err
	}
	other.budget = c.budget
	return other, nil
}

// Hosts are the registries that the options name, and their mirrors.
func (c *Client) Hosts() []string { return c.hosts.named() }

// Close closes idle connections. The client can still be used.
func (c *Client) Close() { c.guard.close() }

// begin makes a call end in time and pay for what it reads, until end.
func (c *Client) begin(ctx context.Context) (bounded context.Context, end func()) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	ctx, closeAccount := c.budget.open(ctx)
	return ctx, func() {
		cancel()
		closeAccount()
	}
}

// Access is what one holder of credentials sees of the registries. It is safe
// for concurrent use.
type Access struct {
	client   *Client
	keychain authn.Keychain
	scope    string
}

// As is the access with these credentials; a nil keychain is anonymous. The
// scope identifies the credentials by their content: what was opened with one
// scope is never used for another, and what is opened anew asks the keychain
// of whoever is first. Keychains must give credentials only for the registry
// that they are asked about.
func (c *Client) As(keychain authn.Keychain, scope string) *Access {
	if keychain == nil {
		return &Access{client: c, keychain: authn.NewMultiKeychain(), scope: "anonymous"}
	}
	return &Access{client: c, keychain: keychain, scope: "as:" + scope}
}
