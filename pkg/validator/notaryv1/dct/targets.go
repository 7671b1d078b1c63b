package dct

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// delegationNames is how Notary's delegations may be called.
var delegationNames = regexp.MustCompile(`^targets(/[-a-z0-9_]+)+$`)

// IsDelegation tells whether a role has the name of a delegation.
func IsDelegation(role string) bool { return len(role) < 256 && delegationNames.MatchString(role) }

// Parent is the role that delegates to another.
func Parent(role string) string { return path.Dir(role) }

// Targets are targets that are trusted: they say which digests tags stand for.
type Targets struct {
	*document
	digests     map[string]image.Digest // by tag; "" where there is none of the kind that images have
	paths       []string                // of the role, those who delegate to it included
	within      *Targets                // who delegates to it; nil for the role targets
	delegations map[string][]string     // by role: the prefixes of tags it is for
	*authority
}

// Targets turns bytes into the targets that belong to the snapshot.
func (r *Root) Targets(all *Snapshot, raw []byte, now time.Time) (*Targets, *validator.Error) {
	return readTargets(r.authority, TargetsRole, all, raw, now)
}

// Delegated turns bytes into the targets of a delegation.
func (t *Targets) Delegated(all *Snapshot, role string, raw []byte, now time.Time) (*Targets, *validator.Error) {
	found, failure := readTargets(t.authority, role, all, raw, now)
	if failure != nil {
		return nil, failure
	}
	found.paths, found.within = t.delegations[role], t
	return found, nil
}

func readTargets(by *authority, role string, all *Snapshot, raw []byte, now time.Time) (*Targets, *validator.Error) {
	if !all.Names(role, raw) {
		return nil, Mixed(role, SnapshotRole)
	}
	defer besideFew(raw)()
	var content struct {
		header
		Targets     map[string]fileMeta `json:"targets"`
		Delegations struct {
			Keys  map[string]wireKey `json:"keys"`
			Roles []struct {
				wireRole
				Name  string   `json:"name"`
				Paths []string `json:"paths"`
			} `json:"roles"`
		} `json:"delegations"`
	}
	d, failure := read(role, raw, &content)
	if failure != nil {
		return nil, failure
	}
	if failure := verifyWith(by.db, d); failure != nil {
		return nil, failure
	}
	t := &Targets{document: d, digests: make(map[string]image.Digest, len(content.Targets)), paths: []string{""}, delegations: map[string][]string{}}
	for tag, meta := range content.Targets {
		t.digests[tag] = ""
		if hash := meta.Hashes["sha256"]; len(hash) == sha256.Size {
			t.digests[tag] = image.Digest("sha256:" + hex.EncodeToString(hash))
		}
	}
	roles := map[string]wireRole{}
	for _, r := range content.Delegations.Roles {
		if _, twice := roles[r.Name]; twice || !IsDelegation(r.Name) || Parent(r.Name) != role {
			return nil, validator.Errorf(validator.InvalidTrustData, "the %s of its trust data delegate to a role that cannot be: %s", role, validator.Quote(r.Name))
		}
		roles[r.Name], t.delegations[r.Name] = r.wireRole, r.Paths
	}
	var err error
	if t.authority, err = newAuthority(content.Delegations.Keys, roles); err != nil {
		return nil, validator.Errorf(validator.InvalidTrustData, "the delegations of the %s of its trust data cannot be used: %s", role, validator.Quote(err.Error()))
	}
	if failure := d.current(now); failure != nil {
		return nil, failure
	}
	d.canonical, d.signatures = nil, nil // of no use any more
	return t, nil
}

// Role is the name of the role.
func (t *Targets) Role() string { return t.role }

// Version is that of the file, from 1.
func (t *Targets) Version() int64 { return t.header.Version }

// Delegates tells whether there is a delegation to a role.
func (t *Targets) Delegates(role string) bool {
	_, ok := t.delegations[role]
	return ok
}

// Delegations lists the roles that are delegated to, sorted.
func (t *Targets) Delegations() []string { return slices.Sorted(maps.Keys(t.delegations)) }

// Covers tells whether the role may say something about a tag. Paths are
// prefixes, of which "" is one of everything; whoever delegates cannot give
// more than they have.
func (t *Targets) Covers(tag string) bool {
	for ; t != nil; t = t.within {
		if !slices.ContainsFunc(t.paths, func(p string) bool { return strings.HasPrefix(tag, p) }) {
			return false
		}
	}
	return true
}

// Digest is what a tag stands for. It is "" if the tag is there, but has no
// SHA-256 digest.
func (t *Targets) Digest(tag string) (digest image.Digest, found bool) {
	digest, found = t.digests[tag]
	return digest, found && t.Covers(tag)
}

// Has tells whether a tag stands for the digest.
func (t *Targets) Has(digest image.Digest) bool {
	for tag, d := range t.digests {
		if d == digest && digest != "" && t.Covers(tag) {
			return true
		}
	}
	return false
}
