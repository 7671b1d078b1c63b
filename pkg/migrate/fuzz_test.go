package migrate

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

// Whatever the file: what comes of it loads, and says the same if it is read
// again.
func FuzzMigrate(f *testing.F) {
	for _, text := range []string{
		"application: {validators: [{name: a, type: static, approve: true}], policy: [{pattern: 'my*/{a,b}:[!c]?', validator: a}, {pattern: '*', validator: b}]}\nkubernetes: {webhook: {failurePolicy: ignore}}",
		"validators: [{name: default, type: cosign, host: {rekor: ':'}, auth: {username: a, password: b}, trustRoots: [{name: a, keyless: {issuerRegex: a, subject: b}}, {name: b, key: c}]}]\npolicy: [{pattern: '${A}/b@sha256:*', with: {trustRoot: '*', threshold: 0, required: [b]}}]",
		"validators: [{name: n, type: notation, trustRoots: [{name: a, cert: b, tsCert: c}]}, {}, []]\npolicy: [{pattern: 'a//b', validator: n, with: {verifyTimestamp: always}}, {pattern: '\\'}, 1]",
		"kind: ConfigMap\ndata: {config.yaml: 'policy: [{pattern: \"{,}\"}]'}",
		"alerting: {clusterIdentifier: ' a ', admitRequest: {receivers: [{}, 1, {template: slack, receiverUrl: 'http://a', customHeaders: [b, 'c: d']}]}, rejectRequest: {receivers: [{template: '/', receiverUrl: ':'}]}}\napplication: {features: {cache: {expirySeconds: x}, detectionMode: true}}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		result, err := Migrate(text, config.DefaultNamespace)
		if err != nil {
			return
		}
		again, err := Migrate(text, config.DefaultNamespace)
		if err != nil || string(again.YAML()) != string(result.YAML()) || len(again.Findings) != len(result.Findings) {
			t.Errorf("it is not the same again: %v", err)
		}
	})
}
