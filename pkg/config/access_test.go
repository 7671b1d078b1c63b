package config_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// private is a signed image in a registry that wants a password.
func private(t testing.TB, options ...registrytest.Option) signedImage {
	t.Helper()
	if len(options) == 0 {
		options = []registrytest.Option{registrytest.Basic("alice", "s3cret")}
	}
	reg, key := registrytest.New(t, options...), registrytest.Key(t)
	img := reg.Push(t, "team/app:v1")
	reg.Sign(t, img, key)
	return signedImage{reg, img, string(registrytest.PublicPEM(t, key)), key}
}

// policyWith is a policy whose one validator has more settings, in YAML's flow
// style.
func (s signedImage) policyWith(settings string) *corev1.ConfigMap {
	cm := policyOf("- name: default\n  type: cosign\n  trustRoots: [{name: default, key: 'configmap://config-trust-roots/a.pub'}]\n"+settings+"\n",
		"- pattern: '*:*'\n  with: {verifyInTransparencyLog: false}\n")
	cm.Data["registries"] = s.registries()
	return cm
}

func (s signedImage) objects(settings string, more ...any) config.Objects {
	return objects(append(more, s.policyWith(settings), trustRoots(entries{"a.pub": s.key}))...)
}

// dockerConfig is the entry of a pull secret.
func dockerConfig(host, user, password string) entries {
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return entries{".dockerconfigjson": fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, auth)}
}

// A Secret with credentials is followed, and concerns nobody but its validator.
func TestCredentialsOfASecretAreFollowed(t *testing.T) {
	t.Parallel()
	s := private(t)
	store := config.NewStore(builder())
	before := ""
	for _, step := range []struct {
		name   string
		secret *corev1.Secret
		want   validator.Reason
		says   string
	}{
		{"it is missing", nil, validator.RegistryUnauthorized, "Secret pull (auth.secretName) cannot be used: it does not exist"},
		{"it is there", secret("pull", dockerConfig(s.reg.Host(), "alice", "s3cret")), "", ""},
		{"its password is not valid any more", secret("pull", dockerConfig(s.reg.Host(), "alice", "0ld-one")), validator.RegistryUnauthorized, "wrong or do not reach it"},
		{"it is in Connaisseur's format", secret("pull", entries{"secret.yaml": "registry: " + s.reg.Host() + "\nusername: alice\npassword: s3cret\n"}), "", ""},
		{"it is broken", secret("pull", entries{".dockerconfigjson": "{"}), validator.RegistryUnauthorized, "Secret pull (auth.secretName) cannot be used"},
		{"it is basic-auth without a registry", secret("pull", entries{"username": "alice", "password": "s3cret"}), validator.RegistryUnauthorized, "no registry is named"},
		{"T20: it is for another registry", secret("pull", dockerConfig("ghcr.io", "alice", "s3cret")), validator.RegistryUnauthorized, "needs pull credentials"},
		{"it is gone again", nil, validator.RegistryUnauthorized, "does not exist"},
	} {
		o := s.objects("  auth: {secretName: pull}")
		o.ConfigMaps[config.FeaturesName] = features(entries{"cache.expirySeconds": "0"})
		if step.secret != nil {
			o.Secrets["pull"] = step.secret
		}
		store.Offer(o)
		snapshot, err := store.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if snapshot.Revision == before {
			t.Errorf("%s: nothing new was published", step.name)
		}
		before = snapshot.Revision
		got := decide(t, snapshot, s.img.String())
		if got.Reason != step.want || !strings.Contains(got.Message, step.says) || strings.Contains(got.Message, "0ld-one") {
			t.Errorf("%s: got %s %s", step.name, got.Reason, got.Message)
		}
	}
}

// T35: what a validator may see with its credentials, another does not profit
// from, although both trust the same keys.
func TestT35ValidatorsWithOtherCredentialsShareNoResults(t *testing.T) {
	t.Parallel()
	s := private(t)
	b := builder()
	if got := decide(t, b.Build(s.objects("  auth: {secretName: pull}", secret("pull", dockerConfig(s.reg.Host(), "alice", "s3cret")))).Snapshot, s.img.String()); got.Outcome != verify.Trusted {
		t.Fatalf("got %+v", got)
	}
	for name, settings := range map[string]string{"none": "", "those of a cloud": "  auth: {useKeychain: true}", "a Secret that is not there": "  auth: {secretName: other}"} {
		if got := decide(t, b.Build(s.objects(settings)).Snapshot, s.img.String()); got.Reason != validator.RegistryUnauthorized {
			t.Errorf("with %s: got %+v", name, got)
		}
	}
}

func TestWhatIsWrongWithAccessIsSaid(t *testing.T) {
	t.Parallel()
	s := private(t)
	for name, c := range map[string]struct{ settings, want string }{
		"a key is misspelled":           {"  auth: {useKeychanin: true}", `config-policy: validators[0].auth.useKeychanin: unknown key; did you mean "useKeychain"?`},
		"a key is another's":            {"  auth: {secret: x}", "config-policy: validators[0].auth.secret: unknown key"},
		"a name is empty":               {"  auth: {secretName: ''}", "config-policy: validators[0].auth.secretName: is empty"},
		"a name cannot be":              {"  auth: {secretName: ../x}", `config-policy: validators[0].auth.secretName: "../x" cannot be the name of a Secret`},
		"a switch is a text":            {"  auth: {useImagePullSecrets: 'yes'}", "config-policy: validators[0].auth.useImagePullSecrets: "},
		"cert is no reference":          {"  cert: nonsense", "config-policy: validators[0].cert: "},
		"cert is a broken text":         {"  cert: \"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n\"", "config-policy: validators[0].cert: must hold PEM certificates"},
		"cert is a key":                 {"  cert: configmap://config-trust-roots/a.pub", "config-policy: validators[0].cert: configmap://config-trust-roots/a.pub: must hold PEM certificates"},
		"cert is dangling":              {"  cert: configmap://config-trust-roots/ca.pem", "config-policy: validators[0].cert: configmap://config-trust-roots/ca.pem: entry ca.pem of ConfigMap"},
		"cert is a file, which T21 has": {"  cert: /etc/ssl/ca.pem", "config-policy: validators[0].cert: "},
	} {
		built := builder().Build(s.objects(c.settings))
		if err := built.Errors.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestACertificateOfASecretThatIsNotThereIsNoErrorOfTheConfiguration(t *testing.T) {
	t.Parallel()
	s := signed(t)
	store := config.NewStore(builder())
	o := s.objects("  cert: k8s://connaisseur/ca/ca.crt")
	store.Offer(o)
	snapshot, err := store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if got := decide(t, snapshot, s.img.String()); got.Reason != validator.TrustDataUnavailable || !strings.Contains(got.Message, "k8s://connaisseur/ca/ca.crt") {
		t.Errorf("got %+v", got)
	}
	healed := s.objects("  cert: k8s://connaisseur/ca/ca.crt", secret("ca", entries{"ca.crt": authority(t)}))
	store.Offer(healed)
	if snapshot, err = store.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if got := decide(t, snapshot, s.img.String()); got.Outcome != verify.Trusted {
		t.Errorf("got %+v", got)
	}
}

// authority is a certificate.
func authority(t testing.TB) string {
	t.Helper()
	return string(registrytest.New(t, registrytest.TLS()).CA())
}

// A validator with certificates of its own has connections of its own, which
// survive reloads as long as the certificates are used.
func TestClientsWithCertificatesAreReusedWhileTheyAreUsed(t *testing.T) {
	t.Parallel()
	s := signed(t)
	ca := authority(t)
	b := builder()
	pings := func(settings string) int {
		t.Helper()
		s.reg.Reset()
		o := s.objects(settings, features(entries{"cache.expirySeconds": "0"}))
		o.ConfigMaps[config.TrustRootsName].Data["ca.pem"] = ca
		if got := decide(t, b.Build(o).Snapshot, s.img.String()); got.Outcome != verify.Trusted {
			t.Fatalf("got %+v", got)
		}
		return s.reg.Requests()[registrytest.Ping]
	}
	const with = "  cert: configmap://config-trust-roots/ca.pem"
	first, again, without, back := pings(with), pings(with), pings(""), pings(with)
	if first == 0 || again != 0 || without == 0 || back == 0 {
		t.Errorf("want pings, none, some and some; got %d, %d, %d, %d", first, again, without, back)
	}
}

// pullSecret is a Secret of a tenant.
func pullSecret(namespace, name string, data entries) *corev1.Secret {
	s := secret(name, data)
	s.Namespace = namespace
	return s
}

func account(namespace, name string, secrets ...string) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, name := range secrets {
		a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	return a
}

func decideFor(t testing.TB, s *verify.Snapshot, reference string, who validator.Identity) verify.ImageVerdict {
	t.Helper()
	req := verify.Request{Workload: &workload.Workload{Images: []workload.Image{{Reference: reference}}}, Namespace: "prod", Identity: who}
	return verify.Engine{Now: time.Now}.Verify(t.Context(), s, req).Images[0]
}

// T35: each workload sees what its own pull secrets let it see, whoever was
// there before.
func TestT35PullSecretsAreTheWorkloadsOwn(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]registrytest.Option{
		"a registry with passwords": registrytest.Basic("alice", "s3cret"), "a registry with tokens": registrytest.Bearer("alice", "s3cret"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := private(t, option)
			good, wrong, other := dockerConfig(s.reg.Host(), "alice", "s3cret"), dockerConfig(s.reg.Host(), "mallory", "guess"), dockerConfig("ghcr.io", "alice", "s3cret")
			client := fake.NewSimpleClientset(
				pullSecret("prod", "good", good), pullSecret("prod", "broken", entries{".dockerconfigjson": "{"}), pullSecret("prod", "other", other),
				account("prod", "default"), account("prod", "robot", "good"), account("prod", "dangling", "gone", "good"),
				pullSecret("evil", "good", wrong), account("evil", "default"), account("evil", "robot", "good"),
			)
			b := builder().WithPullSecrets(config.NewPullSecrets(client))
			built := b.Build(s.objects("  auth: {useImagePullSecrets: true}"))
			if len(built.Errors) > 0 {
				t.Fatal(built.Errors)
			}
			for range 2 { // whoever was first
				for _, c := range []struct {
					name, namespace, account string
					secrets                  []string
					want                     validator.Reason
				}{
					{"a Pod with the pull secret", "prod", "", []string{"good"}, ""},
					{"a Pod whose service account has it", "prod", "robot", nil, ""},
					{"a Pod with more pull secrets", "prod", "", []string{"gone", "broken", "other", "good"}, ""},
					{"a Pod whose service account has one that is gone too", "prod", "dangling", nil, ""},
					{"a Pod whose service account is not there yet", "prod", "later", []string{"good"}, ""},
					{"a Pod without any", "prod", "", nil, validator.RegistryUnauthorized},
					{"a Pod with the wrong one", "evil", "", []string{"good"}, validator.RegistryUnauthorized},
					{"a Pod of another namespace that names it", "default", "", []string{"good"}, validator.RegistryUnauthorized},
					{"a Pod of another namespace whose service account names it", "evil", "robot", nil, validator.RegistryUnauthorized},
					{"a Pod that names it across namespaces", "evil", "", []string{"../prod/good", "prod/good"}, validator.RegistryUnauthorized},
					{"a Pod of nowhere", "", "", []string{"good"}, validator.RegistryUnauthorized},
				} {
					got := decideFor(t, built.Snapshot, s.img.String(), validator.PullIdentity(c.namespace, c.account, c.secrets))
					if got.Reason != c.want || (c.want == "") != (got.Outcome == verify.Trusted) || strings.Contains(got.Message, "guess") {
						t.Errorf("%s: got %s %s", c.name, got.Reason, got.Message)
					}
				}
			}
		})
	}
}

// Who asks matters to validators that use pull secrets, and splits the cache
// of no other.
func TestOtherValidatorsShareTheirResultsAmongWorkloads(t *testing.T) {
	t.Parallel()
	s := private(t)
	for name, c := range map[string]struct {
		settings string
		shared   bool
	}{
		"with a Secret":      {"  auth: {secretName: pull}", true},
		"with pull secrets":  {"  auth: {useImagePullSecrets: true}", false},
		"with both of these": {"  auth: {secretName: pull, useImagePullSecrets: true}", false},
	} {
		mine := secret("pull", dockerConfig(s.reg.Host(), "alice", "s3cret"))
		client := fake.NewSimpleClientset(pullSecret("a", "good", dockerConfig(s.reg.Host(), "alice", "s3cret")), pullSecret("b", "good", dockerConfig(s.reg.Host(), "alice", "s3cret")))
		built := builder().WithPullSecrets(config.NewPullSecrets(client)).Build(s.objects(c.settings, mine))
		one := decideFor(t, built.Snapshot, s.img.String(), validator.PullIdentity("a", "", []string{"good"}))
		two := decideFor(t, built.Snapshot, s.img.String(), validator.PullIdentity("b", "", []string{"good"}))
		if one.Outcome != verify.Trusted || two.Outcome != verify.Trusted || two.Cached != c.shared {
			t.Errorf("%s: got %+v, then %+v", name, one, two)
		}
	}
}

// The Secret of the configuration goes before those of workloads, so that
// nobody replaces the operator's login by one of his own.
func TestTheValidatorsOwnSecretGoesFirst(t *testing.T) {
	t.Parallel()
	s := private(t)
	client := fake.NewSimpleClientset(pullSecret("evil", "wrong", dockerConfig(s.reg.Host(), "mallory", "guess")))
	built := builder().WithPullSecrets(config.NewPullSecrets(client)).Build(
		s.objects("  auth: {secretName: pull, useImagePullSecrets: true, useKeychain: true}", secret("pull", dockerConfig(s.reg.Host(), "alice", "s3cret"))))
	if got := decideFor(t, built.Snapshot, s.img.String(), validator.PullIdentity("evil", "", []string{"wrong"})); got.Outcome != verify.Trusted {
		t.Errorf("got %+v", got)
	}
}

func TestPullSecretsThatCannotBeReadAreInconclusive(t *testing.T) {
	t.Parallel()
	s := private(t)
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "good", errors.New("RBAC"))
	for name, c := range map[string]struct {
		resource string
		err      error
		says     string
	}{
		"the rights are missing":                         {"secrets", forbidden, "config/optional/pull-secrets.yaml"},
		"the rights for service accounts are missing":    {"serviceaccounts", forbidden, "config/optional/pull-secrets.yaml"},
		"the API is down":                                {"secrets", errors.New("hunter2"), "does not give it out"},
		"there is no cluster, as for the command line's": {"", nil, "there is none that could be asked"},
	} {
		b := builder()
		if c.resource != "" {
			client := fake.NewSimpleClientset(account("prod", "default"))
			client.PrependReactor("get", c.resource, func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, c.err })
			b = b.WithPullSecrets(config.NewPullSecrets(client))
		}
		built := b.Build(s.objects("  auth: {useImagePullSecrets: true}"))
		got := decideFor(t, built.Snapshot, s.img.String(), validator.PullIdentity("prod", "", []string{"good"}))
		if got.Outcome != verify.Inconclusive || got.Reason != validator.RegistryUnauthorized || !strings.Contains(got.Message, c.says) || strings.Contains(got.Message, "hunter2") {
			t.Errorf("%s: got %s %s", name, got.Reason, got.Message)
		}
		if n := s.reg.Requests().Total(); n > 0 {
			t.Errorf("%s: the registry was asked all the same, %d times", name, n)
		}
	}
}

func TestPullSecretsAreBoundedAndReadOnceForAWhile(t *testing.T) {
	t.Parallel()
	large := pullSecret("prod", "large", dockerConfig("ghcr.io", "alice", strings.Repeat("x", 200<<10)))
	client := fake.NewSimpleClientset(account("prod", "default"), large, pullSecret("prod", "good", dockerConfig("ghcr.io", "alice", "s3cret")))
	p := config.NewPullSecrets(client)
	if _, err := p.Of(t.Context(), validator.PullIdentity("prod", "", []string{"large"})); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
	who := validator.PullIdentity("prod", "", []string{"good"})
	before := len(client.Actions())
	for range 10 {
		if _, err := p.Of(t.Context(), who); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(client.Actions()) - before; got != 2 {
		t.Errorf("the API was asked %d times", got)
	}
}
