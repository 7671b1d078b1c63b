package notaryv1_test

import (
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  map[string]any
		with map[string]any
		want string
	}{
		"an unknown key":            {map[string]any{"hots": "x"}, nil, `validators[0].hots: unknown key`},
		"no trust root":             {map[string]any{"trustRoots": []any{}}, nil, "validators[0].trustRoots: is empty"},
		"a host that is none":       {map[string]any{"host": `\\\`}, nil, "validators[0].host: "},
		"plain HTTP":                {map[string]any{"host": "http://notary.example.com"}, nil, "must begin with https://"},
		"another scheme":            {map[string]any{"host": "ftp://notary.example.com"}, nil, "must begin with https://"},
		"a host with a path":        {map[string]any{"host": "https://example.com/notary"}, nil, "must read HOST"},
		"a host with a user":        {map[string]any{"host": "https://me:secret@example.com"}, nil, "must read HOST"},
		"no key":                    {map[string]any{"trustRoots": []any{map[string]any{"name": "default", "key": "keykey"}}}, nil, "validators[0].trustRoots[0].key: "},
		"a certificate":             {map[string]any{"trustRoots": []any{map[string]any{"name": "default", "cert": "x"}}}, nil, "validators[0].trustRoots[0].cert: unknown key"},
		"an Ed25519 key":            {map[string]any{"trustRoots": []any{map[string]any{"name": "default", "key": ed25519}}}, nil, "validators[0].trustRoots[0].key: is an Ed25519 key"},
		"a rule's unknown key":      {nil, map[string]any{"delegation": "x"}, `policy[0].with.delegation: unknown key; did you mean "delegations"?`},
		"no delegations":            {nil, map[string]any{"delegations": []any{}}, "policy[0].with.delegations: is empty"},
		"a delegation twice":        {nil, delegations("alice", "targets/alice"), `policy[0].with.delegations[1]: "targets/alice" is listed twice`},
		"a delegation's wrong name": {nil, delegations("Alice"), "policy[0].with.delegations[0]: "},
		"a path for a delegation":   {nil, delegations("../root"), "policy[0].with.delegations[0]: "},
		"targets as a delegation":   {nil, delegations("targets/"), "policy[0].with.delegations[0]: "},
		"an unknown trust root":     {nil, map[string]any{"trustRoot": "defualt"}, `policy[0].with.trustRoot: no trust root named "defualt"; did you mean "default"?`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			settings := s.settings()
			for key, value := range c.set {
				settings[key] = value
			}
			n, errs := s.configured(settings)
			if len(errs) == 0 {
				_, errs = n.Bind(strict.Object{Path: "policy[0].with", Fields: c.with})
			}
			if len(errs) == 0 || !strings.Contains(errs.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, errs)
			}
		})
	}
}

const ed25519 = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAt5H26si6/kBesZdyBwLCwzqJ8kz2LJIGTb9T3Y16HUg=
-----END PUBLIC KEY-----`

func TestServersAreNamedAsConnaisseurHadIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "notary.docker.io", "notary.example.com": "notary.example.com", "https://Notary.Example.com/": "notary.example.com",
		"https://harbor.example.com:4443": "harbor.example.com:4443", "myregistry.azurecr.io": "myregistry.azurecr.io", "notary:4443": "notary:4443",
		"http://localhost:4443": "localhost:4443", "http://127.0.0.1:80": "127.0.0.1:80", "https://example.com:443": "example.com",
	} {
		if got, err := notaryv1.ParseServer(text); err != nil || got != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

// Docker's own command writes the role into the PEM of a public root key.
func TestAKeyAsDockerWritesItIsPinned(t *testing.T) {
	t.Parallel()
	s := newScene(t, registrytest.Latency(0))
	s.publish()
	s.pinned = []byte(strings.Replace(string(s.pinned), "KEY-----\n", "KEY-----\nrole: root\n\n", 1))
	s.trusts(s.bind(nil), ":v1", digestA)
}

func TestFingerprintsTellWhatMatters(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.settings()
	other["host"] = "notary.example.com"
	seen := map[string]bool{}
	for _, b := range []*notaryv1.Bound{s.bind(nil), s.bind(delegations("alice")), s.bind(delegations("alice", "bob")), s.bindTo(other, nil)} {
		seen[b.Fingerprint()] = true
	}
	s.pinned = notarytest.NewKey(t).PEM()
	seen[s.bind(nil).Fingerprint()] = true
	if len(seen) != 5 {
		t.Errorf("%d fingerprints", len(seen))
	}
}
