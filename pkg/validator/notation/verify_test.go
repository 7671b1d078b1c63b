package notation_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

var forms = map[string][]notationtest.Option{"JWS": nil, "COSE": {notationtest.COSE()}}

func TestASignatureThatLeadsToATrustRootIsTrusted(t *testing.T) {
	t.Parallel()
	for form, options := range forms {
		for place, reg := range map[string][]registrytest.Option{"listed by the registry": {registrytest.Referrers()}, "under the tag": {}} {
			t.Run(form+" "+place, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, append(reg, registrytest.Latency(0))...)
				s.ca.Signer(t, "me").Sign(t, s.reg, s.img, options...)
				v := s.bind(s.usual(), nil)
				result := s.trusts(v)
				if len(result.TrustRoots) != 1 || result.TrustRoots[0] != "default" || len(result.Warnings) > 0 {
					t.Errorf("got %+v", result)
				}
				if want := []string{"default (CN=me,O=Example,ST=Berlin,C=DE, issued by CN=Example CA,O=Example,ST=Berlin,C=DE)"}; !cmp.Equal(result.Signers, want) {
					t.Error(cmp.Diff(want, result.Signers))
				}
				if _, failure := s.validateRef(v, s.img.ByDigest()); failure != nil {
					t.Errorf("by digest: %v", failure)
				}
			})
		}
	}
}

func TestWhatATrustRootCanBe(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	below := s.ca.Intermediate(t, "Team CA")
	self := notationtest.SelfSigned(t, "alone")
	by := map[string]*notationtest.Signer{"a signer of an intermediate authority": below.Signer(t, "me"), "a self-signed signer": self, "another": s.other.Signer(t, "them")}
	for name, c := range map[string]struct {
		cert  string
		signs string
		want  bool
	}{
		"a root":                            {s.ca.PEM(), "a signer of an intermediate authority", true},
		"an intermediate authority":         {below.PEM(), "a signer of an intermediate authority", true},
		"one of two":                        {s.other.PEM() + s.ca.PEM(), "a signer of an intermediate authority", true},
		"a signer's own":                    {self.PEM(), "a self-signed signer", true},
		"another root":                      {s.other.PEM(), "a signer of an intermediate authority", false},
		"another root and a self-signed":    {s.other.PEM(), "a self-signed signer", false},
		"a root and another authority":      {s.ca.PEM(), "another", false},
		"another self-signed, and the name": {notationtest.SelfSigned(t, "alone").PEM(), "a self-signed signer", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			by[c.signs].Sign(t, s.reg, s.img)
			v := s.bind([]any{root("default", c.cert)}, nil)
			if c.want {
				s.trusts(v)
				return
			}
			s.denies(v, validator.UntrustedSigner, `not by trust root "default"`, "a signature is by")
		})
	}
}

func TestAnImageWithoutSignaturesIsDenied(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.bind(s.usual(), nil)
	s.denies(v, validator.NoSignature, "no signature of the Notary Project is attached to "+s.img.Digest)
	other := s.reg.Push(t, "team/app:v2")
	s.ca.Signer(t, "me").Sign(t, s.reg, other)
	s.denies(v, validator.NoSignature)
}

func TestT14ASignatureIsForNothingButItsDigest(t *testing.T) {
	t.Parallel()
	const elsewhere = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for name, c := range map[string]struct {
		option notationtest.Option
		reason validator.Reason
		words  string
	}{
		"another digest":     {notationtest.ForDigest(elsewhere), validator.DigestMismatch, elsewhere},
		"a blob":             {notationtest.ForMediaType("application/octet-stream"), validator.MalformedSignature, "which is no image"},
		"no type":            {notationtest.ForMediaType(""), validator.MalformedSignature, "which is no image"},
		"an artifact's file": {notationtest.ForMediaType("application/vnd.oci.image.layer.v1.tar"), validator.MalformedSignature, "which is no image"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for form, options := range forms {
				t.Log(form)
				s := newScene(t)
				s.ca.Signer(t, "me").Sign(t, s.reg, s.img, append(options, c.option)...)
				s.denies(s.bind(s.usual(), nil), c.reason, c.words)
			}
		})
	}
}

// jws changes a part of a JWS envelope.
func jws(change func(map[string]any)) notationtest.Option {
	return notationtest.Changed(func(envelope []byte) []byte {
		var parts map[string]any
		if err := json.Unmarshal(envelope, &parts); err != nil {
			panic(err)
		}
		change(parts)
		changed, err := json.Marshal(parts)
		if err != nil {
			panic(err)
		}
		return changed
	})
}

// part replaces text within a part that is base64.
func part(name, from, to string) notationtest.Option {
	return jws(func(parts map[string]any) {
		text, err := base64.RawURLEncoding.DecodeString(parts[name].(string))
		if err != nil || !strings.Contains(string(text), from) {
			panic(name + " lacks " + from)
		}
		parts[name] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(text), from, to, 1)))
	})
}

func TestASignatureThatWasTamperedWithIsDenied(t *testing.T) {
	t.Parallel()
	const elsewhere = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	ca := notationtest.New(t, "Example CA")
	victim, thief := ca.Signer(t, "victim"), notationtest.New(t, "Other CA").Signer(t, "thief")
	stolen := func(parts map[string]any) {
		chain := make([]any, len(victim.Chain))
		for i, c := range victim.Chain {
			chain[i] = base64.StdEncoding.EncodeToString(c.Raw)
		}
		parts["header"].(map[string]any)["x5c"] = chain
	}
	for name, c := range map[string]struct {
		by      *notationtest.Signer
		options func(img registrytest.Image) []notationtest.Option
		reason  validator.Reason
	}{
		"another digest put in": {victim, func(img registrytest.Image) []notationtest.Option {
			return []notationtest.Option{notationtest.ForDigest(elsewhere), part("payload", elsewhere, img.Digest)}
		}, validator.MalformedSignature},
		"an expiry taken out": {victim, func(registrytest.Image) []notationtest.Option {
			return []notationtest.Option{notationtest.At(time.Now().Add(-time.Hour)), notationtest.Expires(time.Now().Add(-time.Minute)), part("protected", "io.cncf.notary.expiry", "x")}
		}, validator.MalformedSignature},
		"the algorithm taken out": {victim, func(registrytest.Image) []notationtest.Option {
			return []notationtest.Option{part("protected", "ES256", "none")}
		}, validator.MalformedSignature},
		"certificates of somebody else": {thief, func(registrytest.Image) []notationtest.Option {
			return []notationtest.Option{jws(stolen)}
		}, validator.MalformedSignature},
		"a trusted root at the end of a stranger's chain": {thief, func(registrytest.Image) []notationtest.Option {
			return []notationtest.Option{jws(func(parts map[string]any) {
				header := parts["header"].(map[string]any)
				header["x5c"] = append(header["x5c"].([]any), base64.StdEncoding.EncodeToString(ca.Certificate.Raw))
			})}
		}, validator.MalformedSignature},
		"no certificates": {victim, func(registrytest.Image) []notationtest.Option {
			return []notationtest.Option{jws(func(parts map[string]any) { delete(parts, "header") })}
		}, validator.MalformedSignature},
		"no signature": {victim, func(registrytest.Image) []notationtest.Option {
			return []notationtest.Option{jws(func(parts map[string]any) { parts["signature"] = "" })}
		}, validator.MalformedSignature},
		"garbage": {victim, func(registrytest.Image) []notationtest.Option {
			return []notationtest.Option{notationtest.Changed(func([]byte) []byte { return []byte("{}") })}
		}, validator.MalformedSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.ca = ca
			c.by.Sign(t, s.reg, s.img, c.options(s.img)...)
			s.denies(s.bind(s.usual(), nil), c.reason)
			// Not even those who let most pass let that pass.
			s.denies(s.bind(s.usual(), fields{"verificationLevel": "audit"}), c.reason)
		})
	}
	for n, flip := range map[string]int{"the first byte of COSE": 0, "a byte in the middle": -2, "the last byte": -1} {
		t.Run(n, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.ca = ca
			victim.Sign(t, s.reg, s.img, notationtest.COSE(), notationtest.Changed(func(envelope []byte) []byte {
				at := map[int]int{0: 0, -1: len(envelope) - 1, -2: len(envelope) / 20}[flip]
				envelope[at] ^= 1
				return envelope
			}))
			if result, failure := s.validate(s.bind(s.usual(), nil)); failure == nil {
				t.Errorf("accepted: %+v", result)
			}
		})
	}
}

func TestExpiredSignatures(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ago := time.Now().Add(-time.Hour)
	s.ca.Signer(t, "me").Sign(t, s.reg, s.img, notationtest.At(ago), notationtest.Expires(ago.Add(time.Minute)))
	s.denies(s.bind(s.usual(), nil), validator.Expired, "was valid until "+ago.Add(time.Minute).UTC().Format("2006-01-02T15:04"))
	for _, level := range []string{"permissive", "audit"} {
		result := s.trusts(s.bind(s.usual(), fields{"verificationLevel": level}))
		if len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "expired") || !strings.Contains(result.Warnings[0], "verificationLevel: "+level) || len(result.TrustRoots) != 1 {
			t.Errorf("%s: %+v", level, result)
		}
	}
}

func TestAResultHoldsNoLongerThanWhatItReliesOn(t *testing.T) {
	t.Parallel()
	soon, later := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(2*time.Hour).Truncate(time.Second)
	tsa := notationtest.NewTimestampAuthority(t)
	for name, c := range map[string]struct {
		options []notationtest.Option
		root    fields
		with    fields
		want    time.Time
	}{
		"the certificate":              {nil, nil, nil, later},
		"the signature":                {[]notationtest.Option{notationtest.Expires(soon)}, nil, nil, soon},
		"a timestamp outlives it":      {[]notationtest.Option{notationtest.Stamped(tsa)}, fields{"tsCert": tsa.Root.PEM()}, nil, time.Time{}},
		"a timestamp that nobody asks": {[]notationtest.Option{notationtest.Stamped(tsa)}, nil, nil, later},
		"a timestamp that is not needed yet": {
			[]notationtest.Option{notationtest.Stamped(tsa)}, fields{"tsCert": tsa.Root.PEM()}, fields{"verifyTimestamp": "afterCertExpiry"}, later,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.ca.Signer(t, "me", notationtest.Valid(time.Now().Add(-time.Hour), later)).Sign(t, s.reg, s.img, c.options...)
			if got := s.trusts(s.bind(s.usual(c.root), c.with)).Expires; !got.Equal(c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// T23: what anybody has signed is let pass by audit, and never without a trace.
func TestT23AuditLetsStrangersPassAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.other.Signer(t, "stranger").Sign(t, s.reg, s.img)
	s.denies(s.bind(s.usual(), fields{"verificationLevel": "permissive"}), validator.UntrustedSigner)
	result := s.trusts(s.bind(s.usual(), fields{"verificationLevel": "audit"}))
	if len(result.TrustRoots) != 0 || len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "the signer is not verified") ||
		len(result.Signers) != 1 || !strings.HasSuffix(result.Signers[0], "who is not trusted") {
		t.Errorf("got %+v", result)
	}
	unsigned := newScene(t)
	unsigned.denies(unsigned.bind(unsigned.usual(), fields{"verificationLevel": "audit"}), validator.NoSignature)
}

func TestT21PluginsAreNeverExecuted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		option notationtest.Option
		words  string
	}{
		"a plugin":             {notationtest.Attribute("io.cncf.notary.verificationPlugin", "evil", true), "plugin evil"},
		"a critical attribute": {notationtest.Attribute("com.example.must", "x", true), "critical attribute com.example.must"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, options := range forms {
				s := newScene(t)
				s.ca.Signer(t, "me").Sign(t, s.reg, s.img, append(options, c.option)...)
				for _, level := range []string{"strict", "permissive", "audit"} {
					s.denies(s.bind(s.usual(), fields{"verificationLevel": level}), validator.InvalidTrustData, c.words)
				}
			}
		})
	}
	s := newScene(t)
	s.ca.Signer(t, "me").Sign(t, s.reg, s.img, notationtest.Attribute("com.example.may", "x", false))
	s.trusts(s.bind(s.usual(), nil))
}

func TestOtherSigningSchemesAreDenied(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ca.Signer(t, "me").Sign(t, s.reg, s.img, notationtest.Scheme("notary.x509.signingAuthority"))
	for _, level := range []string{"strict", "permissive", "audit"} {
		s.denies(s.bind(s.usual(), fields{"verificationLevel": level}), validator.InvalidTrustData, "signing scheme")
	}
}
