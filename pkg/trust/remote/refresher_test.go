package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// origin is a source that the test controls.
type origin struct {
	mu      sync.Mutex
	content string
	err     error
	delay   time.Duration
	asked   []time.Time
	running atomic.Int32
}

func (o *origin) set(content string, err error, delay time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.content, o.err, o.delay = content, err, delay
}

func (o *origin) times() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.asked)
}

func (o *origin) fetch(ctx context.Context, _ trust.Fetched) (trust.Fetched, error) {
	o.running.Add(1)
	defer o.running.Add(-1)
	o.mu.Lock()
	o.asked = append(o.asked, time.Now())
	content, err, delay := o.content, o.err, o.delay
	o.mu.Unlock()
	select {
	case <-ctx.Done():
		return trust.Fetched{}, ctx.Err()
	case <-time.After(delay):
	}
	return trust.Fetched{Content: []byte(content)}, err
}

// key is the one that the tests ask for.
var key = trust.Remote{KMS: "hashivault://key"}

// newTest makes a Refresher of one source, whose changes are counted.
func newTest(o *origin, options Options) (r *Refresher, changes *atomic.Int32) {
	valid := func(content []byte) error {
		if string(content) == "garbage" {
			return errors.New("is garbage")
		}
		return nil
	}
	r = newRefresher(options, map[string]source{trust.KindKMS: {fetch: o.fetch, valid: valid, interval: time.Hour}})
	changes = new(atomic.Int32)
	r.OnChange(func() { changes.Add(1) })
	return r, changes
}

func wantContent(t testing.TB, r *Refresher, want string) {
	t.Helper()
	if got, err := r.Remote(key); err != nil || string(got) != want {
		t.Errorf("Remote = %q, %v; want %q", got, err, want)
	}
}

func wantUnavailable(t testing.TB, r *Refresher, why string) {
	t.Helper()
	got, err := r.Remote(key)
	if !errors.Is(err, trust.ErrUnavailable) || got != nil || !strings.Contains(err.Error(), why) {
		t.Errorf("Remote = %q, %v; want that it is not available: %s", got, err, why)
	}
}

func TestTheFirstRequestWaitsForAMomentOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{content: "key", delay: 5 * time.Second}
		r, changes := newTest(o, Options{})
		defer r.Close()
		start := time.Now()
		wantUnavailable(t, r, "being fetched")
		if _, err := r.Remote(trust.Remote{KMS: "hashivault://other"}); !errors.Is(err, trust.ErrUnavailable) {
			t.Error(err)
		}
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("two requests in a row waited %s in all", took)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantContent(t, r, "key")
		if changes.Load() != 2 {
			t.Errorf("%d changes were told", changes.Load())
		}
	})
}

func TestConcurrentRequestsShareAFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{content: "key", delay: 100 * time.Millisecond}
		r, _ := newTest(o, Options{})
		defer r.Close()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { wantContent(t, r, "key") })
		}
		all.Wait()
		if o.times() != 1 {
			t.Errorf("it was fetched %d times", o.times())
		}
	})
}

func TestFailuresAreRepeatedMoreAndMoreRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{err: errors.New("access\ndenied")}
		r, changes := newTest(o, Options{})
		defer r.Close()
		wantUnavailable(t, r, "access denied")
		r.Retain([]trust.Remote{key})
		time.Sleep(time.Hour)
		synctest.Wait()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240} {
			want *= time.Second
			if got := o.asked[i+1].Sub(o.asked[i]); got < want*9/10 || got > want*11/10 {
				t.Errorf("the pause after failure %d was %s; want about %s", i+1, got, want)
			}
		}
		if changes.Load() != 0 {
			t.Error("a failure was told as a change")
		}
		o.set("key", nil, 0)
		time.Sleep(5 * time.Minute)
		wantContent(t, r, "key")
		if changes.Load() != 1 {
			t.Errorf("%d changes were told when it came back", changes.Load())
		}
	})
}

func TestWhatWasFetchedLastStaysGoodWhileItsSourceIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		o := &origin{content: "one"}
		r, changes := newTest(o, Options{Logger: zap.New(core)})
		defer r.Close()
		wantContent(t, r, "one")
		r.Retain([]trust.Remote{key})
		for _, down := range []struct {
			content string
			err     error
			delay   time.Duration
		}{{"", errors.New("down"), 0}, {"garbage", nil, 0}, {"two", nil, time.Hour}} {
			o.set(down.content, down.err, down.delay)
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			wantContent(t, r, "one")
		}
		if age := r.ages()[trust.KindKMS]; age < 9*time.Hour || age > 10*time.Hour+time.Minute {
			t.Errorf("its age is %s", age)
		}
		o.set("two", nil, 0)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantContent(t, r, "two")
		if changes.Load() != 2 {
			t.Errorf("%d changes were told", changes.Load())
		}
		if logs.FilterLevelExact(zapcore.ErrorLevel).Len() != 1 || logs.FilterLevelExact(zapcore.InfoLevel).Len() != 2 {
			t.Errorf("what was written to the log: %v", logs.All())
		}
	})
}

func TestAnUnchangedAnswerIsNoChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{content: "key"}
		r, changes := newTest(o, Options{})
		defer r.Close()
		wantContent(t, r, "key")
		r.Retain([]trust.Remote{key})
		time.Sleep(24 * time.Hour)
		if o.times() < 22 || o.times() > 27 || changes.Load() != 1 {
			t.Errorf("it was fetched %d times, and %d changes were told", o.times(), changes.Load())
		}
	})
}

func TestWhatNobodyNeedsIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{content: "key"}
		r, _ := newTest(o, Options{})
		defer r.Close()
		wantContent(t, r, "key") // proposed only
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		if len(r.entries) != 0 {
			t.Fatal("what was only proposed is kept up to date")
		}
		wantContent(t, r, "key")
		r.Retain([]trust.Remote{key})
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if len(r.entries) != 1 || len(r.Good()) != 1 {
			t.Fatal("what is in force was forgotten")
		}
		r.Retain(nil)
		if len(r.Good()) != 0 {
			t.Error("what is not in force is still written down")
		}
		wantContent(t, r, "key") // whoever goes back at once finds it
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		if len(r.entries) != 0 {
			t.Error("what is not in force any more is kept up to date")
		}
	})
}

func TestNoMoreThanSoManyAreKeptUpToDate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{content: "key"}
		r, _ := newTest(o, Options{})
		defer r.Close()
		var used []trust.Remote
		for i := range 3 * maxEntries {
			where := trust.Remote{KMS: fmt.Sprintf("hashivault://key-%d", i)}
			if _, err := r.Remote(where); err != nil {
				t.Fatal(err)
			}
			used = append(used, where)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if len(r.entries) != maxEntries {
			t.Fatalf("%d are kept up to date", len(r.entries))
		}
		r.Retain(used)
		wantUnavailable(t, r, "more than 64")
	})
}

func TestTheContentOfBeforeARestartIsGoodUntilItIsFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{err: errors.New("down")}
		r, changes := newTest(o, Options{})
		defer r.Close()
		week := time.Now().Add(-7 * 24 * time.Hour)
		r.Restore([]trust.Fetched{
			{Where: key, Content: []byte("before"), At: week},
			{Where: trust.Remote{KMS: "hashivault://other"}, Content: []byte("garbage"), At: week},
			{Where: trust.Remote{KMS: "file:///etc/passwd"}, Content: []byte("key"), At: week},
			{Where: trust.Remote{KMS: "hashivault://future"}, Content: []byte("key"), At: time.Now().Add(time.Hour)},
		})
		wantContent(t, r, "before")
		r.Retain([]trust.Remote{key})
		if age := r.ages()[trust.KindKMS]; age != 7*24*time.Hour {
			t.Errorf("its age is %s", age)
		}
		if _, err := r.Remote(trust.Remote{KMS: "hashivault://other"}); !errors.Is(err, trust.ErrUnavailable) {
			t.Errorf("what cannot have been fetched was restored: %v", err)
		}
		if _, ok := r.restored[trust.Remote{KMS: "file:///etc/passwd"}]; ok {
			t.Error("a file was restored")
		}
		if f := r.restored[trust.Remote{KMS: "hashivault://future"}]; f.At.After(time.Now()) {
			t.Errorf("it will have been fetched %s", f.At)
		}
		o.set("now", nil, 0)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantContent(t, r, "now")
		r.Restore([]trust.Fetched{{Where: key, Content: []byte("before"), At: week}})
		wantContent(t, r, "now")
		if changes.Load() < 1 {
			t.Error("no change was told")
		}
	})
}

// synctest fails a test that leaves a goroutine behind.
func TestNothingRunsAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{content: "key", delay: time.Hour}
		r, changes := newTest(o, Options{})
		wantUnavailable(t, r, "")
		r.Close()
		r.Close()
		if o.running.Load() != 0 {
			t.Error("a fetch goes on")
		}
		if _, err := r.Remote(trust.Remote{KMS: "hashivault://other"}); !errors.Is(err, trust.ErrUnavailable) {
			t.Error(err)
		}
		if changes.Load() != 0 {
			t.Error("the end was told as a change")
		}
	})
}

func TestT21NothingElseIsFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{content: "key"}
		r, _ := newTest(o, Options{})
		defer r.Close()
		for _, uri := range []string{"file:///etc/passwd", "env://KEY", "https://evil.io/key", "pkcs11:token=x", "evilkms://key", "", "awskms://169.254.169.254/alias/a"} {
			if _, err := r.Remote(trust.Remote{KMS: uri}); !errors.Is(err, trust.ErrUnavailable) {
				t.Errorf("%q: %v", uri, err)
			}
			// Not even behind the check: kms.Get would run a program for some.
			if pem, err := newKeys().ask(t.Context(), uri); err == nil {
				t.Errorf("%q: %q", uri, pem)
			}
		}
		if o.times() != 0 {
			t.Error("it was fetched")
		}
	})
}

func TestForeignErrorsAreOneShortLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"denied":                         "denied",
		"RESPONSE 403:\n---\n\tdenied\n": "RESPONSE 403: denied",
		"a\x1b[31mb\u202ec":              "a [31mb c",
		"x" + strings.Repeat("ä", 300):   "x" + strings.Repeat("ä", 39) + "…" + strings.Repeat("ä", 58),
	} {
		if got := brief(errors.New(in)).Error(); got != want || len(got) > maxError {
			t.Errorf("brief(%q) = %q", in, got)
		}
	}
	if brief(nil) != nil {
		t.Error("no error is one")
	}
}
