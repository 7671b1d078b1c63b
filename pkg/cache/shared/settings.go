package shared

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The entries of the Secret.
const (
	keyEntry      = "key"
	usernameEntry = "username"
	passwordEntry = "password"
	caEntry       = "ca.crt"
	certEntry     = "tls.crt"
	certKeyEntry  = "tls.key"
)

const defaultPort = "6379"

// Rights are those that a user of Redis needs, in the words of ACL SETUSER.
const Rights = "resetkeys resetchannels -@all ~" + Prefix + "* +getrange +set +del +select"

// Settings say where the cache is. The zero value is none.
type Settings struct {
	address            string
	database           int
	tls                *tls.Config // nil for no TLS
	username, password string
	secret             []byte
	// missing is why there is no cache, although one is configured.
	missing  error
	identity string // changes when anything does
}

// Target is a URL of Redis.
type Target struct {
	address, host string
	database      int
	// Plain tells that there is no TLS.
	Plain bool
}

// ParseURL reads rediss://HOST[:PORT][/DATABASE], or redis:// for a connection
// without TLS.
func ParseURL(text string) (Target, error) {
	u, err := url.Parse(text) // its error has the text in it, and that may have a password
	switch {
	case err != nil, u.Scheme != "rediss" && u.Scheme != "redis", u.Hostname() == "", u.RawQuery != "", u.Fragment != "":
		return Target{}, errors.New("must be rediss://HOST[:PORT][/DATABASE]")
	case u.User != nil:
		return Target{}, errors.New("has a username or a password in it; these belong into the Secret")
	}
	t := Target{host: u.Hostname(), Plain: u.Scheme == "redis"}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	t.address = net.JoinHostPort(t.host, port)
	if path := strings.TrimPrefix(u.Path, "/"); path != "" {
		if t.database, err = strconv.Atoi(path); err != nil || t.database < 0 {
			return Target{}, fmt.Errorf("has %q for a database, which must be a number", path)
		}
	}
	return t, nil
}

// New makes settings of where Redis is and of the entries of a Secret. An error is
// what is wrong with these; the settings are valid all the same, and mean that
// there is no cache for that reason.
func New(t Target, entries map[string][]byte) (Settings, error) {
	s := Settings{
		address: t.address, database: t.database,
		username: line(entries[usernameEntry]), password: line(entries[passwordEntry]),
		secret: bytes.Clone(entries[keyEntry]),
	}
	_, s.missing = newSealer(s.secret, "", "")
	if s.missing != nil {
		s.missing = fmt.Errorf("its entry %s, by which entries of the cache are authenticated, %w; make one with: openssl rand -base64 32", keyEntry, s.missing)
	}
	if s.username != "" && s.password == "" && s.missing == nil {
		s.missing = fmt.Errorf("it has an entry %s, but no %s", usernameEntry, passwordEntry)
	}
	if !t.Plain {
		var err error
		if s.tls, err = secured(t.host, entries); err != nil && s.missing == nil {
			s.missing = err
		}
	}
	identity := sha256.New()
	_, _ = fmt.Fprintf(identity, "%#v\n", t)
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		_, _ = fmt.Fprintf(identity, "%q %q\n", key, entries[key])
	}
	s.identity = hex.EncodeToString(identity.Sum(nil))
	return s, s.missing
}

// Without is settings for a cache that cannot be used.
func Without(why error) Settings { return Settings{missing: why, identity: why.Error()} }

// Identity is another one for another Redis, and for another Secret.
func (s Settings) Identity() string { return s.identity }

// line is an entry without the end of line that an editor adds.
func line(entry []byte) string { return strings.TrimRight(string(entry), "\r\n") }

func secured(host string, entries map[string][]byte) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ca := entries[caEntry]; ca != nil {
		// These alone: who names an authority does not mean all the others.
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("its entry %s has no PEM certificate", caEntry)
		}
	}
	if entries[certEntry] == nil && entries[certKeyEntry] == nil {
		return config, nil
	}
	own, err := tls.X509KeyPair(entries[certEntry], entries[certKeyEntry])
	if err != nil { // it may have some of the key in it
		return nil, fmt.Errorf("its entries %s and %s are no certificate with its key", certEntry, certKeyEntry)
	}
	config.Certificates = []tls.Certificate{own}
	return config, nil
}
