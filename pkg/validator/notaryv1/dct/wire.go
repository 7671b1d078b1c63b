package dct

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/data"
	"golang.org/x/sync/semaphore"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// The roles that every repository has. Delegations are called targets/NAME.
const (
	RootRole      = "root"
	TimestampRole = "timestamp"
	SnapshotRole  = "snapshot"
	TargetsRole   = "targets"
)

const (
	// MaxRootBytes bounds a root, of which nothing is known before it is read; an
	// honest one takes 3 KiB.
	MaxRootBytes = 64 << 10
	// MaxTimestampBytes bounds a timestamp; an honest one takes 1 KiB.
	MaxTimestampBytes = 64 << 10
	// MaxSnapshotBytes bounds a snapshot, in which a delegation takes 300 bytes.
	MaxSnapshotBytes = 1 << 20
	// MaxTargetsBytes bounds targets, in which a tag takes 100 to 200 bytes.
	MaxTargetsBytes = 4 << 20

	// A value takes far more memory than the few bytes that it may be written
	// in: a root has about 100.
	maxRootValues  = 10_000
	maxOtherValues = 300_000

	// maxSignatures, maxKeys and maxRoles bound the items of one file.
	maxSignatures = 32
	maxKeys       = 1024
	maxRoles      = 1024
)

const (
	// largeFile is from when on a file is read beside few others only, since it
	// takes several times as much memory.
	largeFile      = 256 << 10
	maxLargeAtOnce = 2
)

var large = semaphore.NewWeighted(maxLargeAtOnce)

// besideFew waits until a file may be read, if it is large, and gives what is to be
// called afterwards.
func besideFew(raw []byte) (done func()) {
	if len(raw) <= largeFile {
		return func() {}
	}
	_ = large.Acquire(context.Background(), 1) // those before it do not wait for anybody
	return func() { large.Release(1) }
}

// header is what all files have.
type header struct {
	Type    string    `json:"_type"`
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
}

func (h *header) head() header { return *h }

// content is what a role's files hold: a pointer to a struct with the header.
type content interface{ head() header }

// document is a file that was read, and not verified.
type document struct {
	header
	role       string
	canonical  []byte // what is signed, in canonical form
	signatures []data.Signature
}

// wrapped is what go-tuf gets of a document: it would bring into canonical form
// again what is in it already, which takes longer than the signatures.
type wrapped struct {
	Type    string `json:"_type"`
	Version int64  `json:"version"`
	Hash    []byte `json:"sha256"` // of the canonical form, which is what is signed
}

// forTUF is the document as go-tuf takes it.
func (d *document) forTUF() (*data.Signed, error) {
	sum := sha256.Sum256(d.canonical)
	text, err := json.Marshal(wrapped{d.Type, d.Version, sum[:]})
	return &data.Signed{Signed: text, Signatures: d.signatures}, err
}

// read reads a file of a role. What it holds is read into content, out of the
// canonical form of what was signed.
func read(role string, raw []byte, content content) (*document, *validator.Error) {
	d, err := decode(role, raw, content)
	if err != nil {
		return nil, validator.Errorf(validator.InvalidTrustData, "the %s of its trust data cannot be read: %s", role, validator.Quote(err.Error()))
	}
	return d, nil
}

func decode(role string, raw []byte, content content) (*document, error) {
	most := maxOtherValues
	if role == RootRole || role == TimestampRole {
		most = maxRootValues
	}
	if n := bytes.Count(raw, []byte{','}) + bytes.Count(raw, []byte{'['}) + bytes.Count(raw, []byte{'{'}); n > most {
		return nil, fmt.Errorf("it has more than %d values", most)
	}
	var file struct {
		Signed     json.RawMessage `json:"signed"`
		Signatures []struct {
			KeyID string `json:"keyid"`
			Sig   []byte `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, err
	}
	switch {
	case !bytes.HasPrefix(file.Signed, []byte("{")):
		return nil, errors.New("nothing in it is signed")
	case len(file.Signatures) > maxSignatures:
		return nil, fmt.Errorf("it has more than %d signatures", maxSignatures)
	}
	canonical, err := cjson.EncodeCanonical(file.Signed)
	if err != nil {
		return nil, err
	}
	d := &document{role: role, canonical: canonical}
	seen := map[string]bool{}
	for _, s := range file.Signatures {
		if seen[s.KeyID] {
			return nil, errors.New("it has two signatures of the same key")
		}
		seen[s.KeyID] = true
		d.signatures = append(d.signatures, data.Signature{KeyID: s.KeyID, Signature: s.Sig})
	}
	if err := json.Unmarshal(canonical, content); err != nil {
		return nil, err
	}
	d.header = content.head()
	return d, nil
}

// current refuses a file that has expired.
func (d *document) current(now time.Time) *validator.Error {
	if !now.Before(d.Expires) {
		return expired(d.role, d.Expires)
	}
	return nil
}

func expired(role string, when time.Time) *validator.Error {
	return validator.Errorf(validator.Expired, "the %s of its trust data expired at %s", role, when.UTC().Format(time.RFC3339))
}
