package config_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
)

func TestTheFirstCertificateOfEachTrustRootToExpireIsKnown(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	in := func(days int) time.Time { return now.AddDate(0, 0, days) }
	authority := func(name string, days int) string {
		return notationtest.New(t, name, notationtest.Valid(now, in(days))).PEM()
	}
	o := objects(trustRoots(entries{
		"both.pem": authority("new", 500) + authority("old", 20), "ca.pem": authority("ca", 300), "tsa.pem": authority("tsa", 40), "fulcio.pem": authority("fulcio", 7),
		"key.pub": publicKey(t),
	}), policyOf(`
- name: keyed
  type: cosign
  trustRoots: [{name: alice, key: "configmap://config-trust-roots/key.pub"}]
- name: certified
  type: cosign
  host: {fulcioCert: "configmap://config-trust-roots/fulcio.pem"}
  trustRoots:
  - {name: both, cert: "configmap://config-trust-roots/both.pem"}
  - {name: later, cert: "k8s://connaisseur/not-there/ca.pem"}
- name: notary-project
  type: notation
  trustRoots: [{name: default, cert: "configmap://config-trust-roots/ca.pem", tsCert: "configmap://config-trust-roots/tsa.pem"}]
`, "- {pattern: '*:*', validator: keyed, with: {trustRoot: alice, verifyInTransparencyLog: false}}\n"))
	built := builder().Build(o)
	if err := built.Errors.Err(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(built.Expiries, func(a, b observability.Expiry) int {
		return cmp.Compare(a.Validator+a.TrustRoot, b.Validator+b.TrustRoot)
	})
	want := []observability.Expiry{
		{Validator: "certified", TrustRoot: "both", At: in(20)},
		{Validator: "certified", TrustRoot: "host.fulcioCert", At: in(7)},
		{Validator: "notary-project", TrustRoot: "default", At: in(40)},
	}
	if diff := gocmp.Diff(want, built.Expiries); diff != "" {
		t.Errorf("expiries (-want +got):\n%s", diff)
	}
}

func TestRegistriesThatTheConfigurationNamesAreKnown(t *testing.T) {
	t.Parallel()
	policy := policyOf(allowValidator, `
- {pattern: "*:*", validator: allow}
- {pattern: "ghcr.io/org/*", validator: allow}
- {pattern: "nginx", validator: allow}
- {pattern: "*.example.com/app", validator: allow}
`)
	policy.Data["registries"] = "[{host: 'registry.example.com:5000', mirror: mirror.example.com/x}]"
	built := builder().Build(objects(policy))
	if err := built.Errors.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(built.Hosts)
	if diff := gocmp.Diff([]string{"docker.io", "ghcr.io", "mirror.example.com", "registry.example.com:5000"}, built.Hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
}

func TestRulesTellTheTypeOfTheirValidator(t *testing.T) {
	t.Parallel()
	o := objects(policyOf(allowValidator+`
- {name: signed, type: cosign, trustRoots: [{name: default, key: "configmap://config-trust-roots/key.pub"}]}
- {name: trusted, type: notaryv1, trustRoots: [{name: default, key: "configmap://config-trust-roots/key.pub"}]}
- {name: certified, type: notation, trustRoots: [{name: default, cert: "configmap://config-trust-roots/ca.pem"}]}
`, `
- {pattern: "*:*", validator: allow}
- {pattern: "a.example/*", validator: signed, with: {verifyInTransparencyLog: false}}
- {pattern: "b.example/*", validator: trusted}
- {pattern: "c.example/*", validator: certified}
`), trustRoots(entries{"key.pub": publicKey(t), "ca.pem": notationtest.New(t, "ca").PEM()}))
	var types []string
	for _, rule := range build(t, o).Rules {
		types = append(types, rule.ValidatorType)
	}
	if got := strings.Join(types, " "); got != "static cosign notaryv1 notation" {
		t.Error(got)
	}
}

// Every replica tells in metrics what is in force in it.
func TestAChangeTellsWhatItsConfigurationHas(t *testing.T) {
	t.Parallel()
	store := config.NewStore(builder())
	var last config.Change
	store.OnChange(func(c config.Change) { last = c })
	good := objects(policyOf(allowValidator, "- {pattern: 'ghcr.io/*', validator: allow}\n"))
	store.Offer(good)
	if diff := gocmp.Diff([]string{"ghcr.io"}, last.Hosts); diff != "" {
		t.Error(diff)
	}
	store.Offer(objects(policyOf("nonsense", "")))
	if len(last.Errors) == 0 || last.Hosts != nil {
		t.Errorf("refused, and yet: %v", last.Hosts)
	}
}
