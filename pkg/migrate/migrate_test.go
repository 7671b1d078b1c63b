package migrate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// keys replaces ALICE, BOB and CAROL by public keys, and CERT by a certificate.
func keys(t *testing.T, text string) string {
	t.Helper()
	if strings.Contains(text, "CERT") {
		authority := registrytest.New(t, registrytest.TLS()).CA()
		text = strings.ReplaceAll(text, "CERT", `"`+strings.ReplaceAll(string(authority), "\n", `\n`)+`"`)
	}
	for _, name := range []string{"ALICE", "BOB", "CAROL"} {
		pem := strings.ReplaceAll(string(registrytest.PublicPEM(t, registrytest.Key(t))), "\n", `\n`)
		text = strings.ReplaceAll(text, name, `"`+pem+`"`)
	}
	return text
}

func migrated(t *testing.T, text string) Result {
	t.Helper()
	result, err := Migrate([]byte(text), config.DefaultNamespace)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// wantFindings compares findings with "kind: path: a part of the message".
func wantFindings(t *testing.T, got []Finding, want []string) {
	t.Helper()
	var shown []string
	for i, f := range got {
		head := string(f.Kind) + ": " + f.Path + ": "
		if i < len(want) {
			if part, ok := strings.CutPrefix(want[i], head); ok && contains(f.Message, part) {
				shown = append(shown, want[i])
				continue
			}
		}
		shown = append(shown, f.String())
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// contains tells whether a text holds all the parts, which are separated by "…".
func contains(text, parts string) bool {
	for part := range strings.SplitSeq(parts, "…") {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// entry is one of a ConfigMap that was written.
func entry(r Result, name, key string) string {
	for _, cm := range r.ConfigMaps {
		if cm.Name == name {
			return cm.Data[key]
		}
	}
	return ""
}

// wantYAML compares YAML by what it says.
func wantYAML(t *testing.T, what, got, want string) {
	t.Helper()
	var values [2]any
	for i, text := range []string{want, got} {
		if err := yaml.Unmarshal([]byte(text), &values[i]); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	if diff := cmp.Diff(values[0], values[1]); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const statics = `
- {name: allow, type: static, approve: true}
- {name: deny, type: static, approve: false}
`

// kubeSystem is said of every values file.
const kubeSystem = "note: application.features: kube-system is looked at, as before"

func TestValidators(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		file       string // validators and policy
		validators string
		policy     string
		want       []string
	}{
		"all that cosign knows": {
			file: `
validators:
- name: default
  type: cosign
  host: {rekor: rekor.example.com, rekorPubkey: ALICE, ctLogPubkey: BOB}
  auth: {secretName: login}
  trustRoots: [{name: default, key: CAROL}, {name: kms, key: "awskms:///alias/release"}, {name: secret, key: "k8s://connaisseur/bob"}]
policy:
- {pattern: "*:*", with: {trustRoot: "*", threshold: 2, required: [kms], verifyInTransparencyLog: true, verifySCT: false, mode: insecureValidateOnly}}
`,
			policy: `[{pattern: "*:*", with: {trustRoot: "*", threshold: 2, required: [kms], verifyInTransparencyLog: true, verifySCT: false, mode: insecureValidateOnly}}]`,
		},
		"all that notaryv1 knows": {
			file: `
validators:
- {name: own, type: notaryv1, host: "notary.example.com:4443", auth: {useKeychain: true}, isAcr: true, trustRoots: [{name: default, key: ALICE}]}
policy:
- {pattern: "*:*", validator: own, with: {delegations: [alice, bob]}}
`,
			policy: `[{pattern: "*:*", validator: own, with: {delegations: [alice, bob]}}]`,
		},
		"all that notation knows": {
			file: `
validators: [{name: default, type: notation, auth: {useKeychain: true}, trustRoots: [{name: stamped, cert: CERT, tsCert: CERT}, {name: broken, cert: ALICE}]}]
policy:
- {pattern: "*:*", with: {trustRoot: stamped, verificationLevel: permissive, verifyTimestamp: afterCertExpiry}}
- {pattern: "x.io/*:*", with: {trustRoot: broken}}
`,
			policy: `
- {pattern: "*:*", with: {trustRoot: stamped, verificationLevel: permissive, verifyTimestamp: afterCertExpiry}}
- {pattern: "x.io/*:*", validator: not-migrated}
`,
			want: []string{
				"lost: validators[0].trustRoots[1].cert: must hold PEM certificates",
				`lost: policy[1].with.trustRoot: no trust root named "broken"`,
				"stricter: policy[1].pattern: evil.example/x.io/anything:1",
			},
		},
		"any of several trust roots suffices to notation": {
			file: `
validators: [{name: default, type: notation, trustRoots: [{name: default, cert: CERT}]}]
policy: [{pattern: "*:*", with: {trustRoot: "*", verifyTimestamp: always}}]
`,
			policy: `[{pattern: "*:*", with: {trustRoot: "*", threshold: 1}}]`,
			want:   []string{"note: policy[0].with.verifyTimestamp: has no effect without a tsCert"},
		},
		"expressions that were looked for anywhere": {
			file: `
validators:
- name: default
  type: cosign
  trustRoots:
  - {name: a, keyless: {issuerRegex: github, subjectRegex: "^https://github\\.com/myorg/.+$"}}
  - {name: b, keyless: {issuerRegex: "^a$|^b$", subject: me@example.com}}
policy: [{pattern: "*:*", with: {trustRoot: a}}]
`,
			want: []string{
				"stricter: validators[0].trustRoots[0].keyless.issuerRegex: .*(github).*",
				"stricter: validators[0].trustRoots[1].keyless.issuerRegex: .*(^a$|^b$).*",
			},
		},
		"two names for one key are one trust root": {
			file: `
validators: [{name: default, type: cosign, trustRoots: [{name: a, key: ALICE}, {name: b, key: ALICE}, {name: c, key: BOB}]}]
policy:
- {pattern: "*:*", with: {trustRoot: b}}
- {pattern: "x.io/*:*", with: {trustRoot: "*", threshold: 3}}
- {pattern: "y.io/*:*", with: {trustRoot: "*", required: [a, b]}}
`,
			policy: `
- {pattern: "*:*", with: {trustRoot: a}}
- {pattern: "x.io/*:*", with: {trustRoot: "*", threshold: 2}}
- {pattern: "y.io/*:*", with: {trustRoot: "*", required: [a]}}
`,
			want: []string{
				"stricter: policy[1].pattern: evil.example/x.io/anything:1",
				"stricter: policy[2].pattern: evil.example/y.io/anything:1",
				`note: validators[0].trustRoots[1]: is the same as the trust root "a"`,
			},
		},
		"a lost trust root is missed where all are meant": {
			file: `
validators: [{name: default, type: cosign, trustRoots: [{name: a, key: ALICE}, {name: b, key: /app/b.pub}, {name: c, key: BOB}, {name: d, cert: BOB}]}]
policy:
- {pattern: "*:*", with: {trustRoot: a}}
- {pattern: "x.io/*:*", with: {trustRoot: b}}
- {pattern: "y.io/*:*", with: {trustRoot: "*", threshold: 1}}
- {pattern: "z.io/*:*", with: {trustRoot: c}}
`,
			policy: `
- {pattern: "*:*", with: {trustRoot: a}}
- {pattern: "x.io/*:*", validator: not-migrated}
- {pattern: "y.io/*:*", validator: not-migrated}
- {pattern: "z.io/*:*", with: {trustRoot: c}}
`,
			want: []string{
				"lost: validators[0].trustRoots[3].cert: is unknown to Connaisseur 3",
				"lost: policy[2].with.trustRoot: means all trust roots, of which one is lost",
				`lost: validators[0].trustRoots[1].key: "/app/b.pub" is not supported`,
				`lost: policy[1].with.trustRoot: no trust root named "b"`,
				"stricter: policy[1].pattern: evil.example/x.io/anything:1",
				"stricter: policy[2].pattern: evil.example/y.io/anything:1",
				"stricter: policy[3].pattern: evil.example/z.io/anything:1",
			},
		},
		"what does not load denies": {
			file: `
validators:
- {name: a, type: cosign, trustRoots: [{name: default, key: ALICE}], host: {rekor: "http://rekor.example.com"}}
- {name: b, type: cosing, trustRoots: []}
- {name: c, type: static, approve: true, aprove: false}
- {name: d, type: notaryv1, host: "${NOTARY}", trustRoots: [{name: default, key: ALICE}]}
- {name: e, type: cosign, trustRoots: [{name: default, key: nokey}]}
- {name: f, type: notaryv1, auth: {user: y}, trustRoots: [{name: default, key: ALICE}]}
- {type: static}
- []
policy: [{pattern: "*:*", validator: a}, {pattern: "x.io/*:*", validator: c}, {pattern: "y.io/*:*", validator: e, with: {verifySCT: false}}]
`,
			validators: `
- {name: a, type: static, approve: false}
- {name: b, type: static, approve: false}
- {name: c, type: static, approve: false}
- {name: d, type: static, approve: false}
- {name: e, type: static, approve: false}
- {name: f, type: static, approve: false}
`,
			policy: `[{pattern: "*:*", validator: a}, {pattern: "x.io/*:*", validator: c}, {pattern: "y.io/*:*", validator: e}]`,
			want: []string{
				`lost: validators[1].type: "cosing" is no type of validator; did you mean "cosign"?`,
				`lost: validators[2].aprove: is unknown to Connaisseur 3; did you mean "approve"?`,
				"lost: validators[3].host: holds a placeholder",
				"lost: validators[5].auth.user: is unknown to Connaisseur 3",
				"lost: validators[6].name: is missing",
				"lost: validators[7]: must be a mapping",
				`lost: validators[0].host.rekor: must begin with https://`,
				`lost: validators[4].trustRoots[0].key: "nokey" is not supported`,
				"stricter: policy[1].pattern: now policy[0], which denies",
				"stricter: policy[2].pattern: now policy[0], which denies",
			},
		},
		"what only looks as if it could be used": {
			file: `
validators:
- {name: default, type: notaryv1, auth: {secretName: 01_My_login}, trustRoots: [{name: default, key: "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n"}, {name: other, key: ALICE}]}
policy: [{pattern: "*:*", with: {trustRoot: other}}]
`,
			policy: `[{pattern: "*:*", with: {trustRoot: other}}]`,
			want: []string{
				"lost: validators[0].trustRoots[0].key: is no key that Connaisseur 3 can read",
				`stricter: validators[0].auth.secretName: no Secret can be called "01_My_login"…called "01-my-login"`,
			},
		},
		"of several keys in one the first counted": {
			file: `
validators:
- name: default
  type: cosign
  host: {rekorPubkey: "TWO"}
  trustRoots: [{name: default, key: "TWO"}]
- {name: notary, type: notaryv1, trustRoots: [{name: default, key: "TWO"}]}
policy: [{pattern: "*:*"}]
`,
			validators: `
- {name: default, type: cosign, host: {rekorPubkey: "ONE"}, trustRoots: [{name: default, key: "ONE"}]}
- {name: notary, type: static, approve: false}
`,
			want: []string{
				"lost: validators[1].trustRoots[0].key: is no key that Connaisseur 3 can read",
				"note: validators[0].host.rekorPubkey: holds more than one PEM block",
				"note: validators[0].trustRoots[0].key: holds more than one PEM block",
			},
		},
		"what never had a meaning": {
			file: `
validators:
- {name: allow, type: static, approve: true}
- {name: "off", type: static}
- {name: allow, type: static, approve: false}
- {name: default, type: cosign, cert: CERT, auth: {secretName: a, useKeychain: true, secretNam: b}, trustRoots: [{name: default, key: ALICE}]}
policy:
- {pattern: "*:*", validator: "off", with: {trustRoot: default, threshold: 2}}
- {pattern: "x.io/*:*", with: {threshold: 2, required: [default], delegations: []}}
- {pattern: "y.io/*:*", validator: allow, with: {threshold: 0}}
`,
			policy: `[{pattern: "*:*", validator: "off"}, {pattern: "x.io/*:*"}, {pattern: "y.io/*:*", validator: allow}]`,
			want: []string{
				"stricter: policy[1].pattern: evil.example/x.io/anything:1, evilx.io/anything:1 ",
				"stricter: policy[2].pattern: evil.example/y.io/anything:1, evily.io/anything:1 ",
				"note: validators[1].approve: is missing, which means false",
				`note: validators[2].name: "allow" is the name of validators[0] too`,
				"note: validators[3].auth.secretNam: never had a meaning",
				"note: validators[3].auth.useKeychain: has no effect beside secretName",
				"note: validators[3].cert: is trusted besides the system's certificates",
				"note: policy[0].with.threshold: never had a meaning to validators of type static",
				"note: policy[0].with.trustRoot: never had a meaning to validators of type static",
				"note: policy[1].with.delegations: never had a meaning to validators of type cosign",
				`note: policy[1].with.threshold: had no effect without trustRoot: "*"`,
				"note: policy[1].with.required: names the trust root of the rule",
				"note: policy[2].with.threshold: never had a meaning to validators of type static",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := registrytest.PublicPEM(t, registrytest.Key(t)), registrytest.PublicPEM(t, registrytest.Key(t))
			blocks := strings.NewReplacer("TWO", strings.ReplaceAll(string(one)+string(two), "\n", `\n`), "ONE", strings.ReplaceAll(string(one), "\n", `\n`))
			result := migrated(t, blocks.Replace(keys(t, row.file)))
			wantFindings(t, result.Findings, row.want)
			loaded(t, result)
			if row.validators != "" {
				wantYAML(t, "validators", entry(result, config.PolicyName, "validators"), blocks.Replace(row.validators))
			}
			if row.policy != "" {
				wantYAML(t, "policy", entry(result, config.PolicyName, "policy"), row.policy)
			}
		})
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		rules  string
		policy string
		want   []string
	}{
		"no rule": {rules: "[]", policy: "[]", want: []string{"note: policy: has no rule, so that every image is denied"}},
		"a rule that cannot be kept denies": {
			rules:  `[{pattern: "*:*", validator: nobody}, {pattern: "a.io/*:*", validator: allow, wiht: {a: b}}, {pattern: "b.io/*:*", validator: allow, with: {trust: x}}, {pattern: "c.io/*:*", validator: allow, with: 1}, {pattern: "d.io/*:*", validator: 1}]`,
			policy: `[{pattern: "*:*", validator: not-migrated}, {pattern: "a.io/*:*", validator: not-migrated}, {pattern: "b.io/*:*", validator: not-migrated}, {pattern: "c.io/*:*", validator: not-migrated}, {pattern: "d.io/*:*", validator: not-migrated}]`,
			want: []string{
				`lost: policy[1].wiht: is unknown to Connaisseur 3; did you mean "with"?`,
				`lost: policy[2].with.trust: is unknown to Connaisseur 3`,
				"lost: policy[3].with: must be a mapping",
				"lost: policy[4].validator: must be a string",
				`lost: policy[0].validator: no validator named "nobody"`,
				"stricter: policy[1].pattern: now policy[0], which denies",
				"stricter: policy[2].pattern: now policy[0], which denies",
				"stricter: policy[3].pattern: now policy[0], which denies",
			},
		},
		"a rule for nothing is left out": {
			rules:  `[{validator: allow}, x, {pattern: "", validator: allow}]`,
			policy: "[]",
			want:   []string{"lost: policy[0].pattern: is missing", "lost: policy[1]: must be a mapping", "lost: policy[2].pattern: is missing"},
		},
		"of the same pattern the last one counted": {
			rules:  `[{pattern: "*:*", validator: allow}, {pattern: "*:*", validator: deny}]`,
			policy: `[{pattern: "*:*", validator: deny}]`,
			want:   []string{"note: policy[0].pattern: the rule is left out, since policy[1] has the same pattern here"},
		},
		"of two spellings the longer one counted": {
			rules:  `[{pattern: "*:*", validator: deny}, {pattern: "docker.io/library/redis", validator: allow}, {pattern: redis, validator: deny}]`,
			policy: `[{pattern: "*:*", validator: deny}, {pattern: "docker.io/library/redis", validator: allow}]`,
			want: []string{
				"stricter: policy[1].pattern: evildocker.io/library/redis:1…now policy[0], which denies",
				"note: policy[2].pattern: the rule is left out, since policy[1] has the same pattern here",
			},
		},
		"a rule that denies keeps what is around its name": {
			rules:  `[{pattern: "*:*", validator: allow}, {pattern: redis, validator: deny}]`,
			policy: `[{pattern: "*:*", validator: allow}, {pattern: redis, validator: deny}, {pattern: "*/*redis*", validator: deny}, {pattern: "*redis*.*/*", validator: deny}, {pattern: "*/*:*redis*", validator: deny}]`,
			want:   []string{`note: policy[1].pattern: was for references with more around it too; so that none of them is decided more leniently, rules for "*/*redis*" and "*redis*.*/*" and "*/*:*redis*" are added`},
		},
		"a rule that allows is not for digests if it was not": {
			rules:  `[{pattern: "*:*", validator: deny}, {pattern: "a.io/app:*", validator: allow}]`,
			policy: `[{pattern: "*:*", validator: deny}, {pattern: "a.io/app:?*", validator: allow}]`,
			want: []string{
				"stricter: policy[1].pattern: evil.example/a.io/app:1, evila.io/app:1",
				`note: policy[1].pattern: is written as "a.io/app:?*", since it was for references with a tag only`,
			},
		},
		"a name that was none in the original": {
			rules:  `[{pattern: "*:*", validator: deny}, {pattern: "docker.io/redis:*", validator: allow}]`,
			policy: `[{pattern: "*:*", validator: deny}]`,
			want:   []string{"stricter: policy[1].pattern: the rule is left out, since it would be for more than it was: "},
		},
		"a placeholder in a rule that allows, and in one that denies": {
			rules:  `[{pattern: "*:*", validator: allow}, {pattern: "${HOST}/a:*", validator: allow}, {pattern: "{{ .host }}/b:*", validator: deny}]`,
			policy: `[{pattern: "*:*", validator: allow}, {pattern: "*/b:*", validator: not-migrated}, {pattern: "*/*/b:*", validator: not-migrated}]`,
			want: []string{
				"lost: policy[1].pattern: holds a placeholder",
				"lost: policy[2].pattern: holds a placeholder",
				"stricter: policy[0].pattern: docker.io/library/b@sha256:…now policy[2], which denies",
				"note: policy[1].pattern: the rule is left out, since nobody knows what it is for",
				`note: policy[2].pattern: rules for "*/*/b:*" are added`,
			},
		},
		"a character class": {
			rules:  `[{pattern: "*:*", validator: deny}, {pattern: "a.io/[!x]*:v1", validator: allow}]`,
			policy: `[{pattern: "*:*", validator: deny}, {pattern: "a.io/[^x]*:v1", validator: allow}]`,
		},
		"two readings": {
			rules:  `[{pattern: "*:*", validator: deny}, {pattern: "my*/app:v1", validator: allow}, {pattern: "*org/app:v1", validator: allow}]`,
			policy: `[{pattern: "*:*", validator: deny}, {pattern: "docker.io/my*/app:v1", validator: allow}, {pattern: "*/*org/app:v1", validator: allow}]`,
		},
		"any digest": {
			rules:  `[{pattern: "*:*", validator: deny}, {pattern: "a.io/b@sha256:*", validator: allow}]`,
			policy: `[{pattern: "*:*", validator: deny}]`,
			want:   []string{"lost: policy[1].pattern: the rule is left out, since no pattern of ours says the same: a.io/b@sha256:"},
		},
		"any digest, which another rule is for": {
			rules:  `[{pattern: "*:*", validator: deny}, {pattern: "a.io/b@sha256:*", validator: allow}, {pattern: "a.io/b:*", validator: allow}]`,
			policy: `[{pattern: "*:*", validator: deny}, {pattern: "a.io/b:*", validator: allow}]`,
		},
		"a word in a tag, by chance and on purpose": {
			rules:  `[{pattern: "*:*", validator: allow}, {pattern: "a.io/app", validator: allow}, {pattern: debug, validator: deny}, {pattern: ":dev", validator: deny}]`,
			policy: `[{pattern: "*:*", validator: allow}, {pattern: "a.io/app", validator: allow}, {pattern: debug, validator: deny}, {pattern: "*:dev", validator: deny}, {pattern: "*/*:dev*", validator: deny}, {pattern: "*/*debug*", validator: deny}, {pattern: "*debug*.*/*", validator: deny}, {pattern: "*/*:*debug*", validator: deny}]`,
		},
		"what is no pattern of ours in a rule that denies": {
			rules:  `[{pattern: "*:*", validator: allow}, {pattern: "a.io/B[/]c:v1", validator: deny}]`,
			policy: `[{pattern: "*:*", validator: allow}, {pattern: "a.io/*/*c:v1", validator: not-migrated}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := migrated(t, "validators: "+strings.ReplaceAll(statics, "\n", "\n  ")+"\npolicy: "+row.rules)
			if row.want != nil {
				wantFindings(t, result.Findings, row.want)
			}
			wantYAML(t, "policy", entry(result, config.PolicyName, "policy"), row.policy)
			loaded(t, result)
		})
	}
}
