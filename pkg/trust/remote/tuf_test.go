package remote

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// fetch fetches once, as the Refresher does.
func (r *repository) fetch(last trust.Fetched) (trust.Fetched, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	last.Where = r.where()
	source := repositories{}.source()
	got, err := source.fetch(ctx, last)
	if err == nil {
		err = source.valid(got.Content)
	}
	return got, err
}

func (r *repository) wantFetched(last trust.Fetched, want string) trust.Fetched {
	r.t.Helper()
	got, err := r.fetch(last)
	if err != nil || string(got.Content) != want {
		r.t.Fatalf("%q, %v; want %q", got.Content, err, want)
	}
	return got
}

func TestTheTrustedRootIsFetchedByTUF(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	one, two := trustedRoot(t, "one"), trustedRoot(t, "two")
	r.publish(one)
	got := r.wantFetched(trust.Fetched{}, one)
	if got.RootVersion != 1 || got.TimestampVersion != 1 {
		t.Errorf("versions %d and %d", got.RootVersion, got.TimestampVersion)
	}
	r.publish(two)
	got = r.wantFetched(got, two)
	r.rotate()
	r.rotate()
	r.publish(one)
	if got = r.wantFetched(got, one); got.RootVersion != 3 || got.TimestampVersion != 3 {
		t.Errorf("versions %d and %d after two rotations of the root", got.RootVersion, got.TimestampVersion)
	}
	// A repository recovers from a version that was set too high by a new root.
	r.rotate()
	r.version = 0
	r.publish(two)
	r.wantFetched(got, two)
}

func TestTheExpiryOfARepositorysRootIsKnown(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.root.Signed.Expires = time.Now().AddDate(0, 0, 20).UTC().Truncate(time.Second)
	repo.rotate()
	repo.publish(trustedRoot(t, "one"))
	r := newRefresher(Options{Wait: 10 * time.Second}, map[string]source{trust.KindTUF: repositories{}.source()})
	defer r.Close()
	where := repo.where()
	if _, err := r.Remote(where); err != nil {
		t.Fatal(err)
	}
	if got := r.expiries(); len(got) > 0 {
		t.Errorf("nobody needs it yet: %v", got)
	}
	r.Retain([]trust.Remote{where})
	if got := r.expiries()[where.TUF]; !got.Equal(repo.root.Signed.Expires) {
		t.Errorf("got %s, want %s", got, repo.root.Signed.Expires)
	}
}

func TestWhatARepositoryMustNotGive(t *testing.T) {
	t.Parallel()
	expired := func(r *repository) {
		r.expires = time.Now().Add(-time.Minute)
		r.publish(trustedRoot(r.t, "late"))
	}
	for _, test := range []struct {
		name  string
		spoil func(*repository)
		want  string // in the error
	}{
		{"metadata that has expired", expired, "expired"},
		{"a target that was tampered with", func(r *repository) {
			r.alter(target, func(b []byte) []byte { return bytes.Replace(b, []byte("good"), []byte("evil"), 1) })
		}, "hash verification failed"},
		{"a target that is longer than was signed", func(r *repository) {
			r.alter(target, func(b []byte) []byte { return append(b, ' ') })
		}, "more than"},
		{"a timestamp that was tampered with", func(r *repository) {
			r.alter("timestamp.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"version":1`), []byte(`"version":2`), 1) })
		}, "not enough signatures"},
		{"metadata signed with a key that was taken out", func(r *repository) {
			before := r.signer
			r.rotate()
			r.signer = before
			r.publish(trustedRoot(r.t, "stolen"))
		}, "not enough signatures"},
		{"a new root that the one before did not sign", func(r *repository) {
			r.root.Signed.Version++
			r.newKeys()
			r.putRoot(r.signer)
		}, "not enough signatures"},
		{"garbage", func(r *repository) { r.alter("timestamp.json", func([]byte) []byte { return []byte("garbage") }) }, "invalid"},
		{"no trusted root", func(r *repository) { r.publish(`{"mediaType": "something else"}`) }, "is no trusted root"},
		{"an empty trusted root", func(r *repository) { r.publish("") }, "is no trusted root"},
		{"a trusted root that is too large", func(r *repository) { r.publish(trustedRoot(r.t, strings.Repeat("a", maxTarget))) }, "more than"},
		{"an error", func(r *repository) {
			r.fail(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) })
		}, "500"},
		{"a body without end", func(r *repository) { r.fail(endless) }, "more than 512000 bytes"},
		{"redirects without end", func(r *repository) {
			r.fail(func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, req.URL.Path, http.StatusFound) })
		}, "redirects more than 3 times"},
		{"T34: a redirect to a metadata service", func(r *repository) {
			r.fail(func(w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, "https://169.254.169.254/latest", http.StatusFound)
			})
		}, "link-local"},
		{"a redirect to an address without TLS", func(r *repository) {
			r.fail(func(w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, "http://tuf.example.com/", http.StatusFound)
			})
		}, "without TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.publish(trustedRoot(t, "good"))
			test.spoil(r)
			if got, err := r.fetch(trust.Fetched{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q, %v", got.Content, err)
			}
		})
	}
}

// Without a root of its own a repository is one of the public-good instance's,
// and whoever cannot sign for that can give nothing.
func TestAMirrorOfThePublicGoodInstanceCannotForgeIt(t *testing.T) {
	t.Parallel()
	if err := (trust.Remote{TUF: trust.DefaultTUF, Root: string(tuf.DefaultRoot())}).Check(); err != nil || trust.DefaultTUF != tuf.DefaultMirror {
		t.Errorf("the public-good instance's own root: %v", err)
	}
	r := newRepository(t)
	r.publish(trustedRoot(t, "evil"))
	r.anchor = ""
	if got, err := r.fetch(trust.Fetched{}); err == nil { // why depends on when the root within sigstore-go expires
		t.Errorf("%q", got.Content)
	}
}

func endless(w http.ResponseWriter, req *http.Request) {
	for block := bytes.Repeat([]byte("x"), 64<<10); req.Context().Err() == nil; {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// T27: a mirror cannot go back to what was valid before, although it has not
// expired yet.
func TestT27ARollbackIsRefused(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	one, two := trustedRoot(t, "one"), trustedRoot(t, "two")
	r.publish(one)
	old := bytes.Clone(r.files["timestamp.json"])
	r.publish(two)
	got := r.wantFetched(trust.Fetched{}, two)
	r.put("timestamp.json", old)
	if back, err := r.fetch(got); err == nil || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("%q, %v", back.Content, err)
	}
	r.wantFetched(trust.Fetched{}, one) // only who has seen more can tell
	r.rotate()
	r.publish(two)
	got = r.wantFetched(got, two)
	delete(r.files, "2.root.json")
	if back, err := r.fetch(got); err == nil {
		t.Errorf("without the newest root: %q", back.Content)
	}
}

func TestASlowMirrorIsGivenUp(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.fail(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	refresher := New(Options{Timeout: 200 * time.Millisecond, Wait: 5 * time.Second})
	defer refresher.Close()
	start := time.Now()
	if _, err := refresher.Remote(r.where()); !errors.Is(err, trust.ErrUnavailable) || !strings.Contains(err.Error(), "no answer within 200ms") {
		t.Error(err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
}

// Bad input: TUF is down when the webhook starts, comes back, and goes again.
func TestAMirrorThatIsDownAndComesBack(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	one, two := trustedRoot(t, "one"), trustedRoot(t, "two")
	r.publish(one)
	r.fail(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) })
	sources := map[string]source{trust.KindTUF: repositories{}.source()}
	often := sources[trust.KindTUF]
	often.interval = 20 * time.Millisecond
	sources[trust.KindTUF] = often
	refresher := newRefresher(Options{Wait: 5 * time.Second}, sources)
	defer refresher.Close()
	var changes atomic.Int32
	refresher.OnChange(func() { changes.Add(1) })

	if _, err := refresher.Remote(r.where()); !errors.Is(err, trust.ErrUnavailable) || !strings.Contains(err.Error(), "503") {
		t.Fatal(err)
	}
	refresher.Retain([]trust.Remote{r.where()})
	r.fail(nil)
	eventually(t, func() bool { return changes.Load() == 1 })
	wantRoot(t, refresher, r, one)
	r.publish(two)
	eventually(t, func() bool { return changes.Load() == 2 })
	wantRoot(t, refresher, r, two)

	r.server.CloseClientConnections()
	r.fail(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) })
	r.mu.Lock()
	asked := len(r.asked)
	r.mu.Unlock()
	eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.asked) > asked })
	wantRoot(t, refresher, r, two)

	// A restart meanwhile.
	again := New(Options{Wait: 5 * time.Second})
	defer again.Close()
	again.Restore(refresher.Good())
	wantRoot(t, again, r, two)
}

func wantRoot(t testing.TB, refresher *Refresher, r *repository, want string) {
	t.Helper()
	if got, err := refresher.Remote(r.where()); err != nil || string(got) != want {
		t.Errorf("Remote = %q, %v; want %q", got, err, want)
	}
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}
