package trust_test

import (
	"cmp"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	fulcio "github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

func keyless(c trust.KeylessConfig) []trust.RootConfig {
	return []trust.RootConfig{{KeyConfig: trust.KeyConfig{Name: "default"}, Keyless: &c}}
}

// T17: an identity matches a certificate as a whole, from the first to the last
// character.
func TestT17Identities(t *testing.T) {
	t.Parallel()
	const issuer, subject = "https://issuer.example.com", "https://github.com/org/repo/.github/workflows/release.yml@refs/tags/v1"
	of := func(issuer, subject string, extensions fulcio.Extensions) fulcio.Summary {
		extensions.Issuer = issuer
		return fulcio.Summary{SubjectAlternativeName: subject, Extensions: extensions}
	}
	release := fulcio.Extensions{GithubWorkflowRepository: "org/repo", GithubWorkflowRef: "refs/tags/v1", GithubWorkflowTrigger: "push"}
	for name, c := range map[string]struct {
		config  trust.KeylessConfig
		summary fulcio.Summary
		want    bool
	}{
		"its very issuer and subject":              {trust.KeylessConfig{Issuer: issuer, Subject: subject}, of(issuer, subject, release), true},
		"another issuer":                           {trust.KeylessConfig{Issuer: issuer, Subject: subject}, of(issuer+".evil.io", subject, release), false},
		"another subject":                          {trust.KeylessConfig{Issuer: issuer, Subject: subject}, of(issuer, subject+"0", release), false},
		"no issuer":                                {trust.KeylessConfig{Issuer: issuer, Subject: subject}, of("", subject, release), false},
		"a subject that an expression describes":   {trust.KeylessConfig{Issuer: issuer, SubjectRegex: `https://github\.com/org/.+`}, of(issuer, subject, release), true},
		"a subject with more before it":            {trust.KeylessConfig{Issuer: issuer, SubjectRegex: `https://github\.com/org/.+`}, of(issuer, "https://evil.io/"+subject, release), false},
		"a subject with more behind it":            {trust.KeylessConfig{Issuer: issuer, SubjectRegex: `alice@example\.com`}, of(issuer, "alice@example.com.evil.io", release), false},
		"a subject with a line more":               {trust.KeylessConfig{Issuer: issuer, SubjectRegex: `alice@example\.com`}, of(issuer, "alice@example.com\nx", release), false},
		"one of two alternatives, whole":           {trust.KeylessConfig{Issuer: issuer, SubjectRegex: `alice@example\.com|bob@example\.com`}, of(issuer, "bob@example.com", release), true},
		"one of two alternatives, in part":         {trust.KeylessConfig{Issuer: issuer, SubjectRegex: `alice@example\.com|bob@example\.com`}, of(issuer, "bob@example.com.evil.io", release), false},
		"an issuer that an expression describes":   {trust.KeylessConfig{IssuerRegex: `https://[a-z]+\.example\.com`, Subject: subject}, of(issuer, subject, release), true},
		"an issuer with more behind it":            {trust.KeylessConfig{IssuerRegex: `https://[a-z]+\.example\.com`, Subject: subject}, of(issuer+"/evil", subject, release), false},
		"the extensions that are demanded":         {trust.KeylessConfig{Issuer: issuer, Subject: subject, Extensions: map[string]string{"githubWorkflowRepository": "org/repo", "githubWorkflowTrigger": "push"}}, of(issuer, subject, release), true},
		"an extension with another value":          {trust.KeylessConfig{Issuer: issuer, Subject: subject, Extensions: map[string]string{"githubWorkflowRef": "refs/heads/main"}}, of(issuer, subject, release), false},
		"an extension whose value begins the same": {trust.KeylessConfig{Issuer: issuer, Subject: subject, Extensions: map[string]string{"githubWorkflowRepository": "org/rep"}}, of(issuer, subject, release), false},
		"no such extension":                        {trust.KeylessConfig{Issuer: issuer, Subject: subject, Extensions: map[string]string{"runnerEnvironment": "github-hosted"}}, of(issuer, subject, release), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roots, errs := trust.LoadRoots("trustRoots", keyless(c.config), &objects{})
			if errs != nil {
				t.Fatal(errs)
			}
			if err := roots[0].Identity.Matches(c.summary); (err == nil) != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// issued is an authority's certificate, and one that it has issued to a signer.
func issued(t *testing.T) (authority, signer string) {
	t.Helper()
	key := newECDSA(t, elliptic.P256())
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "signer"}, BasicConstraintsValid: true}
	made := make([]string, 2)
	for i, template := range []*x509.Certificate{ca, leaf} {
		der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		made[i] = block("CERTIFICATE", der)
	}
	return made[0], made[1]
}

// T17, T21, T22, T25: what would match more than was meant is refused.
func TestTrustRootsThatAreWrong(t *testing.T) {
	t.Parallel()
	const at = "trustRoots[0]"
	id := trust.KeylessConfig{Issuer: "i", Subject: "s"}
	root := func(c trust.RootConfig) []trust.RootConfig { c.Name = "default"; return []trust.RootConfig{c} }
	ca, leaf := issued(t)
	for name, c := range map[string]struct {
		configs []trust.RootConfig
		want    []string
	}{
		"T17: neither issuer nor subject":                {keyless(trust.KeylessConfig{}), []string{at + ".keyless.issuer: is missing, and so is issuerRegex", at + ".keyless.subject: is missing, and so is subjectRegex"}},
		"T17: no subject":                                {keyless(trust.KeylessConfig{Issuer: "i"}), []string{at + ".keyless.subject: is missing, and so is subjectRegex"}},
		"T17: no issuer":                                 {keyless(trust.KeylessConfig{SubjectRegex: "s"}), []string{at + ".keyless.issuer: is missing, and so is issuerRegex"}},
		"T17: both":                                      {keyless(trust.KeylessConfig{Issuer: "i", IssuerRegex: "i", Subject: "s"}), []string{at + ".keyless.issuer: stands beside issuerRegex"}},
		"an expression that is none":                     {keyless(trust.KeylessConfig{Issuer: "i", SubjectRegex: "("}), []string{at + ".keyless.subjectRegex: is no valid regular expression"}},
		"an expression that breaks out":                  {keyless(trust.KeylessConfig{Issuer: "i", SubjectRegex: "a)|(?:b"}), []string{at + ".keyless.subjectRegex: is no valid regular expression"}},
		"T36: an expression that goes back":              {keyless(trust.KeylessConfig{Issuer: "i", SubjectRegex: `(a)\1`}), []string{at + ".keyless.subjectRegex: is no valid regular expression"}},
		"an extension that there is not":                 {keyless(trust.KeylessConfig{Issuer: "i", Subject: "s", Extensions: map[string]string{"githubWorkflowRepo": "x"}}), []string{at + `.keyless.extensions.githubWorkflowRepo: is no extension of a certificate; did you mean`}},
		"an extension of any value":                      {keyless(trust.KeylessConfig{Issuer: "i", Subject: "s", Extensions: map[string]string{"githubWorkflowRef": ""}}), []string{at + ".keyless.extensions.githubWorkflowRef: is empty"}},
		"the issuer as an extension":                     {keyless(trust.KeylessConfig{Issuer: "i", Subject: "s", Extensions: map[string]string{"issuer": "x"}}), []string{at + ".keyless.extensions.issuer: is no extension"}},
		"a key and an identity":                          {root(trust.RootConfig{KeyConfig: trust.KeyConfig{Key: newPEM(t)}, Keyless: &id}), []string{at + ".key: cannot stand beside keyless or cert"}},
		"a chain to nothing":                             {root(trust.RootConfig{CertChain: ca}), []string{at + ".certChain: needs cert"}},
		"T22: a signer's certificate":                    {root(trust.RootConfig{Cert: leaf}), []string{at + ".cert: holds the certificate of a signer"}},
		"T22: a signer's certificate among authorities'": {root(trust.RootConfig{Cert: ca + leaf}), []string{at + ".cert: holds the certificate of a signer"}},
		"T22: a root as an intermediate":                 {root(trust.RootConfig{Cert: ca, CertChain: ca}), []string{at + ".certChain: holds"}},
		"a key as a certificate":                         {root(trust.RootConfig{Cert: newPEM(t)}), []string{at + ".cert: must hold PEM certificates and nothing else"}},
		"a certificate with text behind":                 {root(trust.RootConfig{Cert: ca + "HAHA"}), []string{at + ".cert: must hold PEM certificates and nothing else"}},
		"T21: a certificate in a file":                   {root(trust.RootConfig{Cert: "/etc/ssl/ca.pem"}), []string{at + `.cert: "/etc/ssl/ca.pem" is not supported`}},
		"T13: an identity twice": {append(keyless(id), trust.RootConfig{KeyConfig: trust.KeyConfig{Name: "b"}, Keyless: &id}),
			[]string{`trustRoots[1]: is the same as the trust root "default"`}},
		"T13: an authority twice": {append(root(trust.RootConfig{Cert: ca}), trust.RootConfig{KeyConfig: trust.KeyConfig{Name: "b"}, Cert: ca}),
			[]string{`trustRoots[1]: is the same as the trust root "default"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs := trust.LoadRoots("trustRoots", c.configs, &objects{})
			if len(errs) != len(c.want) {
				t.Fatalf("want %d errors, got %v", len(c.want), errs)
			}
			for i, want := range c.want {
				if got := errs[i].Error(); !strings.HasPrefix(got, want) {
					t.Errorf("want %s…, got %s", want, got)
				}
			}
		})
	}
}

// T13: where trust roots overlap, one signer counts for one of them.
func TestT13OneSignerCountsOnce(t *testing.T) {
	t.Parallel()
	signed := func(pairs ...string) (all []trust.Signed) {
		for _, p := range pairs {
			root, signer, _ := strings.Cut(p, "=")
			signer, key, _ := strings.Cut(signer, "/")
			all = append(all, trust.Signed{Root: root, Signer: signer, Key: cmp.Or(key, "key of "+signer)})
		}
		return all
	}
	for name, c := range map[string]struct {
		required []string
		signed   []trust.Signed
		want     []string
	}{
		"nobody":      {nil, nil, []string{}},
		"one for one": {nil, signed("a=x"), []string{"a"}},
		"one for two": {nil, signed("a=x", "b=x"), []string{"a"}},
		"one for two, and the second is required": {[]string{"b"}, signed("a=x", "b=x"), []string{"b"}},
		"one for two, and another for the first":  {nil, signed("a=x", "b=x", "a=y"), []string{"a", "b"}},
		"one who signs often":                     {nil, signed("a=x", "a=x", "b=x", "c=x"), []string{"a"}},
		"three who make two":                      {nil, signed("a=x", "a=y", "a=z", "b=x", "c=x"), []string{"a", "b"}},
		"three who make three":                    {nil, signed("a=x", "a=y", "b=x", "b=z", "c=x"), []string{"a", "b", "c"}},
		"a key and a name for it":                 {nil, signed("a=x/k", "b=k/k"), []string{"a"}},
		"two names for a key":                     {nil, signed("a=x/k", "b=y/k"), []string{"a"}},
		"two keys of one name, one with another":  {nil, signed("a=x/k", "b=x/l", "c=y/l"), []string{"a"}},
		"two keys of two names":                   {nil, signed("a=x/k", "b=y/l"), []string{"a", "b"}},
		"who is no trust root":                    {nil, signed("eve=x", "a=x"), []string{"a"}},
	} {
		quorum := trust.Quorum{Roots: roots("a", "b", "c"), Required: c.required, Threshold: 1}
		if diff := gocmp.Diff(c.want, quorum.Distinct(c.signed)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
