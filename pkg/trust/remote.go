package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// DefaultTUF is the TUF repository of Sigstore's public-good instance.
const DefaultTUF = "https://tuf-repo-cdn.sigstore.dev"

// maxTUFRoot bounds a repository's root.json, in bytes, as TUF clients do.
const maxTUFRoot = 512 << 10

// The kinds of sources outside of the cluster.
const (
	KindKMS    = "kms"
	KindTUF    = "tuf"
	KindSecret = "secret"
)

// ErrUnavailable is the cause of an error about trust material that could not
// be fetched, yet. Whatever needs it cannot be checked; nothing else is wrong.
var ErrUnavailable = errors.New("is not available")

// Remote is trust material that is fetched from outside of what is watched, and
// kept up to date in the background. One of the three is set.
type Remote struct {
	// KMS is the URI of a public key: awskms://, gcpkms://, azurekms:// or
	// hashivault://. It is fetched as PEM.
	KMS string `json:"kms,omitempty"`
	// TUF is the URL of a TUF repository, whose trusted_root.json is fetched;
	// Root is the repository's root of trust, a root.json, and empty for that
	// of Sigstore's public-good instance.
	TUF  string `json:"tuf,omitempty"`
	Root string `json:"root,omitempty"`
	// Secret is an entry of a Secret of another namespace: NAMESPACE/NAME/KEY.
	Secret string `json:"secret,omitempty"`
}

// Fetched is trust material from outside of the cluster as it was last
// fetched.
type Fetched struct {
	Where   Remote    `json:"where"`
	Content []byte    `json:"content"`
	At      time.Time `json:"at"`
	// RootVersion and TimestampVersion are those of the TUF metadata that the
	// content came with; older metadata is a rollback.
	RootVersion      int64 `json:"rootVersion,omitempty"`
	TimestampVersion int64 `json:"timestampVersion,omitempty"`
	// RootExpires is when the root of the TUF repository does; zero if the content
	// is of no such one.
	RootExpires time.Time `json:"rootExpires,omitzero"`
}

// Kind is KindKMS, KindTUF or KindSecret.
func (r Remote) Kind() string {
	switch {
	case r.KMS != "":
		return KindKMS
	case r.Secret != "":
		return KindSecret
	}
	return KindTUF
}

// String names the source for messages.
func (r Remote) String() string {
	if r.KMS != "" {
		return r.KMS
	}
	if r.Secret != "" {
		return secretScheme + r.Secret
	}
	return "the TUF repository " + r.TUF
}

// Check tells whether this may be fetched, without fetching it. Only schemes
// that are listed ever reach a client (T21).
func (r Remote) Check() error {
	switch {
	case r.KMS != "" && r == Remote{KMS: r.KMS}:
		return checkKMS(r.KMS)
	case r.Secret != "" && r == Remote{Secret: r.Secret}:
		if strings.Count(r.Secret, "/") != 2 {
			return fmt.Errorf("%q must read NAMESPACE/SECRET/KEY", r.Secret)
		}
		_, err := ParseReference(secretScheme + r.Secret)
		return err
	case r.TUF != "" && r == Remote{TUF: r.TUF, Root: r.Root}:
		return errors.Join(checkMirror(r.TUF), checkTUFRoot(r.Root))
	}
	return errors.New("must be either a key in a KMS, a TUF repository or a Secret")
}

// checkMirror takes https, and plain http on this machine only: TUF's
// signatures would hold without TLS, but not against whoever withholds updates.
func checkMirror(mirror string) error {
	u, err := url.Parse(mirror)
	if err == nil && u.User != nil {
		return errors.New("must not hold a user or a password") // which the message must not repeat
	}
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(mirror, " \t\r\n") {
		return fmt.Errorf("%.100q must read https://HOST[:PORT][/PATH]", mirror)
	}
	if linkLocal(u.Host) {
		return fmt.Errorf("%.100q has a link-local address, where no TUF repository can be", mirror)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !Loopback(u.Hostname())) {
		return fmt.Errorf("%.100q must begin with https://", mirror)
	}
	return nil
}

func checkTUFRoot(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > maxTUFRoot {
		return fmt.Errorf("is a TUF root of %d bytes, which is more than %d", len(text), maxTUFRoot)
	}
	var root struct {
		Signed struct {
			Type string `json:"_type"`
		} `json:"signed"`
	}
	if err := json.Unmarshal([]byte(text), &root); err != nil || root.Signed.Type != "root" {
		return errors.New("is no TUF root: it must be a root.json of the repository")
	}
	return nil
}

// Loopback tells whether a host name or address is this machine's own.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.IsLoopback()
}

// linkLocal tells whether a host, with or without a port, is a link-local
// address, where clouds have their metadata services.
func linkLocal(host string) bool {
	if withPort, err := netip.ParseAddrPort(host); err == nil {
		return withPort.Addr().Unmap().IsLinkLocalUnicast()
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.Unmap().IsLinkLocalUnicast()
}
