package dct_test

import (
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

const (
	app  = "example.com/team/app"
	aaaa = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

// chain is trust data of which every file is verified.
type chain struct {
	files     map[string][]byte
	quorum    trust.Quorum
	root      *dct.Root
	timestamp *dct.Timestamp
	snapshot  *dct.Snapshot
	targets   *dct.Targets
}

func newChain(tb testing.TB) *chain {
	tb.Helper()
	repo := notarytest.New(tb, app)
	repo.Sign("targets", "v1", aaaa)
	repo.Delegate(tb, "targets/releases")
	repo.Sign("targets/releases", "v1", aaaa)
	keys, err := trust.ParseKeys(repo.RootPEM())
	if err != nil {
		tb.Fatal(err)
	}
	c := &chain{files: repo.Publish(tb), quorum: trust.Quorum{Threshold: 1, Roots: []trust.Root{{Name: "default", Keys: keys}}}}
	now := time.Now()
	claim, failure := dct.ReadRoot(c.files["root.json"])
	if failure == nil {
		c.root, failure = claim.Pinned(app, c.quorum)
	}
	if failure == nil {
		c.timestamp, failure = c.root.Timestamp(c.files["timestamp.json"], now)
	}
	if failure == nil {
		c.snapshot, failure = c.root.Snapshot(c.timestamp, c.files["snapshot.json"], now)
	}
	if failure == nil {
		c.targets, failure = c.root.Targets(c.snapshot, c.files["targets.json"], now)
	}
	if failure != nil {
		tb.Fatal(failure)
	}
	return c
}

// seed adds files that are right, and such that are nearly.
func (c *chain) seed(f *testing.F) {
	for _, file := range c.files {
		f.Add(file)
		f.Add(file[:len(file)/2])
	}
	for _, text := range []string{
		"", "{}", "null", `{"signed":{},"signatures":[]}`, `{"signed":{"_type":"Root","version":1e400}}`, `{"signed":{"a":"\ud800"}}`,
		`{"signed":{"_type":"Root","keys":{"":{"keytype":"ecdsa-x509","keyval":{"public":"LS0tLS1CRUdJTg=="}}}}}`,
		`{"signed":{"_type":"Root","roles":{"root":{"keyids":null,"threshold":9223372036854775807}}}}`,
	} {
		f.Add([]byte(text))
	}
}

// Nothing but the very files is trusted, and nothing panics.
func FuzzRoot(f *testing.F) {
	c := newChain(f)
	c.seed(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		claim, failure := dct.ReadRoot(raw)
		if failure != nil {
			return
		}
		claim.Keys()
		root, failure := claim.Pinned(app, c.quorum)
		if failure != nil {
			_, _ = c.root.Successor(claim)
			return
		}
		// What the pinned key has signed, in whatever form it is written.
		if root.Version() != c.root.Version() || !root.Expires.Equal(c.root.Expires) || root.Servers() != c.root.Servers() {
			t.Errorf("another root is trusted: %s", raw)
		}
	})
}

func FuzzTimestamp(f *testing.F) {
	c := newChain(f)
	c.seed(f)
	now := time.Now()
	f.Fuzz(func(t *testing.T, raw []byte) {
		stamp, failure := c.root.Timestamp(raw, now)
		if failure == nil && (stamp.Version() != c.timestamp.Version() || !stamp.Names(c.files["snapshot.json"]) || stamp.Snapshot() != c.timestamp.Snapshot()) {
			t.Errorf("another timestamp is trusted: %s", raw)
		}
	})
}

// FuzzSnapshotAndTargets reads files as if whoever holds the server's keys had
// vouched for them.
func FuzzSnapshotAndTargets(f *testing.F) {
	c := newChain(f)
	c.seed(f)
	now := time.Now()
	ref, err := image.Parse(app + ":v1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if snapshot, failure := c.root.Snapshot(c.timestamp.Naming(raw), raw, now); failure == nil && snapshot.Version() != c.snapshot.Version() {
			t.Errorf("another snapshot is trusted: %s", raw)
		}
		for _, role := range []string{dct.TargetsRole, "targets/releases"} {
			vouched := c.snapshot.Naming(role, raw)
			var found *dct.Targets
			if role == dct.TargetsRole {
				if got, err := c.root.Targets(vouched, raw, now); err == nil {
					found = got
				}
			} else if got, err := c.targets.Delegated(vouched, role, raw, now); err == nil {
				found = got
			}
			if found == nil {
				continue
			}
			if digest, ok := found.Digest(ref.Tag()); !ok || string(digest) != aaaa || !found.Has(aaaa) || found.Has("") {
				t.Errorf("other targets are trusted: %s", raw)
			}
		}
	})
}
