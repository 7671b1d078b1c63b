package trust_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

const uuid = "1234abcd-12ab-34cd-56ef-1234567890ab"

// TestKeysInAKMS: each URI that Sigstore's providers document, and what is
// asked for is exactly that URI.
func TestKeysInAKMS(t *testing.T) {
	t.Parallel()
	key := newPEM(t)
	for _, uri := range []string{
		"awskms:///" + uuid, "awskms://localhost:4566/" + uuid, "awskms:///mrk-1234abcd12ab34cd56ef1234567890ab", "awskms:///alias/ExampleAlias",
		"awskms:///arn:aws:kms:us-east-2:111122223333:key/" + uuid, "awskms://kms.example.com/arn:aws-cn:kms:cn-north-1:111122223333:alias/team/app_1",
		"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k", "gcpkms://projects/example.com:p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/versions/12",
		"azurekms://vault.vault.azure.net/key", "azurekms://vault.vault.azure.net/key/0123456789abcdef0123456789abcdef",
		"hashivault://key", "hashivault://team-a.key_1",
	} {
		t.Run(uri, func(t *testing.T) {
			t.Parallel()
			ref, err := trust.ParseReference(uri)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := ref.KMS(); got != uri || !ok {
				t.Errorf("KMS() = %q, %t", got, ok)
			}
			if _, _, ok := ref.Secret(); ok {
				t.Error("it is a Secret")
			}
			there, config := &objects{entries: map[string]string{uri: key}}, []trust.KeyConfig{{Name: "a", Key: uri}}
			roots, errs := trust.LoadKeys("trustRoots", config, there)
			if len(errs) > 0 || len(roots[0].Keys) != 1 || roots[0].Unavailable != nil {
				t.Errorf("LoadKeys = %+v, %v", roots, errs)
			}
			if diff := cmp.Diff([]string{uri}, there.asked); diff != "" {
				t.Errorf("what was read (-want +got):\n%s", diff)
			}
			roots, errs = trust.LoadKeys("trustRoots", config, &objects{})
			if len(errs) > 0 || !errors.Is(roots[0].Unavailable, trust.ErrUnavailable) || len(roots[0].Keys) != 0 {
				t.Errorf("while it is down LoadKeys = %+v, %v", roots, errs)
			}
		})
	}
}

// notKMS are URIs of row T21 that look like those of a KMS.
var notKMS = []string{
	"awskms://", "awskms:///", "awskms://" + uuid, "awskms:///x", "awskms:///alias/", "awskms:///alias/a b", "awskms:///alias/a\nb", "awskms:///alias/a?x=y", "awskms:///alias/../key",
	"awskms://user:password@kms.example.com/alias/a", "awskms://a/b/alias/c", "awskms://169.254.169.254/alias/a", "awskms:///arn:aws:s3:us-east-2:111122223333:key/" + uuid,
	"awskms://kms.example.com:port/alias/a", "AWSKMS:///alias/a", " awskms:///alias/a", "awskms:///alias/a ", "awskms:/alias/a", "awskms:///alias/" + strings.Repeat("a", 2000),
	"gcpkms://", "gcpkms://projects/p", "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/", "gcpkms://projects/../locations/l/keyRings/r/cryptoKeys/k",
	"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/latest", "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k?x",
	"azurekms://", "azurekms://vault", "azurekms:///key", "azurekms://vault.vault.azure.net/", "azurekms://vault.vault.azure.net/key/V", "azurekms://a@b/key", "azurekms://vault/key/1/2",
	"azurekms://169.254.169.254/key", "azurekms://[fe80::1]/key",
	"hashivault://", "hashivault://a/b", "hashivault:///a", "hashivault://../a", "hashivault://a b", "hashivault://http://evil.io", "hashivault://-a",
	"openbao://key", "fakekms://key", "alikms://key", "pkcs11:token=x;object=y", "azurekms:vault", "localkms:///etc/key", "kms://key",
}

func TestT21OnlyListedKMSAreAsked(t *testing.T) {
	t.Parallel()
	for _, uri := range notKMS {
		t.Run(uri, func(t *testing.T) {
			t.Parallel()
			ref, err := trust.ParseReference(uri)
			if err == nil {
				t.Fatalf("ParseReference(%q) = %+v", uri, ref)
			}
			if !strings.Contains(err.Error(), "kms://") && !strings.Contains(err.Error(), "hashivault://KEY") {
				t.Errorf("the error does not say what to write: %v", err)
			}
			if err := (trust.Remote{KMS: uri}).Check(); err == nil {
				t.Error("Check takes it")
			}
		})
	}
}

func TestWhatMayBeFetched(t *testing.T) {
	t.Parallel()
	const root = `{"signed": {"_type": "root"}, "signatures": []}`
	for _, test := range []struct {
		name  string
		where trust.Remote
		want  string // in the error; empty if it may be
	}{
		{"the public-good instance", trust.Remote{TUF: trust.DefaultTUF}, ""},
		{"a mirror with a root of its own", trust.Remote{TUF: "https://tuf.example.com:8443/sigstore", Root: root}, ""},
		{"a mirror on this machine, without TLS", trust.Remote{TUF: "http://127.0.0.1:8080", Root: root}, ""},
		{"a mirror elsewhere, without TLS", trust.Remote{TUF: "http://tuf.example.com"}, "must begin with https://"},
		{"a mirror in a file", trust.Remote{TUF: "file:///etc/passwd"}, "must read https://"},
		{"a mirror with a password", trust.Remote{TUF: "https://user:password@tuf.example.com"}, "must not hold a user"},
		{"a mirror with a query", trust.Remote{TUF: "https://tuf.example.com/?x=y"}, "must read https://"},
		{"T34: a metadata service", trust.Remote{TUF: "https://169.254.169.254/latest"}, "link-local"},
		{"T34: a metadata service in IPv6's notation", trust.Remote{TUF: "https://[::ffff:169.254.169.254]:443/latest"}, "link-local"},
		{"a path", trust.Remote{TUF: "/etc/passwd"}, "must read https://"},
		{"a root that is none", trust.Remote{TUF: trust.DefaultTUF, Root: `{"signed": {"_type": "targets"}}`}, "is no TUF root"},
		{"a root that is no JSON", trust.Remote{TUF: trust.DefaultTUF, Root: "/etc/passwd"}, "is no TUF root"},
		{"a root that is too large", trust.Remote{TUF: trust.DefaultTUF, Root: strings.Repeat("a", 1<<20)}, "which is more than"},
		{"a KMS and TUF", trust.Remote{KMS: "hashivault://key", TUF: trust.DefaultTUF}, "either"},
		{"nothing", trust.Remote{}, "either"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.where.Check()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("Check() = %v", err)
			}
		})
	}
}
