package trust_test

import (
	"crypto/elliptic"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// TestLoadKeys: trust roots are named, and an error names the key path and is
// where the blame is. Row T13: two roots never share a key.
func TestLoadKeys(t *testing.T) {
	t.Parallel()
	alice, bob := newPEM(t), newPEM(t)
	large := rsaKey(2048)
	source := map[string]string{
		"configmap://config-trust-roots/alice.pub": alice, "configmap://config-trust-roots/both.pub": alice + bob,
		"configmap://config-trust-roots/broken.pub": "alice", "k8s://prod/bob/cosign.pub": bob, "k8s://prod/broken/cosign.pub": "bob",
	}
	const path = "validators[0].trustRoots"
	for _, test := range []struct {
		name    string
		configs []trust.KeyConfig
		want    []string // errors
	}{
		{"keys from everywhere", []trust.KeyConfig{{"alice", "configmap://config-trust-roots/alice.pub"}, {"bob", "k8s://prod/bob"}, {"carol", newPEM(t)}}, nil},
		{"one root of two keys", []trust.KeyConfig{{"both", "configmap://config-trust-roots/both.pub"}}, nil},
		{"one root of one key twice", []trust.KeyConfig{{"alice", alice + alice}}, nil},
		{"no root", nil, []string{path + ": is empty; without a trust root nothing can be verified"}},
		{"no name", []trust.KeyConfig{{"", alice}}, []string{path + "[0].name: is missing"}},
		{"the name of all", []trust.KeyConfig{{"*", alice}}, []string{path + `[0].name: must not be "*", which stands for all trust roots`}},
		{"T13: a name twice", []trust.KeyConfig{{"a", alice}, {"a", bob}}, []string{path + `[1].name: another trust root is named "a" already`}},
		{"T13: a key twice", []trust.KeyConfig{{"a", alice}, {"b", alice}}, []string{path + `[1].key: holds a key of the trust root "a" too; one signer would count as two`}},
		{"T13: a key twice, by different references", []trust.KeyConfig{{"a", "configmap://config-trust-roots/both.pub"}, {"b", "k8s://prod/bob"}},
			[]string{path + `[1].key: holds a key of the trust root "a" too; one signer would count as two`}},
		{"T13: a key twice, spelled otherwise", []trust.KeyConfig{{"a", alice}, {"b", "\r\n" + strings.ReplaceAll(alice, "\n", "\r\n")}},
			[]string{path + `[1].key: holds a key of the trust root "a" too; one signer would count as two`}},
		{"T13: a key twice, in other encodings", []trust.KeyConfig{{"a", publicPEM(t, large)}, {"b", block("RSA PUBLIC KEY", pkcs1(large))}},
			[]string{path + `[1].key: holds a key of the trust root "a" too; one signer would count as two`}},
		{"T13: a key three times", []trust.KeyConfig{{"a", alice}, {"b", bob}, {"c", bob + alice}}, []string{
			path + `[2].key: holds a key of the trust root "a" too; one signer would count as two`,
			path + `[2].key: holds a key of the trust root "b" too; one signer would count as two`,
		}},
		{"no key", []trust.KeyConfig{{"a", ""}}, []string{path + "[0].key: is missing; it must be a PEM public key, configmap://NAME/KEY, k8s://NAMESPACE/SECRET or a KMS URI (awskms://, gcpkms://, azurekms://, hashivault://)"}},
		{"a broken entry is to blame itself", []trust.KeyConfig{{"a", "configmap://config-trust-roots/broken.pub"}},
			[]string{"config-trust-roots: broken.pub: is not a PEM public key: there is text outside of -----BEGIN PUBLIC KEY----- and -----END PUBLIC KEY----- (needed by " + path + "[0].key)"}},
		{"T22: a certificate", []trust.KeyConfig{{"a", block("CERTIFICATE", certificate(t, true))}}, []string{path + "[0].key: is a certificate; it must be a public key"}},
		{"everything at once", []trust.KeyConfig{{"a", alice}, {"", "file:///x"}, {"a", ""}}, []string{
			path + "[1].name: is missing",
			path + `[1].key: "file:///x" is not supported; it must be a PEM public key, configmap://NAME/KEY, k8s://NAMESPACE/SECRET or a KMS URI (awskms://, gcpkms://, azurekms://, hashivault://)`,
			path + `[2].name: another trust root is named "a" already`,
			path + "[2].key: is missing; it must be a PEM public key, configmap://NAME/KEY, k8s://NAMESPACE/SECRET or a KMS URI (awskms://, gcpkms://, azurekms://, hashivault://)",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			roots, errs := trust.LoadKeys(path, test.configs, &objects{entries: source})
			var got []string
			for _, err := range errs {
				got = append(got, err.Error())
				if err.Dangling {
					t.Errorf("another object is blamed: %v", err)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			for i, root := range roots {
				if errs == nil && (root.Name != test.configs[i].Name || len(root.Keys) == 0 || root.Unavailable != nil) {
					t.Errorf("root %d: %+v", i, root)
				}
			}
		})
	}
}

// TestTrustMaterialThatIsNotThere: a ConfigMap that is not there is an error
// that applying it heals; a Secret makes no more than its root unavailable.
func TestTrustMaterialThatIsNotThere(t *testing.T) {
	t.Parallel()
	source := &objects{entries: map[string]string{"k8s://prod/broken/cosign.pub": "bob"}}
	_, errs := trust.LoadKeys("trustRoots", []trust.KeyConfig{{"a", "configmap://a/b"}}, source)
	if len(errs) != 1 || !errs[0].Dangling || errs[0].Error() != "trustRoots[0].key: configmap://a/b: it does not exist" {
		t.Errorf("a ConfigMap that is not there: %v", errs)
	}
	down := errors.New("down")
	_, errs = trust.LoadKeys("trustRoots", []trust.KeyConfig{{"a", "configmap://a/b"}}, &objects{err: down})
	if len(errs) != 1 || errs[0].Dangling {
		t.Errorf("a ConfigMap that cannot be read: %v", errs)
	}
	roots, errs := trust.LoadKeys("trustRoots", []trust.KeyConfig{{"a", newPEM(t)}, {"b", "k8s://prod/missing"}, {"c", "k8s://prod/broken"}}, source)
	if errs != nil || len(roots) != 3 {
		t.Fatalf("LoadKeys = %v, %v", roots, errs)
	}
	for i, unavailable := range []bool{false, true, true} {
		if got := roots[i].Unavailable != nil; got != unavailable || (len(roots[i].Keys) == 0) != unavailable {
			t.Errorf("root %s is unavailable: %v, and has %d keys", roots[i].Name, roots[i].Unavailable, len(roots[i].Keys))
		}
	}
	if !errors.Is(roots[1].Unavailable, trust.ErrNotThere) {
		t.Errorf("the cause is lost: %v", roots[1].Unavailable)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"b", "a"}, trust.Names([]trust.Root{{Name: "b"}, {Name: "a"}})); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
}

// TestRootsOfDifferentKeysMayStandTogether is the other side of T13.
func TestRootsOfDifferentKeysMayStandTogether(t *testing.T) {
	t.Parallel()
	_, errs := trust.LoadKeys("trustRoots", []trust.KeyConfig{
		{"a", newPEM(t)}, {"b", publicPEM(t, newEd25519(t))}, {"c", publicPEM(t, newECDSA(t, elliptic.P384()).Public())}, {"d", publicPEM(t, rsaKey(4096))},
	}, &objects{})
	if errs != nil {
		t.Error(errs)
	}
}
