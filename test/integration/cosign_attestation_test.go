//go:build integration

package integration

import (
	"fmt"
	"testing"
)

func TestAttestationsThatCosignMakes(t *testing.T) {
	c := realCosigns(t)
	demand := func(cel string) string {
		return fmt.Sprintf("attestations: [{predicateType: %q, cel: %q}]", predicateType, cel)
	}
	var (
		passed  = demand("predicate.passed && predicate.failures == 0")
		failed  = demand("predicate.failures > 0")
		byMe    = "trustRoot: me, " + passed
		tested  = c.attestation(predicateType)
		another = c.attestation("https://example.com/reviewed/v1")
	)
	c.answer(t, noLog+", "+passed, []attempt{
		{name: "by cosign 2", steps: []step{c.cosign2(nothing, signature, c.ours), c.cosign2(nothing, tested, c.ours)}},
		{name: "by cosign 2 in a bundle", steps: []step{c.cosign2(nothing, signature, c.ours, bundled), c.cosign2(nothing, tested, c.ours, bundled)}},
		{name: "by cosign 3", steps: []step{c.cosign3(nothing, signature, c.ours), c.cosign3(nothing, tested, c.ours)}},
		{name: "by cosign 3 with the referrers API", referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours), c.cosign3(nothing, tested, c.ours)}},
		{name: "by cosign 3 in cosign 2's form", steps: []step{c.cosign3Legacy(nothing, signature, c.ours), c.cosign3Legacy(nothing, tested, c.ours)}},
		{name: "by cosign 2, the signature by cosign 3", referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours), c.cosign2(nothing, tested, c.ours)}},
		{name: "after one of another type", steps: []step{c.cosign2(nothing, signature, c.ours), c.cosign2(nothing, another, c.ours), c.cosign2(nothing, tested, c.ours)}},
		{name: "of an index", index: true, referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours), c.cosign3(nothing, tested, c.ours)}},
		{name: "by key, by cosign 2 and Rekor", with: passed, steps: []step{c.cosign2(rekor, signature, c.ours), c.cosign2(rekor, tested, c.ours)}},
		{name: "by key, by cosign 3 and Rekor's second version", with: passed, steps: []step{c.cosign3(rekorTiles, signature, c.ours), c.cosign3(rekorTiles, tested, c.ours)}},
		{name: "by identity, by cosign 2 and Rekor", with: byMe, steps: []step{c.cosign2(rekor, signature, c.me), c.cosign2(rekor, tested, c.me)}},
		{name: "by identity, by cosign 3 and Rekor", with: byMe, referrers: true, steps: []step{c.cosign3(rekor, signature, c.me), c.cosign3(rekor, tested, c.me)}},
		{name: "by identity, by cosign 3 and Rekor's second version", with: byMe, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.me), c.cosign3(tilesTimestamps, tested, c.me)}},

		{name: "none, by cosign 2", steps: []step{c.cosign2(nothing, signature, c.ours)}, denied: []string{"MissingRequired", "no attestation of type", predicateType}},
		{name: "none, by cosign 3", referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours)}, denied: []string{"MissingRequired", "no attestation of type", predicateType}},
		{name: "without a signature", steps: []step{c.cosign3(nothing, tested, c.ours)}, denied: []string{"NoSignature"}},
		{name: "of another type by cosign 2", steps: []step{c.cosign2(nothing, signature, c.ours), c.cosign2(nothing, another, c.ours)}, denied: []string{"MissingRequired", "no attestation of type", predicateType}},
		{name: "of another type by cosign 3", referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours), c.cosign3(nothing, another, c.ours)}, denied: []string{"MissingRequired", "no attestation of type", predicateType}},
		{name: "by a stranger with cosign 2", steps: []step{c.cosign2(nothing, signature, c.ours), c.cosign2(nothing, tested, c.stranger)}, denied: []string{"UntrustedSigner", predicateType}},
		{name: "by a stranger with cosign 3", referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours), c.cosign3(nothing, tested, c.stranger)}, denied: []string{"UntrustedSigner", predicateType}},
		{name: "by another identity", with: byMe, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.me), c.cosign3(tilesTimestamps, tested, c.other)}, denied: []string{"UntrustedSigner", predicateType}},
		{name: "that says otherwise, by cosign 2", with: noLog + ", " + failed, steps: []step{c.cosign2(nothing, signature, c.ours), c.cosign2(nothing, tested, c.ours)}, denied: []string{"PolicyDenied", predicateType}},
		{name: "that says otherwise, by cosign 3", with: noLog + ", " + failed, referrers: true, steps: []step{c.cosign3(nothing, signature, c.ours), c.cosign3(nothing, tested, c.ours)}, denied: []string{"PolicyDenied", predicateType}},
	})
}
