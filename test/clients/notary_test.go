//go:build integration

package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const (
	testGUN    = "registry.example.com:5000/team/app"
	testDigest = "sha256:abababababababababababababababababababababababababababababababab"
)

// What each command of the clients is to do is there on the server afterwards.
func TestNotaryServesWhatItsClientsPublished(t *testing.T) {
	t.Parallel()
	n, err := StartNotary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	owner, err1 := n.Client("owner")
	signer, err2 := n.Client("signer")
	must(t, err1, err2)
	server := metadata{t, n}
	ctx := t.Context()

	must(t, owner.Init(ctx, testGUN), owner.Sign(ctx, testGUN, "v1", testDigest, 1234))
	if v1, ok := server.file("targets").Signed.Targets["v1"]; !ok || v1.Length != 1234 || bytes.Count(v1.Hashes["sha256"], []byte{0xab}) != 32 {
		t.Errorf("v1 is %+v", v1)
	}
	server.wantNone("targets/releases")

	must(t, owner.Rotate(ctx, testGUN, "snapshot", true)) // so that others can publish
	roles := []string{"targets/releases", "targets/team/ec", "targets/team/rsa"}
	must(t,
		owner.AddDelegation(ctx, testGUN, "targets/releases", signer, PlainKey),
		owner.AddDelegation(ctx, testGUN, "targets/team", owner, PlainKey),
		owner.AddDelegation(ctx, testGUN, "targets/team/ec", signer, Certificate),
		owner.AddDelegation(ctx, testGUN, "targets/team/rsa", signer, RSACertificate),
		signer.Sign(ctx, testGUN, "v2", testDigest, 1234, roles...))
	for _, role := range roles {
		if _, ok := server.file(role).Signed.Targets["v2"]; !ok {
			t.Errorf("v2 is not in %s", role)
		}
		if _, ok := server.file("snapshot").Signed.Meta[role]; !ok {
			t.Errorf("%s is not in the snapshot", role)
		}
	}
	if d := server.file("targets").Signed.Delegations.Roles; len(d) != 2 || d[0].Name != roles[0] || !slices.Equal(d[0].Paths, []string{""}) {
		t.Errorf("delegations are %+v", d)
	}
	must(t, signer.Remove(ctx, testGUN, "v2", "targets/releases"))
	if left := server.file("targets/releases").Signed.Targets; len(left) != 0 {
		t.Errorf("%v is left in targets/releases", left)
	}

	must(t, owner.Remove(ctx, testGUN, "v1"))
	if left := server.file("targets").Signed.Targets; len(left) != 0 {
		t.Errorf("%v is left in targets", left)
	}
	must(t, owner.RemoveDelegation(ctx, testGUN, "targets/releases"))
	if d := server.file("targets").Signed.Delegations.Roles; len(d) != 1 || d[0].Name != "targets/team" {
		t.Errorf("delegations are %+v", d)
	}
	must(t, owner.Delete(ctx, testGUN))
	server.wantNone("root")
	server.wantNone("1.root")
}

// A rotation makes a new root.json that has another key for the one role, and
// the signature by that key is in the role's file.
func TestNotaryServesRotatedKeys(t *testing.T) {
	t.Parallel()
	n, err := StartNotary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	owner, err := n.Client("owner")
	must(t, err, owner.Init(t.Context(), testGUN))
	server := metadata{t, n}
	first, err := owner.RootKey(testGUN)
	must(t, err)
	files := []string{"1.root"}
	for _, rotation := range []struct {
		role          string
		serverManaged bool
	}{{"snapshot", true}, {"snapshot", false}, {"timestamp", true}, {"root", false}, {"targets", false}, {"root", false}} {
		must(t, owner.Rotate(t.Context(), testGUN, rotation.role, rotation.serverManaged))
		before := server.file(files[len(files)-1])
		files = append(files, fmt.Sprintf("%d.root", len(files)+1))
		after := server.file(files[len(files)-1])
		for role, holders := range after.Signed.Roles {
			if changed := !slices.Equal(holders.Keyids, before.Signed.Roles[role].Keyids); changed != (role == rotation.role) {
				t.Errorf("%s, %s rotated: the key of %s changed: %v", files[len(files)-1], rotation.role, role, changed)
			}
			if got := server.file(role).signers(); role != "root" && !slices.Equal(got, holders.Keyids) {
				t.Errorf("%s rotated: %s is signed by %v, not %v", rotation.role, role, got, holders.Keyids)
			}
		}
		want := slices.Compact(slices.Sorted(slices.Values(slices.Concat(before.Signed.Roles["root"].Keyids, after.Signed.Roles["root"].Keyids))))
		if got := after.signers(); !slices.Equal(got, want) {
			t.Errorf("%s rotated: root is signed by %v, not %v", rotation.role, got, want)
		}
	}
	if last, err := owner.RootKey(testGUN); err != nil || bytes.Equal(first, last) || !strings.HasPrefix(string(last), "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("the root key was %s and is %s (%v)", first, last, err)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// metadata reads a repository's files from a server.
type metadata struct {
	t *testing.T
	n *Notary
}

// signedFile has what is looked at of all kinds of files.
type signedFile struct {
	Signed struct {
		Targets map[string]struct {
			Hashes map[string][]byte
			Length int
		}
		Delegations struct {
			Roles []struct {
				Name  string
				Paths []string
			}
		}
		Roles map[string]struct{ Keyids []string }
		Meta  map[string]any
	}
	Signatures []struct{ Keyid string }
}

func (f signedFile) signers() []string {
	ids := map[string]bool{}
	for _, signature := range f.Signatures {
		ids[signature.Keyid] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

func (m metadata) get(name string) (int, []byte) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+m.n.Host+"/v2/"+testGUN+"/_trust/tuf/"+name+".json", nil)
	must(m.t, err)
	resp, err := m.n.HTTPClient().Do(req)
	must(m.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(m.t, err)
	return resp.StatusCode, body
}

func (m metadata) file(name string) (file signedFile) {
	m.t.Helper()
	status, body := m.get(name)
	if err := json.Unmarshal(body, &file); err != nil || status != http.StatusOK {
		m.t.Fatalf("%s: %d (%v): %s", name, status, err, body)
	}
	return file
}

func (m metadata) wantNone(name string) {
	m.t.Helper()
	if status, body := m.get(name); status != http.StatusNotFound || !bytes.Contains(body, []byte("METADATA_NOT_FOUND")) {
		m.t.Errorf("%s: %d: %s", name, status, body)
	}
}
