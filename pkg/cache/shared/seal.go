package shared

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// MinKey is how long a key must be, in bytes.
	MinKey = 32
	// maxEntry bounds an entry, in bytes. The largest results are those of many
	// signers, with 100 or 200 bytes each.
	maxEntry = 16 << 10
	// maxSkew is how far the clock of another replica may be ahead.
	maxSkew = 5 * time.Second
	// Prefix begins the names of entries in Redis.
	Prefix = "connaisseur:"
	// version is of the form of entries. It is part of what keys are derived by.
	version = 1
	tagSize = sha256.Size
)

// Why an entry is not used.
var (
	// errForged: no replica stored it like that.
	errForged = errors.New("it is not what a replica stored under this name")
	// errStale: it was stored by a replica, and is not valid any more, or not yet.
	errStale = errors.New("its time is over, or has not come")
)

// sealer authenticates entries.
type sealer struct {
	names, entries []byte // keys
}

// newSealer derives keys from a secret, which is for the replicas of one cluster: by
// the names of pull secrets alone, those of another one could be taken for theirs.
// And it is for those of one build: another may verify less.
func newSealer(secret []byte, cluster, build string) (*sealer, error) {
	if len(secret) < MinKey {
		return nil, fmt.Errorf("has %d bytes, but must have at least %d", len(secret), MinKey)
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("connaisseur shared cache %d %s %q %q", version, purpose, cluster, build), sha256.Size)
	}
	names, err := derive("names")
	if err != nil {
		return nil, err
	}
	entries, err := derive("entries")
	return &sealer{names: names, entries: entries}, err
}

// buildOf tells builds apart as far as their source is known: the version, the commit
// and the modules that the program was built from.
func buildOf(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return ""
	}
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s %q", info.GoVersion, info.Main.Version)
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.modified" {
			_, _ = fmt.Fprintf(&b, " %q", s.Value)
		}
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		_, _ = fmt.Fprintf(&b, " %q %q %q", m.Path, m.Version, m.Sum)
	}
	return b.String()
}

// about adds a name to what is authenticated, so that no two have the same bytes.
func about(h hash.Hash, name cache.Name) {
	for _, part := range []string{name.Revision, name.Key} {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // hashes do not fail
		_, _ = h.Write([]byte(part))
	}
}

// place is where an entry is in Redis. It tells nobody which image it is about.
func (s *sealer) place(name cache.Name) string {
	h := hmac.New(sha256.New, s.names)
	about(h, name)
	return Prefix + hex.EncodeToString(h.Sum(nil))
}

func (s *sealer) tag(name cache.Name, content []byte) []byte {
	h := hmac.New(sha256.New, s.entries)
	about(h, name)
	_, _ = h.Write(content)
	return h.Sum(nil)
}

// content is an entry as it is written. Times are in nanoseconds since 1970.
type content struct {
	Digest     image.Digest `json:"digest"`
	TrustRoots []string     `json:"trustRoots,omitempty"`
	Signers    []string     `json:"signers,omitempty"`
	Warnings   []string     `json:"warnings,omitempty"`
	Seen       string       `json:"seen,omitempty"`
	At         int64        `json:"at"`
	Until      int64        `json:"until"`
	Expires    int64        `json:"expires,omitempty"`
}

// write makes the text that is stored, for each name the same; nil if it is too
// large, or nothing to share.
func write(e cache.Established) []byte {
	c := content{
		Digest: e.Result.Digest, TrustRoots: e.Result.TrustRoots, Signers: e.Result.Signers, Warnings: e.Result.Warnings, Seen: e.Result.Seen,
		At: e.At.UnixNano(), Until: e.Until.UnixNano(),
	}
	if !e.Result.Expires.IsZero() {
		c.Expires = e.Result.Expires.UnixNano()
	}
	text, err := json.Marshal(c)
	if err != nil || tagSize+len(text) > maxEntry || !digest.MatchString(string(c.Digest)) {
		return nil
	}
	return text
}

// seal puts the tag in front of a text.
func (s *sealer) seal(name cache.Name, text []byte) []byte { return append(s.tag(name, text), text...) }

var digest = regexp.MustCompile(`\Asha256:[0-9a-f]{64}\z`)

// open gives what a replica stored under the name. Nothing of an entry is looked at
// before its tag.
func (s *sealer) open(name cache.Name, entry []byte, now time.Time) (cache.Established, error) {
	if len(entry) <= tagSize || len(entry) > maxEntry {
		return cache.Established{}, errForged
	}
	text := entry[tagSize:]
	if !hmac.Equal(entry[:tagSize], s.tag(name, text)) {
		return cache.Established{}, errForged
	}
	var c content
	if err := json.Unmarshal(text, &c); err != nil || !digest.MatchString(string(c.Digest)) {
		return cache.Established{}, errForged
	}
	e := cache.Established{
		Result: validator.Result{Digest: c.Digest, TrustRoots: c.TrustRoots, Signers: c.Signers, Warnings: c.Warnings, Seen: c.Seen},
		At:     time.Unix(0, c.At), Until: time.Unix(0, c.Until),
	}
	if c.Expires != 0 {
		e.Result.Expires = time.Unix(0, c.Expires).UTC()
	}
	if e.At.After(now.Add(maxSkew)) || !now.Before(e.Until) {
		return cache.Established{}, errStale
	}
	return e, nil
}
