//go:build integration

package integration

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
)

// What notation signs is admitted and pinned if the rule's trust roots vouch for
// it, and denied for the reason that there is otherwise.
func TestWhatNotationSigns(t *testing.T) {
	n := realNotations(t)
	n.answer(t, slices.Concat(n.forms(t), n.strangers(t), n.authorities(t), n.quorums(t), n.revoked(t), n.expired(), n.timestamped(t)))
}

var (
	jws  = []string{"--signature-format", "jws"}
	cose = []string{"--signature-format", "cose"}
)

// byAPI has signatures found by the referrers API alone. byTag is the client's
// default, under the referrers tag.
const (
	byAPI = "--force-referrers-tag=false"
	byTag = "--force-referrers-tag=true"
)

const noSigned = "Unable to find signed digest for image "

// forms are those that signatures have, and where they are found.
func (n *notations) forms(t *testing.T) []notationAttempt {
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 3072)
	p384, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, err3 := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	with := func(key crypto.Signer) *notationtest.Signer { return n.ca.SignerWith(t, key, "me") }
	return []notationAttempt{
		{name: "JWS under the referrers tag", steps: []notationStep{n.signs(n.me, jws...)}},
		{name: "COSE under the referrers tag", steps: []notationStep{n.signs(n.me, cose...)}},
		{name: "JWS listed by the registry", referrers: true, steps: []notationStep{n.signs(n.me, append(jws, byAPI)...)}},
		{name: "COSE listed by the registry", referrers: true, steps: []notationStep{n.signs(n.me, append(cose, byAPI)...)}},
		{name: "under the tag of a registry that lists", referrers: true, steps: []notationStep{n.signs(n.me, byTag)}},
		{name: "to be listed by a registry that does not", steps: []notationStep{n.signs(n.me, byAPI)}},
		{name: "an index for two platforms", index: true, steps: []notationStep{n.signs(n.me)}},
		{name: "an index for two platforms, listed by the registry", index: true, referrers: true, steps: []notationStep{n.signs(n.me, append(cose, byAPI)...)}},
		{name: "with metadata of the signer's own", steps: []notationStep{n.signs(n.me, "--user-metadata", "build=1")}},
		{name: "for an hour", steps: []notationStep{n.signs(n.me, "--expiry", "1h")}},
		{name: "an RSA key", steps: []notationStep{n.signs(with(rsaKey), jws...)}},
		{name: "an RSA key, COSE", steps: []notationStep{n.signs(with(rsaKey), cose...)}},
		{name: "a P-384 key", steps: []notationStep{n.signs(with(p384), jws...)}},
		{name: "a P-521 key, COSE", steps: []notationStep{n.signs(with(p521), cose...)}},
	}
}

// strangers are those who must not sign, and what nobody has signed.
func (n *notations) strangers(t *testing.T) []notationAttempt {
	stranger := n.signs(n.stranger)
	return []notationAttempt{
		{name: "unsigned", denied: []string{noSigned, "NoSignature"}},
		{name: "unsigned where the registry lists", referrers: true, denied: []string{noSigned, "NoSignature"}},
		{name: "the tag was moved after it was signed", steps: []notationStep{n.signs(n.me), movesTag}, denied: []string{noSigned, "NoSignature"}},
		{name: "signed by a stranger", steps: []notationStep{stranger}, denied: []string{"UntrustedSigner", "issued by CN=Other CA"}},
		{name: "signed by a self-signed namesake", steps: []notationStep{n.signs(notationtest.SelfSigned(t, "me"))}, denied: []string{"UntrustedSigner", "self-signed"}},
		{name: "signed by three strangers, and then by me", steps: []notationStep{stranger, stranger, stranger, n.signs(n.me)}},
		{name: "signed by three strangers, and then by me, listed by the registry", referrers: true, steps: []notationStep{
			n.signs(n.stranger, byAPI), n.signs(n.stranger, append(cose, byAPI)...), n.signs(n.stranger, byAPI), n.signs(n.me, byAPI),
		}},
		{name: "a stranger, though the level is permissive", with: "verificationLevel: permissive", steps: []notationStep{stranger}, denied: []string{"UntrustedSigner"}},
		{name: "a stranger whom the level audit lets pass", with: "verificationLevel: audit", steps: []notationStep{stranger},
			warned: []string{"verificationLevel: audit lets pass", "CN=Other CA"}},
		{name: "mine under the level audit", with: "verificationLevel: audit", steps: []notationStep{n.signs(n.me)}},
		{name: "unsigned, though the level is audit", with: "verificationLevel: audit", denied: []string{noSigned, "NoSignature"}},
	}
}

// authorities are what trust roots can be, and whom they trust.
func (n *notations) authorities(t *testing.T) []notationAttempt {
	team, alone := n.ca.Intermediate(t, "Team CA"), notationtest.SelfSigned(t, "alone")
	identity := func(cn string) string {
		return notationRoots(notationRoot("default", n.ca.PEM(), fmt.Sprintf("trustedIdentities: ['x509.subject: C=DE, ST=Berlin, O=Example, CN=%s']", cn)))
	}
	return []notationAttempt{
		{name: "an intermediate authority's signer", steps: []notationStep{n.signs(team.Signer(t, "me"))}},
		{name: "an intermediate authority that is trusted itself", roots: notationRoots(notationRoot("default", team.PEM())), steps: []notationStep{n.signs(team.Signer(t, "me"), cose...)}},
		{name: "a signer of the root where an intermediate authority is trusted", roots: notationRoots(notationRoot("default", team.PEM())), steps: []notationStep{n.signs(n.me)},
			denied: []string{"UntrustedSigner"}},
		{name: "self-signed", roots: notationRoots(notationRoot("default", alone.PEM())), steps: []notationStep{n.signs(alone)}},
		{name: "one of the trusted identities", roots: identity("me"), steps: []notationStep{n.signs(n.me)}},
		{name: "none of the trusted identities", roots: identity("somebody else"), steps: []notationStep{n.signs(n.me)}, denied: []string{"UntrustedSigner", "not among the trustedIdentities"}},
		{name: "an identity of a stranger's", roots: identity("me"), steps: []notationStep{n.signs(n.stranger)}, denied: []string{"UntrustedSigner"}},
	}
}

// quorums demand several signers.
func (n *notations) quorums(t *testing.T) []notationAttempt {
	alice, bob, carol := notationtest.New(t, "Alice"), notationtest.New(t, "Bob"), notationtest.New(t, "Carol")
	all := notationRoots(notationRoot("alice", alice.PEM()), notationRoot("bob", bob.PEM()), notationRoot("carol", carol.PEM()))
	a, b, c := n.signs(alice.Signer(t, "alice")), n.signs(bob.Signer(t, "bob"), cose...), n.signs(carol.Signer(t, "carol"))
	const two = "trustRoot: '*', threshold: 2"
	return []notationAttempt{
		{name: "all of three", roots: all, with: "trustRoot: '*'", steps: []notationStep{a, b, c}},
		{name: "two where all three must", roots: all, with: "trustRoot: '*'", steps: []notationStep{a, b}, denied: []string{"ThresholdNotReached"}},
		{name: "two of three", roots: all, with: two, steps: []notationStep{a, n.signs(n.stranger), c}},
		{name: "one where two must", roots: all, with: two, steps: []notationStep{b}, denied: []string{"ThresholdNotReached"}},
		{name: "two signers of one trust root", roots: all, with: two, steps: []notationStep{a, n.signs(alice.Signer(t, "deputy"))}, denied: []string{"ThresholdNotReached"}},
		{name: "two, with the one who must be among them", roots: all, with: two + ", required: [carol]", steps: []notationStep{b, c}},
		{name: "two, without the one who must be among them", roots: all, with: two + ", required: [carol]", steps: []notationStep{a, b}, denied: []string{"MissingRequired", "carol"}},
		{name: "the one trust root of the rule", roots: all, with: "trustRoot: bob", steps: []notationStep{b}},
		{name: "another trust root than that of the rule", roots: all, with: "trustRoot: bob", steps: []notationStep{a}, denied: []string{"UntrustedSigner"}},
	}
}

// revoked are signers whose certificates can be asked about.
func (n *notations) revoked(t *testing.T) []notationAttempt {
	const skip, permissive = "insecureSkipRevocation: true", "verificationLevel: permissive"
	signer := func(options ...notationtest.CertificateOption) notationStep {
		return n.signs(n.ca.Signer(t, "me", options...))
	}
	revoked := func(options ...notationtest.CertificateOption) notationStep {
		who := n.ca.Signer(t, "me", options...)
		n.revocations.Revoke(who)
		return n.signs(who)
	}
	team := n.ca.Intermediate(t, "Team CA", n.revocations.OCSP())
	n.revocations.Revoke(&notationtest.Signer{Chain: []*x509.Certificate{team.Certificate}})
	ocsp, crl := n.revocations.OCSP(), n.revocations.CRL()
	unseen := notationtest.CRL("http://" + n.revocations.Host() + "/crl?unseen") // by any other row, so that none of it is kept
	return []notationAttempt{
		{name: "not revoked, says OCSP", steps: []notationStep{signer(ocsp)}},
		{name: "not revoked, says a CRL", steps: []notationStep{signer(crl)}},
		{name: "not revoked, says a CRL in the place of OCSP", steps: []notationStep{signer(n.broken.OCSP(), crl)}},
		{name: "not revoked, says a CRL in the place of OCSP that never answers", steps: []notationStep{signer(n.silent.OCSP(), unseen)}},
		{name: "revoked, says OCSP", steps: []notationStep{revoked(ocsp)}, denied: []string{"Revoked", "CN=me"}},
		{name: "revoked, says a CRL", steps: []notationStep{revoked(crl)}, denied: []string{"Revoked", "CN=me"}},
		{name: "revoked, says a CRL in the place of OCSP", steps: []notationStep{revoked(n.broken.OCSP(), crl)}, denied: []string{"Revoked"}},
		{name: "by a revoked intermediate authority", steps: []notationStep{n.signs(team.Signer(t, "me"))}, denied: []string{"Revoked", "CN=Team CA"}},
		{name: "revoked, and by me", steps: []notationStep{revoked(ocsp), n.signs(n.me)}},
		{name: "nobody answers by OCSP", steps: []notationStep{signer(n.broken.OCSP())}, denied: []string{"TrustDataUnavailable", n.broken.Host() + "/ocsp: revocation server", "insecureSkipRevocation"}},
		{name: "nobody answers by OCSP, ever", steps: []notationStep{signer(n.silent.OCSP())}, denied: []string{"TrustDataUnavailable", n.silent.Host(), "did not answer in time"}},
		{name: "nobody answers with a CRL", steps: []notationStep{signer(n.broken.CRL())}, denied: []string{"TrustDataUnavailable", n.broken.Host()}},
		{name: "nobody answers, and it does not matter", settings: skip, steps: []notationStep{signer(n.broken.OCSP())}},
		{name: "revoked, and it does not matter", settings: skip, steps: []notationStep{revoked(ocsp)}},
		{name: "revoked, which the level permissive lets pass", with: permissive, steps: []notationStep{revoked(ocsp)},
			warned: []string{"verificationLevel: permissive lets pass", "revocation"}},
	}
}

// expired are signatures and certificates that were valid when they were made.
func (n *notations) expired() []notationAttempt {
	const permissive = "verificationLevel: permissive"
	return []notationAttempt{
		{name: "a signature that has expired", steps: []notationStep{n.signsForASecond(n.me)}, denied: []string{"Expired", "was valid until"}},
		{name: "a signature that has expired, and another", steps: []notationStep{n.signsForASecond(n.me), n.signs(n.me)}},
		{name: "a signature that has expired, which the level permissive lets pass", with: permissive, steps: []notationStep{n.signsForASecond(n.me)},
			warned: []string{"verificationLevel: permissive lets pass", "expiry"}},
		{name: "a certificate that has expired", steps: []notationStep{n.signsBriefly()}, denied: []string{"Expired", "has no timestamp"}},
		{name: "a certificate that has expired, which the level permissive lets pass", with: permissive, steps: []notationStep{n.signsBriefly(cose...)},
			warned: []string{"verificationLevel: permissive lets pass", "time"}},
	}
}

// timestamped are signatures by whose timestamps it is known when they were made.
func (n *notations) timestamped(t *testing.T) []notationAttempt {
	const late = "verifyTimestamp: afterCertExpiry"
	stamped := notationRoots(notationRoot("default", n.ca.PEM(), fmt.Sprintf("tsCert: %q", n.stamper.Root.PEM())))
	another := n.stampedBy(t, notationtest.NewTimestampAuthority(t))
	return []notationAttempt{
		{name: "a timestamp", roots: stamped, steps: []notationStep{n.signs(n.me, n.stamped...)}},
		{name: "a timestamp, COSE", roots: stamped, steps: []notationStep{n.signs(n.me, append(cose, n.stamped...)...)}},
		{name: "a timestamp that nobody asks for", steps: []notationStep{n.signs(n.me, n.stamped...)}},
		{name: "no timestamp where it is demanded", roots: stamped, steps: []notationStep{n.signs(n.me)}, denied: []string{"InvalidTrustData", "without a timestamp"}},
		{name: "no timestamp where the certificate is valid still", roots: stamped, with: late, steps: []notationStep{n.signs(n.me)}},
		{name: "a timestamp of somebody else", roots: stamped, steps: []notationStep{n.signs(n.me, another...)}, denied: []string{"InvalidTrustData", "timestamp"}},
		{name: "a timestamp of before the certificate expired", roots: stamped, steps: []notationStep{n.signsBriefly(n.stamped...)}},
		{name: "a timestamp of before the certificate expired, asked for then only", roots: stamped, with: late, steps: []notationStep{n.signsBriefly(append(cose, n.stamped...)...)}},
		{name: "no timestamp, and the certificate has expired", roots: stamped, with: late, steps: []notationStep{n.signsBriefly()}, denied: []string{"Expired", "has no timestamp"}},
		{name: "a timestamp of somebody else, and the certificate has expired", roots: stamped, steps: []notationStep{n.signsBriefly(another...)}, denied: []string{"InvalidTrustData", "timestamp"}},
		{name: "a timestamp of nobody who is trusted, and the certificate has expired", steps: []notationStep{n.signsBriefly(n.stamped...)}, denied: []string{"Expired", "has a timestamp", "tsCert"}},
	}
}
