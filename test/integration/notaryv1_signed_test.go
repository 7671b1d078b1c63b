//go:build integration

package integration

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/test/clients"
)

func TestWhatNotarySigns(t *testing.T) {
	v1 := []event{signs(targets, "v1", one)}
	tell(t, []story{
		{name: "is pinned, and nothing else of the repository admitted", before: v1, then: []event{
			admits(":v1", one), admits(":v1@"+one, one), admits("@"+one, one),
			findsNone(":v2", `targets has no tag "v2"`), findsNone("@" + two), findsNone(""), findsNone("/other:v1", "has no trust data for", "/other"),
			denies(":v1@"+two, "DigestMismatch", one),
		}},
		{name: "under the tag that is meant where there is none", before: []event{signs(targets, "latest", two)}, then: []event{admits("", two), findsNone(":v1")}},
		{name: "under the whole name of an image of Docker Hub", hub: true, before: v1, then: []event{
			admits(":v1", one), findsNone(":v2"),
		}},
		{name: "again is what is pinned from then on", before: v1, then: []event{
			admits(":v1", one), signs(targets, "v1", two), admits(":v1", two), denies(":v1@"+one, "DigestMismatch"), findsNone("@" + one),
		}},
		{name: "and revokes is denied from then on", before: v1, then: []event{
			signs(targets, "v2", two), admits(":v1", one), admits(":v2", two), revokes(targets, "v1"), findsNone(":v1"), findsNone("@" + one), admits(":v2", two),
		}},
		{name: "and deletes is denied from then on", before: v1, then: []event{admits(":v1", one), deleted, findsNone(":v1", "has no trust data for")}},
		{name: "anew in a repository that was deleted is denied, as it may be old", before: v1, then: []event{
			admits(":v1", one), deleted, begins, denies(":v1", "RolledBack", "of which another was seen before"),
		}},
		{name: "anew in a repository whose root is newer than what was deleted is denied, as it does not follow from it", before: v1, then: []event{
			admits(":v1", one), deleted, begins, denies(":v1", "RolledBack"), rotates(rootRole), signs(targets, "v1", two), denies(":v1", "RolledBack", "does not follow from version 1"),
		}},
		{name: "anew in a repository of which nobody knows is admitted", before: []event{signs(targets, "v1", one), deleted, begins, signs(targets, "v1", two)}, then: []event{admits(":v1", two)}},
		{name: "by another's root key is denied", with: "trustRoot: stranger", before: v1, then: []event{denies(":v1", "UntrustedSigner", `not by trust root "stranger"`)}},
		{name: "by one of two root keys is enough for a rule that says so", with: `trustRoot: "*", threshold: 1`, before: v1, then: []event{admits(":v1", one)}},
		{name: "by one of two root keys is denied where both must have signed", with: `trustRoot: "*"`, before: v1, then: []event{denies(":v1", "ThresholdNotReached")}},
		{name: "without the root key that must have signed is denied", with: `trustRoot: "*", threshold: 1, required: [stranger]`, before: v1, then: []event{denies(":v1", "MissingRequired", `"stranger"`)}},
	})
}

func TestWhatNotarySignsByDelegation(t *testing.T) {
	shared := func(more ...event) []event {
		return append([]event{signs(targets, "v1", one), rotatesToServer(snapshots)}, more...)
	}
	tell(t, []story{
		{name: "counts once it is published", before: shared(delegates(releases, clients.PlainKey)), then: []event{
			admits(":v1", one), signs(releases, "v2", two), admits(":v2", two), findsNone(":v1", "targets/releases has no tag", "the role targets has it"),
		}},
		{name: "with a certificate", before: shared(delegates(releases, clients.Certificate), signs(releases, "v1", two)), then: []event{admits(":v1", two)}},
		{name: "with an RSA certificate", before: shared(delegates(releases, clients.RSACertificate), signs(releases, "v1", two)), then: []event{admits(":v1", two)}},
		{name: "with a second key", before: shared(delegates(releases, clients.PlainKey), delegates(releases, clients.Certificate), signs(releases, "v1", two)), then: []event{admits(":v1", two)}},
		{name: "is denied where no rule names the delegation", before: shared(delegates(alice, clients.PlainKey), signs(alice, "v2", two)), then: []event{
			admits(":v1", one), findsNone(":v2", "targets/alice", "with.delegations"),
		}},
		{
			name: "must be by both that a rule names", with: "trustRoot: first, delegations: [alice, bob]",
			before: shared(delegates(alice, clients.PlainKey), delegates(bob, clients.RSACertificate), signs(alice, "v2", two)),
			then: []event{
				denies(":v2", "MissingRequired", "targets/bob has not signed anything yet"), signs(bob, "v2", two), admits(":v2", two), admits("@"+two, two),
				findsNone(":v1"), signs(bob, "v1", one), denies(":v1", "MissingRequired", `targets/alice has no tag "v1"`),
				signs(alice, "v1", two), denies(":v1", "AmbiguousDigest", one, two, alice, bob),
				signs(alice, "v1", one), admits(":v1", one), revokes(bob, "v1"), denies(":v1", "MissingRequired", `targets/bob has no tag "v1"`),
			},
		},
		{
			name: "of a delegation", with: "trustRoot: first, delegations: [team/ci]",
			before: shared(delegatesToItself("targets/team"), delegates("targets/team/ci", clients.Certificate), signs("targets/team/ci", "v2", two)),
			then:   []event{admits(":v2", two), findsNone(":v1"), withdraws("targets/team"), findsNone(":v2", "there is no delegation targets/team/ci")},
		},
		{name: "is denied outside of what the delegation is for", before: shared(delegates(releases, clients.PlainKey), signs(releases, "v2", two)), then: []event{
			admits(":v2", two), narrows(releases, "release-"), findsNone(":v2"), findsNone("@" + two), signs(releases, "release-1", two), admits(":release-1", two),
		}},
		{
			name: "is denied when the delegation is withdrawn", with: "trustRoot: first, delegations: [alice]",
			before: shared(delegates(alice, clients.PlainKey), signs(alice, "v2", two)),
			then:   []event{admits(":v2", two), withdraws(alice), findsNone(":v2", "there is no delegation targets/alice")},
		},
		{
			name: "gives way to what the targets have when releases are withdrawn", before: shared(delegates(releases, clients.PlainKey), signs(releases, "v2", two)),
			then: []event{admits(":v2", two), withdraws(releases), findsNone(":v2"), admits(":v1", one)},
		},
		{
			name: "is signed again when the delegation has another's key", before: shared(delegates(releases, clients.PlainKey), signs(releases, "v2", two)),
			then: []event{
				admits(":v2", two), withdraws(releases), delegates(releases, clients.PlainKey), denies(":v2", "InvalidTrustData", "the targets/releases of its trust data has too few valid signatures of that role's keys"), witnesses(releases), admits(":v2", two),
			},
		},
	})
}
