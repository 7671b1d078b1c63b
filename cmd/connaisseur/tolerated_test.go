package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// mode is a configuration, and what it makes of an unsigned image.
type mode struct {
	policy, features         map[string]string
	outcome, tolerated, says string
}

func (m *mode) code() int {
	if m.tolerated == "" {
		return exitDenied
	}
	return exitOK
}

func modes(l *lab) map[string]mode {
	unsigned := l.registry.Host() + "/team/unsigned:*"
	exception := func(until string) map[string]string {
		return map[string]string{"exceptions": fmt.Sprintf("- {pattern: %q, namespaces: [default], until: %q, reason: \"INC-1: it is down\"}\n", unsigned, until)}
	}
	const until = "2100-01-31T18:00:00+01:00"
	const excepted, detected = "admitted by exceptions[0] of config-policy (until 2100-01-31T17:00:00Z: INC-1: it is down), but ", "would be denied, but for detection mode: "
	detection := map[string]string{"detectionMode": "true"}
	return map[string]mode{
		"none":                       {outcome: "Denied"},
		"an exception":               {policy: exception(until), outcome: "Excepted", tolerated: "Exception", says: excepted},
		"an exception that is over":  {policy: exception("2020-01-31T18:00:00Z"), outcome: "Denied"},
		"detection mode":             {features: detection, outcome: "Detected", tolerated: "Detection", says: detected},
		"the detection of the rule":  {policy: map[string]string{"policy": fmt.Sprintf("- {pattern: %q, with: {verifyInTransparencyLog: false, detection: true}}\n", unsigned)}, outcome: "Detected", tolerated: "Detection", says: detected},
		"an exception and detection": {policy: exception(until), features: detection, outcome: "Excepted", tolerated: "Exception", says: excepted},
	}
}

func TestVerifySaysWhatTheWebhookLetsIn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for name, mode := range modes(l) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, code := l.with(t, mode.policy, mode.features), mode.code()
			got := call(t, "verify", "--config", path, "-o", "json", l.unsigned.String(), l.signed.String())
			var results []result
			if err := json.Unmarshal([]byte(got.out), &results); err != nil || got.code != code {
				t.Fatalf("code %d, want %d, %v\n%s", got.code, code, err, got.out)
			}
			r := results[0]
			want := result{Outcome: mode.outcome, Allowed: mode.tolerated != "", Tolerated: verify.Tolerance(mode.tolerated), Reason: validator.NoSignature, Validator: "default"}
			if diff := cmp.Diff(want, result{Outcome: r.Outcome, Allowed: r.Allowed, Tolerated: r.Tolerated, Reason: r.Reason, Validator: r.Validator}); diff != "" {
				t.Error(diff)
			}
			if !strings.HasPrefix(r.Message, mode.says) || !strings.Contains(r.Message, "Unable to find signed digest") {
				t.Errorf("message %q", r.Message)
			}
			if results[1].Outcome != "Trusted" || results[1].Tolerated != "" {
				t.Errorf("a trusted image: %+v", results[1])
			}
			got = call(t, "verify", "--config", path, l.unsigned.String())
			lines := strings.Split(got.out, "\n")
			if got.code != code || len(lines) != 4 {
				t.Fatalf("code %d, want %d\n%s", got.code, code, got.out)
			}
			wantText(t, "the image's line", lines[1], " "+mode.outcome+" ", "NoSignature")
			wantText(t, "the line below", lines[2], "    "+mode.says+"Unable to find signed digest")
		})
	}
}

func TestAdmitSaysWhatTheWebhookLetsIn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for name, mode := range modes(l) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, left := mode.code(), 2
			if code != exitOK {
				left = 1
			}
			in := strings.NewReader(pod(l.signed.String(), l.unsigned.String(), "") + "---\n" + pod(l.signed.String(), l.sidecar.String(), ""))
			got := callWith(t, environment{in: in}, "admit", "--config", l.with(t, mode.policy, mode.features), "-f", "-")
			if n := len(documents(t, got.out)); got.code != code || n != left {
				t.Errorf("code %d, want %d; %d objects, want %d\n%s", got.code, code, n, left, got.out)
			}
			wantText(t, "standard error", got.err, "Pod default/web: "+mode.outcome+": "+mode.says+"spec.containers[1].image "+l.unsigned.String()+": Unable")
			wantText(t, "the output", got.out, l.signed.Pinned())
		})
	}
}

// An exception is for some images, and one that fails beside them is denied.
func TestAdmitDeniesWhatIsNotExcepted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	mode := modes(l)["an exception"]
	in := strings.NewReader(pod("evil.example.com/app:v1", l.unsigned.String(), ""))
	got := callWith(t, environment{in: in}, "admit", "--config", l.with(t, mode.policy, nil), "-f", "-")
	if got.code != exitDenied || got.out != "" {
		t.Errorf("code %d\n%s", got.code, got.out)
	}
	wantText(t, "standard error", got.err, ": Denied: spec.containers[0].image evil", ": Excepted: admitted by exceptions[0]")
}

// Of a kind that makes Pods nothing is denied, and of the Pods everything.
func TestPodsOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	path := l.with(t, nil, map[string]string{"resourceValidationMode": "podsOnly"})
	deployment := fmt.Sprintf(deploymentManifest, l.signed, l.unsigned)
	got := callWith(t, environment{in: strings.NewReader(deployment)}, "admit", "--config", path, "-f", "-")
	if got.code != exitOK || got.out == "" {
		t.Errorf("a Deployment: code %d\n%s", got.code, got.out)
	}
	wantText(t, "standard error", got.err, "Deployment prod/web: Detected: its Pods would be denied")
	if got := call(t, "verify", "--config", path, l.unsigned.String()); got.code != exitDenied {
		t.Errorf("an image: code %d\n%s", got.code, got.out)
	}
	wantText(t, "the explanation", call(t, "explain", "--config", path, l.unsigned.String()).out, "(resourceValidationMode: podsOnly in config-features), and the Pods are denied")
}

// Without a verdict too, admit says what the webhook does.
func TestAdmitOfTooManyImages(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var in strings.Builder
	in.WriteString("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n")
	for i := range 501 {
		fmt.Fprintf(&in, "  - {name: c%d, image: \"nginx:v1\"}\n", i)
	}
	for mode, want := range map[string]struct {
		code int
		says string
	}{
		"false": {exitDenied, "Pod default/web: Denied: no image could be checked"},
		"true":  {exitOK, "Pod default/web: Detected: would be denied, but for detectionMode: no image could be checked"},
	} {
		got := callWith(t, environment{in: strings.NewReader(in.String())}, "admit", "--config", l.with(t, nil, map[string]string{"detectionMode": mode}), "-f", "-")
		if got.code != want.code || (got.out != "") != (want.code == exitOK) {
			t.Errorf("detectionMode %s: code %d", mode, got.code)
		}
		wantText(t, "standard error", got.err, want.says)
	}
}

func TestTheLastKnownGoodIsNamed(t *testing.T) {
	t.Parallel()
	verdict := &verify.Verdict{Images: []verify.ImageVerdict{{
		Outcome: verify.Inconclusive, Reason: validator.RegistryUnavailable, Message: "it is down", LastKnownGood: true, Digest: "sha256:a",
	}}}
	got := newResult("a", verdict, &verdict.Images[0])
	want := result{Image: "a", Outcome: "LastKnownGood", Allowed: true, Tolerated: verify.LastKnownGood, Digest: "sha256:a", Reason: validator.RegistryUnavailable,
		Message: "admitted as sha256:a, which was verified before (onInconclusive: lastKnownGood), but it is down"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExplainSaysWhatIsLetIn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for name, mode := range modes(l) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := l.with(t, mode.policy, mode.features)
			got := call(t, "explain", "--config", path, "-o", "json", l.unsigned.String())
			var e struct {
				Tolerated string
				Notes     []string
			}
			if err := json.Unmarshal([]byte(got.out), &e); err != nil || got.code != exitOK {
				t.Fatalf("code %d, %v\n%s", got.code, err, got.out)
			}
			if e.Tolerated != mode.tolerated || (len(e.Notes) == 1) != (mode.tolerated != "") {
				t.Errorf("tolerated %q, want %q: %q", e.Tolerated, mode.tolerated, e.Notes)
			}
		})
	}
	exception, everywhere := l.with(t, modes(l)["an exception"].policy, nil), l.with(t, nil, map[string]string{"detectionMode": "true"})
	wantText(t, "the explanation", call(t, "explain", "--config", exception, l.unsigned.String()).out,
		"\nNote: Whatever is wrong with the image, exceptions[0] of config-policy lets it in until 2100-01-31T17:00:00Z: INC-1: it is down.\n")
	wantText(t, "the explanation", call(t, "explain", "--config", everywhere, "nginx").out, "it is admitted with a warning (detectionMode in config-features)")
	later := environment{now: func() time.Time { return time.Date(2100, 2, 1, 0, 0, 0, 0, time.UTC) }}
	for what, got := range map[string]answer{
		"after the exception":         callWith(t, later, "explain", "--config", exception, l.unsigned.String()),
		"another namespace":           call(t, "explain", "--config", exception, "-n", "test", l.unsigned.String()),
		"nobody looks at a namespace": call(t, "explain", "--config", everywhere, "-n", "kube-system", l.unsigned.String()),
	} {
		if strings.Contains(got.out, "Whatever is wrong") {
			t.Errorf("%s:\n%s", what, got.out)
		}
	}
}

// Where no rule applies, the exit code says whether the image is denied.
func TestExplainWithoutARuleThatAppliesToWhatIsLetIn(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		features  map[string]string
		namespace string
		code      int
		says      string
	}{
		"nothing lets it in": {nil, "default", exitDenied, "so the webhook denies this image (NoMatchingRule)"},
		"detection mode":     {map[string]string{"detectionMode": "true"}, "default", exitOK, "No rule of the policy matches (NoMatchingRule).\n\nNote: Whatever is wrong"},
		"podsOnly":           {map[string]string{"resourceValidationMode": "podsOnly"}, "default", exitDenied, "so the webhook denies this image (NoMatchingRule)"},
		"nobody looks":       {nil, "kube-system", exitOK, "does not look at namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := map[string]string{"validators": allowAndDeny, "policy": `[{pattern: "ghcr.io/*:*", validator: allow}]`}
			path := writeConfigMaps(t, t.TempDir(), "all.yaml", configMap(config.PolicyName, policy), configMap(config.FeaturesName, row.features))
			got := call(t, "explain", "--config", path, "-n", row.namespace, "nginx")
			if got.code != row.code {
				t.Errorf("code %d, want %d", got.code, row.code)
			}
			wantText(t, "the explanation", got.out, row.says)
		})
	}
}

// A rule that matched by a tag beside a digest may not apply, and promises nothing.
func TestExplainDoesNotTakeATagForItsRule(t *testing.T) {
	t.Parallel()
	path := policyFile(t, allowAndDeny, `[{pattern: "nginx:v1*", validator: deny, with: {detection: true}}, {pattern: "*:*", validator: deny}]`)
	for image, want := range map[string]bool{"nginx:v1": true, "nginx:v1@sha256:" + strings.Repeat("b", 64): false} {
		got := call(t, "explain", "--config", path, image)
		if strings.Contains(got.out, "admitted with a warning (detection of the rule)") != want {
			t.Errorf("%s:\n%s", image, got.out)
		}
	}
}

// A namespace is in detection mode where each rule that applies has a twin for it.
func TestDetectionForANamespaceNeedsATwinOfEachRule(t *testing.T) {
	t.Parallel()
	const trap = `
- {pattern: "*:*", validator: deny}
- {pattern: "*:*", validator: deny, namespaces: [staging], with: {detection: true}}
- {pattern: "docker.io/*:*", validator: deny}
`
	twins := trap + `- {pattern: "docker.io/*:*", validator: deny, namespaces: [staging], with: {detection: true}}`
	for policy, codes := range map[string][3]int{trap: {exitOK, exitDenied, exitDenied}, twins: {exitOK, exitOK, exitDenied}} {
		path := policyFile(t, allowAndDeny, policy)
		for i, args := range [][]string{{"ghcr.io/a/b", "-n", "staging"}, {"nginx", "-n", "staging"}, {"nginx", "-n", "prod"}} {
			if got := call(t, append([]string{"verify", "--config", path}, args...)...); got.code != codes[i] {
				t.Errorf("%s: code %d, want %d\n%s", args, got.code, codes[i], got.out)
			}
		}
	}
}
