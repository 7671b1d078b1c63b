package trust_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

func pkcs1(key *rsa.PublicKey) []byte { return x509.MarshalPKCS1PublicKey(key) }

func ids(keys []trust.Key) []string {
	all := make([]string, len(keys))
	for i, key := range keys {
		all[i] = key.ID
	}
	return all
}

// FuzzParseKeys covers rows T21 and T22: each block is a public key, and not
// one is passed over.
func FuzzParseKeys(f *testing.F) {
	key, ed := newPEM(f), publicPEM(f, newEd25519(f))
	for _, seed := range []string{
		"", " ", key, key + ed, ed + "\n\n" + key, "x" + key, key + "x", key[:40], key + key[:40], key[:40] + key, strings.ReplaceAll(key, "\n", "\r\n"),
		publicPEM(f, rsaKey(2048)), publicPEM(f, rsaKey(1024)), block("RSA PUBLIC KEY", pkcs1(rsaKey(2048))), publicPEM(f, newECDSA(f, elliptic.P224()).Public()),
		block("CERTIFICATE", certificate(f, true)), block("PRIVATE KEY", pkcs8(f)), block("PUBLIC KEY", nil), strings.Replace(key, "\n", "\nA: b\n\n", 1),
		"-----BEGIN PUBLIC KEY-----", "-----BEGIN -----\n-----END -----", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", "file:///etc/passwd",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		keys, err := trust.ParseKeys(text)
		if !bytes.Equal(before, text) {
			t.Fatal("the text was changed")
		}
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		if err != nil {
			return
		}
		if blocks := bytes.Count(text, []byte("-----BEGIN ")); blocks != len(keys) {
			t.Errorf("%d blocks gave %d keys", blocks, len(keys))
		}
		if bytes.Contains(text, []byte("PRIVATE KEY-----")) || bytes.Contains(text, []byte("CERTIFICATE-----")) {
			t.Errorf("a key was made of what is none: %q", text)
		}
		var again strings.Builder
		for _, key := range keys {
			if len(key.ID) != 64 || len(key.Verifiers) == 0 {
				t.Errorf("a key that verifies nothing: %+v", key)
			}
			for _, v := range key.Verifiers {
				public, err := v.PublicKey()
				if err != nil || idOf(t, public) != key.ID {
					t.Errorf("a verifier has another key than its ID says: %v", err)
				}
			}
			public, _ := key.Verifiers[0].PublicKey()
			again.WriteString(publicPEM(t, public))
		}
		same, err := trust.ParseKeys([]byte(again.String()))
		if err != nil || cmp.Diff(ids(keys), ids(same)) != "" {
			t.Errorf("the keys written again are others: %v", err)
		}
	})
}

// FuzzParseReference covers row T21: whatever is accepted is PEM or JSON text, names an
// entry of a ConfigMap or Secret, whose names can be parts of no other path, or
// is a key in a KMS that is listed.
func FuzzParseReference(f *testing.F) {
	for _, seed := range refused {
		f.Add(seed)
	}
	for _, seed := range notKMS {
		f.Add(seed)
	}
	for _, seed := range []string{"awskms:///alias/a", "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/versions/1", "azurekms://v/k/1", "hashivault://k", "configmap://a/b.pub", "k8s://a/b", "k8s://a/b/c", newPEM(f), "-----BEGIN ", "file:///x-----BEGIN ", "{}", " {"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := trust.ParseReference(s)
		source := &objects{entries: map[string]string{}}
		if err != nil {
			if _, readErr := ref.Read(source); readErr == nil || source.asked != nil {
				t.Errorf("%q is refused, but reads", s)
			}
			return
		}
		text, _ := ref.Read(source)
		if strings.Contains(s, "-----BEGIN ") || strings.HasPrefix(strings.TrimSpace(s), "{") {
			if string(text) != s || source.asked != nil {
				t.Errorf("the text reads %q, %q", text, source.asked)
			}
			return
		}
		if len(source.asked) != 1 || source.asked[0] != s && source.asked[0] != s+"/"+trust.DefaultSecretKey {
			t.Fatalf("%q asks for %q", s, source.asked)
		}
		scheme, path, _ := strings.Cut(source.asked[0], "://")
		if uri, ok := ref.KMS(); ok {
			_, _, isConfigMap := ref.ConfigMap()
			_, _, isSecret := ref.Secret()
			if uri != s || !slices.Contains([]string{"awskms", "gcpkms", "azurekms", "hashivault"}, scheme) || isConfigMap || isSecret {
				t.Errorf("%q is the KMS key %q, a ConfigMap: %t, a Secret: %t", s, uri, isConfigMap, isSecret)
			}
			if strings.ContainsAny(path, "%?#\\@[] \t\r\n\x00|;&$`'\"") || strings.Contains(path, "..") {
				t.Errorf("%q is more than a key's name", s)
			}
			return
		}
		parts := strings.Split(path, "/")
		if want := map[string]int{"configmap": 2, "k8s": 3}[scheme]; len(parts) != want {
			t.Errorf("%q has the parts %q", s, parts)
		}
		if slices.Contains(parts, "") || slices.Contains(parts, ".") || slices.Contains(parts, "..") || strings.ContainsAny(path, "%?#\\@: \n\x00") {
			t.Errorf("%q names what no object is called", s)
		}
		name, key, isConfigMap := ref.ConfigMap()
		namespace, secret, isSecret := ref.Secret()
		if isConfigMap == isSecret || isConfigMap && (name != parts[0] || key != parts[1]) || isSecret && (namespace != parts[0] || secret != parts[1]) {
			t.Errorf("%q is a ConfigMap: %t, a Secret: %t", s, isConfigMap, isSecret)
		}
	})
}
