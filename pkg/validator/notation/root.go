package notation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// rootConfig is a trust root as the configuration has it.
type rootConfig struct {
	Name              string   `config:"name"`
	Cert              string   `config:"cert"`
	TSCert            string   `config:"tsCert"`
	TrustedIdentities []string `config:"trustedIdentities"`
}

// signerRoot is a trust root of certificates.
type signerRoot struct {
	trust.Root
	anchors    []*x509.Certificate
	timestamps []*x509.Certificate // roots of timestamp authorities; none if timestamps do not count
	identities []string            // in the syntax of trust policies
	subjects   []subject           // the same; none if anybody is trusted
}

// stamped tells whether the root has a timestamp authority, also one that is not
// available.
func (r signerRoot) stamped() bool { return len(r.timestamps) > 0 || r.Unavailable != nil }

// loadRoots reads trust roots. The errors' paths are below path.
func loadRoots(path string, configs []rootConfig, source trust.Source) ([]signerRoot, strict.Errors) {
	var (
		errs   strict.Errors
		roots  []signerRoot
		before []trust.Root
	)
	if len(configs) == 0 {
		errs.Add(path, "is empty; without a trust root nothing can be verified")
	}
	for i, config := range configs {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := trust.CheckName(config.Name, before); err != nil {
			errs.Add(at+".name", "%v", err)
		}
		root, bad := loadRoot(at, config, source)
		errs = append(errs, bad...)
		for _, earlier := range before {
			if root.Unavailable == nil && earlier.Unavailable == nil && root.Authority.ID == earlier.Authority.ID {
				errs.Add(at, "trusts the same certificates and identities as the trust root %q; one signer would count as two", earlier.Name)
			}
		}
		roots, before = append(roots, root), append(before, root.Root)
	}
	return roots, errs
}

// overlaps tells of trust roots that trust the same authority, with everybody who
// has a certificate of it: it alone can make enough signers for both, where trust
// roots are counted. The errors' paths are below path.
func overlaps(path string, roots []signerRoot) (found strict.Errors) {
	for i, root := range roots {
		for _, earlier := range roots[:i] {
			if root.subjects == nil && earlier.subjects == nil && meet(root.anchors, earlier.anchors) {
				found.Add(fmt.Sprintf("%s[%d].cert", path, i), "an authority of it is one of the trust root %q too, so that one authority counts as two", earlier.Name)
			}
		}
	}
	return found
}

// meet tells whether somebody can have a certificate that leads to both.
func meet(some, others []*x509.Certificate) bool {
	for _, a := range some {
		for _, b := range others {
			if a.Equal(b) || a.CheckSignatureFrom(b) == nil || b.CheckSignatureFrom(a) == nil {
				return true
			}
		}
	}
	return false
}

func loadRoot(path string, config rootConfig, source trust.Source) (signerRoot, strict.Errors) {
	root := signerRoot{Root: trust.Root{Name: config.Name}}
	var errs strict.Errors
	load := func(key, reference string, parse func([]byte) ([]*x509.Certificate, error)) []*x509.Certificate {
		loaded, err := trust.Load(path+"."+key, reference, source, parse)
		if err != nil {
			errs = append(errs, err)
		}
		root.Unavailable = cmp.Or(root.Unavailable, loaded.Unavailable)
		return loaded.Value
	}
	if config.Cert == "" {
		errs.Add(path+".cert", "is missing; it must be the PEM certificate of the authority that issues the signers' certificates, or of a signer if it is self-signed, or configmap://NAME/KEY")
	} else {
		root.anchors = load("cert", config.Cert, verifiable(trust.ParseAnchors))
	}
	if config.TSCert != "" {
		root.timestamps = load("tsCert", config.TSCert, verifiable(trust.ParseTimestampRoots))
	}
	root.identities = config.TrustedIdentities
	if root.identities == nil {
		root.identities = []string{anybody}
	}
	var bad strict.Errors
	root.subjects, bad = parseIdentities(path+".trustedIdentities", config.TrustedIdentities)
	errs = append(errs, bad...)
	root.Authority = &trust.Authority{ID: root.id()}
	return root, errs
}

// verifiable parses certificates of which the library verifies signatures: it does
// that for roots too, and takes no SHA-1.
func verifiable(parse func([]byte) ([]*x509.Certificate, error)) func([]byte) ([]*x509.Certificate, error) {
	return func(text []byte) ([]*x509.Certificate, error) {
		certificates, err := parse(text)
		for _, c := range certificates {
			if c.IsCA && slices.Contains(broken, c.SignatureAlgorithm) {
				return nil, fmt.Errorf("holds %q, which is signed with %s; no signature that leads to it is ever accepted", c.Subject, c.SignatureAlgorithm)
			}
		}
		return certificates, err
	}
}

// broken are the algorithms with which crypto/x509 verifies no chain.
var broken = []x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}

// id identifies the certificates and identities.
func (r signerRoot) id() string {
	sum := sha256.New()
	for _, certificates := range [][]*x509.Certificate{r.anchors, r.timestamps} {
		fmt.Fprintf(sum, "%d ", len(certificates))
		for _, c := range certificates {
			_, _ = sum.Write(c.Raw)
		}
	}
	fmt.Fprintf(sum, " %q", slices.Sorted(slices.Values(r.identities)))
	return hex.EncodeToString(sum.Sum(nil))
}

// GetCertificates implements truststore.X509TrustStore.
func (r signerRoot) GetCertificates(_ context.Context, of truststore.Type, _ string) ([]*x509.Certificate, error) {
	switch of {
	case truststore.TypeCA:
		return r.anchors, nil
	case truststore.TypeTSA:
		return r.timestamps, nil
	}
	return nil, fmt.Errorf("there is no trust store of the type %q", of)
}

const (
	// storeName is what trust policies call the certificates of a trust root.
	storeName = "certificates"
	// scope stands for the image's repository in trust policies. Which images a rule
	// is for has been decided when its validator is asked; and the library takes no
	// registry at an IPv6 address.
	scope = "connaisseur/rule"
)

// stores are the certificates of a trust root, as trust policies name them.
func (r signerRoot) stores() []string {
	stores := []string{fmt.Sprintf("%s:%s", truststore.TypeCA, storeName)}
	if r.stamped() {
		stores = append(stores, fmt.Sprintf("%s:%s", truststore.TypeTSA, storeName))
	}
	return stores
}

// policyOf is the trust policy that trusts a root, and these identities of it. Those
// of the root itself are compared without the library.
// https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md#trust-policy
func policyOf(root signerRoot, level string, timestamps trustpolicy.TimestampOption, identities ...string) *trustpolicy.Document {
	return &trustpolicy.Document{
		Version: "1.0",
		TrustPolicies: []trustpolicy.TrustPolicy{{
			Name:                  "rule",
			RegistryScopes:        []string{scope},
			SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: level, VerifyTimestamp: timestamps},
			TrustStores:           root.stores(),
			TrustedIdentities:     identities,
		}},
	}
}
