//go:build integration

package integration

import "testing"

// The rules demand the transparency log, and certificates' too, unless they say
// otherwise.
func TestWhatCosignSignsWithASigstore(t *testing.T) {
	c := realCosigns(t)
	const (
		byMe     = "trustRoot: me"
		byUs     = "trustRoot: colleagues"
		byTime   = "trustRoot: me, " + noLog
		noSCT    = "trustRoot: me, verifySCT: false"
		byBuild  = "trustRoot: main"
		byIssuer = "trustRoot: elsewhere"
		unlogged = "comes without an entry of a transparency log"
	)
	c.answer(t, "", []attempt{
		{name: "by key, by cosign 2 and Rekor", steps: []step{c.cosign2(rekor, signature, c.ours)}},
		{name: "by key, by cosign 2 and Rekor, in a bundle", steps: []step{c.cosign2(rekor, signature, c.ours, bundled)}},
		{name: "by key, by cosign 2 and Rekor, known by its key", validator: "pieces", steps: []step{c.cosign2(rekor, signature, c.ours)}},
		{name: "by key, by cosign 3 and Rekor", steps: []step{c.cosign3(rekor, signature, c.ours)}},
		{name: "by key, by cosign 3 and Rekor's second version", steps: []step{c.cosign3(rekorTiles, signature, c.ours)}},
		{name: "by key, by cosign 3, Rekor's second version and a timestamp", referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.ours)}},
		{name: "by key, by cosign 3 and Rekor's second version, known by its key", validator: "tiles", referrers: true, steps: []step{c.cosign3(rekorTiles, signature, c.ours)}},
		{name: "by identity, by cosign 2 and Rekor", with: byMe, steps: []step{c.cosign2(rekor, signature, c.me)}},
		{name: "by identity, by cosign 2, Rekor and a timestamp", with: byMe, steps: []step{c.cosign2(rekorTimestamps, signature, c.me)}},
		{name: "by identity, by cosign 2 and Rekor, in a bundle", with: byMe, referrers: true, steps: []step{c.cosign2(rekor, signature, c.me, bundled)}},
		{name: "by identity, by cosign 2 and Rekor, known by keys and certificates", validator: "pieces", with: byMe, steps: []step{c.cosign2(rekor, signature, c.me)}},
		{name: "by identity, by cosign 3 and Rekor", with: byMe, steps: []step{c.cosign3(rekor, signature, c.me)}},
		{name: "by identity, by cosign 3 and Rekor's second version", with: byMe, steps: []step{c.cosign3(tilesTimestamps, signature, c.me)}},
		{name: "by identity, by cosign 3 and Rekor's second version, with the referrers API", with: byMe, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.me)}},
		{name: "by identity, by cosign 3 and Rekor's second version, known by keys and certificates", validator: "tiles", with: byMe, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.me)}},
		{name: "by identity, by cosign 3 in cosign 2's form", with: byMe, steps: []step{c.cosign3Legacy(rekor, signature, c.me)}},
		{name: "by identity, with a timestamp alone, by cosign 2", with: byTime, steps: []step{c.cosign2(timestamps, signature, c.me)}},
		{name: "by identity, with a timestamp alone, by cosign 3", with: byTime, referrers: true, steps: []step{c.cosign3(timestamps, signature, c.me)}},
		{name: "by identity, with a timestamp alone, known by certificates", validator: "pieces", with: byTime, referrers: true, steps: []step{c.cosign3(timestamps, signature, c.me)}},
		{name: "by an identity that an expression matches", with: byUs, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.other)}},
		{name: "by a build of the main branch, by cosign 2", with: byBuild, steps: []step{c.cosign2(rekor, signature, c.build)}},
		{name: "by a build of the main branch, by cosign 3", with: byBuild, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.build)}},
		{name: "by identity, not asking for the certificate's timestamp", with: noSCT, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.me)}},

		{name: "by key, not in the log, by cosign 2", steps: []step{c.cosign2(nothing, signature, c.ours)}, denied: []string{"InvalidTrustData", unlogged}},
		{name: "by key, not in the log, by cosign 3", referrers: true, steps: []step{c.cosign3(timestamps, signature, c.ours)}, denied: []string{"InvalidTrustData", unlogged}},
		{name: "by a stranger's key, in the log", referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.stranger)}, denied: []string{"UntrustedSigner"}},
		{name: "by an identity where a key is demanded", with: noLog, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.me)}, denied: []string{"UntrustedSigner"}},
		{name: "by a key where an identity is demanded", with: byMe, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.ours)}, denied: []string{"UntrustedSigner"}},
		{name: "by another identity, by cosign 2", with: byMe, steps: []step{c.cosign2(rekor, signature, c.other)}, denied: []string{"UntrustedSigner"}},
		{name: "by another identity, by cosign 3", with: byMe, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.other)}, denied: []string{"UntrustedSigner"}},
		{name: "by a build of another branch, by cosign 2", with: byBuild, steps: []step{c.cosign2(rekor, signature, c.branch)}, denied: []string{"UntrustedSigner"}},
		{name: "by a build of another branch, by cosign 3", with: byBuild, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.branch)}, denied: []string{"UntrustedSigner"}},
		{name: "by an identity of another issuer", with: byIssuer, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.me)}, denied: []string{"UntrustedSigner"}},
		{name: "by identity, with a timestamp alone, where the log is demanded", with: byMe, referrers: true, steps: []step{c.cosign3(timestamps, signature, c.me)}, denied: []string{"InvalidTrustData", unlogged}},
		{name: "by identity, in another log than the one whose key is known", validator: "pieces", with: byMe, referrers: true, steps: []step{c.cosign3(tilesTimestamps, signature, c.me)}, denied: []string{"InvalidTrustData", "not among those of the configuration"}},
		{name: "by nobody", with: byMe, referrers: true, denied: []string{"NoSignature"}},
	})
}
