package credentials

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"go.yaml.in/yaml/v3"
)

// The entries of Secrets that hold credentials.
const (
	dockerConfigKey   = ".dockerconfigjson" // kubernetes.io/dockerconfigjson
	legacyConfigKey   = ".dockercfg"        // kubernetes.io/dockercfg
	connaisseurKey    = "secret.yaml"       // Connaisseur's own
	basicUserKey      = "username"          // kubernetes.io/basic-auth
	basicPasswordKey  = "password"
	basicRegistryKey  = "registry" // ours, since basic-auth names no host
	maxLogins         = 1000
	maxSecretBytes    = 1 << 20 // Kubernetes' own limit
	tokenUser         = "<token>"
	forbiddenInTokens = " \t\r\n\x00"
)

// FromSecret reads the entries of a Secret of ours; name is for messages. What
// is wrong is told to those who need it.
func FromSecret(name string, entries map[string][]byte) Set { return FromSecretFor("", name, entries) }

// FromSecretFor is FromSecret where a user and a password that no registry is
// named beside are for this host.
func FromSecretFor(host, name string, entries map[string][]byte) Set {
	r := reader{name: name, host: host}
	return r.readAll(entries, dockerConfigKey, legacyConfigKey, connaisseurKey, basicPasswordKey)
}

// FromPullSecret reads a Secret that Pods are pulled with, which has only
// Kubernetes' own formats for that.
func FromPullSecret(name string, entries map[string][]byte) Set {
	return read(name, entries, dockerConfigKey, legacyConfigKey)
}

// FromDockerConfig reads a configuration file of Docker's.
func FromDockerConfig(name string, text []byte) Set {
	return read(name, map[string][]byte{dockerConfigKey: text}, dockerConfigKey)
}

func read(name string, entries map[string][]byte, formats ...string) Set {
	r := reader{name: name}
	return r.readAll(entries, formats...)
}

func (r *reader) readAll(entries map[string][]byte, formats ...string) Set {
	known, size := false, 0
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		sum := sha256.Sum256(entries[key])
		r.set.sums = append(append(r.set.sums, fmt.Sprintf("%q ", key)...), sum[:]...)
		size += len(entries[key])
	}
	if size > maxSecretBytes {
		r.fail("it is larger than %d bytes", maxSecretBytes)
		return r.set
	}
	for _, format := range formats {
		if _, ok := entries[format]; ok {
			known = true
			r.read(format, entries)
		}
	}
	if !known {
		r.fail("it has no entry %s", strings.Join(formats, " or "))
	}
	if len(r.set.logins) > maxLogins {
		r.set = Set{sums: r.set.sums}
		r.fail("it has more than %d logins", maxLogins)
	}
	return r.set
}

func (r *reader) read(format string, entries map[string][]byte) {
	switch format {
	case dockerConfigKey:
		r.dockerConfig(entries[format])
	case legacyConfigKey:
		r.legacyConfig(entries[format])
	case connaisseurKey:
		r.connaisseur(entries[format])
	case basicPasswordKey:
		r.basic(entries)
	}
}

// Missing is the set of a Secret that could not be read at all, and why.
func Missing(name, why string) Set {
	r := reader{name: name}
	r.fail("%s", why)
	r.set.sums = []byte("missing " + name)
	return r.set
}

// reader makes a set out of a Secret.
type reader struct {
	name string
	host string // where a login is for that says nothing about it; "" for nowhere
	set  Set
}

// fail notes that something could not be read, of which it is not known what it
// is for.
func (r *reader) fail(format string, args ...any) {
	if r.set.broken == nil {
		r.set.broken = unreadable(r.name, format, args...)
	}
}

// add takes a login for a key, or why there is none.
func (r *reader) add(entry, key string, config authn.AuthConfig, err error) {
	s, bad := parseScope(key)
	if bad != nil {
		r.fail("in its entry %s, %v", entry, bad)
		return
	}
	l := login{scope: s, config: config}
	if err != nil {
		l.broken = unreadable(r.name, "in its entry %s, what is said about %.60q %v", entry, key, err)
	}
	r.set.logins = append(r.set.logins, l)
}

func (r *reader) dockerConfig(text []byte) {
	var file struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	// Errors of this decoder may quote what it reads.
	if err := json.Unmarshal(text, &file); err != nil || file.Auths == nil {
		r.fail("its entry %s is no Docker configuration with auths", dockerConfigKey)
		return
	}
	r.auths(dockerConfigKey, file.Auths)
}

func (r *reader) legacyConfig(text []byte) {
	var auths map[string]json.RawMessage
	if err := json.Unmarshal(text, &auths); err != nil {
		r.fail("its entry %s is no Docker configuration", legacyConfigKey)
		return
	}
	r.auths(legacyConfigKey, auths)
}

func (r *reader) auths(entry string, auths map[string]json.RawMessage) {
	for _, key := range slices.Sorted(maps.Keys(auths)) {
		config, err := parseAuth(auths[key])
		r.add(entry, key, config, err)
	}
}

// parseAuth reads one of a Docker configuration's auths.
func parseAuth(text []byte) (authn.AuthConfig, error) {
	var auth authn.AuthConfig
	if err := json.Unmarshal(text, &auth); err != nil {
		return authn.AuthConfig{}, errors.New("is no login: its auth must be base64 of USER:PASSWORD")
	}
	auth.Password = strings.TrimRight(auth.Password, "\x00")
	switch {
	case strings.ContainsAny(auth.IdentityToken+auth.RegistryToken, forbiddenInTokens):
		return authn.AuthConfig{}, errors.New("is no login: a token must not hold white space")
	case auth.IdentityToken != "":
		return authn.AuthConfig{IdentityToken: auth.IdentityToken}, nil
	case auth.RegistryToken != "":
		return authn.AuthConfig{RegistryToken: auth.RegistryToken}, nil
	case auth.Username == "" || auth.Password == "":
		return authn.AuthConfig{}, errors.New("is no login: it has no user or no password")
	}
	return Login(auth.Username, auth.Password), nil
}

// Login is a login with a user and a password. As Docker's credential helpers
// have it, the password of the user <token> is an identity token.
func Login(user, password string) authn.AuthConfig {
	if user == tokenUser {
		return authn.AuthConfig{IdentityToken: password}
	}
	return authn.AuthConfig{Username: user, Password: password}
}

// connaisseur reads the file that Connaisseur has for one registry.
func (r *reader) connaisseur(text []byte) {
	var file struct {
		Registry, Username, Password string
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		r.fail("its entry %s is no mapping of registry, username and password to texts", connaisseurKey)
		return
	}
	r.named(connaisseurKey, file.Registry, file.Username, file.Password)
}

// basic reads kubernetes.io/basic-auth. It says for which host only if somebody
// put an entry of ours beside.
func (r *reader) basic(entries map[string][]byte) {
	text := func(key string) string { return strings.TrimRight(string(entries[key]), "\r\n") }
	r.named(basicPasswordKey, text(basicRegistryKey), text(basicUserKey), text(basicPasswordKey))
}

func (r *reader) named(entry, registry, user, password string) {
	if registry == "" {
		registry = r.host
	}
	switch {
	case registry == "":
		r.fail("beside its entry %s no registry is named, and a password is not for every registry; put the host into the entry %s, or use %s",
			entry, basicRegistryKey, dockerConfigKey)
	case user == "" || password == "":
		r.add(entry, registry, authn.AuthConfig{}, errors.New("is no login: it has no user or no password"))
	default:
		r.add(entry, registry, Login(user, password), nil)
	}
}
