package config_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// outside is what is outside of the cluster, by URI.
type outside struct {
	mu    sync.Mutex
	keys  map[string]string
	asked int
	// then is called after each answer.
	then func()
}

func (o *outside) set(uri, key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys == nil {
		o.keys = map[string]string{}
	}
	o.keys[uri] = key
}

func (o *outside) Remote(where trust.Remote) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	if o.then != nil {
		defer o.then()
	}
	if key := o.keys[where.String()]; key != "" {
		return []byte(key), nil
	}
	return nil, fmt.Errorf("it %w: access denied", trust.ErrUnavailable)
}

const (
	vaultKey = "hashivault://signing"
	awsKey   = "awskms:///alias/signing"
)

func with(o config.Objects, elsewhere config.Elsewhere) config.Objects {
	o.Elsewhere = elsewhere
	return o
}

// The material is content: another key is another revision, for which nothing
// that was cached counts, and the same key is the same.
func TestAnotherKeyInAKMSIsAnotherRevision(t *testing.T) {
	t.Parallel()
	kms := &outside{}
	o := with(objects(cosignPolicy(vaultKey)), kms)
	alice, bob := publicKey(t), publicKey(t)
	var revisions []string
	for _, key := range []string{"", alice, bob, alice} {
		kms.set(vaultKey, key)
		revisions = append(revisions, build(t, o).Revision)
	}
	if revisions[1] != revisions[3] {
		t.Error("the same key is another revision")
	}
	slices.Sort(revisions)
	if len(slices.Compact(revisions)) != 3 {
		t.Errorf("revisions %v", revisions)
	}
}

// DESIGN §8: whatever cannot be reached makes what needs it unavailable, and
// nothing else; an edit is warned about, as for a missing Secret.
func TestAKMSThatCannotBeReachedWarns(t *testing.T) {
	t.Parallel()
	policy := cosignPolicy(vaultKey)
	built := builder().Build(with(objects(policy), &outside{}))
	const want = "config-policy: validators: " + vaultKey + ": it is not available: access denied; what is signed with it is denied meanwhile"
	wantTexts(t, built.Errors)
	wantTexts(t, built.Warnings, want)
	rejections, warnings := config.Review(builder(), with(objects(), &outside{}), policy)
	wantTexts(t, rejections)
	wantTexts(t, warnings, want)

	rejections, warnings = config.Review(builder(), with(objects(), &outside{}), cosignPolicy("pkcs11:token=x"))
	if len(rejections) != 1 || !strings.Contains(rejections.Error(), "is not supported") {
		t.Errorf("%v, %v", rejections, warnings)
	}
}

func TestWhereNobodyIsAskedNothingIsWarnedAbout(t *testing.T) {
	t.Parallel()
	built := builder().Build(objects(cosignPolicy(vaultKey)))
	wantTexts(t, built.Errors)
	wantTexts(t, built.Warnings)
	if _, err := objects().Remote(trust.Remote{KMS: vaultKey}); !errors.Is(err, trust.ErrUnavailable) {
		t.Error(err)
	}
}

func TestAKMSHasNoCertificates(t *testing.T) {
	t.Parallel()
	kms := &outside{}
	policy := allowing()
	policy.Data["registries"] = "- host: registry.example.com\n  cert: " + awsKey + "\n"
	built := builder().Build(with(objects(policy), kms))
	wantTexts(t, built.Errors, "registries[0].cert: must be PEM text or configmap://NAME/KEY")
	if kms.asked != 0 {
		t.Error("it was asked")
	}
}

// One configuration has one version of a key, whatever happens meanwhile.
func TestAKeyIsReadOnceForAConfiguration(t *testing.T) {
	t.Parallel()
	kms := &outside{keys: map[string]string{awsKey: publicKey(t)}}
	policy := policyOf("- {name: default, type: cosign, trustRoots: [{name: default, key: '"+awsKey+"'}]}\n- {name: other, type: cosign, trustRoots: [{name: default, key: '"+awsKey+"'}]}\n",
		"- {pattern: '*:*', with: {verifyInTransparencyLog: false}}\n- {pattern: 'a/*:*', validator: other, with: {verifyInTransparencyLog: false}}\n")
	build(t, with(objects(policy), kms))
	if kms.asked != 1 {
		t.Errorf("it was asked %d times", kms.asked)
	}
}

// stored is a store whose snapshots and refusals are counted.
func stored(t testing.TB) (store *config.Store, applied, refused *int) {
	t.Helper()
	store, applied, refused = config.NewStore(builder()), new(int), new(int)
	store.OnChange(func(c config.Change) {
		if len(c.Errors) > 0 {
			*refused++
		} else {
			*applied++
		}
	})
	return store, applied, refused
}

func inForce(t testing.TB, store *config.Store) *verify.Snapshot {
	t.Helper()
	snapshot, err := store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func TestWhenAKMSComesBackASnapshotIsPublished(t *testing.T) {
	t.Parallel()
	kms := &outside{}
	store, applied, _ := stored(t)
	o := with(objects(cosignPolicy(vaultKey)), kms)
	store.Offer(o)
	store.Offer(o)
	if *applied != 1 {
		t.Fatalf("%d snapshots while it is down", *applied)
	}
	before := inForce(t, store).Revision
	kms.set(vaultKey, publicKey(t))
	store.Offer(o)
	store.Renew()
	store.Offer(o)
	if *applied != 2 || inForce(t, store).Revision == before {
		t.Errorf("%d snapshots when it is back", *applied)
	}
	if diff := cmp.Diff([]trust.Remote{{KMS: vaultKey}}, store.Remotes()); diff != "" {
		t.Errorf("what is needed (-want +got):\n%s", diff)
	}
}

// A key that comes while a configuration is built without it must not get lost.
func TestAKeyThatComesDuringABuildIsNotMissed(t *testing.T) {
	t.Parallel()
	kms, key := &outside{keys: map[string]string{}}, publicKey(t)
	kms.then = func() { kms.keys[vaultKey] = key }
	store, applied, _ := stored(t)
	o := with(objects(cosignPolicy(vaultKey)), kms)
	store.Offer(o)
	before := inForce(t, store).Revision
	store.Offer(o)
	if *applied != 2 || inForce(t, store).Revision == before {
		t.Errorf("%d snapshots", *applied)
	}
}

// While an edit is refused, what is in force still gets the keys that it needs.
func TestWhatIsInForceIsRenewedWhileAnEditIsRefused(t *testing.T) {
	t.Parallel()
	kms := &outside{}
	store, applied, refused := stored(t)
	store.Offer(with(objects(cosignPolicy(vaultKey)), kms))
	before := inForce(t, store).Revision
	broken := with(objects(policyOf("- {name: default, type: nonsense}", allowAll)), kms)
	store.Offer(broken)
	store.Renew()
	if *applied != 1 || *refused != 1 || inForce(t, store).Revision != before {
		t.Fatalf("applied %d, refused %d", *applied, *refused)
	}
	if diff := cmp.Diff([]trust.Remote{{KMS: vaultKey}}, store.Remotes()); diff != "" {
		t.Errorf("what is needed (-want +got):\n%s", diff)
	}
	kms.set(vaultKey, publicKey(t))
	store.Offer(broken)
	store.Renew()
	store.Renew()
	if *applied != 2 || *refused != 1 || inForce(t, store).Revision == before || store.Problem() == nil {
		t.Errorf("applied %d, refused %d, %v", *applied, *refused, store.Problem())
	}
}

func TestWhatWasFetchedIsKeptOnce(t *testing.T) {
	t.Parallel()
	into := configMap(config.LastGoodName, nil)
	into.BinaryData = map[string][]byte{"configuration.json.gz": []byte("configuration")}
	one, two := fetched(awsKey, "one", 1), fetched(vaultKey, "two", 1)
	used := []trust.Remote{one.Where, two.Where}
	kept := keep(t, into, used, one)
	if string(kept.BinaryData["configuration.json.gz"]) != "configuration" {
		t.Error("the configuration is gone")
	}
	later := one
	later.At = one.At.Add(config.Lag / 2)
	for name, same := range map[string][]trust.Fetched{"nothing new": {one}, "nothing at all": nil, "only a little later": {later}} {
		if out, err := config.KeepMaterial(kept, used, same); out != nil || err != nil {
			t.Errorf("%s: it is written again, %v", name, err)
		}
	}
	kept = keep(t, kept, used, two) // another replica has the other
	wantKept(t, kept, one, two)
	later.At = one.At.Add(config.Lag)
	kept = keep(t, kept, used, later, two)
	wantKept(t, kept, later, two)
	older, newer := fetched(awsKey, "older", 0), fetched(awsKey, "newer", 100)
	if out, err := config.KeepMaterial(kept, used, []trust.Fetched{older}); out != nil || err != nil {
		t.Errorf("what is older is written, %v", err)
	}
	kept = keep(t, kept, used, newer)
	wantKept(t, kept, newer, two)
	kept = keep(t, kept, used[1:])
	wantKept(t, kept, two)
	kept = keep(t, kept, nil)
	if slices.Contains(slices.Collect(maps.Keys(kept.BinaryData)), "trust-material.json.gz") {
		t.Error("what nobody needs is kept")
	}
}

func TestWhatIsTooLargeOrBrokenIsNotKept(t *testing.T) {
	t.Parallel()
	large := fetched(awsKey, noise(1<<20), 1)
	if out, err := config.KeepMaterial(configMap(config.LastGoodName, nil), []trust.Remote{large.Where}, []trust.Fetched{large}); out != nil || err == nil {
		t.Error("what is too large is kept")
	}
	broken := configMap(config.LastGoodName, nil)
	broken.BinaryData = map[string][]byte{"trust-material.json.gz": []byte("garbage")}
	if all, err := config.KeptMaterial(broken); err == nil {
		t.Errorf("garbage gave %v", all)
	}
	one := fetched(awsKey, "one", 1)
	wantKept(t, keep(t, broken, []trust.Remote{one.Where}, one), one)
}
