package shared

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	at     = time.Unix(1_800_000_000, 5)
	name   = cache.Name{Revision: "revision", Key: "key"}
	result = validator.Result{Digest: image.Digest("sha256:" + strings.Repeat("a", 64)), TrustRoots: []string{"alice"}, Signers: []string{"alice: <key>"}, Warnings: []string{"weak"}, Seen: `{"root":1}`, Expires: at.Add(time.Hour).UTC()}
)

func newTestSealer(t testing.TB, secret []byte, cluster string) *sealer {
	t.Helper()
	s, err := newSealer(secret, cluster, "build")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// T38: what is opened is what was sealed under the same name, in its time.
func TestT38OnlyWhatWasSealedUnderTheNameIsOpened(t *testing.T) {
	t.Parallel()
	s := newTestSealer(t, secret, "c")
	e := cache.Established{Result: result, At: at, Until: at.Add(time.Minute)}
	entry := s.seal(name, write(e))
	got, err := s.open(name, entry, at)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, got); diff != "" {
		t.Error(diff)
	}
	changed := func(at int) []byte {
		other := bytes.Clone(entry)
		other[at] ^= 1
		return other
	}
	for text, c := range map[string]struct {
		by    *sealer
		name  cache.Name
		entry []byte
		now   time.Duration
		want  error
	}{
		"a moment before its end":                 {s, name, entry, time.Minute - 1, nil},
		"its end":                                 {s, name, entry, time.Minute, errStale},
		"long after":                              {s, name, entry, time.Hour, errStale},
		"by a clock that is a little behind":      {s, name, entry, -5 * time.Second, nil},
		"from the future":                         {s, name, entry, -5*time.Second - 1, errStale},
		"another key":                             {s, cache.Name{Revision: "revision", Key: "other"}, entry, 0, errForged},
		"another revision":                        {s, cache.Name{Revision: "other", Key: "key"}, entry, 0, errForged},
		"the same bytes, otherwise divided":       {s, cache.Name{Revision: "revisionk", Key: "ey"}, entry, 0, errForged},
		"another secret":                          {newTestSealer(t, []byte(strings.Repeat("x", 32)), "c"), name, entry, 0, errForged},
		"another cluster":                         {newTestSealer(t, secret, "d"), name, entry, 0, errForged},
		"nothing":                                 {s, name, nil, 0, errForged},
		"a tag alone":                             {s, name, s.seal(name, nil), 0, errForged},
		"another tag":                             {s, name, changed(3), 0, errForged},
		"another content":                         {s, name, changed(60), 0, errForged},
		"a shorter content":                       {s, name, entry[:len(entry)-1], 0, errForged},
		"a longer content":                        {s, name, append(bytes.Clone(entry), ' '), 0, errForged},
		"one that is too large":                   {s, name, s.seal(name, bytes.Repeat([]byte(" "), maxEntry)), 0, errForged},
		"sealed, but not JSON":                    {s, name, s.seal(name, []byte("x")), 0, errForged},
		"sealed, but without a digest":            {s, name, s.seal(name, []byte(`{"at":1,"until":2000000000000000000}`)), 0, errForged},
		"sealed, but with something for a digest": {s, name, s.seal(name, []byte(`{"digest":"sha256:x","at":1,"until":2000000000000000000}`)), 0, errForged},
	} {
		if got, err := c.by.open(c.name, c.entry, at.Add(c.now)); err != c.want || err != nil && got.Result.Digest != "" { //nolint:errorlint // it is one of two
			t.Errorf("%s: want %v, got %v, %+v", text, c.want, err, got)
		}
	}
}

func TestNamesTellNothingAndAreDifferent(t *testing.T) {
	t.Parallel()
	s, seen := newTestSealer(t, secret, "c"), map[string]bool{}
	for _, n := range []cache.Name{name, {Revision: "revision", Key: "other"}, {Revision: "other", Key: "key"}, {Revision: "", Key: "revisionkey"}, {Revision: "revisionkey"}} {
		place := s.place(n)
		if seen[place] || len(place) != len(Prefix)+64 || strings.Contains(place, "revision") {
			t.Error(place)
		}
		seen[place] = true
	}
}

func TestWhatCannotBeAnEntryIsNotWritten(t *testing.T) {
	t.Parallel()
	large := result
	large.Signers = []string{strings.Repeat("x", maxEntry)}
	for text, r := range map[string]validator.Result{"no digest": {Allowed: true}, "too large": large, "another kind of digest": {Digest: "sha512:a"}} {
		if write(cache.Established{Result: r, At: at, Until: at.Add(time.Minute)}) != nil {
			t.Error(text)
		}
	}
}

// FuzzOpen: nothing is opened but what was sealed, whatever is made of it.
func FuzzOpen(f *testing.F) {
	s := newTestSealer(f, secret, "c")
	entry := s.seal(name, write(cache.Established{Result: result, At: at, Until: at.Add(time.Minute)}))
	for _, seed := range [][]byte{nil, entry, entry[:32], entry[:40], bytes.Repeat([]byte("x"), 100), s.seal(cache.Name{}, entry[32:])} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := s.open(name, text, at); (err == nil) != bytes.Equal(text, entry) || err != nil && got.Result.Digest != "" {
			t.Errorf("%q was opened: %+v, %v", text, got, err)
		}
		// What is sealed can be anything too, with the key of a replica of another version.
		if got, err := s.open(name, s.seal(name, text), at); err == nil && (!digest.MatchString(string(got.Result.Digest)) || !at.Before(got.Until)) {
			t.Errorf("%q was opened: %+v", text, got)
		}
	})
}

// What an older version has verified, with a fault that is mended since, is nothing to
// the replicas that are rolled out.
func TestT38EachBuildKeepsToItself(t *testing.T) {
	t.Parallel()
	info := func() *debug.BuildInfo {
		return &debug.BuildInfo{
			GoVersion: "go1", Main: debug.Module{Version: "v1"}, Deps: []*debug.Module{{Path: "a", Version: "v1", Sum: "h1:a"}},
			Settings: []debug.BuildSetting{{Key: "GOARCH", Value: "amd64"}, {Key: "vcs.revision", Value: "1"}, {Key: "vcs.modified", Value: "false"}},
		}
	}
	seal := func(info *debug.BuildInfo) (*sealer, string) {
		s, err := newSealer(secret, "c", buildOf(info, info != nil))
		if err != nil {
			t.Fatal(err)
		}
		return s, s.place(name)
	}
	ours, place := seal(info())
	entry := ours.seal(name, write(cache.Established{Result: result, At: at, Until: at.Add(time.Minute)}))
	for text, c := range map[string]struct {
		change func(*debug.BuildInfo)
		same   bool
	}{
		"the same":             {func(*debug.BuildInfo) {}, true},
		"for another platform": {func(i *debug.BuildInfo) { i.Settings[0].Value = "arm64" }, true},
		"another version":      {func(i *debug.BuildInfo) { i.Main.Version = "v2" }, false},
		"another commit":       {func(i *debug.BuildInfo) { i.Settings[1].Value = "2" }, false},
		"another dependency":   {func(i *debug.BuildInfo) { i.Deps[0].Sum = "h1:b" }, false},
		"a replaced one":       {func(i *debug.BuildInfo) { i.Deps[0].Replace = &debug.Module{Path: "b"} }, false},
		"another Go":           {func(i *debug.BuildInfo) { i.GoVersion = "go2" }, false},
	} {
		other := info()
		c.change(other)
		theirs, at2 := seal(other)
		if _, err := theirs.open(name, entry, at); (err == nil) != c.same || (at2 == place) != c.same {
			t.Errorf("%s: %v", text, err)
		}
	}
	if theirs, _ := seal(nil); theirs.place(name) == place {
		t.Error("one that is not known is taken for ours")
	}
}
