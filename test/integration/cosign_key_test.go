//go:build integration

package integration

import "testing"

func TestWhatCosignSignsByKey(t *testing.T) {
	c := realCosigns(t)
	c.answer(t, noLog, []attempt{
		{name: "by cosign 2", steps: []step{c.cosign2(nothing, signature, c.ours)}},
		{name: "by cosign 2 in a bundle", steps: []step{c.cosign2(nothing, signature, c.ours, bundled)}},
		{name: "by cosign 2 in a bundle with the referrers API", referrers: true, steps: []step{c.cosign2(nothing, signature, c.ours, bundled)}},
		{name: "by cosign 3", steps: []step{c.cosign3(nothing, signature, c.ours)}},
		{name: "by cosign 3 with the referrers API", referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours)}},
		{name: "by cosign 3 in cosign 2's form", steps: []step{c.cosign3Legacy(nothing, signature, c.ours)}},
		{name: "by cosign 3 with a timestamp", referrers: true, steps: []step{c.cosign3(timestamps, signature, c.ours)}},
		{name: "by a stranger with each, and then by us", steps: []step{
			c.cosign2(nothing, signature, c.stranger), c.cosign3(nothing, signature, c.stranger),
			c.cosign2(nothing, signature, c.stranger, bundled), c.cosign3(nothing, signature, c.ours),
		}},

		{name: "by nobody", denied: []string{"NoSignature"}},
		{name: "by nobody with the referrers API", referrers: true, denied: []string{"NoSignature"}},
		{name: "by a stranger with cosign 2", steps: []step{c.cosign2(nothing, signature, c.stranger)}, denied: []string{"UntrustedSigner"}},
		{name: "by a stranger with cosign 3", steps: []step{c.cosign3(nothing, signature, c.stranger)}, denied: []string{"UntrustedSigner"}},
		{name: "by a stranger with cosign 3 and the referrers API", referrers: true, steps: []step{c.cosign3(nothing, signature, c.stranger)}, denied: []string{"UntrustedSigner"}},
		{name: "attested but not signed", referrers: true, steps: []step{c.cosign3(nothing, c.attestation(predicateType), c.ours)}, denied: []string{"NoSignature"}},
		{name: "before the tag was moved", steps: []step{c.cosign2(nothing, signature, c.ours), moveTag}, denied: []string{"NoSignature"}},
		{name: "before the tag was moved, with the referrers API", referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours), moveTag}, denied: []string{"NoSignature"}},
	})
}

func TestAnnotationsThatCosignSigns(t *testing.T) {
	c := realCosigns(t)
	const lacking = "the signature lacks the annotation that the rule demands"
	both := append(annotation("env=prod"), annotation("team=a")...)
	c.answer(t, noLog+", annotations: {env: prod, team: a}", []attempt{
		{name: "by cosign 2", steps: []step{c.cosign2(nothing, signature, c.ours, both)}},
		{name: "by cosign 3", steps: []step{c.cosign3(nothing, signature, c.ours, both)}},
		{name: "by cosign 3 with the referrers API", referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours, both)}},
		{name: "by cosign 3 in cosign 2's form", steps: []step{c.cosign3Legacy(nothing, signature, c.ours, both)}},
		{name: "in the second of two signatures", steps: []step{
			c.cosign3(nothing, signature, c.ours), c.cosign3(nothing, signature, c.ours, both),
		}},

		{name: "none", steps: []step{c.cosign3(nothing, signature, c.ours)}, denied: []string{"PolicyDenied", lacking}},
		{name: "one of two by cosign 2", steps: []step{c.cosign2(nothing, signature, c.ours, annotation("env=prod"))}, denied: []string{lacking, "team=a"}},
		{name: "one of two by cosign 3", steps: []step{c.cosign3(nothing, signature, c.ours, annotation("env=prod"))}, denied: []string{lacking, "team=a"}},
		{name: "one each by two signatures", steps: []step{
			c.cosign3(nothing, signature, c.ours, annotation("env=prod")), c.cosign3(nothing, signature, c.ours, annotation("team=a")),
		}, denied: []string{lacking}},
		{name: "with another value", steps: []step{c.cosign3(nothing, signature, c.ours, annotation("env=test"), annotation("team=a"))}, denied: []string{lacking, "env=prod"}},
		{name: "by a stranger", steps: []step{c.cosign3(nothing, signature, c.stranger, both)}, denied: []string{"UntrustedSigner"}},
		// It signs without them, and does not say so.
		{name: "by cosign 2 in a bundle", steps: []step{c.cosign2(nothing, signature, c.ours, bundled, both)}, denied: []string{lacking}},
	})
}

func TestIndexesThatCosignSigns(t *testing.T) {
	c := realCosigns(t)
	const (
		each   = noLog + ", platforms: each"
		either = noLog + ", platforms: either"
	)
	recursively := []string{"--recursive"}
	c.answer(t, noLog, []attempt{
		{name: "by cosign 2", index: true, steps: []step{c.cosign2(nothing, signature, c.ours)}},
		{name: "by cosign 3", index: true, steps: []step{c.cosign3(nothing, signature, c.ours)}},
		{name: "by cosign 3 with the referrers API", index: true, referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours)}},
		{name: "with its images by cosign 2", with: each, index: true, steps: []step{c.cosign2(nothing, signature, c.ours, recursively)}},
		{name: "with its images by cosign 3", with: each, index: true, steps: []step{c.cosign3(nothing, signature, c.ours, recursively)}},
		{name: "with its images by cosign 3 and the referrers API", with: each, index: true, referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours, recursively)}},
		{name: "alone, where either will do", with: either, index: true, steps: []step{c.cosign3(nothing, signature, c.ours)}},

		{name: "alone, where each image must be", with: each, index: true, steps: []step{c.cosign3(nothing, signature, c.ours)}, denied: []string{"NoSignature", "of its images for several platforms"}},
		{name: "by nobody", with: either, index: true, denied: []string{"NoSignature"}},
		{name: "with its images by a stranger", with: either, index: true, steps: []step{c.cosign3(nothing, signature, c.stranger, recursively)}, denied: []string{"UntrustedSigner"}},
	})
}
