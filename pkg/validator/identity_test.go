package validator_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// T35: different Pods have different identities, whatever they call things.
func TestT35PullIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, namespace, account string
		secrets                  []string
		want                     validator.Identity
	}{
		{name: "namespace and account are enough", namespace: "prod", account: "web", want: "prod/web"},
		{name: "no account means the default one", namespace: "prod", want: "prod/default"},
		{name: "secrets keep their order", namespace: "prod", account: "web", secrets: []string{"b", "a"}, want: "prod/web/b/a"},
		{name: "a secret counts once", namespace: "prod", account: "web", secrets: []string{"a", "b", "a"}, want: "prod/web/a/b"},
		{name: "a secret is not taken for an account", namespace: "prod", secrets: []string{"web"}, want: "prod/default/web"},
		{name: "names that cannot be are left out", namespace: "prod", account: "web", secrets: []string{"a/b", "", "../c", "A", "d"}, want: "prod/web/d"},
		{name: "an account that cannot be is nobody", namespace: "prod", account: "web/a"},
		{name: "a namespace that cannot be is nobody", namespace: "../prod", account: "web"},
		{name: "no namespace is nobody", account: "web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := validator.PullIdentity(c.namespace, c.account, c.secrets); got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAnIdentityTellsWhatItWasMadeOf(t *testing.T) {
	t.Parallel()
	namespace, account, secrets, ok := validator.PullIdentity("prod", "web", []string{"a", "b"}).Pods()
	if diff := cmp.Diff([]string{"a", "b"}, secrets); diff != "" || !ok || namespace != "prod" || account != "web" {
		t.Errorf("got %q, %q, %v, %v", namespace, account, secrets, ok)
	}
	if _, _, _, ok := validator.Identity("").Pods(); ok {
		t.Error("nobody has a namespace")
	}
}

func TestAnIdentityIsBounded(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("secret-%d", i))
	}
	if _, _, secrets, _ := validator.PullIdentity("prod", "web", many).Pods(); len(secrets) != 32 {
		t.Errorf("it has %d secrets", len(secrets))
	}
}
