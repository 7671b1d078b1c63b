package remote

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// repository is a TUF repository, signed with keys of its own and served on
// this machine.
type repository struct {
	t      testing.TB
	server *httptest.Server
	root   *metadata.Metadata[metadata.RootType]
	anchor string // root.json, version 1
	signer signature.Signer
	// expires is when what is published from now on expires.
	expires time.Time
	version int64

	mu    sync.Mutex
	files map[string][]byte
	fault http.HandlerFunc // answers instead, if set
	asked []string
}

func newRepository(t testing.TB) *repository {
	t.Helper()
	r := &repository{t: t, files: map[string][]byte{}, expires: time.Now().Add(time.Hour)}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	r.root = metadata.Root(time.Now().Add(time.Hour))
	r.root.Signed.ConsistentSnapshot = true
	r.newKeys()
	r.anchor = string(r.putRoot(r.signer))
	return r
}

// where is how the configuration names the repository.
func (r *repository) where() trust.Remote { return trust.Remote{TUF: r.server.URL, Root: r.anchor} }

// newKeys makes a key for all roles, and takes the one before out.
func (r *repository) newKeys() {
	r.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	r.check(err)
	r.signer, err = signature.LoadSigner(private, crypto.Hash(0))
	r.check(err)
	key, err := metadata.KeyFromPublicKey(public)
	r.check(err)
	for _, role := range []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS} {
		for _, old := range r.root.Signed.Roles[role].KeyIDs {
			r.check(r.root.Signed.RevokeKey(old, role))
		}
		r.check(r.root.Signed.AddKey(key, role))
	}
}

func (r *repository) putRoot(signers ...signature.Signer) []byte {
	r.t.Helper()
	text := signed(r, r.root, signers...)
	r.put(fmt.Sprintf("%d.root.json", r.root.Signed.Version), text)
	return text
}

// rotate publishes a new root with other keys, signed by the keys before too.
func (r *repository) rotate() {
	r.t.Helper()
	before := r.signer
	r.root.Signed.Version++
	r.newKeys()
	r.putRoot(before, r.signer)
}

// publish signs a trusted root, under the next version of all metadata.
func (r *repository) publish(content string) {
	r.t.Helper()
	r.version++
	file, err := metadata.TargetFile().FromBytes(target, []byte(content), "sha256")
	r.check(err)
	targets := metadata.Targets(r.expires)
	targets.Signed.Version, targets.Signed.Targets[target] = r.version, file
	snapshot := metadata.Snapshot(r.expires)
	snapshot.Signed.Version, snapshot.Signed.Meta["targets.json"] = r.version, metadata.MetaFile(r.version)
	timestamp := metadata.Timestamp(r.expires)
	timestamp.Signed.Version, timestamp.Signed.Meta["snapshot.json"] = r.version, metadata.MetaFile(r.version)

	version := strconv.FormatInt(r.version, 10)
	r.put("targets/"+file.Hashes["sha256"].String()+"."+target, []byte(content))
	r.put(version+".targets.json", signed(r, targets, r.signer))
	r.put(version+".snapshot.json", signed(r, snapshot, r.signer))
	r.put("timestamp.json", signed(r, timestamp, r.signer))
}

func signed[T metadata.Roles](r *repository, m *metadata.Metadata[T], signers ...signature.Signer) []byte {
	r.t.Helper()
	m.ClearSignatures()
	for _, signer := range signers {
		_, err := m.Sign(signer)
		r.check(err)
	}
	text, err := m.ToBytes(false)
	r.check(err)
	return text
}

func (r *repository) put(name string, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[name] = text
}

// alter changes every file whose name ends so.
func (r *repository) alter(suffix string, change func([]byte) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, text := range r.files {
		if strings.HasSuffix(name, suffix) {
			r.files[name] = change(append([]byte(nil), text...))
		}
	}
}

// fail has requests answered by fn; nil ends that.
func (r *repository) fail(fn http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = fn
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, "/")
	r.mu.Lock()
	text, fault := r.files[name], r.fault
	r.asked = append(r.asked, name)
	r.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, req)
	case text == nil:
		http.NotFound(w, req)
	default:
		_, _ = w.Write(text)
	}
}

func (r *repository) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// trustedRoot is a trusted root with one transparency log, whose URL tells it
// apart.
func trustedRoot(t testing.TB, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [{"baseUrl": "https://%s.example.com", "hashAlgorithm": "SHA2_256",
		"publicKey": {"rawBytes": %q, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": {"start": "2026-01-01T00:00:00Z"}}, "logId": {"keyId": "a2V5"}}]}`,
		name, base64.StdEncoding.EncodeToString(der))
}
