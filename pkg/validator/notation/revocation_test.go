package notation_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// methods are how it can be asked whether a certificate was revoked.
var methods = map[string]func(*notationtest.Revocations) notationtest.CertificateOption{
	"OCSP": (*notationtest.Revocations).OCSP,
	"CRL":  (*notationtest.Revocations).CRL,
}

// revocable is a scene with an image signed by somebody whose certificate may be
// revoked.
func revocable(t *testing.T, method string) (*scene, *notationtest.Revocations, *notationtest.Signer) {
	t.Helper()
	s := newScene(t)
	server := s.ca.Revocations(t)
	s.insecure = []string{server.Host()}
	me := s.ca.Signer(t, "me", methods[method](server))
	me.Sign(t, s.reg, s.img)
	return s, server, me
}

func TestRevokedCertificatesCountNoMore(t *testing.T) {
	t.Parallel()
	for method := range methods {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s, _, _ := revocable(t, method)
			if r := s.trusts(s.bind(s.usual(), nil)); len(r.Warnings) > 0 {
				t.Errorf("warnings: %q", r.Warnings)
			}
			s, server, me := revocable(t, method)
			server.Revoke(me)
			s.denies(s.bind(s.usual(), nil), validator.Revoked, "CN=me", "of the signer was revoked")
			if r := s.trusts(s.bind(s.usual(), fields{"verificationLevel": "permissive"})); len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "is revoked") {
				t.Errorf("permissive leaves no trace: %q", r.Warnings)
			}
		})
	}
}

func TestARevokedAuthorityCountsNoMore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	server := s.ca.Revocations(t)
	s.insecure = []string{server.Host()}
	below := s.ca.Intermediate(t, "Team CA", server.OCSP())
	below.Signer(t, "me").Sign(t, s.reg, s.img)
	v := s.bind(s.usual(), nil)
	s.trusts(v)
	s = &scene{T: t, reg: s.reg, img: s.img, ca: s.ca, insecure: s.insecure, state: newScene(t).state}
	server.Revoke(&notationtest.Signer{Chain: below.Signer(t, "x").Chain[1:]})
	s.denies(s.bind(s.usual(), nil), validator.Revoked, "CN=Team CA")
}

func TestARevokedTimestampAuthorityCountsNoMore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var server *notationtest.Revocations
	tsa := notationtest.NewTimestampAuthority(t, func() notationtest.CertificateOption { return notationtest.OCSP("http://127.0.0.1:1/") }())
	server = tsa.Root.Revocations(t)
	s.insecure = []string{server.Host(), "127.0.0.1:1"}
	s.ca.Signer(t, "me").Sign(t, s.reg, s.img, notationtest.Stamped(tsa))
	s.denies(s.bind(s.usual(fields{"tsCert": tsa.Root.PEM()}), nil), validator.TrustDataUnavailable, "the timestamp authority")
	s.trusts(s.bind(fields{"trustRoots": s.usual(fields{"tsCert": tsa.Root.PEM()}), "insecureSkipRevocation": true}, nil))
}

func TestWithoutAnAnswerItIsNotKnown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"an error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"garbage":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("garbage")) },
		"nothing":      func(http.ResponseWriter, *http.Request) {},
		"a redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"far too much": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) },
	} {
		for method := range methods {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				s, server, _ := revocable(t, method)
				server.Answer(answer)
				s.denies(s.bind(s.usual(), nil), validator.TrustDataUnavailable, "cannot be found out", "CN=me", "insecureSkipRevocation: true")
				if r := s.trusts(s.bind(s.usual(), fields{"verificationLevel": "permissive"})); len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "the revocation is not verified") {
					t.Errorf("permissive leaves no trace: %q", r.Warnings)
				}
				server.Answer(nil) // and what is not known is not remembered
				s.trusts(s.bind(s.usual(), nil))
			})
		}
	}
}

// A server that does not answer delays an admission for as long as we let it, not
// for as long as it likes.
func TestAServerThatHangsIsWaitedForNoLongerThanItsTime(t *testing.T) {
	t.Parallel()
	for method := range methods {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s, server, _ := revocable(t, method)
			hang(t, server)
			start := time.Now()
			s.denies(s.bind(s.usual(), nil), validator.TrustDataUnavailable)
			if took := time.Since(start); took > 6*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// There is time left to look into a CRL where an OCSP responder takes all it gets.
func TestACRLIsLookedIntoWhereAResponderHangs(t *testing.T) {
	t.Parallel()
	for name, revoked := range map[string]bool{"good": false, "revoked": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			silent, answering := s.ca.Revocations(t), s.ca.Revocations(t)
			silent.Answer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			s.insecure = []string{silent.Host(), answering.Host()}
			me := s.ca.Signer(t, "me", silent.OCSP(), answering.CRL())
			me.Sign(t, s.reg, s.img)
			if revoked {
				answering.Revoke(me)
				s.denies(s.bind(s.usual(), nil), validator.Revoked)
				return
			}
			s.trusts(s.bind(s.usual(), nil))
		})
	}
}

// golang.org/x/crypto/ocsp takes an answer that is signed with any certificate of
// the authority's.
func TestAnAnswerIsSignedByWhoMay(t *testing.T) {
	t.Parallel()
	ocspSigning := notationtest.Usage(x509.ExtKeyUsageOCSPSigning)
	for name, c := range map[string]struct {
		by   func(s *scene, me *notationtest.Signer) *notationtest.Signer
		want validator.Reason
	}{
		"the one who was revoked": {func(_ *scene, me *notationtest.Signer) *notationtest.Signer { return me }, validator.TrustDataUnavailable},
		"another signer":          {func(s *scene, _ *notationtest.Signer) *notationtest.Signer { return s.ca.Signer(t, "other") }, validator.TrustDataUnavailable},
		"a stranger who may": {func(s *scene, _ *notationtest.Signer) *notationtest.Signer {
			return s.other.Signer(t, "other", ocspSigning)
		}, validator.TrustDataUnavailable},
		"one who may no more": {func(s *scene, _ *notationtest.Signer) *notationtest.Signer {
			return s.ca.Signer(t, "other", ocspSigning, notationtest.Valid(time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)))
		}, validator.TrustDataUnavailable},
		"one who may": {func(s *scene, _ *notationtest.Signer) *notationtest.Signer {
			return s.ca.Signer(t, "other", ocspSigning)
		}, ""},
		"the authority, with its certificate": {func(s *scene, _ *notationtest.Signer) *notationtest.Signer { return s.ca.Self() }, ""},
		"another authority below it": {func(s *scene, _ *notationtest.Signer) *notationtest.Signer {
			return s.ca.Intermediate(t, "Team CA").Self()
		}, validator.TrustDataUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, server, me := revocable(t, "OCSP")
			server.AnswerBy(c.by(s, me))
			if v := s.bind(s.usual(), nil); c.want == "" {
				s.trusts(v)
			} else {
				s.denies(v, c.want)
			}
		})
	}
}

// An authority that was revoked does not vouch for itself, whatever it was for.
func TestAnAuthorityInBetweenDoesNotVouchForItself(t *testing.T) {
	t.Parallel()
	for name, usage := range map[string]notationtest.CertificateOption{
		"one for certificates":    notationtest.Usage(),
		"one for answers as well": notationtest.Usage(x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageOCSPSigning),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			server := s.ca.Revocations(t)
			s.insecure = []string{server.Host()}
			below := s.ca.Intermediate(t, "Team CA", server.OCSP(), usage)
			below.Signer(t, "me").Sign(t, s.reg, s.img)
			server.AnswerBy(below.Self())
			s.denies(s.bind(s.usual(), nil), validator.TrustDataUnavailable, "who is not authorized to")
		})
	}
}

func TestAnAnswerMayBeAboutOthersToo(t *testing.T) {
	t.Parallel()
	s, server, me := revocable(t, "OCSP")
	server.AnswerAbout(s.ca.Signer(t, "other"))
	s.trusts(s.bind(s.usual(), nil))
	s.state = newScene(t).state
	server.Revoke(me)
	s.denies(s.bind(s.usual(), nil), validator.Revoked)
}

// hang has a server not answer until the test ends.
func hang(t *testing.T, server *notationtest.Revocations) {
	t.Helper()
	released := make(chan struct{})
	server.Answer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	t.Cleanup(func() { close(released) })
}

// However many signatures and trust roots there are, an image waits for those who
// do not answer once, and not so long that others cannot be asked. (Signatures come
// in any order.)
func TestWhoDoesNotAnswerDelaysAnImageOnce(t *testing.T) {
	t.Parallel()
	const once, all = 3 * time.Second, 4 * time.Second
	for name, c := range map[string]struct {
		sign func(s *scene, server *notationtest.Revocations) []any // the trust roots
		with fields
		want validator.Reason
		most time.Duration
	}{
		"one signer's signatures, and another's": {func(s *scene, server *notationtest.Revocations) []any {
			slow := s.ca.Signer(t, "slow", server.OCSP())
			for i := range 3 {
				slow.Sign(t, s.reg, s.img, notationtest.Attribute("n", i, false))
			}
			s.ca.Signer(t, "good").Sign(t, s.reg, s.img)
			return s.usual()
		}, nil, "", once},
		"many signers, and another who is asked about": {func(s *scene, server *notationtest.Revocations) []any {
			other := s.ca.Revocations(t)
			s.insecure = append(s.insecure, other.Host())
			for range 3 {
				s.ca.Signer(t, "slow", server.OCSP()).Sign(t, s.reg, s.img)
			}
			s.ca.Signer(t, "good", other.OCSP()).Sign(t, s.reg, s.img)
			return s.usual()
		}, nil, "", all},
		"many trust roots": {func(s *scene, server *notationtest.Revocations) (roots []any) {
			s.ca.Signer(t, "slow", server.OCSP()).Sign(t, s.reg, s.img)
			for i := range 5 {
				roots = append(roots, root(fmt.Sprint("root", i), s.ca.PEM(), fields{"trustedIdentities": []any{
					"x509.subject: C=DE, ST=Berlin, O=Example, CN=slow", fmt.Sprint("x509.subject: C=DE, ST=Berlin, O=Example, CN=", i),
				}}))
			}
			return roots
		}, fields{"trustRoot": "*"}, validator.TrustDataUnavailable, once},
		"a timestamp authority too": {func(s *scene, server *notationtest.Revocations) []any {
			tsa := notationtest.NewTimestampAuthority(t, server.OCSP())
			s.ca.Signer(t, "slow", server.OCSP()).Sign(t, s.reg, s.img, notationtest.Stamped(tsa))
			return s.usual(fields{"tsCert": tsa.Root.PEM()})
		}, fields{"verificationLevel": "permissive"}, "", all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			server := s.ca.Revocations(t)
			s.insecure = []string{server.Host()}
			hang(t, server)
			v := s.bind(c.sign(s, server), c.with)
			start := time.Now()
			if c.want == "" {
				s.trusts(v)
			} else {
				s.denies(v, c.want, "did not answer in time")
			}
			if took := time.Since(start); took > c.most+500*time.Millisecond {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// What a library makes of it is not for those who wanted to run the image.
func TestAResponderAtWhatIsNoURL(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ca.Signer(t, "me", notationtest.OCSP("http://[::1")).Sign(t, s.reg, s.img)
	_, failure := s.validate(s.bind(s.usual(), nil))
	if failure == nil || failure.Reason != validator.TrustDataUnavailable || !strings.Contains(failure.Message, "which is no URL") || strings.Contains(failure.Message, "panic") {
		t.Errorf("got %v", failure)
	}
}

func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	for method := range methods {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s, server, me := revocable(t, method)
			v := s.bind(s.usual(), nil)
			s.trusts(v)
			asked := server.Asked()
			s.trusts(v)
			if server.Asked() != asked || asked == 0 {
				t.Errorf("asked %d times, and again %d", asked, server.Asked()-asked)
			}
			other := s.reg.Push(t, "team/app:v2")
			me.Sign(t, s.reg, other)
			if _, failure := s.validateRef(v, other.String()); failure != nil || server.Asked() != asked {
				t.Errorf("for another image: %v, asked %d times", failure, server.Asked()-asked)
			}
		})
	}
}

func TestAClosedNetworkIsAskedNothing(t *testing.T) {
	t.Parallel()
	for method := range methods {
		s, server, me := revocable(t, method)
		server.Revoke(me)
		s.trusts(s.bind(fields{"trustRoots": s.usual(), "insecureSkipRevocation": true}, nil))
		if server.Asked() > 0 {
			t.Errorf("%s: asked %d times", method, server.Asked())
		}
	}
}

// T34: an address that somebody wrote into a certificate is not a way to our own
// ports, nor is a stranger's asked at all.
func TestT34CertificatesDoNotMakeUsConnectAnywhere(t *testing.T) {
	t.Parallel()
	for method := range methods {
		s, server, _ := revocable(t, method)
		s.insecure = nil
		s.denies(s.bind(s.usual(), nil), validator.TrustDataUnavailable, "is an address of this machine")
		if server.Asked() > 0 {
			t.Errorf("%s: asked %d times", method, server.Asked())
		}
		stranger := newScene(t)
		theirs := stranger.other.Revocations(t)
		stranger.insecure = []string{theirs.Host()}
		stranger.other.Signer(t, "stranger", methods[method](theirs)).Sign(t, stranger.reg, stranger.img)
		for _, level := range []string{"strict", "permissive"} {
			stranger.denies(stranger.bind(stranger.usual(), fields{"verificationLevel": level}), validator.UntrustedSigner)
		}
		stranger.trusts(stranger.bind(stranger.usual(), fields{"verificationLevel": "audit"}))
		if theirs.Asked() > 0 {
			t.Errorf("%s: a stranger's server was asked %d times", method, theirs.Asked())
		}
	}
	for _, address := range []string{"http://169.254.169.254/ocsp", "http://[fd00:ec2::254]/ocsp", "https://ocsp.example.com/", "file:///etc/passwd", "http://localhost:8008/"} {
		s := newScene(t)
		s.ca.Signer(t, "me", notationtest.OCSP(address)).Sign(t, s.reg, s.img)
		s.denies(s.bind(s.usual(), nil), validator.TrustDataUnavailable)
	}
}
