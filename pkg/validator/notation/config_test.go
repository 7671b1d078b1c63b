package notation_test

import (
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
)

func TestWhatIsWrongWithAValidator(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tsa := notationtest.NewTimestampAuthority(t)
	cert, weak := s.ca.PEM(), notationtest.NewSHA1(t, "Old Root").PEM()
	key := "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsx28WV7BsQfnHF1kZmpdCTTLJaWe\nd0CA+JOi8H4REuBaWSZ5zPDe468WuOJ6f71E7WFg3CVEVYHuoZt2UYbN/Q==\n-----END PUBLIC KEY-----\n"
	for name, c := range map[string]struct {
		settings fields
		want     string // none if nothing is
	}{
		"nothing":                             {fields{"trustRoots": s.usual()}, ""},
		"no trust roots":                      {fields{}, "validators[0].trustRoots: is empty"},
		"an empty list":                       {fields{"trustRoots": []any{}}, "validators[0].trustRoots: is empty"},
		"no name":                             {fields{"trustRoots": []any{root("", cert)}}, "validators[0].trustRoots[0].name: is missing"},
		"a name twice":                        {fields{"trustRoots": []any{root("a", cert), root("a", s.other.PEM())}}, "validators[0].trustRoots[1].name: another trust root is named"},
		"no certificate":                      {fields{"trustRoots": []any{fields{"name": "a"}}}, "validators[0].trustRoots[0].cert: is missing"},
		"a key beside it":                     {fields{"trustRoots": []any{fields{"name": "a", "key": key}}}, "validators[0].trustRoots[0].key: unknown key"},
		"a key in its place":                  {fields{"trustRoots": []any{root("a", key)}}, "validators[0].trustRoots[0].cert: must hold PEM certificates and nothing else"},
		"a broken certificate":                {fields{"trustRoots": []any{root("a", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n")}}, "validators[0].trustRoots[0].cert: holds a broken certificate"},
		"T22 a signer's certificate":          {fields{"trustRoots": []any{root("a", s.ca.Signer(t, "me").PEM())}}, "validators[0].trustRoots[0].cert: holds the certificate of a signer"},
		"T21 a file":                          {fields{"trustRoots": []any{root("a", "/etc/ca.pem")}}, `validators[0].trustRoots[0].cert: "/etc/ca.pem" is not supported`},
		"the same twice":                      {fields{"trustRoots": []any{root("a", cert), root("b", cert)}}, `validators[0].trustRoots[1]: trusts the same certificates and identities as the trust root "a"`},
		"a timestamp authority":               {fields{"trustRoots": s.usual(fields{"tsCert": tsa.Root.PEM()})}, ""},
		"its certificate, not a root":         {fields{"trustRoots": s.usual(fields{"tsCert": s.ca.Intermediate(t, "x").PEM()})}, "validators[0].trustRoots[0].tsCert: holds"},
		"a broken one":                        {fields{"trustRoots": s.usual(fields{"tsCert": "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"})}, "validators[0].trustRoots[0].tsCert: holds a broken certificate"},
		"no identity":                         {fields{"trustRoots": s.usual(fields{"trustedIdentities": []any{}})}, "validators[0].trustRoots[0].trustedIdentities: is empty"},
		"an identity of nobody":               {fields{"trustRoots": s.usual(fields{"trustedIdentities": []any{""}})}, "validators[0].trustRoots[0].trustedIdentities[0]: "},
		"an identity of another kind":         {fields{"trustRoots": s.usual(fields{"trustedIdentities": []any{"x509.email: a"}})}, "validators[0].trustRoots[0].trustedIdentities[0]: "},
		"a subject without a country":         {fields{"trustRoots": s.usual(fields{"trustedIdentities": []any{"x509.subject: O=a"}})}, "validators[0].trustRoots[0].trustedIdentities[0]: "},
		"everybody and somebody":              {fields{"trustRoots": s.usual(fields{"trustedIdentities": []any{"*", "x509.subject: C=DE, ST=a, O=b"}})}, "validators[0].trustRoots[0].trustedIdentities[0]: "},
		"an identity by what is not compared": {fields{"trustRoots": s.usual(fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=a, O=b, DC=c"}})}, `validators[0].trustRoots[0].trustedIdentities[0]: has the field "DC", but only C, CN,`},
		"a field in small letters":            {fields{"trustRoots": s.usual(fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=a, O=b, Cn=c"}})}, `did you mean "CN"?`},
		"a root signed with SHA-1":            {fields{"trustRoots": []any{root("a", weak)}}, "validators[0].trustRoots[0].cert: holds"},
		"a timestamp root signed with SHA-1":  {fields{"trustRoots": s.usual(fields{"tsCert": weak})}, "which is signed with SHA1-RSA"},
		"an identity within another":          {fields{"trustRoots": s.usual(fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=a, O=b", "x509.subject: C=DE, ST=a, O=b, CN=c"}})}, "validators[0].trustRoots[0].trustedIdentities: "},
		"an unknown key":                      {fields{"trustRoots": s.usual(), "plugins": true}, "validators[0].plugins: unknown key"},
		"skipping that is no boolean":         {fields{"trustRoots": s.usual(), "insecureSkipRevocation": "yes"}, "validators[0].insecureSkipRevocation: must be true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs := s.configure(c.settings)
			if text := errs.Error(); c.want == "" && len(errs) > 0 || c.want != "" && (!strings.Contains(text, c.want) || len(errs) != 1) {
				t.Errorf("want %q, got %d: %s", c.want, len(errs), text)
			}
		})
	}
}

func TestWhatIsWrongWithARule(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	stamped := s.usual(fields{"tsCert": notationtest.NewTimestampAuthority(t).Root.PEM()})
	for name, c := range map[string]struct {
		roots []any
		with  fields
		want  string
	}{
		"nothing":                        {s.usual(), nil, ""},
		"T23 skip":                       {s.usual(), fields{"verificationLevel": "skip"}, `policy[0].with.verificationLevel: is "skip", but must be strict, permissive or audit; for images that need no signature`},
		"another level":                  {s.usual(), fields{"verificationLevel": "strikt"}, `is "strikt", but must be strict, permissive or audit; did you mean "strict"?`},
		"a timestamp that nobody makes":  {s.usual(), fields{"verifyTimestamp": "always"}, "policy[0].with.verifyTimestamp: has no effect"},
		"a timestamp":                    {stamped, fields{"verifyTimestamp": "afterCertExpiry"}, ""},
		"another timestamp":              {stamped, fields{"verifyTimestamp": "never"}, `policy[0].with.verifyTimestamp: is "never", but must be always or afterCertExpiry`},
		"no such trust root":             {s.usual(), fields{"trustRoot": "x"}, `policy[0].with.trustRoot: no trust root named "x"`},
		"a setting of another validator": {s.usual(), fields{"verifySCT": true}, "policy[0].with.verifySCT: unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, errs := s.configure(fields{"trustRoots": c.roots})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			_, errs = v.Bind(strict.Object{Path: "policy[0].with", Fields: c.with})
			if text := errs.Error(); c.want == "" && len(errs) > 0 || c.want != "" && (!strings.Contains(text, c.want) || len(errs) != 1) {
				t.Errorf("want %q, got %d: %s", c.want, len(errs), text)
			}
		})
	}
}

// One authority makes as many signers as it likes.
func TestOverlappingTrustRootsAreWarnedOf(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	below := s.ca.Intermediate(t, "Team CA")
	somebody := fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=a, O=b"}}
	for name, c := range map[string]struct {
		cert string
		more fields
		want bool
	}{
		"another authority":              {s.other.PEM(), nil, false},
		"the same among others":          {s.other.PEM() + s.ca.PEM(), nil, true},
		"one below it":                   {below.PEM(), nil, true},
		"the same, with somebody's name": {s.other.PEM() + s.ca.PEM(), somebody, false},
	} {
		for _, roots := range [][]any{{root("a", s.ca.PEM()), root("b", c.cert, c.more)}, {root("a", c.cert, c.more), root("b", s.ca.PEM())}} {
			v, errs := s.configure(fields{"trustRoots": roots})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			want := `validators[0].trustRoots[1].cert: an authority of it is one of the trust root "a" too`
			if found := v.Overlaps(); len(found) > 0 != c.want || c.want && !strings.Contains(found.Error(), want) {
				t.Errorf("%s: %v", name, found)
			}
		}
	}
}

func TestAFingerprintCoversEverySetting(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tsa := notationtest.NewTimestampAuthority(t)
	seen := map[string]string{}
	for name, v := range map[string]interface{ Fingerprint() string }{
		"usual":      s.bind(s.usual(), nil),
		"other":      s.bind([]any{root("default", s.other.PEM())}, nil),
		"stamped":    s.bind(s.usual(fields{"tsCert": tsa.Root.PEM()}), nil),
		"later":      s.bind(s.usual(fields{"tsCert": tsa.Root.PEM()}), fields{"verifyTimestamp": "afterCertExpiry"}),
		"identity":   s.bind(s.usual(fields{"trustedIdentities": []any{"x509.subject: C=DE, ST=a, O=b"}}), nil),
		"permissive": s.bind(s.usual(), fields{"verificationLevel": "permissive"}),
		"audit":      s.bind(s.usual(), fields{"verificationLevel": "audit"}),
		"skipping":   s.bind(fields{"trustRoots": s.usual(), "insecureSkipRevocation": true}, nil),
		"two":        s.bind([]any{root("default", s.ca.PEM()), root("b", s.other.PEM())}, fields{"trustRoot": "*"}),
		"one of two": s.bind([]any{root("default", s.ca.PEM()), root("b", s.other.PEM())}, fields{"trustRoot": "*", "threshold": 1}),
	} {
		if other, ok := seen[v.Fingerprint()]; ok {
			t.Errorf("%s and %s have the same: %s", name, other, v.Fingerprint())
		}
		seen[v.Fingerprint()] = name
	}
}
