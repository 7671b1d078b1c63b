package notaryv1

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

const (
	// Type is the validator's type in the configuration.
	Type = "notaryv1"
	// DefaultServer is Docker Hub's notary server.
	DefaultServer = "notary.docker.io"
	// maxDelegations bounds the delegations that a rule names.
	maxDelegations = 64
)

// Server is what somebody sees of a notary server.
type Server interface {
	// TrustData fetches a file of a repository's metadata. The error is
	// registry.ErrNoTrustData or a *validator.Error.
	TrustData(ctx context.Context, server, repository, file string, limit int64, fresh bool) ([]byte, error)
}

// Access is what somebody sees of notary servers. The error is a
// *validator.Error.
type Access func(ctx context.Context, who validator.Identity) (Server, error)

// Dependencies is what the validator is built from.
type Dependencies struct {
	// Trust gives the material of trust roots.
	Trust trust.Source
	// Open gives access to the server, host[:port], with the validator's settings
	// for it. Errors have the paths of the keys in settings.
	Open func(server string, settings strict.Object, access registry.AccessConfig) (Access, strict.Errors)
	// State is what outlives the configuration.
	State *State
	// Now is the clock that expiry is judged by.
	Now func() time.Time
}

// Notary is a configured validator, yet without the settings of a rule.
type Notary struct {
	server string
	roots  []trust.Root
	access Access
	state  *State
	now    func() time.Time
}

// New reads the validator's settings.
func New(settings strict.Object, deps Dependencies) (*Notary, strict.Errors) {
	var config struct {
		registry.AccessConfig `config:",squash"`
		TrustRoots            []trust.KeyConfig `config:"trustRoots"`
		Host                  string            `config:"host"`
		// IsACR is for those who come from Connaisseur, where it left out a
		// question that is not asked here.
		IsACR bool `config:"isAcr"`
	}
	if errs := settings.Decode(&config); len(errs) > 0 {
		return nil, errs
	}
	n := &Notary{state: deps.State, now: deps.Now}
	var errs, more strict.Errors
	var err error
	if n.server, err = ParseServer(config.Host); err != nil {
		errs.Add(settings.Key("host"), "%v", err)
	}
	n.access, more = deps.Open(n.server, settings, config.AccessConfig)
	errs = append(errs, more...)
	n.roots, more = trust.LoadKeys(settings.Key("trustRoots"), config.TrustRoots, deps.Trust)
	errs = append(errs, more...)
	for i, root := range n.roots {
		for _, key := range root.Keys {
			if _, ok := key.Public.(ed25519.PublicKey); ok {
				errs.Add(fmt.Sprintf("%s[%d].key", settings.Key("trustRoots"), i), "is an Ed25519 key; root keys of Docker Content Trust are ECDSA or RSA")
			}
		}
	}
	return n, errs
}

// ParseServer reads a notary server's host[:port], also as a URL, and gives it
// without the scheme; empty stands for DefaultServer. Plain http is for servers on
// this machine only.
func ParseServer(text string) (string, error) {
	if text == "" {
		return DefaultServer, nil
	}
	full := text
	if !strings.Contains(text, "://") {
		full = "https://" + text
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%.80q must read HOST, HOST:PORT or https://HOST[:PORT]", text)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !trust.Loopback(u.Hostname())) {
		return "", fmt.Errorf("%.80q must begin with https://", text)
	}
	host := image.CanonicalHost(u.Host)
	if u.Scheme == "http" && u.Port() == "" {
		host += ":80"
	}
	// What could not be the host of an image is no host.
	if ref, err := image.Parse(host + "/x/y"); err != nil || ref.Registry() != host && host != "docker.io" {
		return "", fmt.Errorf("%.80q does not name a server; it must read HOST, HOST:PORT or https://HOST[:PORT]", text)
	}
	return host, nil
}

// ruleConfig is what a rule may say under "with".
type ruleConfig struct {
	trust.Selection `config:",squash"`
	Delegations     []string `config:"delegations"`
}

// Bind takes the settings of a rule.
func (n *Notary) Bind(with strict.Object) (*Bound, strict.Errors) {
	var config ruleConfig
	errs := with.Decode(&config)
	at := with.Key("delegations")
	if config.Delegations != nil && len(config.Delegations) == 0 {
		errs.Add(at, "is empty; leave it out to trust what the repository's own targets, or its delegation releases, have signed")
	}
	if len(config.Delegations) > maxDelegations {
		errs.Add(at, "has more than %d names", maxDelegations)
	}
	var roles []string
	for i, name := range config.Delegations {
		role := name
		if !strings.HasPrefix(name, dct.TargetsRole+"/") {
			role = dct.TargetsRole + "/" + name
		}
		if !dct.IsDelegation(role) {
			errs.Add(fmt.Sprintf("%s[%d]", at, i), "%.60q cannot be the name of a delegation, which has lower-case letters, digits, - and _ only", name)
		}
		if slices.Contains(roles, role) {
			errs.Add(fmt.Sprintf("%s[%d]", at, i), "%q is listed twice", name)
		}
		roles = append(roles, role)
	}
	quorum, more := config.Select(with.Path, n.roots)
	if errs = append(errs, more...); len(errs) > 0 {
		return nil, errs
	}
	b := &Bound{Notary: n, quorum: quorum, delegations: roles}
	b.trust = fmt.Sprintf("%s %s", n.server, quorum.Fingerprint())
	b.fingerprint = fmt.Sprintf("%s %s %q", Type, b.trust, roles)
	return b, nil
}
