package trust_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

func TestReferences(t *testing.T) {
	t.Parallel()
	key := newPEM(t)
	for _, test := range []struct {
		name, in string
		asks     []string // of the Source
		text     string
	}{
		{"PEM text is the key itself", key, nil, key},
		{"an entry of a ConfigMap", "configmap://config-trust-roots/alice.pub", []string{"configmap://config-trust-roots/alice.pub"}, "key"},
		{"a Secret's entry has cosign's name", "k8s://prod/alice", []string{"k8s://prod/alice/cosign.pub"}, "key"},
		{"a Secret's entry can be named", "k8s://prod/alice/key.pem", []string{"k8s://prod/alice/key.pem"}, "key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ref, err := trust.ParseReference(test.in)
			if err != nil {
				t.Fatal(err)
			}
			source := &objects{entries: map[string]string{}}
			for _, asked := range test.asks {
				source.entries[asked] = "key"
			}
			text, err := ref.Read(source)
			if err != nil || string(text) != test.text {
				t.Errorf("Read = %q, %v", text, err)
			}
			if diff := cmp.Diff(test.asks, source.asked); diff != "" {
				t.Errorf("what was read (-want +got):\n%s", diff)
			}
			_, _, isConfigMap := ref.ConfigMap()
			_, _, isSecret := ref.Secret()
			if isConfigMap != strings.HasPrefix(test.in, "configmap://") || isSecret != strings.HasPrefix(test.in, "k8s://") {
				t.Errorf("a ConfigMap: %t, a Secret: %t", isConfigMap, isSecret)
			}
		})
	}
}

// refused are the key references of row T21: files, URLs, environment
// variables, programs, and names that would climb in a path.
var refused = []string{
	"", " ", "alice.pub", "/etc/kubernetes/pki/ca.key", "./key.pem", "../key.pem", "../../etc/passwd", `C:\key.pem`, "~/key.pem",
	"file:///etc/passwd", "FILE:///etc/passwd", "http://169.254.169.254/latest/meta-data", "https://evil.io/key.pem", "ftp://evil.io/key",
	"env://KEY", "env:KEY", "$KEY", "exec://id", "exec:id", "|id", "$(id)", "`id`", "plugin://x", "data:text/plain,x", "pkcs11:token=x", "sget://x",
	"gitlab://x", "github://x", "oci://evil.io/key", "git::https://evil.io/key", "unix:///var/run/docker.sock", "unknownkms://x",
	"configmap://", "configmap:///", "configmap://a", "configmap://a/", "configmap:///a", "configmap://a/b/c", "configmap://a//b", "configmap:a/b",
	"configmap://../b", "configmap://a/..", "configmap://a/.", "configmap://./a", "configmap://a/../../b", "configmap://a/..%2fb", "configmap://a%2f/b",
	"configmap://a/b?x", "configmap://a?x/b", "configmap://a/b#x", "configmap://a/b\n", "configmap://a /b", "configmap://A/b", "configmap://a/b\x00",
	"CONFIGMAP://a/b", " configmap://a/b", "xconfigmap://a/b",
	"k8s://", "k8s://a", "k8s://a/", "k8s:///b", "k8s://a/b/", "k8s://a/b/c/d", "k8s://a//c", "k8s://../b", "k8s://a/..", "k8s://../../x", "k8s://a/b/..",
	"k8s://a/b/../c", "k8s://a/..%2f..", "k8s://a/b?x", "k8s://a/b#x", "k8s://a/B", "K8S://a/b", " k8s://a/b", "k8s://a/b\n", "k8s://user@a/b",
}

// TestReferencesThatAreRefused covers row T21: nothing is opened, and not even
// a source is asked.
func TestReferencesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, in := range refused {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			ref, err := trust.ParseReference(in)
			if err == nil {
				t.Fatalf("ParseReference(%q) = %+v", in, ref)
			}
			if !strings.Contains(err.Error(), "configmap://NAME/KEY") && !strings.Contains(err.Error(), "k8s://NAMESPACE/SECRET") {
				t.Errorf("the error does not say what to write: %v", err)
			}
			source := &objects{}
			if text, err := ref.Read(source); err == nil || source.asked != nil {
				t.Errorf("what came with the error reads %q", text)
			}
			roots, errs := trust.LoadKeys("trustRoots", []trust.KeyConfig{{Name: "a", Key: in}}, source)
			if len(errs) != 1 || errs[0].Path != "trustRoots[0].key" || errs[0].Dangling || len(roots[0].Keys) != 0 || source.asked != nil {
				t.Errorf("LoadKeys = %+v, %v", roots, errs)
			}
		})
	}
}

// TestAPathBesideAMarkOfPEMOpensNothing covers row T21.
func TestAPathBesideAMarkOfPEMOpensNothing(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"file:///etc/passwd#-----BEGIN ", "/etc/-----BEGIN PUBLIC KEY-----", "-----BEGIN /etc/passwd", "https://evil.io/-----BEGIN PUBLIC KEY-----", "configmap://a/-----BEGIN "} {
		source := &objects{}
		roots, errs := trust.LoadKeys("trustRoots", []trust.KeyConfig{{Name: "a", Key: in}}, source)
		if len(errs) != 1 || len(roots[0].Keys) != 0 || source.asked != nil {
			t.Errorf("%q: %+v, %v", in, roots, errs)
		}
	}
}

func TestTheZeroReferenceRefersToNothing(t *testing.T) {
	t.Parallel()
	if text, err := (trust.Reference{}).Read(&objects{}); err == nil {
		t.Errorf("it reads %q", text)
	}
}

func TestASourcesErrorIsPassedOn(t *testing.T) {
	t.Parallel()
	down := errors.New("the API server is down")
	for _, in := range []string{"configmap://a/b", "k8s://a/b"} {
		ref, err := trust.ParseReference(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ref.Read(&objects{err: down}); !errors.Is(err, down) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
