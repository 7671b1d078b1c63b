package notaryv1_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	root      = notarytest.Root
	timestamp = notarytest.Timestamp
	snapshot  = notarytest.Snapshot
)

// T27: each of these is refused. Metadata is signed as the row says, and is
// right in everything else.
func TestT27WhatIsWrongWithMetadataIsRefused(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Minute)
	set := func(role, key string, value any) func(*scene) {
		return func(s *scene) {
			s.repo.Alter = func(of string, signed map[string]any) {
				if of == role {
					signed[key] = value
				}
			}
		}
	}
	within := func(role string, change func(signed map[string]any)) func(*scene) {
		return func(s *scene) {
			s.repo.Alter = func(of string, signed map[string]any) {
				if of == role {
					change(signed)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		wrong func(*scene)
		want  validator.Reason
		text  string
	}{
		"the root has expired":      {func(s *scene) { s.repo.Expires[root] = past }, validator.Expired, "the root of its trust data expired"},
		"the timestamp has expired": {func(s *scene) { s.repo.Expires[timestamp] = past }, validator.Expired, "the timestamp"},
		"the snapshot has expired":  {func(s *scene) { s.repo.Expires[snapshot] = past }, validator.Expired, "the snapshot"},
		"targets have expired":      {func(s *scene) { s.repo.Expires[targets] = past }, validator.Expired, "the targets"},
		"a delegation has expired": {func(s *scene) {
			s.repo.Delegate(s, releases)
			s.repo.Sign(releases, "v1", digestA)
			s.repo.Expires[releases] = past
		}, validator.Expired, "targets/releases"},
		"nothing says when the timestamp expires": {within(timestamp, func(signed map[string]any) { delete(signed, "expires") }), validator.Expired, "timestamp"},
		"the root certificate has expired": {func(s *scene) {
			s.repo.Keys[root] = []*notarytest.Key{s.repo.Keys[root][0].CertifiedUntil(s, app, past)}
		}, validator.Expired, "certificate"},
		"the root certificate is for another repository": {func(s *scene) {
			s.repo.Keys[root] = []*notarytest.Key{s.repo.Keys[root][0].Certified(s, "example.com/team/other")}
		}, validator.InvalidTrustData, "for another repository, example.com/team/other"},
		"the root certificate is for a longer name": {func(s *scene) {
			s.repo.Keys[root] = []*notarytest.Key{s.repo.Keys[root][0].Certified(s, app+"s")}
		}, validator.InvalidTrustData, "for another repository"},
		"the root certificate is for repositories elsewhere": {func(s *scene) {
			s.repo.Keys[root] = []*notarytest.Key{s.repo.Keys[root][0].Certified(s, "example.com/other/*")}
		}, validator.InvalidTrustData, "for another repository"},
		"the root is signed by another key": {func(s *scene) {
			s.repo.Signers[root] = []*notarytest.Key{notarytest.NewKey(s)}
		}, validator.UntrustedSigner, "not by trust root"},
		"the root is of another key": {func(s *scene) {
			s.repo.Keys[root] = []*notarytest.Key{notarytest.NewKey(s).Certified(s, app)}
		}, validator.UntrustedSigner, "not by trust root"},
		"the root lists the pinned key, but another has signed": {func(s *scene) {
			other := notarytest.NewKey(s).Certified(s, app)
			s.repo.Keys[root] = append(s.repo.Keys[root], other)
			s.repo.Signers[root] = []*notarytest.Key{other}
		}, validator.UntrustedSigner, "not by trust root"},
		"the root has fewer signatures than it demands": {func(s *scene) {
			s.repo.Keys[root] = append(s.repo.Keys[root], notarytest.NewKey(s).Certified(s, app))
			s.repo.Thresholds[root] = 2
			s.repo.Signers[root] = s.repo.Keys[root][:1]
		}, validator.InvalidTrustData, "too few"},
		"the same root key counts twice": {func(s *scene) {
			again := s.repo.Keys[root][0].Certified(s, app)
			s.repo.Keys[root] = append(s.repo.Keys[root], again)
			s.repo.Thresholds[root] = 2
		}, validator.InvalidTrustData, "too few"},
		"the timestamp is signed by another key": {func(s *scene) {
			s.repo.Signers[timestamp] = []*notarytest.Key{notarytest.NewKey(s)}
		}, validator.InvalidTrustData, "timestamp"},
		"the snapshot is signed by the timestamp's key": {func(s *scene) {
			s.repo.Signers[snapshot] = s.repo.Keys[timestamp]
		}, validator.InvalidTrustData, "snapshot"},
		"targets are signed by the snapshot's key": {func(s *scene) {
			s.repo.Signers[targets] = s.repo.Keys[snapshot]
		}, validator.InvalidTrustData, "targets"},
		"targets have no signature": {func(s *scene) { s.repo.Signers[targets] = []*notarytest.Key{} }, validator.InvalidTrustData, "too few"},
		"targets have fewer signatures than the root demands": {func(s *scene) {
			s.repo.Keys[targets] = append(s.repo.Keys[targets], notarytest.NewKey(s))
			s.repo.Thresholds[targets] = 2
			s.repo.Signers[targets] = s.repo.Keys[targets][:1]
		}, validator.InvalidTrustData, "too few"},
		"a delegation is signed by the key of targets": {func(s *scene) {
			s.repo.Delegate(s, releases)
			s.repo.Sign(releases, "v1", digestB)
			s.repo.Signers[releases] = s.repo.Keys[targets]
		}, validator.InvalidTrustData, "targets/releases"},
		"a role needs no signature": {within(root, func(signed map[string]any) {
			signed["roles"].(map[string]any)[targets].(map[string]any)["threshold"] = 0
		}), validator.InvalidTrustData, "threshold"},
		"a role needs less than no signature": {within(root, func(signed map[string]any) {
			signed["roles"].(map[string]any)[targets].(map[string]any)["threshold"] = -1
		}), validator.InvalidTrustData, "threshold"},
		"a key has another's ID": {within(root, func(signed map[string]any) {
			keys := signed["keys"].(map[string]any)
			keys[strings.Repeat("0", 64)] = notarytest.NewKey(t).Wire
		}), validator.InvalidTrustData, "is in fact"},
		"a private key is published": {within(root, func(signed map[string]any) {
			for _, key := range signed["keys"].(map[string]any) {
				key.(map[string]any)["keyval"].(map[string]any)["private"] = "c2VjcmV0"
			}
		}), validator.InvalidTrustData, "private"},
		"the root names no keys for the snapshot": {within(root, func(signed map[string]any) {
			delete(signed["roles"].(map[string]any), snapshot)
		}), validator.InvalidTrustData, "names no keys for the snapshot"},
		"the root is of a type of its own": {set(root, "_type", "Targets"), validator.InvalidTrustData, "of another role"},
		"targets say that they are a root": {set(targets, "_type", "Root"), validator.InvalidTrustData, "of another role"},
		"the version is no number":         {set(targets, "version", "1"), validator.InvalidTrustData, "cannot be read"},
		"the version is 0":                 {set(targets, "version", 0), validator.InvalidTrustData, "version 0"},
		"the version is below 0":           {set(snapshot, "version", -7), validator.InvalidTrustData, "version -7"},
		"the timestamp names no snapshot":  {set(timestamp, "meta", map[string]any{}), validator.InvalidTrustData, "names no snapshot"},
		"the snapshot names no root":       {within(snapshot, func(signed map[string]any) { delete(signed["meta"].(map[string]any), root) }), validator.InvalidTrustData, "names no root"},
		"the snapshot names no targets":    {within(snapshot, func(signed map[string]any) { delete(signed["meta"].(map[string]any), targets) }), validator.InvalidTrustData, "names no targets"},
		"the snapshot has no hashes": {within(snapshot, func(signed map[string]any) {
			signed["meta"].(map[string]any)[targets].(map[string]any)["hashes"] = map[string]any{}
		}), validator.InvalidTrustData, "not the one"},
		"the snapshot has a weak hash only": {within(snapshot, func(signed map[string]any) {
			signed["meta"].(map[string]any)[targets].(map[string]any)["hashes"] = map[string]any{"md5": "AAAA"}
		}), validator.InvalidTrustData, "not the one"},
		"one of two hashes is wrong": {within(snapshot, func(signed map[string]any) {
			signed["meta"].(map[string]any)[targets].(map[string]any)["hashes"].(map[string]any)["sha512"] = "AAAA"
		}), validator.InvalidTrustData, "not the one"},
		"a delegation has the name of another role": {within(targets, func(signed map[string]any) {
			signed["delegations"] = map[string]any{"keys": map[string]any{}, "roles": []any{map[string]any{"name": "root", "keyids": []any{}, "threshold": 1, "paths": []any{""}}}}
		}), validator.InvalidTrustData, "cannot be: root"},
		"a delegation is somebody else's": {within(targets, func(signed map[string]any) {
			signed["delegations"] = map[string]any{"keys": map[string]any{}, "roles": []any{map[string]any{"name": "targets/a/b", "keyids": []any{}, "threshold": 1, "paths": []any{""}}}}
		}), validator.InvalidTrustData, "cannot be: targets/a/b"},
		"a delegation has a name with a path in it": {within(targets, func(signed map[string]any) {
			signed["delegations"] = map[string]any{"keys": map[string]any{}, "roles": []any{map[string]any{"name": "targets/../root", "keyids": []any{}, "threshold": 1, "paths": []any{""}}}}
		}), validator.InvalidTrustData, "cannot be"},
		"RSA keys are too short": {func(s *scene) { s.repo.Keys[targets] = []*notarytest.Key{notarytest.NewRSAKey(s, 1024)} }, validator.InvalidTrustData, "less than 2048 bits"},
		"RSA keys are too long": {func(s *scene) {
			der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 8200), big.NewInt(1)), E: 65537})
			if err != nil {
				s.Fatal(err)
			}
			wire := map[string]any{"keytype": "rsa", "keyval": map[string]any{"private": nil, "public": base64.StdEncoding.EncodeToString(der)}}
			s.repo.Keys[targets] = []*notarytest.Key{notarytest.WithWire(s, s.repo.Keys[targets][0], wire)}
		}, validator.InvalidTrustData, "larger than"},
		"the curve is too small": {func(s *scene) {
			s.repo.Keys[targets] = []*notarytest.Key{notarytest.NewCurveKey(s, elliptic.P224())}
		}, validator.InvalidTrustData, "curve"},
		"a key is said to be of another type": {func(s *scene) {
			key := s.repo.Keys[targets][0]
			wire := maps.Clone(key.Wire)
			wire["keytype"] = "rsa"
			other := notarytest.WithWire(s, key, wire)
			s.repo.Keys[targets] = []*notarytest.Key{other}
		}, validator.InvalidTrustData, "said to be another"},
		"a key is of an unknown type": {func(s *scene) {
			wire := maps.Clone(s.repo.Keys[targets][0].Wire)
			wire["keytype"] = "ed25519"
			s.repo.Keys[targets] = []*notarytest.Key{notarytest.WithWire(s, s.repo.Keys[targets][0], wire)}
		}, validator.InvalidTrustData, "too few"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			c.wrong(s)
			s.publish()
			s.refuses(s.bind(nil), ":v1", c.want, c.text)
		})
	}
}

// T27: neither is a file that was changed after it was signed, though the server
// that holds the keys of timestamp and snapshot vouches for it.
func TestT27WhatWasChangedAfterSigningIsRefused(t *testing.T) {
	t.Parallel()
	evil := []byte(`{"v1":{"hashes":{"sha256":"` + strings.Repeat("u", 43) + `="},"length":1}}`)
	for name, tamper := range map[string]func(file []byte) []byte{
		"a digest is another": func(file []byte) []byte {
			return bytes.Replace(file, []byte("qqqqqq"), []byte("uuuuuu"), 1)
		},
		"targets are there twice, the true ones last": func(file []byte) []byte {
			return bytes.Replace(file, []byte(`"targets":{`), []byte(`"targets":`+string(evil)+`,"targets":{`), 1)
		},
		"targets are there twice, the true ones first": func(file []byte) []byte {
			return bytes.Replace(file, []byte(`,"version"`), []byte(`,"targets":`+string(evil)+`,"version"`), 1)
		},
		"targets are there in other letters": func(file []byte) []byte {
			return bytes.Replace(file, []byte(`,"version"`), []byte(`,"Targets":`+string(evil)+`,"version"`), 1)
		},
		"what is signed is there twice": func(file []byte) []byte {
			return bytes.Replace(file, []byte(`{"signatures"`), []byte(`{"signed":{"_type":"Targets","targets":`+string(evil)+`},"signatures"`), 1)
		},
		"what is signed is there in other letters, last": func(file []byte) []byte {
			return append(file[:len(file)-1:len(file)-1], []byte(`,"Signed":{"_type":"Targets","version":9,"expires":"2999-01-01T00:00:00Z","targets":`+string(evil)+`}}`)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			changed := false
			s.repo.Tamper = func(role string, file []byte) []byte {
				if role != targets {
					return file
				}
				after := tamper(file)
				changed = !bytes.Equal(after, file) && json.Valid(after)
				return after
			}
			s.publish()
			if !changed {
				t.Fatal("nothing was changed, or it is no JSON any more")
			}
			result, err := s.validate(s.bind(nil), ":v1")
			if err == nil && string(result.Digest) != digestA {
				t.Errorf("%s is trusted", result.Digest)
			}
			if strings.Contains(name, "twice, the true ones last") || strings.Contains(name, "what is signed is there twice") {
				if err != nil {
					t.Errorf("the last of two counts, and is signed: %v", err)
				}
				s.refuses(s.bind(nil), "@"+digest("b"), validator.NoSignature)
				return
			}
			s.refuses(s.bind(nil), ":v1", validator.InvalidTrustData)
		})
	}
}

// A server that has the trust data of several repositories with one root key
// cannot give out that of one for another, since the certificate says which it is
// for.
func TestT27TrustDataIsForOneRepository(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := notarytest.New(t, "example.com/team/other")
	other.Keys[root] = []*notarytest.Key{s.repo.Keys[root][0].Certified(t, other.Name)}
	other.Sign(targets, "v1", digestB)
	s.server.ServeTrustData(app, other.Publish(t))
	s.refuses(s.bind(nil), ":v1", validator.InvalidTrustData, "for another repository, example.com/team/other")
}

// Neither does another key beside it, which is for no repository, make it one for
// this repository.
func TestT27ARootKeyForAnotherRepositoryDoesNotCountBesideOthers(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	mine := s.repo.Keys[root][0]
	s.repo.Keys[root] = []*notarytest.Key{mine.Certified(t, "example.com/team/other"), notarytest.NewKey(t)}
	s.publish()
	s.refuses(s.bind(nil), ":v1", validator.UntrustedSigner)
	s.repo.Keys[root], s.repo.Former = []*notarytest.Key{notarytest.NewKey(t)}, []*notarytest.Key{mine}
	s.publish()
	s.refuses(s.bind(nil), ":v1", validator.UntrustedSigner)
}

func TestRootCertificatesMayBeForAPrefixOrForNoRepository(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"example.com/team/*", "example.com/*", "Our root key"} {
		s := newScene(t)
		s.repo.Keys[root] = []*notarytest.Key{s.repo.Keys[root][0].Certified(t, name)}
		s.publish()
		s.trusts(s.bind(nil), ":v1", digestA)
	}
}

func TestKeysOfAllTypesVerify(t *testing.T) {
	t.Parallel()
	long := notarytest.NewRSAKey(t, 2048)
	for name, key := range map[string]*notarytest.Key{
		"ecdsa on P-256": notarytest.NewKey(t), "ecdsa on P-384": notarytest.NewCurveKey(t, elliptic.P384()), "ecdsa on P-521": notarytest.NewCurveKey(t, elliptic.P521()),
		"ecdsa-x509": notarytest.NewKey(t).Certified(t, "somebody"), "rsa": long, "rsa-x509": long.Certified(t, app),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.pinned = key.PEM()
			s.repo.Delegate(t, releases)
			for _, role := range []string{root, targets, snapshot, timestamp, releases} {
				s.repo.Keys[role] = []*notarytest.Key{key}
			}
			s.repo.Sign(releases, "v1", digestA)
			s.publish()
			s.trusts(s.bind(nil), ":v1", digestA)
		})
	}
}
