package sigstoretest

import (
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// signing is one signature or attestation to be.
type signing struct {
	digest, name, predicateType string
	annotations                 map[string]string
	payload                     []byte
	broken                      bool

	logs         []*Sigstore
	forger       *Sigstore
	version      int // of Rekor
	intoto       bool
	otherEntry   bool
	inLogOnly    bool
	promise      bool
	proof        bool
	integratedAt time.Time

	stampers   []*Sigstore
	stampedAt  time.Time
	otherStamp bool

	edit   []func(*protobundle.Bundle)
	bytes  []byte
	attach []registrytest.AttachOption
	legacy []registrytest.SignOption
}

// Option makes a signature or attestation other than the default, which has an
// entry in the Rekor v1 log and no timestamp.
type Option func(*signing)

// Annotations adds what `cosign sign -a` adds. Attestations have none.
func Annotations(annotations map[string]string) Option {
	return func(o *signing) { o.annotations = annotations }
}

// ForDigest signs for another digest than that of the image it is attached to.
func ForDigest(digest string) Option { return func(o *signing) { o.digest = digest } }

// ForName signs for another name, host/repository. Sign has none.
func ForName(name string) Option { return func(o *signing) { o.name = name } }

// PredicateType signs a statement of another predicate type than the
// annotations say.
func PredicateType(predicateType string) Option {
	return func(o *signing) { o.predicateType = predicateType }
}

// Payload signs these bytes instead of the claim or statement.
func Payload(payload []byte) Option { return func(o *signing) { o.payload = payload } }

// BrokenSignature stores, in place of the signature that was logged and
// timestamped, a well-formed one over something else.
func BrokenSignature() Option { return func(o *signing) { o.broken = true } }

// WithoutEntry makes no entry in a log.
func WithoutEntry() Option { return func(o *signing) { o.logs = nil } }

// RekorV2 makes the entry in the Rekor v2 log, which tells no time:
// TimestampedBy does. Legacy signatures cannot have it.
func RekorV2() Option { return func(o *signing) { o.version = 2 } }

// Intoto makes the entry of an attestation of the kind intoto 0.0.2 instead of
// dsse 0.0.1.
func Intoto() Option { return func(o *signing) { o.intoto = true } }

// LoggedBy makes one entry in the log of each. Legacy signatures carry the
// first only.
func LoggedBy(all ...*Sigstore) Option { return func(o *signing) { o.logs = all } }

// ForgedBy makes an entry that claims to be of the right log, but is signed by
// another.
func ForgedBy(other *Sigstore) Option { return func(o *signing) { o.forger = other } }

// OtherEntry carries the entry of another signature by the same signer.
func OtherEntry() Option { return func(o *signing) { o.otherEntry = true } }

// InLogOnly makes the entry, but does not attach it: whoever wants it must look
// it up, see Server.
func InLogOnly() Option { return func(o *signing) { o.inLogOnly = true } }

// WithoutPromise leaves the log's signed entry timestamp out.
func WithoutPromise() Option { return func(o *signing) { o.promise = false } }

// WithoutProof leaves the log's proof of inclusion out.
func WithoutProof() Option { return func(o *signing) { o.proof = false } }

// IntegratedAt is when the entry came into the log, in whole seconds; the
// default is now.
func IntegratedAt(t time.Time) Option { return func(o *signing) { o.integratedAt = t } }

// TimestampedBy adds a timestamp by each's timestamp authority.
func TimestampedBy(all ...*Sigstore) Option {
	return func(o *signing) { o.stampers = append(o.stampers, all...) }
}

// TimestampedAt is the timestamps' time, in whole seconds; the default is now.
func TimestampedAt(t time.Time) Option { return func(o *signing) { o.stampedAt = t } }

// OtherTimestamp carries timestamps of another signature.
func OtherTimestamp() Option { return func(o *signing) { o.otherStamp = true } }

// Edit changes the bundle before it is stored. Legacy signatures have none.
func Edit(change func(*protobundle.Bundle)) Option {
	return func(o *signing) { o.edit = append(o.edit, change) }
}

// Bytes stores these bytes instead of the bundle.
func Bytes(bundle []byte) Option { return func(o *signing) { o.bytes = bundle } }

// Attached changes how a bundle is attached.
func Attached(options ...registrytest.AttachOption) Option {
	return func(o *signing) { o.attach = append(o.attach, options...) }
}

// Legacy changes how a legacy signature or attestation is attached: Annotation,
// MediaType and, for signatures, Signature apply.
func Legacy(options ...registrytest.SignOption) Option {
	return func(o *signing) { o.legacy = append(o.legacy, options...) }
}

func (s *Sigstore) signing(img registrytest.Image, predicateType string, options []Option) *signing {
	now := time.Now()
	o := &signing{
		digest: img.Digest, name: img.Name(), predicateType: predicateType,
		logs: []*Sigstore{s}, version: 1, promise: true, proof: true, integratedAt: now, stampedAt: now,
	}
	for _, option := range options {
		option(o)
	}
	return o
}
