package notation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

const (
	// anybody stands for everybody who has a certificate of the trust root.
	anybody = "*"
	// subjectPrefix begins the one kind of identity that there is.
	subjectPrefix = "x509.subject:"
	// maxIdentities bounds the identities of a trust root.
	maxIdentities = 64
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
		root.anchors = load("cert", config.Cert, trust.ParseAnchors)
	}
	if config.TSCert != "" {
		root.timestamps = load("tsCert", config.TSCert, trust.ParseTimestampRoots)
	}
	root.identities = config.TrustedIdentities
	errs = append(errs, checkIdentities(path+".trustedIdentities", root.identities)...)
	if root.identities == nil {
		root.identities = []string{anybody}
	}
	root.Authority = &trust.Authority{ID: root.id()}
	return root, errs
}

// checkIdentities makes sure that each identity is one that the library compares,
// and that none includes another.
func checkIdentities(path string, identities []string) (errs strict.Errors) {
	switch {
	case identities == nil:
		return nil
	case len(identities) == 0:
		errs.Add(path, "is empty; leave it out to trust everybody who has a certificate of the trust root")
		return errs
	case len(identities) > maxIdentities:
		errs.Add(path, "has more than %d identities", maxIdentities)
		return errs
	case slices.Equal(identities, []string{anybody}):
		return nil
	}
	for i, identity := range identities {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !strings.HasPrefix(identity, subjectPrefix) {
			errs.Add(at, "%.80q must read %q, with the fields of a certificate's subject, of which C, ST and O are mandatory", identity, subjectPrefix+" C=DE, ST=Berlin, O=Example")
			continue
		}
		if err := policyOf(signerRoot{identities: []string{identity}}, Strict, "").Validate(); err != nil {
			errs.Add(at, "%v", err)
		}
	}
	if len(errs) > 0 {
		return errs
	}
	if err := policyOf(signerRoot{identities: identities}, Strict, "").Validate(); err != nil {
		errs.Add(path, "%v", err)
	}
	return errs
}

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

// policyOf is the trust policy that trusts a root.
// https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md#trust-policy
func policyOf(root signerRoot, level string, timestamps trustpolicy.TimestampOption) *trustpolicy.Document {
	stores := []string{fmt.Sprintf("%s:%s", truststore.TypeCA, storeName)}
	if root.stamped() {
		stores = append(stores, fmt.Sprintf("%s:%s", truststore.TypeTSA, storeName))
	}
	return &trustpolicy.Document{
		Version: "1.0",
		TrustPolicies: []trustpolicy.TrustPolicy{{
			Name:                  "rule",
			RegistryScopes:        []string{scope},
			SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: level, VerifyTimestamp: timestamps},
			TrustStores:           stores,
			TrustedIdentities:     root.identities,
		}},
	}
}
