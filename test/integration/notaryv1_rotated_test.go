//go:build integration

package integration

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/test/clients"
)

func TestKeysThatNotaryRotates(t *testing.T) {
	v1 := signs(targets, "v1", one)
	delegated := []event{v1, rotatesToServer(snapshots), delegates(alice, clients.Certificate), signs(alice, "v1", one)}
	// seen is what is admitted before and after each rotation.
	seen := func(rotations ...event) []event {
		all := []event{admits(":v1", one)}
		for _, rotation := range rotations {
			all = append(all, rotation, admits(":v1", one))
		}
		return append(all, signs(targets, "v2", two))
	}
	v2 := []event{admits(":v2", two), admits(":v1", one), findsNone(":v3")}
	everything := []event{
		v1, rotatesToServer(snapshots), rotates(rootRole), rotates(targets), rotatesToServer(stamps), rotates(rootRole), rotates(snapshots), signs(targets, "v2", two),
	}
	tell(t, []story{
		{name: "snapshot to the server and back", before: []event{v1}, then: append(seen(rotatesToServer(snapshots), rotates(snapshots)), v2...)},
		{name: "targets", before: []event{v1}, then: append(seen(rotates(targets)), v2...)},
		{name: "timestamp", before: []event{v1}, then: append(seen(rotatesToServer(stamps)), v2...)},
		{name: "root", before: []event{v1}, then: append(seen(rotates(rootRole)), v2...)},
		{name: "root twice", before: []event{v1}, then: append(seen(rotates(rootRole), rotates(rootRole)), v2...)},
		{name: "root after its second key was pinned", with: "trustRoot: second", before: []event{v1, rotates(rootRole)}, then: append(seen(rotates(rootRole)), v2...)},
		{
			name: "all, of a repository with a delegation", with: "trustRoot: first, delegations: [alice]", before: delegated,
			then: append(seen(rotates(targets), rotates(rootRole), rotatesToServer(stamps), rotates(snapshots)), findsNone(":v2"), admits(":v1", one)),
		},

		{name: "all before anything was admitted", before: everything, then: v2},
		{name: "all before the second root key was pinned", with: "trustRoot: second", before: everything, then: v2},
		{name: "all before the newest root key was pinned", with: "trustRoot: third", before: everything, then: v2},
		{name: "all, but the root key of a stranger is pinned", with: "trustRoot: stranger", before: everything, then: []event{
			denies(":v1", "UntrustedSigner", `not by trust root "stranger"`),
		}},
	})
}
