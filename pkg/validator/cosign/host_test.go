package cosign_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// elsewhere is a trust.Source that can fetch one thing from outside of the
// cluster.
type elsewhere struct {
	secrets
	where trust.Remote
	text  []byte
	err   error
	asked *[]trust.Remote
}

func (e elsewhere) Remote(where trust.Remote) ([]byte, error) {
	*e.asked = append(*e.asked, where)
	if where != e.where {
		return nil, fmt.Errorf("%w: no such thing", trust.ErrUnavailable)
	}
	return e.text, e.err
}

// What is not configured comes by TUF, and nothing that nobody needs does.
func TestTrustMaterialIsFetchedWhereItIsNeeded(t *testing.T) {
	t.Parallel()
	s := newScene(t, registrytest.Referrers())
	s.sign(s.as(alice))
	s.legacy(s.byKey())
	all := s.pieces()
	without := func(keys ...string) fields {
		host := fields{}
		for key, value := range all {
			host[key] = value
		}
		for _, key := range keys {
			delete(host, key)
		}
		return host
	}
	publicGood := trust.Remote{TUF: "https://tuf-repo-cdn.sigstore.dev"}
	private := trust.Remote{TUF: "https://tuf.example.com", Root: `{"signed":{"_type":"root"}}`}
	for name, c := range map[string]struct {
		host, with fields
		root       fields
		fetched    *trust.Remote
	}{
		"an identity, and nothing configured":               {nil, nil, identity("default", alice), &publicGood},
		"a key, and nothing configured":                     {nil, nil, keyed(t, "default", s.key), &publicGood},
		"a key without the log":                             {nil, fields{"verifyInTransparencyLog": false}, keyed(t, "default", s.key), nil},
		"a key, and the log's key is configured":            {without("fulcioCert", "ctLogPubkey", "tsaCert"), nil, keyed(t, "default", s.key), nil},
		"an identity, and everything is configured":         {all, nil, identity("default", alice), nil},
		"an identity, and the authority is not configured":  {without("fulcioCert"), nil, identity("default", alice), &publicGood},
		"an identity, and the CT log is not configured":     {without("ctLogPubkey"), nil, identity("default", alice), &publicGood},
		"an identity, and the CT log is not needed":         {without("ctLogPubkey"), fields{"verifySCT": false}, identity("default", alice), nil},
		"an identity, and no timestamp authority is needed": {without("tsaCert"), nil, identity("default", alice), nil},
		"a repository of one's own":                         {fields{"tuf": fields{"mirror": private.TUF, "root": private.Root}}, nil, identity("default", alice), &private},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []trust.Remote
			where := publicGood
			if c.fetched != nil {
				where = *c.fetched
			}
			for _, down := range []bool{false, true} {
				source := elsewhere{where: where, text: s.trusts.TrustedRoot(t), asked: &asked}
				if down {
					source.err = fmt.Errorf("%w: connection refused", trust.ErrUnavailable)
				}
				v, errs := build(source, access(t, s.reg, registry.Limits{}), c.host, c.with, c.root)
				if errs != nil {
					t.Fatal(errs)
				}
				got, err := v.Validate(t.Context(), request(t, s.img.String()))
				if down && c.fetched != nil {
					wantDenied(t, got, err, validator.TrustDataUnavailable)
				} else if err != nil {
					t.Error(err)
				}
			}
			if (len(asked) > 0) != (c.fetched != nil) {
				t.Errorf("fetched: %v", asked)
			}
		})
	}
}

// T3: a result outlives no change of the trust material, fetched or not.
func TestT3FingerprintsDifferWithTrustMaterial(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	seen := map[string]string{}
	var asked []trust.Remote
	publicGood := trust.Remote{TUF: "https://tuf-repo-cdn.sigstore.dev"}
	otherRekor, otherCT, otherTSA := s.pieces(), s.pieces(), s.pieces()
	otherRekor["rekorPubkey"], otherCT["ctLogPubkey"], otherTSA["tsaCert"] = string(s.other.RekorKey(t)), string(s.other.CTLogKey(t)), string(s.other.TSAChain(t))
	online, signatures := s.pieces(), s.pieces()
	online["rekor"], signatures["signatureRepository"] = "https://rekor.example.com", "example.com/signatures"
	fulcio := s.pieces()
	fulcio["fulcioCert"] = string(s.other.FulcioChain(t))
	for name, c := range map[string]struct {
		host, with fields
		text       []byte
	}{
		"pieces": {s.pieces(), nil, nil}, "whole": {s.whole(), nil, nil}, "another Rekor": {otherRekor, nil, nil}, "another CT log": {otherCT, nil, nil},
		"another timestamp authority": {otherTSA, nil, nil}, "another authority": {fulcio, nil, nil}, "online": {online, nil, nil}, "a signature repository": {signatures, nil, nil},
		"fetched": {nil, nil, s.trusts.TrustedRoot(t)}, "another fetched": {nil, nil, s.other.TrustedRoot(t)}, "not fetched": {nil, nil, nil},
		"no SCT": {s.pieces(), fields{"verifySCT": false}, nil}, "no log": {s.pieces(), fields{"verifyInTransparencyLog": false}, nil},
		"each": {s.pieces(), fields{"platforms": "each"}, nil}, "annotations": {s.pieces(), fields{"annotations": fields{"a": "b"}}, nil},
		"other annotations": {s.pieces(), fields{"annotations": fields{"a": "c"}}, nil}, "an attestation": {s.pieces(), demands(slsa, ""), nil},
		"an expression": {s.pieces(), demands(slsa, "true"), nil}, "another expression": {s.pieces(), demands(slsa, "!false"), nil},
	} {
		source := elsewhere{where: publicGood, text: c.text, asked: &asked}
		if c.text == nil {
			source.err = trust.ErrUnavailable
		}
		v, errs := build(source, canned{}, c.host, c.with, identity("default", alice))
		if errs != nil {
			t.Fatal(name, errs)
		}
		if other, ok := seen[v.Fingerprint()]; ok {
			t.Errorf("%q and %q have the same fingerprint", name, other)
		}
		seen[v.Fingerprint()] = name
	}
}

// T17, T21, T22, T25: an error has the key's path, and weaker checks are never
// what comes out.
func TestWrongSigstoreSettings(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	with := func(key string, value any) fields {
		host := s.pieces()
		host[key] = value
		return host
	}
	anchor := fields{"name": "default", "cert": string(s.trusts.FulcioChain(t))}
	id := identity("default", alice)
	for name, c := range map[string]struct {
		host, with fields
		root       fields
		want       string
	}{
		"a broken key of the log":                                  {with("rekorPubkey", string(s.trusts.RekorKey(t))+"HAHA"), nil, id, "validators[0].host.rekorPubkey: is not a PEM public key"},
		"a broken certificate":                                     {with("fulcioCert", string(s.trusts.FulcioChain(t))+"HAHA"), nil, id, "validators[0].host.fulcioCert: must hold PEM certificates"},
		"a broken key of the CT log":                               {with("ctLogPubkey", "HAHA"), nil, id, `validators[0].host.ctLogPubkey: "HAHA" is not supported`},
		"T21: a key of the log in a file":                          {with("rekorPubkey", "/etc/passwd"), nil, id, `validators[0].host.rekorPubkey: "/etc/passwd" is not supported`},
		"T22: a signer as the authority":                           {with("fulcioCert", string(s.as(alice).PEM(t))), nil, id, `validators[0].host.fulcioCert: holds`},
		"a timestamp authority of no root":                         {with("tsaCert", string(s.as(alice).PEM(t))), nil, id, `validators[0].host.tsaCert: lacks the root`},
		"a trusted root that is none":                              {fields{"trustedRoot": "{}"}, nil, id, "validators[0].host.trustedRoot: is no trusted_root.json"},
		"a trusted root and pieces":                                {with("trustedRoot", string(s.trusts.TrustedRoot(t))), nil, id, "validators[0].host.trustedRoot: holds everything"},
		"a log that is no URL":                                     {with("rekor", `:\\`), nil, id, `validators[0].host.rekor: "https://:\\\\" is not a URL`},
		"a log by plain HTTP":                                      {with("rekor", "http://rekor.example.com"), nil, id, `validators[0].host.rekor: "http://rekor.example.com" must begin with https://`},
		"a repository by plain HTTP":                               {fields{"tuf": fields{"mirror": "http://tuf.example.com"}}, nil, id, "validators[0].host.tuf.mirror: "},
		"a repository that is nowhere":                             {fields{"tuf": fields{}}, nil, id, "validators[0].host.tuf.mirror: is missing"},
		"signatures in an image":                                   {with("signatureRepository", "example.com/a:v1"), nil, id, `validators[0].host.signatureRepository: "example.com/a:v1" is not the name of a repository`},
		"a key that there is not":                                  {with("rekorPubKey", "x"), nil, id, `validators[0].host.rekorPubKey: unknown key; did you mean "rekorPubkey"?`},
		"T17: keyless without any time":                            {fields{"fulcioCert": string(s.trusts.FulcioChain(t))}, fields{"verifyInTransparencyLog": false}, id, "policy[0].with.verifyInTransparencyLog: is false, and the validator has no timestamp authority"},
		"T17: keyless without any time, by TUF":                    {nil, fields{"verifyInTransparencyLog": false, "verifySCT": false}, id, "policy[0].with.verifyInTransparencyLog: is false"},
		"an authority of one's own whose certificates nobody logs": {nil, nil, anchor, "policy[0].with.verifySCT: must be false"},
		"platforms that there are not":                             {s.pieces(), fields{"platforms": "all"}, id, `policy[0].with.platforms: is "all", but must be index, each or either`},
		"an attestation of no type":                                {s.pieces(), demands("", "true"), id, "policy[0].with.attestations[0].predicateType: is missing"},
		"an attestation by cosign's word":                          {s.pieces(), demands("slsaprovenance1", ""), id, "policy[0].with.attestations[0].predicateType: must be a URI; what cosign calls slsaprovenance1 is https://slsa.dev/provenance/v1"},
		"an attestation that is no URI":                            {s.pieces(), demands("provenance", ""), id, `policy[0].with.attestations[0].predicateType: "provenance" is no URI`},
		"an attestation that is a signature":                       {s.pieces(), demands("https://sigstore.dev/cosign/sign/v1", ""), id, "policy[0].with.attestations[0].predicateType: is that of a signature"},
		"an expression that is none":                               {s.pieces(), demands(slsa, "predicate."), id, "policy[0].with.attestations[0].cel: is no valid CEL expression"},
		"an expression of unknown things":                          {s.pieces(), demands(slsa, "predicat.x == 1"), id, "policy[0].with.attestations[0].cel: is no valid CEL expression: ERROR: <input>:1:1: undeclared reference to 'predicat'"},
		"an expression that is a number":                           {s.pieces(), demands(slsa, "1 + 1"), id, "policy[0].with.attestations[0].cel: must be an expression that is true or false, not one of type int"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, errs := build(noNetwork{t: t}, canned{}, c.host, c.with, c.root)
			if v != nil || len(errs) == 0 || !strings.HasPrefix(errs[0].Error(), c.want) {
				t.Errorf("want %s…, got %v", c.want, errs)
			}
		})
	}
}

// A Secret that is not there makes what needs it inconclusive, and nothing else.
func TestTrustMaterialInASecretThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.legacy(s.byKey())
	host := s.pieces()
	host["rekorPubkey"] = "k8s://connaisseur/rekor/rekor.pub"
	got, err := s.validate(host, nil, keyed(t, "default", s.key))
	s.want(validator.TrustDataUnavailable, got, err)
	if !errors.Is(err, trust.ErrNotThere) || !strings.Contains(err.Error(), "k8s://connaisseur/rekor/rekor.pub") {
		t.Errorf("the message does not say which: %v", err)
	}
	got, err = s.validate(host, fields{"verifyInTransparencyLog": false}, keyed(t, "default", s.key))
	s.want("", got, err)
}
