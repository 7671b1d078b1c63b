package notation_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// serve answers always the same.
func serve(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

var deltaIndicator = asn1.ObjectIdentifier{2, 5, 29, 27}

// A genuine CRL that is about something else hides a revocation.
func TestACRLIsAboutTheCertificateOrCountsNot(t *testing.T) {
	t.Parallel()
	type options = []notationtest.ListOption
	const mine, theirs = "of the signer was revoked", "is about other certificates"
	for name, c := range map[string]struct {
		list  func(at string) options
		words string // none if it counts
	}{
		"everything":                   {func(string) options { return nil }, ""},
		"its own address":              {func(at string) options { return options{notationtest.Scope(at)} }, ""},
		"signers":                      {func(string) options { return options{notationtest.Scope("", 0x81, 1, 0xff)} }, ""},
		"everything, in many words":    {func(string) options { return options{notationtest.Scope("", 0x82, 1, 0, 0x84, 1, 0, 0x85, 1, 0)} }, ""},
		"another address":              {func(string) options { return options{notationtest.Scope("http://example.com/crl")} }, theirs},
		"one that begins like it":      {func(at string) options { return options{notationtest.Scope(at + "2")} }, theirs},
		"one that it begins like":      {func(at string) options { return options{notationtest.Scope(strings.TrimSuffix(at, "l"))} }, theirs},
		"authorities":                  {func(string) options { return options{notationtest.Scope("", 0x82, 1, 0xff)} }, theirs},
		"its own address, authorities": {func(at string) options { return options{notationtest.Scope(at, 0x82, 1, 0xff)} }, theirs},
		"some reasons":                 {func(string) options { return options{notationtest.Scope("", 0x83, 2, 6, 0x40)} }, "some reasons"},
		"another issuer's":             {func(string) options { return options{notationtest.Scope("", 0x84, 1, 0xff)} }, theirs},
		"attributes":                   {func(string) options { return options{notationtest.Scope("", 0x85, 1, 0xff)} }, theirs},
		"what nobody knows":            {func(string) options { return options{notationtest.Scope("", 0x86, 1, 0xff)} }, "some reasons"},
		"what cannot be read":          {func(string) options { return options{notationtest.Scope("", 0x81, 9)} }, "cannot be read"},
		"what has changed": {func(string) options {
			return options{notationtest.ListExtension(deltaIndicator, []byte{2, 1, 1}), notationtest.ListNumber(2)}
		}, "only what has changed"},
		"last week": {func(string) options { return options{notationtest.ListUntil(time.Now().Add(-time.Minute))} }, "was valid until"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, server, me := revocable(t, "CRL")
			server.Answer(serve(s.ca.List(t, c.list(server.Address())...)))
			if c.words == "" {
				s.trusts(s.bind(s.usual(), nil))
				return
			}
			s.denies(s.bind(s.usual(), nil), validator.TrustDataUnavailable, c.words)
			// It is not kept either.
			server.Answer(nil)
			server.Revoke(me)
			s.denies(s.bind(s.usual(), nil), validator.Revoked, mine)
		})
	}
}

func TestACRLAboutAuthoritiesIsAboutThoseInBetween(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scope notationtest.ListOption
		want  validator.Reason
	}{
		"authorities": {notationtest.Scope("", 0x82, 1, 0xff), validator.Revoked},
		"signers":     {notationtest.Scope("", 0x81, 1, 0xff), validator.TrustDataUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			server := s.ca.Revocations(t)
			s.insecure = []string{server.Host()}
			below := s.ca.Intermediate(t, "Team CA", server.CRL())
			below.Signer(t, "me").Sign(t, s.reg, s.img)
			server.Answer(serve(s.ca.List(t, c.scope, notationtest.ListRevokes(below.Certificate))))
			s.denies(s.bind(s.usual(), nil), c.want)
		})
	}
}

// A CRL that somebody else has signed counts not, and does not stay.
func TestACRLIsByTheIssuer(t *testing.T) {
	t.Parallel()
	namesake := notationtest.New(t, "Example CA")
	for name, list := range map[string]func(*scene) []byte{
		"another":    func(s *scene) []byte { return s.other.List(t) },
		"a namesake": func(*scene) []byte { return namesake.List(t) },
		"another with its key": func(s *scene) []byte {
			renamed := *s.ca.Certificate
			renamed.RawSubject = s.other.Certificate.RawSubject
			body, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
				Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
			}, &renamed, s.ca.Self().Key)
			if err != nil {
				t.Error(err)
			}
			return body
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, server, _ := revocable(t, "CRL")
			server.Answer(serve(list(s)))
			s.denies(s.bind(s.usual(), nil), validator.TrustDataUnavailable, "issuer")
			server.Answer(nil)
			s.trusts(s.bind(s.usual(), nil))
		})
	}
}

// T34: what a CRL names is asked when it is known who has made the CRL, and then
// little of it.
func TestT34ACRLMakesUsConnectToFewAddresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by   func(*scene) *notationtest.Authority
		most int64
	}{
		"a stranger's": {func(s *scene) *notationtest.Authority { return s.other }, 0},
		"the issuer's": {func(s *scene) *notationtest.Authority { return s.ca }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, server, _ := revocable(t, "CRL")
			var asked atomic.Int64
			victim := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.WriteHeader(http.StatusNotFound)
			}))
			t.Cleanup(victim.Close)
			s.insecure = append(s.insecure, victim.Listener.Addr().String())
			urls := make([]string, 100)
			for i := range urls {
				urls[i] = fmt.Sprintf("%s/%d", victim.URL, i)
			}
			server.Answer(serve(c.by(s).List(t, notationtest.ListFreshest(urls...))))
			s.denies(s.bind(s.usual(), nil), validator.TrustDataUnavailable)
			if n := asked.Load(); n != c.most {
				t.Errorf("asked %d times, want %d", n, c.most)
			}
		})
	}
}

func TestWhatHasChangedSinceACRLCounts(t *testing.T) {
	t.Parallel()
	type options = []notationtest.ListOption
	since := func(number byte) notationtest.ListOption {
		return notationtest.ListExtension(deltaIndicator, []byte{2, 1, number})
	}
	for name, c := range map[string]struct {
		delta    options
		stranger bool
		places   []string // before the delta
		want     validator.Reason
	}{
		"nothing":               {delta: options{since(5), notationtest.ListNumber(6)}},
		"a revocation":          {delta: options{since(5), notationtest.ListNumber(6), notationtest.ListRevokes()}, want: validator.Revoked},
		"by a stranger":         {delta: options{since(5), notationtest.ListNumber(6)}, stranger: true, want: validator.TrustDataUnavailable},
		"since a later one":     {delta: options{since(6), notationtest.ListNumber(7)}, want: validator.TrustDataUnavailable},
		"before":                {delta: options{since(4), notationtest.ListNumber(5)}, want: validator.TrustDataUnavailable},
		"no delta":              {delta: options{notationtest.ListNumber(6)}, want: validator.TrustDataUnavailable},
		"of other certificates": {delta: options{since(5), notationtest.ListNumber(6), notationtest.Scope("", 0x82, 1, 0xff)}, want: validator.TrustDataUnavailable},
		"last week's":           {delta: options{since(5), notationtest.ListNumber(6), notationtest.ListUntil(time.Now().Add(-time.Minute))}, want: validator.TrustDataUnavailable},
		"in a directory too":    {delta: options{since(5), notationtest.ListNumber(6)}, places: []string{"ldap:///CN=x", "ldap:///CN=y", "https://example.com/"}},
		"where there is none":   {delta: options{since(5), notationtest.ListNumber(6)}, places: []string{"http://127.0.0.1:1/"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, server, me := revocable(t, "CRL")
			if name == "a revocation" {
				c.delta = append(c.delta, notationtest.ListRevokes(me.Chain[0]))
			}
			by := s.ca
			if c.stranger {
				by = s.other
			}
			places := append(slices.Clone(c.places), "http://"+server.Host()+"/delta")
			base, delta := s.ca.List(t, notationtest.ListNumber(5), notationtest.ListFreshest(places...)), by.List(t, c.delta...)
			server.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/delta" {
					_, _ = w.Write(delta)
					return
				}
				_, _ = w.Write(base)
			}))
			if v := s.bind(s.usual(), nil); c.want == "" {
				s.trusts(v)
				return
			}
			s.denies(s.bind(s.usual(), nil), c.want)
			server.Answer(nil) // and it is not kept, unless it holds
			if c.want != validator.Revoked {
				s.trusts(s.bind(s.usual(), nil))
			}
		})
	}
}

// The Active Directory Certificate Services name a directory before the address.
func TestACertificateMayNameADirectoryToo(t *testing.T) {
	t.Parallel()
	const directory = "ldap:///CN=x,CN=CDP,DC=corp?certificateRevocationList?base"
	both := func(at string) notationtest.CertificateOption {
		return func(c *x509.Certificate) { c.CRLDistributionPoints = []string{directory, at} }
	}
	// The same, where either is for some reasons only.
	parts := func(at string) notationtest.CertificateOption {
		return func(c *x509.Certificate) {
			c.CRLDistributionPoints = nil
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: partialPoints(t, directory, at)}}
		}
	}
	for name, c := range map[string]struct {
		names func(at string) notationtest.CertificateOption
		want  validator.Reason
	}{
		"beside the address":              {both, ""},
		"and nothing else":                {func(string) notationtest.CertificateOption { return notationtest.CRL(directory) }, validator.TrustDataUnavailable},
		"for what is not at that address": {parts, validator.TrustDataUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			server := s.ca.Revocations(t)
			s.insecure = []string{server.Host()}
			me := s.ca.Signer(t, "me", c.names(server.Address()))
			me.Sign(t, s.reg, s.img)
			if c.want != "" {
				s.denies(s.bind(s.usual(), nil), c.want)
				return
			}
			s.trusts(s.bind(s.usual(), nil))
			server.Revoke(me)
			s.state = newScene(t).state
			s.denies(s.bind(s.usual(), nil), validator.Revoked)
		})
	}
}

// partialPoints are distribution points for some reasons each. RFC 5280, section
// 4.2.1.13.
func partialPoints(t *testing.T, urls ...string) []byte {
	t.Helper()
	type point struct {
		Name struct {
			Full []asn1.RawValue `asn1:"tag:0"`
		} `asn1:"tag:0"`
		Reasons asn1.BitString `asn1:"tag:1"`
	}
	points := make([]point, len(urls))
	for i, url := range urls {
		points[i].Name.Full = []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}
		points[i].Reasons = asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}
	}
	value, err := asn1.Marshal(points)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// largeList is a CRL of almost as many bytes as are read at most.
func largeList(t *testing.T, by *notationtest.Authority) []byte {
	t.Helper()
	body := by.List(t, func(l *x509.RevocationList) {
		for range 80_000 {
			serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
			if err != nil {
				t.Fatal(err)
			}
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now(), ReasonCode: 1})
		}
	})
	if len(body) < 3<<20 || len(body) > 4<<20 {
		t.Fatalf("it has %d bytes", len(body))
	}
	return body
}

// allocated is how many bytes are allocated meanwhile, by everybody.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// T18: a CRL costs little more than its bytes, however many signers it is for.
func TestT18ManySignersShareALargeCRL(t *testing.T) { //nolint:paralleltest // it measures memory
	s := newScene(t)
	server := s.ca.Revocations(t)
	s.insecure = []string{server.Host()}
	server.Answer(serve(largeList(t, s.ca)))
	var images []registrytest.Image
	for i := range 12 {
		img := s.reg.Push(t, fmt.Sprintf("team/app%d:v1", i))
		s.ca.Signer(t, fmt.Sprint("signer ", i), server.CRL()).Sign(t, s.reg, img)
		images = append(images, img)
	}
	v := s.bind(s.usual(), nil)
	var wg sync.WaitGroup
	took := allocated(func() {
		for _, img := range images {
			wg.Go(func() {
				ref, err := image.Parse(img.String())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := v.Validate(t.Context(), validator.Request{Image: ref}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	if took > 64<<20 || server.Asked() != 1 {
		t.Errorf("%d MiB were allocated, and it was fetched %d times", took>>20, server.Asked())
	}
}

// T18: nor does one that nobody who is trusted has made.
func TestT18CRLsOfStrangersCostLittle(t *testing.T) { //nolint:paralleltest // it measures memory
	s := newScene(t)
	server := s.ca.Revocations(t)
	s.insecure = []string{server.Host()}
	ca := s.ca
	for i := range 6 {
		ca = ca.Intermediate(t, fmt.Sprint("CA ", i), server.CRL())
	}
	ca.Signer(t, "me", server.CRL()).Sign(t, s.reg, s.img)
	v := s.bind(s.usual(), nil)
	for name, body := range map[string][]byte{
		"many entries": largeList(t, s.other),
		"many extensions": s.other.List(t, func(l *x509.RevocationList) {
			for range 200_000 {
				l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}})
			}
		}),
		"garbage": bytes.Repeat([]byte{0x30, 0x80}, 2<<20),
	} {
		server.Answer(serve(body))
		took := allocated(func() { s.denies(v, validator.TrustDataUnavailable) })
		// Seven answers, read into memory that grows.
		if took > 7*4*uint64(len(body)) {
			t.Errorf("%s: %d MiB were allocated for %d bytes", name, took>>20, len(body))
		}
	}
}
