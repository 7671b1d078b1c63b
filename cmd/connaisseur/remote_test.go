package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// vault is one that has a key, and counts who asks.
func vault(t *testing.T, key []byte) *atomic.Int32 {
	t.Helper()
	asked := new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		if key == nil {
			http.Error(w, `{"errors": ["permission denied"]}`, http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{
			"latest_version": 1, "keys": map[string]any{"1": map[string]any{"name": "P-256", "public_key": string(key)}},
		}})
	}))
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "token")
	return asked
}

// kmsConfig is a configuration whose one key is in Vault.
func kmsConfig(t *testing.T, l *lab) string {
	t.Helper()
	return writeConfigMaps(t, t.TempDir(), "kms.yaml", configMap(config.PolicyName, map[string]string{
		"validators": "- {name: default, type: cosign, trustRoots: [{name: default, key: 'hashivault://signing'}]}",
		"policy":     "- {pattern: '*:*', with: {verifyInTransparencyLog: false}}",
		"registries": fmt.Sprintf("[{host: %q, insecure: true}]", l.registry.Host()),
	}))
}

func TestVerifyFetchesKeysFromAKMS(t *testing.T) {
	l := newLab(t)
	asked := vault(t, registrytest.PublicPEM(t, l.key))
	path := kmsConfig(t, l)
	if got := call(t, "verify", l.signed.String(), "--config", path); got.code != exitOK {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
	if asked.Load() != 1 {
		t.Errorf("it was asked %d times", asked.Load())
	}
}

func TestVerifyIsInconclusiveWithoutAKMS(t *testing.T) {
	l := newLab(t)
	vault(t, nil)
	got := call(t, "verify", l.signed.String(), "--config", kmsConfig(t, l))
	if got.code != exitInconclusive {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
	wantText(t, "the output", got.out, "TrustDataUnavailable", "permission denied")
}

func TestLintAndExplainAskNoKMS(t *testing.T) {
	l := newLab(t)
	asked := vault(t, registrytest.PublicPEM(t, l.key))
	path := kmsConfig(t, l)
	for _, args := range [][]string{{"lint"}, {"explain", l.signed.String()}} {
		if got := call(t, append(args, "--config", path)...); got.code != exitOK {
			t.Errorf("%v: code %d\n%s%s", args, got.code, got.out, got.err)
		} else if strings.Contains(got.out, "not available") {
			t.Errorf("%v warns of what was not tried:\n%s", args, got.out)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("it was asked %d times", asked.Load())
	}
}
