package dct

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"time"

	"github.com/theupdateframework/go-tuf/data"
	"github.com/theupdateframework/go-tuf/util"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// fileMeta is what is said about a file.
type fileMeta struct {
	Length int64             `json:"length"`
	Hashes map[string][]byte `json:"hashes"`
}

// matches tells whether a file is the one that is meant: by each hash that is
// known here, of which there must be one. As for Notary's own client, a length is
// no more than a bound for what is read; metadata with wrong lengths beside right
// hashes has been in use.
func (m fileMeta) matches(raw []byte) bool {
	want := data.FileMeta{Length: int64(len(raw)), Hashes: data.Hashes{}}
	for name, hash := range m.Hashes {
		want.Hashes[name] = hash
	}
	got := data.FileMeta{Length: int64(len(raw)), Hashes: data.Hashes{}}
	if _, ok := want.Hashes["sha256"]; ok {
		sum := sha256.Sum256(raw)
		got.Hashes["sha256"] = sum[:]
	}
	if _, ok := want.Hashes["sha512"]; ok {
		sum := sha512.Sum512(raw)
		got.Hashes["sha512"] = sum[:]
	}
	return util.FileMetaEqual(got, want) == nil
}

// Timestamp is a timestamp that is trusted: it says which snapshot is the
// newest.
type Timestamp struct {
	*document
	snapshot fileMeta
}

// Timestamp turns bytes into one.
func (r *Root) Timestamp(raw []byte, now time.Time) (*Timestamp, *validator.Error) {
	var content struct {
		header
		Meta map[string]fileMeta `json:"meta"`
	}
	d, failure := read(TimestampRole, raw, &content)
	if failure != nil {
		return nil, failure
	}
	if failure := verifyWith(r.db, d); failure != nil {
		return nil, failure
	}
	snapshot, ok := content.Meta[SnapshotRole]
	if !ok {
		return nil, validator.Errorf(validator.InvalidTrustData, "the timestamp of its trust data names no snapshot")
	}
	if failure := d.current(now); failure != nil {
		return nil, failure
	}
	return &Timestamp{d, snapshot}, nil
}

// Version is the timestamp's, from 1; Expires is when it does.
func (t *Timestamp) Version() int64 { return t.header.Version }

// Names tells whether it is this snapshot that is the newest.
func (t *Timestamp) Names(snapshot []byte) bool { return t.snapshot.matches(snapshot) }

// Snapshot says where the newest snapshot is.
func (t *Timestamp) Snapshot() Location { return t.snapshot.location() }

// Location is what a file is fetched by that another one names.
type Location struct {
	// Hash is its SHA-256 in hexadecimal, or "".
	Hash string
	// Length is how long it is, in bytes; it must be above 0.
	Length int64
}

func (m fileMeta) location() Location {
	return Location{hex.EncodeToString(m.Hashes["sha256"]), m.Length}
}

// Snapshot is a snapshot that is trusted: it says which files belong together.
type Snapshot struct {
	*document
	raw  []byte
	meta map[string]fileMeta
}

// Snapshot turns bytes into the snapshot that the timestamp names.
func (r *Root) Snapshot(newest *Timestamp, raw []byte, now time.Time) (*Snapshot, *validator.Error) {
	if !newest.Names(raw) {
		return nil, Mixed(SnapshotRole, TimestampRole)
	}
	defer besideFew(raw)()
	var content struct {
		header
		Meta map[string]fileMeta `json:"meta"`
	}
	d, failure := read(SnapshotRole, raw, &content)
	if failure != nil {
		return nil, failure
	}
	if failure := verifyWith(r.db, d); failure != nil {
		return nil, failure
	}
	for _, role := range []string{RootRole, TargetsRole} {
		if _, ok := content.Meta[role]; !ok {
			return nil, validator.Errorf(validator.InvalidTrustData, "the snapshot of its trust data names no %s", role)
		}
	}
	if failure := d.current(now); failure != nil {
		return nil, failure
	}
	return &Snapshot{d, raw, content.Meta}, nil
}

// Mixed is the error for a file that is not the one that another names.
func Mixed(role, by string) *validator.Error {
	return validator.Errorf(validator.InvalidTrustData, "the %s of its trust data is not the one that the %s names", role, by)
}

// Version is the snapshot's, from 1.
func (s *Snapshot) Version() int64 { return s.header.Version }

// Raw is the file as it was served.
func (s *Snapshot) Raw() []byte { return s.raw }

// IsOf tells whether it is still the snapshot that a timestamp names.
func (s *Snapshot) IsOf(t *Timestamp) bool { return t.Names(s.raw) }

// Has tells whether a role's file has been published.
func (s *Snapshot) Has(role string) bool {
	_, ok := s.meta[role]
	return ok
}

// Names tells whether it is this file of a role that belongs to the snapshot.
func (s *Snapshot) Names(role string, raw []byte) bool {
	meta, ok := s.meta[role]
	return ok && meta.matches(raw)
}

// Location says where a role's file is.
func (s *Snapshot) Location(role string) Location { return s.meta[role].location() }

// HasRoot tells whether the root belongs to the snapshot.
func (s *Snapshot) HasRoot(r *Root) *validator.Error {
	if !s.Names(RootRole, r.raw) {
		return Mixed(RootRole, SnapshotRole)
	}
	return nil
}
