//go:build integration

package shared_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/redistest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const app = "example.org/app:v1"

// joined is a replica that uses a real Redis.
func joined(t testing.TB, s *redistest.Server, o options) *replica {
	t.Helper()
	return newReplica(t, settings(t, s.URL(), s.Secret()), o).use(t, true)
}

// stored waits until that many entries are.
func (r *replica) stored(t testing.TB, n int64) {
	t.Helper()
	r.wait(t, "stored", func() bool { return r.shared.Use().Stored >= n })
}

func TestReplicasShareOneVerification(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	first, second, third := joined(t, s, options{}), joined(t, s, options{}), joined(t, s, options{})
	first.trusts(t, app)
	first.stored(t, 3)
	second.digest.Store(evil) // the tag has moved on meanwhile
	for _, reference := range []string{app, "example.org/app:v1@" + string(good), "example.org/app@" + string(good)} {
		got := second.trusts(t, reference)
		want := validator.Result{Digest: good, TrustRoots: []string{"alice"}, Signers: []string{"alice: key 1"}, Warnings: []string{"weak"}, Cached: true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", reference, diff)
		}
	}
	if digest, err := third.resolver.Resolve(t.Context(), request(t, app)); err != nil || digest != good {
		t.Errorf("resolved to %s, %v", digest, err)
	}
	first.wantVerified(t, 1)
	second.wantVerified(t, 0)
	third.wantVerified(t, 0)
	second.trusts(t, "example.org/app:v2@"+string(good))
	second.wantVerified(t, 1) // nobody has verified that tag
	if use := second.shared.Use(); use.Hits != 1 || use.Misses != 1 {
		t.Errorf("%+v", use)
	}
	for _, place := range s.Entries(t) {
		if ttl := s.Do(t, "PTTL", place); len(ttl) != 5 {
			t.Errorf("an entry has %s ms to live", ttl)
		}
	}
}

// A denial is not shared, and what was shared before it is taken away; a replica
// that has denied since does not take the older result from anybody.
func TestADenialTakesAwayWhatWasShared(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	first, second, third := joined(t, s, options{}), joined(t, s, options{}), joined(t, s, options{fingerprint: "x"})
	first.trusts(t, app)
	first.stored(t, 3)
	before := values(t, s)
	other := joined(t, s, options{})
	s.Do(t, "FLUSHALL")
	second.denial.Store(validator.Errorf(validator.Revoked, "revoked"))
	if _, err := second.validator.Validate(t.Context(), request(t, app)); validator.AsError(err).Reason != validator.Revoked {
		t.Fatal(err)
	}
	restore(t, s, before)
	time.Sleep(5*time.Second + 100*time.Millisecond) // a denial is remembered that long
	if _, err := second.validator.Validate(t.Context(), request(t, app)); err == nil {
		t.Error("an older result counts for more than a denial")
	}
	second.wantVerified(t, 2)
	second.wait(t, "taken away", func() bool { return len(s.Entries(t)) == 2 }) // which were about the digest
	other.trusts(t, app)
	other.wantVerified(t, 1)
	third.trusts(t, app) // other settings
	third.wantVerified(t, 1)
}

// values are what is stored, by name.
func values(t testing.TB, s *redistest.Server) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, place := range s.Entries(t) {
		all[place] = s.Do(t, "GET", place)
	}
	return all
}

func restore(t testing.TB, s *redistest.Server, entries map[string]string) {
	t.Helper()
	for place, value := range entries {
		s.Do(t, "SET", place, value)
	}
}

// leave has a replica verify the image, and returns what it has left in Redis,
// which is empty again.
func leave(t testing.TB, s *redistest.Server, o options, secret map[string][]byte, digest image.Digest, reference string) map[string]string {
	t.Helper()
	r := newReplica(t, settings(t, s.URL(), secret), o).use(t, true)
	r.digest.Store(digest)
	if _, err := r.validator.Validate(t.Context(), request(t, reference)); err != nil {
		t.Fatal(err)
	}
	r.stored(t, 1)
	r.wait(t, "stored", func() bool { use := r.shared.Use(); return use.Stored == 3 || strings.Contains(reference, "@") })
	left := values(t, s)
	s.Do(t, "FLUSHALL")
	return left
}

// T38: whoever writes to Redis, and has seen everything that was ever written, can
// make a replica verify for itself, and nothing else.
func TestT38NothingButWhatAReplicaStoredThereBecomesAVerdict(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	otherKey := s.Secret()
	otherKey["key"] = []byte(strings.Repeat("k", 32))
	honest := leave(t, s, options{}, s.Secret(), good, app) // where a replica looks
	// fill puts values where a replica looks for the image.
	fill := func(values ...string) {
		for place := range honest {
			for _, value := range values {
				s.Do(t, "SET", place, value)
			}
		}
	}
	// replay puts what was left elsewhere, each under each of the names.
	replay := func(left map[string]string) func() {
		return func() { fill(slices.Collect(maps.Values(left))...) }
	}
	valid := slices.Collect(maps.Values(honest))[0]
	for name, c := range map[string]struct {
		attack func()
		want   func(refused, stale int64) bool
	}{
		"a value that was made up":            {func() { fill(`{"digest":"` + string(evil) + `"}`) }, nil},
		"another digest behind a tag":         {func() { fill(strings.ReplaceAll(valid, string(good), string(evil))) }, nil},
		"another time":                        {func() { fill(strings.Replace(valid, `"until":1`, `"until":9`, 1)) }, nil},
		"the end cut off":                     {func() { fill(valid[:len(valid)-1]) }, nil},
		"the tag alone":                       {func() { fill(valid[:32]) }, nil},
		"half of the tag":                     {func() { fill(valid[:16]) }, nil},
		"something added":                     {func() { fill(valid + " ") }, nil},
		"a megabyte":                          {func() { fill(strings.Repeat("x", 1<<20)) }, nil},
		"a valid one with a megabyte":         {func() { fill(valid + strings.Repeat(" ", 1<<20)) }, nil},
		"another image's":                     {replay(leave(t, s, options{}, s.Secret(), evil, "example.org/evil:v1")), nil},
		"another tag's":                       {replay(leave(t, s, options{}, s.Secret(), evil, "example.org/app:v2")), nil},
		"that of the same under other trust":  {replay(leave(t, s, options{fingerprint: "evil"}, s.Secret(), evil, app)), nil},
		"that of the same under a revision":   {replay(leave(t, s, options{revision: "before"}, s.Secret(), evil, app)), nil},
		"that of another cluster":             {replay(leave(t, s, options{cluster: "evil"}, s.Secret(), evil, app)), nil},
		"that of a replica with another key":  {replay(leave(t, s, options{}, otherKey, evil, app)), nil},
		"names exchanged":                     {func() { exchange(t, s, honest) }, nil},
		"a list instead of a text":            {func() { each(t, s, honest, "LPUSH", "x") }, nil},
		"an old one whose end was taken away": {expired(t, s), func(_, stale int64) bool { return stale == 1 }},
		"nothing":                             {func() {}, func(refused, stale int64) bool { return refused+stale == 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			s.Do(t, "FLUSHALL")
			c.attack()
			r := joined(t, s, options{})
			r.trusts(t, app)
			r.wantVerified(t, 1)
			use := r.shared.Use()
			if c.want == nil && use.Refused != 1 || c.want != nil && !c.want(use.Refused, use.Stale) || use.Hits != 0 {
				t.Errorf("%+v", use)
			}
			r.wait(t, "what is right is stored again", func() bool { return r.shared.Use().Stored+r.shared.Use().Unstored == 3 })
			again := joined(t, s, options{})
			again.trusts(t, app)
			again.wantVerified(t, 0)
		})
	}
}

func each(t testing.TB, s *redistest.Server, places map[string]string, command, value string) {
	t.Helper()
	for place := range places {
		s.Do(t, command, place, value)
	}
}

// exchange gives each name another's value.
func exchange(t testing.TB, s *redistest.Server, honest map[string]string) {
	t.Helper()
	places := slices.Sorted(maps.Keys(honest))
	for i, place := range places {
		s.Do(t, "SET", place, honest[places[(i+1)%len(places)]])
	}
}

// expired is what was valid for a moment, and is put back for ever.
func expired(t testing.TB, s *redistest.Server) func() {
	t.Helper()
	left := leave(t, s, options{expiry: time.Second}, s.Secret(), evil, app)
	time.Sleep(time.Second)
	return func() { restore(t, s, left) }
}

// Passing an entry on from replica to replica does not make it last longer.
func TestT38AChainOfReplicasDoesNotProlongAnEntry(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const expiry = 2 * time.Second
	began := time.Now()
	first := joined(t, s, options{expiry: expiry})
	first.trusts(t, app)
	first.stored(t, 3)
	left := values(t, s)
	var chain []*replica
	for time.Since(began) < expiry-500*time.Millisecond {
		restore(t, s, left) // without an end, as far as Redis knows
		r := joined(t, s, options{expiry: expiry})
		r.trusts(t, app)
		r.wantVerified(t, 0)
		chain = append(chain, r)
		time.Sleep(300 * time.Millisecond)
	}
	time.Sleep(time.Until(began.Add(expiry + 100*time.Millisecond)))
	for _, r := range append(chain, joined(t, s, options{expiry: expiry})) {
		s.Do(t, "FLUSHALL")
		restore(t, s, left)
		r.trusts(t, app)
		r.wantVerified(t, 1)
	}
}

// Settings that do not work leave each replica by itself, and say why.
func TestARedisThatCannotBeUsedIsNot(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do(t, "ACL", "SETUSER", "reader", "on", ">"+redistest.Password, "~*", "+ping")
	stranger := redistest.Start(t)
	with := func(key, value string) map[string][]byte {
		entries := s.Secret()
		entries[key] = []byte(value)
		return entries
	}
	without := s.Secret()
	delete(without, "password")
	strangers := s.Secret()
	delete(strangers, "ca.crt")
	for name, c := range map[string]struct {
		url     string
		entries map[string][]byte
		says    string
	}{
		"a wrong password":                   {s.URL(), with("password", "hunter2"), "WRONGPASS: the username or the password is wrong"},
		"a wrong user":                       {s.URL(), with("username", "nobody"), "WRONGPASS"},
		"no password":                        {s.URL(), without, "NOAUTH: it wants a password"},
		"a user who may not read":            {s.URL(), with("username", "reader"), "NOPERM: the user may not"},
		"another's authority":                {s.URL(), with("ca.crt", string(stranger.CA)), "certificate signed by unknown authority"},
		"the system's authorities":           {s.URL(), strangers, "certificate signed by unknown authority"},
		"a name that its certificate lacks":  {strings.Replace(s.URL(), "127.0.0.1", "localhost", 1), s.Secret(), "certificate is not valid for any names"},
		"a database that there is not":       {s.URL() + "/99", s.Secret(), "ERR"},
		"nobody there":                       {"rediss://127.0.0.1:1", s.Secret(), "connection refused"},
		"no TLS where there is TLS":          {"redis://" + s.Address, s.Secret(), "reason=read: "},
		"a name that does not exist":         {"rediss://redis.invalid", s.Secret(), "lookup"},
		"a certificate that nobody asks for": {s.URL() + "/1", s.Secret(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t, settings(t, c.url, c.entries), options{})
			if c.says == "" {
				r.use(t, true)
				return
			}
			r.wait(t, "a reason", func() bool { return r.logs.Len() > 0 })
			if said := r.said(); !strings.Contains(said, c.says) || strings.Count(said, "\n") > 0 || strings.Contains(said, "hunter2") || strings.Contains(said, redistest.Password) {
				t.Errorf("said %s", said)
			}
			began := time.Now()
			for i := range 20 {
				r.trusts(t, fmt.Sprintf("example.org/app:v%d", i))
			}
			if took := time.Since(began); took > moment {
				t.Errorf("20 verifications took %v", took)
			}
			r.wantVerified(t, 20)
		})
	}
}

func TestClientsCanHaveACertificate(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--tls-auth-clients", "yes")
	entries := s.Secret()
	newReplica(t, settings(t, s.URL(), entries), options{}).wait(t, "down", func() bool { return true })
	entries["tls.crt"], entries["tls.key"] = s.Certificate(t)
	r := newReplica(t, settings(t, s.URL(), entries), options{}).use(t, true)
	r.trusts(t, app)
	r.stored(t, 3)
}

// The rights that the documentation gives suffice, and no fewer do.
func TestTheDocumentedRightsSuffice(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do(t, append([]string{"ACL", "SETUSER", "connaisseur", "on", ">" + redistest.Password}, strings.Fields(shared.Rights)...)...)
	entries := s.Secret()
	entries["username"] = []byte("connaisseur")
	r := newReplica(t, settings(t, s.URL(), entries), options{}).use(t, true)
	r.trusts(t, app)
	r.stored(t, 3)
	r.denial.Store(validator.Errorf(validator.Revoked, "revoked"))
	_, _ = r.validator.Validate(t.Context(), request(t, "example.org/other:v1"))
	r.wait(t, "a log without refusals", func() bool { return true })
	if denied := s.Do(t, "ACL", "LOG"); denied != "" {
		t.Error(denied)
	}
}

// What happens to Redis on the way is no matter of requests.
func TestRedisMayFailAtAnyTime(t *testing.T) {
	t.Parallel()
	// under has requests come all the time, which are all answered rightly and soon.
	under := func(t *testing.T, r *replica, during func()) {
		t.Helper()
		var group sync.WaitGroup
		stop := make(chan struct{})
		for i := range 8 {
			group.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						r.trusts(t, fmt.Sprintf("example.org/app%d:v%d", i, n))
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		time.Sleep(200 * time.Millisecond)
		during()
		time.Sleep(time.Second)
		close(stop)
		group.Wait()
	}
	t.Run("it is killed and comes back", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		r := joined(t, s, options{})
		under(t, r, s.Kill)
		r.use(t, false)
		s.Run(t)
		under(t, r.use(t, true), func() {})
		r.trusts(t, app)
		r.wait(t, "stored", func() bool { return len(s.Entries(t)) > 3 })
		if said := r.said(); strings.Count(said, "out of reach") != 1 || strings.Count(said, "is in use") != 2 {
			t.Error(said)
		}
	})
	t.Run("it hangs and comes back", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		r := joined(t, s, options{})
		under(t, r, s.Hang)
		r.use(t, false)
		failed := r.shared.Use().Failed
		began := time.Now()
		for i := range 100 {
			r.trusts(t, fmt.Sprintf("example.org/hung:v%d", i))
		}
		if took := time.Since(began); took > moment || r.shared.Use().Failed != failed {
			t.Errorf("after that, 100 verifications took %v; %+v", took, r.shared.Use())
		}
		s.Resume()
		r.use(t, true)
	})
	t.Run("it loses everything", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		r := joined(t, s, options{})
		under(t, r, func() { s.Do(t, "FLUSHALL") })
		if use := r.shared.Use(); !use.Up || use.Failed > 0 {
			t.Errorf("%+v", use)
		}
	})
	t.Run("its memory is full", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction")
		r := joined(t, s, options{})
		under(t, r, func() {})
		if use := r.shared.Use(); !use.Up || use.Failed > 0 || use.Unstored == 0 {
			t.Errorf("%+v", use)
		}
		if said := r.said(); strings.Count(said, "OOM: its memory is full") != 1 {
			t.Error(said)
		}
	})
	t.Run("connections are cut", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		r := joined(t, s, options{})
		under(t, r, func() { s.Do(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") })
		r.use(t, true)
	})
	t.Run("it is a replica now", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		r := joined(t, s, options{})
		s.Do(t, "REPLICAOF", "127.0.0.1", "1")
		under(t, r, func() {})
		r.wait(t, "looked for anew", func() bool { return strings.Contains(r.said(), "READONLY: it is a replica") })
		s.Do(t, "REPLICAOF", "NO", "ONE")
		r.use(t, true)
		under(t, r, func() {})
		r.wait(t, "stored", func() bool { return r.shared.Use().Stored > 0 })
	})
	t.Run("it is slow", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		slow := newReplica(t, settings(t, "rediss://"+slowed(t, s, 100*time.Millisecond), s.Secret()), options{}).use(t, true)
		slow.trusts(t, app)
		slow.stored(t, 3)
		again := newReplica(t, settings(t, "rediss://"+slowed(t, s, 100*time.Millisecond), s.Secret()), options{}).use(t, true)
		again.trusts(t, app)
		again.wantVerified(t, 0)
		slower := newReplica(t, settings(t, "rediss://"+slowed(t, s, 400*time.Millisecond), s.Secret()), options{})
		slower.wait(t, "a reason", func() bool { return strings.Contains(slower.said(), "does not answer in time") })
		slower.trusts(t, app)
		slower.wantVerified(t, 1)
		if use := slower.shared.Use(); use.Skipped != 1 || use.Up {
			t.Errorf("%+v", use)
		}
	})
}

// slowed is the address of something on the way whose answers take longer.
func slowed(t testing.TB, s *redistest.Server, by time.Duration) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", s.Address)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() {
				buffer := make([]byte, 1<<16)
				for {
					n, err := out.Read(buffer)
					if err != nil {
						_ = in.Close()
						return
					}
					time.Sleep(by)
					_, _ = in.Write(buffer[:n])
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// Other settings take effect at once, and connections of before are closed.
func TestSettingsChange(t *testing.T) {
	t.Parallel()
	s, other := redistest.Start(t), redistest.Start(t)
	r := joined(t, s, options{})
	r.trusts(t, app)
	r.stored(t, 3)
	clients := func(s *redistest.Server) int {
		return strings.Count(s.Do(t, "CLIENT", "LIST", "TYPE", "normal"), " addr=") - 1
	}
	if n := clients(s); n != 1 {
		t.Errorf("%d connections", n)
	}
	r.apply(settings(t, other.URL(), other.Secret()))
	r.use(t, true)
	r.wait(t, "closed", func() bool { return clients(s) == 0 && clients(other) == 1 })
	rotated := other.Secret()
	rotated["key"] = []byte(strings.Repeat("n", 40))
	r.apply(settings(t, other.URL(), rotated))
	r.use(t, true)
	r.apply(shared.Settings{})
	r.wait(t, "closed", func() bool { return clients(other) == 0 })
	if use := r.shared.Use(); use.Configured || use.Up {
		t.Errorf("%+v", use)
	}
	r.trusts(t, "example.org/alone:v1")
}
