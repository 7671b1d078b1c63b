// Package layering holds the packages to the directions in which they may
// import one another. See hack/README.md for the picture.
package layering

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"knative.dev/pkg/depcheck"
)

const module = "github.com/sse-secure-systems/connaisseur/"

// upward lists what a package must not depend on, not even by way of others.
var upward = map[string][]string{
	"pkg/image":                  {"pkg/policy", "pkg/workload", "pkg/validator", "pkg/trust", "pkg/registry", "pkg/strict", "pkg/verify"},
	"pkg/strict":                 {"pkg/image", "pkg/policy", "pkg/workload", "pkg/validator", "pkg/trust", "pkg/registry", "pkg/verify"},
	"pkg/workload":               {"pkg/image", "pkg/policy", "pkg/validator", "pkg/trust", "pkg/registry", "pkg/verify"},
	"pkg/policy":                 {"pkg/workload", "pkg/validator", "pkg/trust", "pkg/registry", "pkg/verify", "pkg/config"},
	"pkg/validator":              {"pkg/policy", "pkg/workload", "pkg/trust", "pkg/registry", "pkg/verify", "pkg/config"},
	"pkg/trust":                  {"pkg/policy", "pkg/workload", "pkg/registry", "pkg/verify", "pkg/config", "pkg/trust/remote"},
	"pkg/trust/remote":           {"pkg/policy", "pkg/workload", "pkg/registry", "pkg/verify", "pkg/config", "pkg/admission"},
	"pkg/registry":               {"pkg/policy", "pkg/workload", "pkg/trust", "pkg/verify", "pkg/config"},
	"pkg/registry/credentials":   {"pkg/registry/cloud", "pkg/policy", "pkg/workload", "pkg/trust", "pkg/verify", "pkg/config"},
	"pkg/registry/cloud":         {"pkg/policy", "pkg/workload", "pkg/trust", "pkg/verify", "pkg/config"},
	"pkg/validator/notaryv1":     {"pkg/policy", "pkg/workload", "pkg/verify", "pkg/config", "pkg/cache", "pkg/validator/builtin"},
	"pkg/validator/notaryv1/dct": {"pkg/registry", "pkg/policy", "pkg/workload", "pkg/verify", "pkg/config"},
	"pkg/validator/notation":     {"pkg/policy", "pkg/workload", "pkg/verify", "pkg/config", "pkg/cache", "pkg/validator/builtin"},
	"pkg/memo":                   {"pkg/policy", "pkg/workload", "pkg/trust", "pkg/registry", "pkg/verify", "pkg/config"},
	"pkg/feature":                {"pkg/policy", "pkg/workload", "pkg/validator", "pkg/trust", "pkg/registry", "pkg/verify", "pkg/config"},
	"pkg/cache":                  {"pkg/policy", "pkg/workload", "pkg/trust", "pkg/registry", "pkg/verify", "pkg/config"},
	"pkg/cache/shared":           {"pkg/policy", "pkg/workload", "pkg/trust", "pkg/registry", "pkg/verify", "pkg/config", "pkg/feature"},
	"pkg/verify":                 {"pkg/trust", "pkg/registry", "pkg/cache", "pkg/config", "pkg/admission", "pkg/validator/builtin"},
	"pkg/owner":                  {"pkg/config", "pkg/admission", "pkg/trust", "pkg/registry"},
	"pkg/config":                 {"pkg/admission", "pkg/trust/remote", "pkg/migrate"},
	"pkg/migrate":                {"pkg/admission", "pkg/trust/remote"},
	"pkg/admission":              {"pkg/config", "pkg/alert", "pkg/validator/builtin", "pkg/registry"},
	"pkg/alert":                  {"pkg/registry", "pkg/cache", "pkg/config", "pkg/admission"},
	"pkg/finding":                {"pkg/trust", "pkg/registry", "pkg/cache", "pkg/config", "pkg/admission", "pkg/finding/sink", "pkg/alert"},
	"pkg/finding/sink":           {"pkg/registry", "pkg/cache", "pkg/config", "pkg/admission", "pkg/alert"},
	"pkg/observability":          {"pkg/verify", "pkg/config", "pkg/admission", "pkg/validator", "pkg/registry", "pkg/trust", "pkg/cache", "pkg/policy"},
}

// foreign lists what a package must not depend on outside of this module: the
// engine runs without a cluster and without a network.
var foreign = map[string][]string{
	"pkg/image":    {"k8s.io/apimachinery/pkg/runtime", "github.com/google/go-containerregistry/pkg/v1"},
	"pkg/policy":   {"k8s.io/apimachinery/pkg/runtime", "github.com/google/go-containerregistry/pkg/v1"},
	"pkg/workload": {"k8s.io/client-go/kubernetes", "knative.dev/pkg/webhook"},
	"pkg/verify":   {"k8s.io/client-go/kubernetes", "knative.dev/pkg/webhook", "github.com/google/go-containerregistry/pkg/v1/remote"},
}

func TestNothingDependsOnWhatIsAboveIt(t *testing.T) {
	t.Parallel()
	banned := map[string][]string{}
	for from, to := range upward {
		for _, target := range to {
			banned[module+from] = append(banned[module+from], module+target)
		}
	}
	for from, to := range foreign {
		banned[module+from] = append(banned[module+from], to...)
	}
	depcheck.AssertNoDependency(t, banned)
}

// imports lists the direct imports of this module's packages, without tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		found[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	if len(found) < 10 {
		t.Fatalf("only %d packages were found", len(found))
	}
	return found
}

func TestOnlyOnePackageTalksToRegistries(t *testing.T) {
	t.Parallel()
	clients := []string{
		"github.com/google/go-containerregistry/pkg/v1/remote",
		"github.com/google/go-containerregistry/pkg/v1/remote/transport",
		"github.com/sigstore/cosign/v2/pkg/oci/remote",
	}
	for name, imported := range imports(t) {
		if name == "pkg/registry" || strings.HasPrefix(name, "pkg/testing/") || strings.HasPrefix(name, "hack/") || strings.HasPrefix(name, "test/") {
			continue
		}
		for _, client := range clients {
			if slices.Contains(imported, client) {
				t.Errorf("%s imports %s; only pkg/registry may", name, client)
			}
		}
	}
}

// The clients of four clouds come with what fetches trust material, and one of
// the packages executes plugins.
func TestOnlyOnePackageFetchesTrustMaterial(t *testing.T) {
	t.Parallel()
	for name, imported := range imports(t) {
		if name == "pkg/trust/remote" {
			continue
		}
		for _, path := range imported {
			if strings.HasPrefix(path, "github.com/sigstore/sigstore/pkg/signature/kms") || path == "github.com/sigstore/sigstore-go/pkg/tuf" ||
				strings.HasPrefix(path, "github.com/theupdateframework/go-tuf/v2") {
				t.Errorf("%s imports %s; only pkg/trust/remote may", name, path)
			}
		}
	}
}

// cosign's packages that open files, environment variables and URLs or execute
// plugins, on behalf of a string in the configuration (T21).
func TestNothingImportsWhatOpensKeyReferences(t *testing.T) {
	t.Parallel()
	for name, imported := range imports(t) {
		for _, path := range imported {
			if strings.HasPrefix(path, "github.com/sigstore/cosign/v2/pkg/signature") || strings.HasPrefix(path, "github.com/sigstore/cosign/v2/cmd/") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

func TestTestCodeStaysInTests(t *testing.T) {
	t.Parallel()
	for name, imported := range imports(t) {
		if strings.HasPrefix(name, "pkg/testing/") || strings.HasPrefix(name, "test/") {
			continue
		}
		for _, path := range imported {
			if strings.HasPrefix(path, module+"pkg/testing/") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

func TestPackageNamesSaySomething(t *testing.T) {
	t.Parallel()
	empty := []string{"util", "utils", "common", "helper", "helpers", "constants", "misc"}
	for name := range imports(t) {
		for _, component := range strings.Split(name, "/") {
			if slices.Contains(empty, component) {
				t.Errorf("%s is called %q, which says nothing", name, component)
			}
		}
	}
}
