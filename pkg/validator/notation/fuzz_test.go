package notation

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// FuzzParse: whatever somebody attaches, it is refused or names a signer and an
// image, and is read in the time and memory that its size allows.
func FuzzParse(f *testing.F) {
	img := registrytest.Image{Host: "example.com", Repository: "app", Digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	me, tsa := notationtest.New(f, "CA").Signer(f, "me"), notationtest.NewTimestampAuthority(f)
	f.Add(me.Envelope(f, img), false)
	f.Add(me.Envelope(f, img, notationtest.Stamped(tsa)), false)
	f.Add(me.Envelope(f, img, notationtest.COSE()), true)
	f.Add(me.Envelope(f, img, notationtest.COSE(), notationtest.Stamped(tsa)), true)
	f.Fuzz(func(t *testing.T, envelope []byte, cose bool) {
		kind := registry.JWS
		if cose {
			kind = registry.COSE
		}
		c, err := open(registry.Candidate{Kind: kind, Payload: envelope})
		if err == nil {
			err = c.read()
		}
		if err != nil {
			return
		}
		if n := len(c.signer.CertificateChain); n < 1 || n > maxChain || c.who() == "" || c.target.MediaType == "" {
			t.Errorf("accepted with %d certificates, by %q, of type %q", n, c.who(), c.target.MediaType)
		}
	})
}
