package builtin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// SecretSource gives the entries of a Secret of our own namespace. The error is
// trust.ErrNotThere where there is no such Secret.
type SecretSource interface {
	SecretEntries(name string) (map[string][]byte, error)
}

// PullSecrets finds the credentials that workloads are pulled with.
type PullSecrets interface {
	// Of returns the logins of the pull secrets that the Pods name, followed by
	// those of their service account. The error is a *validator.Error.
	Of(ctx context.Context, who validator.Identity) (credentials.Set, error)
}

// access is how a validator reaches registries.
type access struct {
	client *registry.Client
	// unavailable is why registries cannot be reached as they should.
	unavailable *validator.Error
	// secret, pull and keychain are asked for a login in this order; nil is
	// left out.
	secret   *credentials.Set
	pull     bool
	pulls    PullSecrets
	keychain authn.Keychain
	// server is the notary server that is asked, and not registries; "" for none.
	server string
	// by identifies all of it.
	by string
}

// access reads a validator's settings for it, and for the notary server that it
// asks; "" for none.
func (d Dependencies) access(server string, settings strict.Object, config registry.AccessConfig) (*access, strict.Errors) {
	a := &access{client: d.Registry, pull: config.Auth.UseImagePullSecrets, pulls: d.PullSecrets, server: server}
	var errs strict.Errors
	by := []string{fmt.Sprintf("pull secrets %t keychain %t server %q", a.pull, config.Auth.UseKeychain, server)}
	if config.Cert != "" {
		sum, err := a.trust(settings.Key("cert"), config.Cert, d)
		if err != nil {
			errs = append(errs, err)
		}
		by = append(by, "cert "+sum)
	}
	if config.Auth.SecretName != "" {
		if len(validation.IsDNS1123Subdomain(config.Auth.SecretName)) > 0 {
			errs.Add(settings.Key("auth.secretName"), "%.60q cannot be the name of a Secret", config.Auth.SecretName)
		}
		set := d.read(server, config.Auth.SecretName)
		a.secret = &set
		by = append(by, "secret "+set.ID())
	} else if auth, ok := settings.Fields["auth"].(map[string]any); ok && auth["secretName"] != nil {
		errs.Add(settings.Key("auth.secretName"), "is empty; leave it out to ask registries without credentials")
	}
	if config.Auth.UseKeychain {
		if a.keychain = d.Keychain; a.keychain == nil {
			a.unavailable = validator.Errorf(validator.RegistryUnauthorized, "there is no cloud to get credentials from (auth.useKeychain)")
		}
	}
	if config.Auth == (registry.AuthConfig{}) && d.Logins != nil {
		a.secret = d.Logins
	}
	a.by = digest(strings.Join(by, " "))
	return a, errs
}

// trust makes the access trust certificates. A Secret that does not hold any is
// no error of the configuration, and makes registries unreachable.
func (a *access) trust(path, reference string, d Dependencies) (sum string, bad *strict.Error) {
	ref, err := trust.ParseReference(reference)
	if err != nil {
		return "", strict.Errorf(path, "%v", err)
	}
	_, _, secret := ref.Secret()
	pem, err := ref.Read(d.Trust)
	theirs := secret && (err == nil || errors.Is(err, trust.ErrNotThere) || errors.Is(err, trust.ErrUnavailable)) // whatever is wrong, it is the Secret
	if err == nil {
		err = checkCertificates(pem)
	}
	switch {
	case err != nil && theirs:
		a.unavailable = validator.Errorf(validator.TrustDataUnavailable, "the certificates that registries are verified with cannot be read: %s: %w", reference, err)
		return "unavailable", nil
	case err != nil:
		bad := strict.Errorf(path, "%v", err)
		if strings.Contains(reference, "://") { // rather than the certificates themselves
			bad.Message = reference + ": " + bad.Message
		}
		bad.Dangling = errors.Is(err, trust.ErrNotThere)
		return "", bad
	}
	trusting := d.Trusting
	if trusting == nil {
		trusting = d.Registry.Trusting
	}
	if a.client, err = trusting(pem); err != nil {
		return "", strict.Errorf(path, "%v", err)
	}
	return digest(string(pem)), nil
}

func checkCertificates(pem []byte) error {
	if found, err := cryptoutils.UnmarshalCertificatesFromPEM(pem); err != nil || len(found) == 0 {
		return errors.New("must hold PEM certificates and nothing else")
	}
	return nil
}

// read reads a Secret of ours. That it is not there concerns nobody but those
// who need it. host is what a login is for that names no registry.
func (d Dependencies) read(host, name string) credentials.Set {
	called := "Secret " + name + " (auth.secretName)"
	if d.Secrets == nil {
		return credentials.Missing(called, "there are no Secrets here")
	}
	entries, err := d.Secrets.SecretEntries(name)
	if err != nil {
		why := "it cannot be read"
		if errors.Is(err, trust.ErrNotThere) {
			why = "it does not exist"
		}
		return credentials.Missing(called, why)
	}
	return credentials.FromSecretFor(host, called, entries)
}

// as is what the validator sees for the identity. The error is a
// *validator.Error.
func (a *access) as(ctx context.Context, who validator.Identity) (*registry.Access, error) {
	if a.unavailable != nil {
		return nil, a.unavailable
	}
	var chain keychains
	id := a.by
	if a.secret != nil {
		chain = append(chain, *a.secret)
	}
	if a.pull {
		set, err := a.pulled(ctx, who)
		if err != nil {
			return nil, err
		}
		chain = append(chain, set)
		id += " " + set.ID()
	}
	if a.keychain != nil {
		chain = append(chain, a.keychain)
	}
	if len(chain) == 0 {
		return a.client.As(nil, ""), nil
	}
	if a.server != "" {
		return a.client.As(serverLogins{a.server, chain, a.secret}, id), nil
	}
	return a.client.As(chain, id), nil
}

func (a *access) pulled(ctx context.Context, who validator.Identity) (credentials.Set, error) {
	switch {
	case who == "":
		return credentials.Set{}, validator.Errorf(validator.RegistryUnauthorized, "it is not known whose pull secrets to use: the workload's namespace or service account has no valid name")
	case a.pulls == nil:
		return credentials.Set{}, validator.Errorf(validator.RegistryUnauthorized,
			"the validator uses the pull secrets of workloads (auth.useImagePullSecrets), which are in the cluster, and there is none that could be asked")
	}
	return a.pulls.Of(ctx, who)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
