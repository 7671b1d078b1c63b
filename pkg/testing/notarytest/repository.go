package notarytest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// The roles that every repository has.
const (
	Root      = "root"
	Timestamp = "timestamp"
	Snapshot  = "snapshot"
	Targets   = "targets"
)

// Repository is the metadata of a repository in the making. Change what you
// like, and publish.
type Repository struct {
	// Name is the repository's whole name: REGISTRY/REPOSITORY.
	Name string
	// Keys are those of the roles, delegations included, and Thresholds how many
	// of them must sign; 1 where nothing is said.
	Keys       map[string][]*Key
	Thresholds map[string]int
	// Former are keys that a new root is signed with too.
	Former []*Key
	// Versions are those of the roles, which Publish raises.
	Versions map[string]int64
	// Expires are when the roles expire; a month from now where nothing is said.
	Expires map[string]time.Time
	// Paths are the prefixes of tags that delegations are for; all where nothing
	// is said. A delegation is one that has keys.
	Paths map[string][]string
	// Unpublished are delegations that are declared only.
	Unpublished map[string]bool
	// Tags are the digests (sha256:HEX) of roles' tags.
	Tags map[string]map[string]string
	// Alter changes what is signed for a role, before it is.
	Alter func(role string, signed map[string]any)
	// Signers chooses who signs for a role instead of its keys.
	Signers map[string][]*Key
	// Tamper changes a file after it was signed.
	Tamper func(role string, file []byte) []byte

	published map[string][]byte // by file name
	rootOf    string            // hash of what the newest root says
}

// New makes a repository without tags, with a certificate for its root key as
// Docker's and Notary's clients make it.
func New(tb TB, name string) *Repository {
	tb.Helper()
	r := &Repository{
		Name: name, Keys: map[string][]*Key{}, Thresholds: map[string]int{}, Versions: map[string]int64{}, Expires: map[string]time.Time{},
		Paths: map[string][]string{}, Unpublished: map[string]bool{}, Tags: map[string]map[string]string{}, Signers: map[string][]*Key{},
		published: map[string][]byte{},
	}
	for _, role := range []string{Timestamp, Snapshot, Targets} {
		r.Keys[role] = []*Key{NewKey(tb)}
	}
	r.Keys[Root] = []*Key{NewKey(tb).Certified(tb, name)}
	return r
}

// RootPEM is the first public root key.
func (r *Repository) RootPEM() []byte { return r.Keys[Root][0].PEM() }

// Sign gives a role a tag.
func (r *Repository) Sign(role, tag, digest string) {
	if r.Tags[role] == nil {
		r.Tags[role] = map[string]string{}
	}
	r.Tags[role][tag] = digest
}

// Delegate makes a delegation with a new key, for tags with these prefixes; all
// if there are none.
func (r *Repository) Delegate(tb TB, role string, paths ...string) {
	tb.Helper()
	r.Keys[role] = []*Key{NewKey(tb)}
	r.Paths[role] = paths
}

// Publish raises the versions of what is not said otherwise, signs, and gives
// all files that a server has now, those of before included.
func (r *Repository) Publish(tb TB) map[string][]byte {
	tb.Helper()
	meta := map[string]any{}
	if content := r.root(); hash(canonical(tb, content)) != r.rootOf || r.Signers[Root] != nil {
		r.rootOf = hash(canonical(tb, content))
		raw := r.write(tb, Root, "Root", content, r.Former...)
		r.published[fmt.Sprintf("%d.root.json", r.Versions[Root])] = raw
	}
	meta[Root] = describe(r.published["root.json"])
	for _, role := range r.roles() {
		if r.Unpublished[role] {
			continue
		}
		meta[role] = describe(r.write(tb, role, "Targets", r.targets(role)))
	}
	snapshot := r.write(tb, Snapshot, "Snapshot", map[string]any{"meta": meta})
	r.write(tb, Timestamp, "Timestamp", map[string]any{"meta": map[string]any{Snapshot: describe(snapshot)}})
	return maps.Clone(r.published)
}

// roles are targets and the delegations.
func (r *Repository) roles() []string {
	var roles []string
	for role := range r.Keys {
		if strings.HasPrefix(role, Targets) {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return roles
}

func (r *Repository) root() map[string]any {
	keys, roles := map[string]any{}, map[string]any{}
	for _, role := range []string{Root, Timestamp, Snapshot, Targets} {
		roles[role] = r.role(role, keys)
	}
	return map[string]any{"consistent_snapshot": false, "keys": keys, "roles": roles}
}

// role says who signs for a role, and adds their keys.
func (r *Repository) role(role string, keys map[string]any) map[string]any {
	ids := []string{}
	for _, k := range r.Keys[role] {
		keys[k.ID] = k.Wire
		ids = append(ids, k.ID)
	}
	return map[string]any{"keyids": ids, "threshold": max(r.Thresholds[role], 1)}
}

func (r *Repository) targets(of string) map[string]any {
	tags, keys, roles := map[string]any{}, map[string]any{}, []any{}
	for tag, digest := range r.Tags[of] {
		raw, _ := hex.DecodeString(strings.TrimPrefix(digest, "sha256:")) // nothing, where a test wants nothing
		tags[tag] = map[string]any{"hashes": map[string]any{"sha256": base64.StdEncoding.EncodeToString(raw)}, "length": 1000}
	}
	for _, role := range r.roles() {
		if path.Dir(role) == of {
			described := r.role(role, keys)
			described["name"], described["paths"] = role, []string{""}
			if len(r.Paths[role]) > 0 {
				described["paths"] = r.Paths[role]
			}
			roles = append(roles, described)
		}
	}
	return map[string]any{"targets": tags, "delegations": map[string]any{"keys": keys, "roles": roles}}
}

// write signs what a role says and publishes it.
func (r *Repository) write(tb TB, role, kind string, content map[string]any, more ...*Key) []byte {
	r.Versions[role]++
	expires, ok := r.Expires[role]
	if !ok {
		expires = time.Now().AddDate(0, 1, 0)
	}
	signed := map[string]any{"_type": kind, "version": r.Versions[role], "expires": expires.Format(time.RFC3339Nano)}
	maps.Copy(signed, content)
	if r.Alter != nil {
		r.Alter(role, signed)
	}
	keys := r.Keys[role]
	if own, ok := r.Signers[role]; ok {
		keys = own
	}
	raw := Signed(tb, signed, append(slices.Clone(keys), more...)...)
	if r.Tamper != nil {
		raw = r.Tamper(role, raw)
	}
	r.published[role+".json"] = raw
	r.published[fmt.Sprintf("%s.%s.json", role, hash(raw))] = raw
	return raw
}

// Signed is a file: what is signed, and the keys' signatures.
func Signed(tb TB, signed any, keys ...*Key) []byte {
	tb.Helper()
	message := canonical(tb, signed)
	signatures := []any{}
	for _, k := range keys {
		signatures = append(signatures, k.sign(tb, message))
	}
	var out bytes.Buffer
	if err := json.Compact(&out, canonical(tb, map[string]any{"signed": json.RawMessage(message), "signatures": signatures})); err != nil {
		tb.Fatalf("a file: %v", err)
	}
	return out.Bytes()
}

// describe is what snapshots and timestamps say about a file.
func describe(raw []byte) map[string]any {
	short, long := sha256.Sum256(raw), sha512.Sum512(raw)
	return map[string]any{"length": len(raw), "hashes": map[string]any{
		"sha256": base64.StdEncoding.EncodeToString(short[:]), "sha512": base64.StdEncoding.EncodeToString(long[:]),
	}}
}
