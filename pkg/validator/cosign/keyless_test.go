package cosign_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	fulcio "github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Each row is a signature that alice, whose identity is trusted, has made or is
// said to have made; in a bundle and under a tag it comes to the same.
func TestSignaturesByCertificate(t *testing.T) {
	t.Parallel()
	const trusted = validator.Reason("")
	past := time.Now().AddDate(0, -6, 0).Truncate(time.Second)
	type options = []sigstoretest.Option
	type certificates = []sigstoretest.CertificateOption
	for name, c := range map[string]struct {
		subject string // alice, if empty
		by      func(*scene) *sigstoretest.Sigstore
		certify func(*scene) certificates
		options func(*scene) options
		with    fields
		want    validator.Reason
		bundle  bool // only there
	}{
		"with an entry in the log": {want: trusted},
		"half a year ago, with a certificate of then": {
			certify: func(*scene) certificates { return certificates{sigstoretest.Valid(past, past.Add(10*time.Minute))} },
			options: func(*scene) options { return options{sigstoretest.IntegratedAt(past.Add(time.Minute))} }, want: trusted},
		"with a timestamp too": {options: func(s *scene) options { return options{sigstoretest.TimestampedBy(s.trusts)} }, want: trusted},
		"with a timestamp instead of the log": {options: func(s *scene) options {
			return options{sigstoretest.WithoutEntry(), sigstoretest.TimestampedBy(s.trusts)}
		}, with: fields{"verifyInTransparencyLog": false}, want: trusted},
		"with an entry in Rekor's second version": {options: func(s *scene) options {
			return options{sigstoretest.RekorV2(), sigstoretest.TimestampedBy(s.trusts)}
		}, want: trusted, bundle: true},
		"without an SCT where none is wanted": {certify: func(*scene) certificates { return certificates{sigstoretest.WithoutSCT()} },
			with: fields{"verifySCT": false}, want: trusted},
		"by another's identity":                            {subject: bob, want: validator.UntrustedSigner},
		"T17: by an identity that begins like hers":        {subject: alice + ".evil.io", want: validator.UntrustedSigner},
		"T23: with a certificate of another authority":     {by: func(s *scene) *sigstoretest.Sigstore { return s.other }, want: validator.InvalidTrustData},
		"T16: with the entry of another signature of hers": {options: func(*scene) options { return options{sigstoretest.OtherEntry()} }, want: validator.InvalidTrustData},
		"T16: with an entry that another log has signed":   {options: func(s *scene) options { return options{sigstoretest.ForgedBy(s.other)} }, want: validator.InvalidTrustData},
		"T16: with an entry in another log":                {options: func(s *scene) options { return options{sigstoretest.LoggedBy(s.other)} }, want: validator.InvalidTrustData},
		"without an entry":                                 {options: func(*scene) options { return options{sigstoretest.WithoutEntry()} }, want: validator.InvalidTrustData},
		"T16: with a timestamp of another signature": {options: func(s *scene) options {
			return options{sigstoretest.WithoutEntry(), sigstoretest.TimestampedBy(s.trusts), sigstoretest.OtherTimestamp()}
		}, with: fields{"verifyInTransparencyLog": false}, want: validator.InvalidTrustData},
		"with a timestamp of another authority": {options: func(s *scene) options {
			return options{sigstoretest.WithoutEntry(), sigstoretest.TimestampedBy(s.other)}
		}, with: fields{"verifyInTransparencyLog": false}, want: validator.InvalidTrustData},
		"with neither timestamp nor log": {options: func(*scene) options { return options{sigstoretest.WithoutEntry()} },
			with: fields{"verifyInTransparencyLog": false}, want: validator.InvalidTrustData},
		"with an entry in Rekor's second version, and no time": {options: func(*scene) options { return options{sigstoretest.RekorV2()} }, want: validator.InvalidTrustData, bundle: true},
		"after her certificate had expired": {
			certify: func(*scene) certificates { return certificates{sigstoretest.Valid(past, past.Add(10*time.Minute))} }, want: validator.Expired},
		"before her certificate was valid": {options: func(*scene) options { return options{sigstoretest.IntegratedAt(past)} }, want: validator.Expired},
		"timestamped after her certificate had expired": {
			certify: func(*scene) certificates { return certificates{sigstoretest.Valid(past, past.Add(10*time.Minute))} },
			options: func(s *scene) options {
				return options{sigstoretest.WithoutEntry(), sigstoretest.TimestampedBy(s.trusts)}
			}, with: fields{"verifyInTransparencyLog": false}, want: validator.Expired},
		"without an SCT":                           {certify: func(*scene) certificates { return certificates{sigstoretest.WithoutSCT()} }, want: validator.InvalidTrustData},
		"with an SCT of another log":               {certify: func(s *scene) certificates { return certificates{sigstoretest.SCTBy(s.other)} }, want: validator.InvalidTrustData},
		"with a certificate that is for TLS":       {certify: func(*scene) certificates { return certificates{sigstoretest.Usage(x509.ExtKeyUsageServerAuth)} }, want: validator.InvalidTrustData},
		"that was damaged":                         {options: func(*scene) options { return options{sigstoretest.BrokenSignature()} }, want: validator.InvalidTrustData},
		"T14: about another digest":                {options: func(*scene) options { return options{sigstoretest.ForDigest(otherDigest)} }, want: validator.DigestMismatch},
		"T15: that is a statement of another type": {options: func(*scene) options { return options{sigstoretest.PredicateType(slsa)} }, want: validator.NoSignature, bundle: true},
	} {
		for form, sign := range map[string]func(*scene, *sigstoretest.Signer, ...sigstoretest.Option){"in a bundle": (*scene).sign, "under a tag": (*scene).legacy} {
			if c.bundle && form != "in a bundle" {
				continue
			}
			t.Run(name+" "+form, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, registrytest.Referrers())
				authority, subject := s.trusts, c.subject
				if c.by != nil {
					authority = c.by(s)
				}
				if subject == "" {
					subject = alice
				}
				var certify certificates
				if c.certify != nil {
					certify = c.certify(s)
				}
				var options options
				if c.options != nil {
					options = c.options(s)
				}
				sign(s, authority.Certificate(t, subject, issuer, certify...), options...)
				for host, settings := range map[string]fields{"whole": s.whole(), "pieces": s.pieces()} {
					if c.bundle && host == "pieces" && c.options != nil && c.want == trusted {
						settings["rekorPubkey"] = string(s.trusts.RekorV2Key(t))
						settings["rekor"] = sigstoretest.RekorV2URL
					}
					got, err := s.validate(settings, c.with, identity("default", alice))
					s.want(c.want, got, err)
				}
			})
		}
	}
}

// A signature by key needs no certificate, but the log by default.
func TestSignaturesByKeyWithProofs(t *testing.T) {
	t.Parallel()
	const trusted = validator.Reason("")
	type options = []sigstoretest.Option
	for name, c := range map[string]struct {
		options func(*scene) options
		with    fields
		want    validator.Reason
		bundle  bool
	}{
		"with an entry in the log":                   {want: trusted},
		"without an entry where none is wanted":      {options: func(*scene) options { return options{sigstoretest.WithoutEntry()} }, with: fields{"verifyInTransparencyLog": false}, want: trusted},
		"with an entry in Rekor's second version":    {options: func(*scene) options { return options{sigstoretest.RekorV2()} }, want: trusted, bundle: true},
		"without an entry":                           {options: func(*scene) options { return options{sigstoretest.WithoutEntry()} }, want: validator.InvalidTrustData},
		"T16: with the entry of another signature":   {options: func(*scene) options { return options{sigstoretest.OtherEntry()} }, want: validator.InvalidTrustData},
		"T16: with an entry that another log signed": {options: func(s *scene) options { return options{sigstoretest.ForgedBy(s.other)} }, want: validator.InvalidTrustData},
		"T16: with an entry in another log":          {options: func(s *scene) options { return options{sigstoretest.LoggedBy(s.other)} }, want: validator.InvalidTrustData},
		"T14: about another digest":                  {options: func(*scene) options { return options{sigstoretest.ForDigest(otherDigest)} }, want: validator.DigestMismatch},
		"that was damaged":                           {options: func(*scene) options { return options{sigstoretest.BrokenSignature()} }, want: validator.UntrustedSigner},
		"T15: that is a statement of another type":   {options: func(*scene) options { return options{sigstoretest.PredicateType(slsa)} }, want: validator.NoSignature, bundle: true},
		"T18: that is no bundle":                     {options: func(*scene) options { return options{sigstoretest.Bytes([]byte("{"))} }, want: validator.MalformedSignature, bundle: true},
		"T18: that is an empty bundle":               {options: func(*scene) options { return options{sigstoretest.Bytes([]byte("{}"))} }, want: validator.MalformedSignature, bundle: true},
		"T19: that is a bundle without material":     {options: func(*scene) options { return edit(func(b *protobundle.Bundle) { b.VerificationMaterial = nil }) }, want: validator.MalformedSignature, bundle: true},
		"T19: that is a bundle without content":      {options: func(*scene) options { return edit(func(b *protobundle.Bundle) { b.Content = nil }) }, want: validator.MalformedSignature, bundle: true},
		"T19: whose envelope has no signatures": {options: func(*scene) options {
			return edit(func(b *protobundle.Bundle) { b.GetDsseEnvelope().Signatures = nil })
		}, want: validator.UntrustedSigner, bundle: true},
		"T19: whose entry has no body": {options: func(*scene) options {
			return edit(func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].CanonicalizedBody = []byte("{}") })
		}, want: validator.MalformedSignature, bundle: true},
	} {
		for form, sign := range map[string]func(*scene, *sigstoretest.Signer, ...sigstoretest.Option){"in a bundle": (*scene).sign, "under a tag": (*scene).legacy} {
			if c.bundle && form != "in a bundle" {
				continue
			}
			t.Run(name+" "+form, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				var options options
				if c.options != nil {
					options = c.options(s)
				}
				sign(s, s.byKey(), options...)
				got, err := s.validate(s.whole(), c.with, keyed(t, "default", s.key))
				s.want(c.want, got, err)
			})
		}
	}
}

func edit(change func(*protobundle.Bundle)) []sigstoretest.Option {
	return []sigstoretest.Option{sigstoretest.Edit(change)}
}

// T19: what cosign 2 attaches in annotations may be anything.
func TestT19MalformedAnnotationsAreAMalformedSignature(t *testing.T) {
	t.Parallel()
	for _, annotation := range []string{"dev.sigstore.cosign/bundle", "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/rfc3161timestamp"} {
		for _, value := range []string{"{", "x", `{"Payload":{"body":null}}`, `{"Payload":{"body":"e30=","logID":"zz"}}`, `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","logID":"00"}}`} {
			s := newScene(t)
			s.legacy(s.byKey(), sigstoretest.WithoutEntry(), sigstoretest.Legacy(registrytest.Annotation(annotation, value)))
			_, err := s.validate(s.whole(), nil, keyed(t, "default", s.key))
			if reason := validator.AsError(err); reason == nil || reason.Reason != validator.MalformedSignature && reason.Reason != validator.InvalidTrustData {
				t.Errorf("%s=%s: %v", annotation, value, err)
			}
		}
	}
}

// GitHub's workflows, as operators pin them.
func TestCertificateExtensionsAreComparedExactly(t *testing.T) {
	t.Parallel()
	const workflow = "https://github.com/org/repo/.github/workflows/release.yml@refs/tags/v1"
	s := newScene(t)
	s.sign(s.as(workflow, sigstoretest.Extensions(fulcio.Extensions{GithubWorkflowRepository: "org/repo", GithubWorkflowRef: "refs/tags/v1", GithubWorkflowTrigger: "push"})))
	for repository, want := range map[string]validator.Reason{"org/repo": "", "org/rep": validator.UntrustedSigner, "Org/repo": validator.UntrustedSigner} {
		got, err := s.validate(s.whole(), nil, fields{"name": "default", "keyless": fields{
			"issuer": issuer, "subjectRegex": `https://github\.com/org/.+`,
			"extensions": fields{"githubWorkflowRepository": repository, "githubWorkflowTrigger": "push"},
		}})
		s.want(want, got, err)
	}
}

// An authority of one's own, with long-lived certificates and without a log.
func TestACertificateOfOnesOwnAuthority(t *testing.T) {
	t.Parallel()
	off := fields{"verifyInTransparencyLog": false, "verifySCT": false}
	past := time.Now().Add(-time.Hour).Truncate(time.Second)
	for name, c := range map[string]struct {
		certify []sigstoretest.CertificateOption
		other   bool
		want    validator.Reason
	}{
		"that is valid":                 {nil, false, ""},
		"that has expired":              {[]sigstoretest.CertificateOption{sigstoretest.Valid(past, past.Add(time.Minute))}, false, validator.Expired},
		"that another authority issued": {nil, true, validator.InvalidTrustData},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			authority := s.trusts
			if c.other {
				authority = s.other
			}
			s.legacy(authority.Certificate(t, alice, issuer, append(c.certify, sigstoretest.WithoutSCT())...), sigstoretest.WithoutEntry())
			got, err := s.validate(nil, off, fields{"name": "default", "cert": string(s.trusts.FulcioChain(t))})
			s.want(c.want, got, err)
			// Within the authority, an identity may be demanded too, of which other
			// authorities than Fulcio name no issuer.
			got, err = s.validate(nil, off, fields{"name": "default", "cert": string(s.trusts.FulcioChain(t)), "keyless": fields{"subject": alice}})
			s.want(c.want, got, err)
			got, err = s.validate(nil, off, fields{"name": "default", "cert": string(s.trusts.FulcioChain(t)), "keyless": fields{"issuer": issuer, "subject": bob}})
			s.want(validator.UntrustedSigner, got, err)
		})
	}
}

// T13, and the mixture of keys and identities.
func TestSeveralSignersOfAllKinds(t *testing.T) {
	t.Parallel()
	s := newScene(t, registrytest.Referrers())
	s.sign(s.as(alice))
	s.legacy(s.byKey())
	s.sign(s.as(alice)) // again, with another certificate
	anybody := fields{"name": "anybody", "keyless": fields{"issuer": issuer, "subjectRegex": ".+@example\\.com"}}
	stranger := keyed(t, "stranger", ecdsaKey(t, elliptic.P256()))
	for name, c := range map[string]struct {
		with  fields
		roots []fields
		want  validator.Reason
	}{
		"a key and an identity":                      {fields{"trustRoot": "*"}, []fields{keyed(t, "key", s.key), identity("alice", alice)}, ""},
		"two of three":                               {fields{"trustRoot": "*", "threshold": 2}, []fields{stranger, keyed(t, "key", s.key), identity("alice", alice)}, ""},
		"three of three":                             {fields{"trustRoot": "*"}, []fields{stranger, keyed(t, "key", s.key), identity("alice", alice)}, validator.ThresholdNotReached},
		"somebody who must have and has not":         {fields{"trustRoot": "*", "required": []any{"bob"}}, []fields{identity("bob", bob), identity("alice", alice)}, validator.MissingRequired},
		"T13: one signer for two roots that overlap": {fields{"trustRoot": "*"}, []fields{identity("alice", alice), anybody}, validator.ThresholdNotReached},
		"one signer for one of two that overlap":     {fields{"trustRoot": "*", "threshold": 1}, []fields{identity("alice", alice), anybody}, ""},
	} {
		got, err := s.validate(s.whole(), c.with, c.roots...)
		t.Log(name, err)
		s.want(c.want, got, err)
	}
}

// Five trust roots cost one fetch.
func TestSeveralTrustRootsCostOneFetch(t *testing.T) {
	t.Parallel()
	s := newScene(t, registrytest.Referrers())
	s.sign(s.as(alice))
	var roots []fields
	for _, name := range []string{"a", "b", "c", "d"} {
		roots = append(roots, keyed(t, name, registrytest.Key(t)))
	}
	s.reg.Reset()
	got, err := s.validate(s.whole(), fields{"trustRoot": "*", "threshold": 1}, append(roots, identity("e", alice))...)
	s.want("", got, err)
	counts := s.reg.Requests()
	delete(counts, registrytest.Ping)
	if counts.Total() > 5 {
		t.Errorf("it cost %v", counts)
	}
}

// Offline first: the log is asked only where its URL is configured and the
// signature has no entry.
func TestTheLogIsAskedForEntriesThatAreNotAttached(t *testing.T) {
	t.Parallel()
	for form, sign := range map[string]func(*scene, *sigstoretest.Signer, ...sigstoretest.Option){"in a bundle": (*scene).sign, "under a tag": (*scene).legacy} {
		for who, by := range map[string]func(*scene) *sigstoretest.Signer{"by key": (*scene).byKey, "by certificate": func(s *scene) *sigstoretest.Signer { return s.as(alice) }} {
			t.Run(who+" "+form, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				sign(s, by(s), sigstoretest.InLogOnly())
				roots := []fields{keyed(t, "key", s.key), identity("alice", alice)}
				with := fields{"trustRoot": "*", "threshold": 1}
				got, err := s.validate(s.pieces(), with, roots...)
				s.want(validator.InvalidTrustData, got, err)

				log := s.trusts.Server(t)
				host := s.pieces()
				host["rekor"] = log.URL
				got, err = s.validate(host, with, roots...)
				s.want("", got, err)

				foreign := s.other.Server(t) // knows no such entry
				host["rekor"] = foreign.URL
				got, err = s.validate(host, with, roots...)
				s.want(validator.InvalidTrustData, got, err)

				// T28: what cannot be asked is not the absence of an entry.
				down := httptest.NewServer(nil)
				down.Close()
				for _, failing := range []string{down.URL, answering(t, http.StatusInternalServerError, ""), answering(t, http.StatusOK, "<html>"),
					answering(t, http.StatusOK, `[{"`+strings.Repeat("x", 2<<20)), answering(t, http.StatusTooManyRequests, "{}"), answering(t, http.StatusFound, "")} {
					host["rekor"] = failing
					got, err = s.validate(host, with, roots...)
					s.want(validator.TrustDataUnavailable, got, err)
				}
			})
		}
	}
}

// answering is the URL of a server that always gives this answer.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}
