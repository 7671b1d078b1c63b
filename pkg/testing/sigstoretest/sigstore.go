package sigstoretest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"sync"
	"time"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// TB is what is needed of a testing.TB; registrytest.Panics is one.
type TB = registrytest.TB

// lifetime is how long before and after its making a Sigstore is trusted, so
// that tests may sign in the past.
const lifetime = 365 * 24 * time.Hour

// Sigstore is one instance of all services. Its methods are safe for
// concurrent use.
type Sigstore struct {
	start, end time.Time
	fulcio     *authority
	tsa        *authority
	stamper    *issued
	ctLog      *ecdsa.PrivateKey
	rekor      *ecdsa.PrivateKey
	rekorV2    ed25519.PrivateKey

	mu      sync.Mutex
	next    int64
	entries map[string]*protorekor.TransparencyLogEntry // of Rekor v1, by hash of the leaf
}

// New makes a Sigstore with keys of its own.
func New(tb TB) *Sigstore {
	tb.Helper()
	now := time.Now()
	s := &Sigstore{
		start: now.Add(-lifetime), end: now.Add(lifetime),
		ctLog: newKey(tb), rekor: newKey(tb),
		next:    1000,
		entries: map[string]*protorekor.TransparencyLogEntry{},
	}
	var err error
	if _, s.rekorV2, err = ed25519.GenerateKey(rand.Reader); err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	s.fulcio = newAuthority(tb, "fulcio", s.start, s.end)
	s.tsa = newAuthority(tb, "timestamp authority", s.start, s.end)
	s.stamper = s.tsa.stamper(tb)
	return s
}

func newKey(tb TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	return key
}
