package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// notaryLab is a notary server with the trust data of an image.
func notaryLab(t *testing.T, options ...registrytest.Option) (*registrytest.Registry, *notarytest.Repository) {
	t.Helper()
	server, repo := registrytest.New(t, options...), notarytest.New(t, "example.com/team/app")
	repo.Sign("targets", "v1", "sha256:"+strings.Repeat("a", 64))
	server.ServeTrustData(repo.Name, repo.Publish(t))
	return server, repo
}

func TestRootKeyPrintsWhatAPolicyPins(t *testing.T) {
	t.Parallel()
	server, repo := notaryLab(t, registrytest.Bearer("me", "secret"))
	login := writeFile(t, t.TempDir(), "config.json", `{"auths":{"example.com":{"username":"me","password":"secret"}}}`)
	got := call(t, "root-key", "example.com/team/app:v1", "--server", server.Host(), "--insecure", "--registry-config", login)
	if got.code != exitOK || got.out != string(repo.RootPEM()) {
		t.Fatalf("code %d, %s%s", got.code, got.out, got.err)
	}
	wantText(t, "the standard error", got.err, "warning: this is what "+server.Host()+" claims for example.com/team/app", "root key "+repo.Keys["root"][0].ID, "certificate for example.com/team/app, until")

	// What it printed is what verifies.
	path := writeConfigMaps(t, t.TempDir(), "all.yaml", configMap(config.PolicyName, map[string]string{
		"validators": fmt.Sprintf("- name: default\n  type: notaryv1\n  host: %s\n  auth: {secretName: login}\n  trustRoots:\n  - name: default\n    key: |\n      %s\n",
			server.Host(), strings.ReplaceAll(strings.TrimSpace(got.out), "\n", "\n      ")),
		"policy":     `[{pattern: "*:*"}]`,
		"registries": fmt.Sprintf("[{host: %q, insecure: true}]", server.Host()),
	}))
	verified := call(t, "verify", "example.com/team/app:v1", "--config", path, "--registry-config", login)
	if verified.code == exitOK {
		t.Errorf("a Secret that is not there was not needed: %s", verified.out)
	}
	wantText(t, "the verdict", verified.out, "RegistryUnauthorized", "Secret login")
}

func TestRootKeyInOtherFormats(t *testing.T) {
	t.Parallel()
	server, repo := notaryLab(t)
	got := call(t, "root-key", "example.com/team/app", "--server", "https://"+server.Host(), "--insecure", "-o", "json")
	var keys []rootKey
	if err := json.Unmarshal([]byte(got.out), &keys); err != nil || len(keys) != 1 || keys[0].ID != repo.Keys["root"][0].ID || keys[0].Key != string(repo.RootPEM()) || keys[0].NotAfter == nil {
		t.Errorf("%v: %s", err, got.out)
	}
}

func TestRootKeyThatThereIsNot(t *testing.T) {
	t.Parallel()
	server, _ := notaryLab(t)
	for name, row := range map[string]struct {
		args []string
		want string
	}{
		"no trust data":     {[]string{"example.com/team/other", "--server", server.Host(), "--insecure"}, "error: notary server " + server.Host() + " has no trust data for example.com/team/other"},
		"this machine":      {[]string{"example.com/team/app", "--server", server.Host()}, "is an address of this machine"},
		"no image":          {[]string{"-"}, "error: "},
		"no server":         {[]string{"nginx", "--server", "http://example.com"}, `error: --server: "http://example.com" must begin with https://`},
		"no certificate":    {[]string{"nginx", "--certificate-authority", "/nowhere"}, "error: the certificates cannot be read"},
		"no configuration":  {[]string{"example.com/x", "--registry-config", "/nowhere"}, "error: the credentials for registries cannot be read"},
		"neither of images": {[]string{}, "exactly one image is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, append([]string{"root-key"}, row.args...)...)
			if got.code != exitError || got.out != "" {
				t.Errorf("code %d, %s", got.code, got.out)
			}
			wantText(t, "the error", got.err, row.want)
		})
	}
}

// Trust data of the past is verified as of then.
func TestVerifyAtATimeOfTheTrustData(t *testing.T) {
	t.Parallel()
	server, repo := notaryLab(t)
	path := writeConfigMaps(t, t.TempDir(), "all.yaml", configMap(config.PolicyName, map[string]string{
		"validators": fmt.Sprintf("- {name: default, type: notaryv1, host: %q, trustRoots: [{name: default, key: %q}]}", server.Host(), repo.RootPEM()),
		"policy":     `[{pattern: "*:*"}]`,
		"registries": fmt.Sprintf("[{host: %q, insecure: true}]", server.Host()),
	}))
	got := call(t, "verify", "example.com/team/app:v1", "--config", path)
	if got.code != exitOK {
		t.Errorf("now: %s", got.out)
	}
	wantText(t, "the verdict", got.out, "Trusted", "sha256:"+strings.Repeat("a", 64), "role targets")
	later := call(t, "verify", "example.com/team/app:v1", "--config", path, "--at", "2999-01-01")
	if later.code != exitDenied {
		t.Errorf("later: code %d", later.code)
	}
	wantText(t, "the verdict", later.out, "Expired")
}

func TestForget(t *testing.T) {
	t.Parallel()
	var asked []string
	with := environment{forget: func(_ context.Context, o clusterOptions, server, repository string) (bool, error) {
		asked = append(asked, o.namespace+" "+server+" "+repository)
		if repository == "broken.example.com/app" {
			return false, fmt.Errorf("it is on fire")
		}
		return repository != "docker.io/library/nginx", nil
	}}
	got := callWith(t, with, "forget", "example.com/team/app:v1")
	if got.code != exitOK || got.out != "the versions of example.com/team/app at example.com are forgotten\n" {
		t.Errorf("code %d, %s%s", got.code, got.out, got.err)
	}
	if got := callWith(t, with, "forget", "nginx", "--system-namespace", "other"); got.code != exitDenied || !strings.Contains(got.err, "nothing is known of docker.io/library/nginx at notary.docker.io") {
		t.Errorf("code %d, %s", got.code, got.err)
	}
	if got := callWith(t, with, "forget", "broken.example.com/app", "--server", "notary.example.com"); got.code != exitError || !strings.Contains(got.err, "connaisseur-notary-versions") || !strings.Contains(got.err, "on fire") {
		t.Errorf("code %d, %s", got.code, got.err)
	}
	want := "connaisseur example.com example.com/team/app|other notary.docker.io docker.io/library/nginx|connaisseur notary.example.com broken.example.com/app"
	if strings.Join(asked, "|") != want {
		t.Errorf("asked %q", asked)
	}
}
