package main

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestAStreamGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	v, url := start(t)
	for i := range 3 {
		post(t, url, fmt.Sprint(i))
	}
	first := watch(t, url+"/events")
	ids, messages := first.upTo("2")
	if diff := cmp.Diff([]string{"0", "1", "2"}, ids); diff != "" {
		t.Error(diff)
	}
	post(t, url, "live")
	if ids, _ := first.upTo("live"); len(ids) != 1 {
		t.Error(ids)
	}
	post(t, url, "end")
	for name, test := range map[string]struct {
		query  string
		header []string
		want   []string
	}{
		"from the beginning":     {"", nil, []string{"0", "1", "2", "live", "end"}},
		"a browser by itself":    {"", []string{"Last-Event-ID", messages[1].id}, []string{"2", "live", "end"}},
		"the page's script":      {"?last=" + messages[2].id, nil, []string{"live", "end"}},
		"the newer one counts":   {"?last=" + messages[0].id, []string{"Last-Event-ID", messages[2].id}, []string{"live", "end"}},
		"another process's":      {"?last=OTHER-2", nil, []string{"0", "1", "2", "live", "end"}},
		"nonsense":               {"?last=" + v.record.id + "-x", nil, []string{"0", "1", "2", "live", "end"}},
		"the script's beginning": {"?last=", nil, []string{"0", "1", "2", "live", "end"}},
	} {
		w := watch(t, url+"/events"+test.query, test.header...)
		if ids, _ := w.upTo("end"); !slices.Equal(ids, test.want) {
			t.Errorf("%s: %v, want %v", name, ids, test.want)
		}
		_ = w.response.Body.Close()
		// Its place is free before the next one comes.
		await(t, func() bool { return len(v.clients) < 4 })
	}
}

// await waits until a condition holds.
func await(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestTheSameEventIsOneEntry(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	for _, id := range []string{"a", "b", "a", "a"} {
		post(t, url, id)
	}
	if status, said := request(t, http.MethodPost, url, `{"specversion": "1.0", "type": "test", "source": "/other", "id": "a"}`, "Content-Type", structuredType); status != http.StatusNoContent {
		t.Fatalf("%d: %s", status, said)
	}
	post(t, url, "end")
	ids, messages := watch(t, url+"/events").upTo("end")
	if diff := cmp.Diff([]string{"b", "a", "a", "end"}, ids); diff != "" {
		t.Error(diff)
	}
	for i, want := range []int{1, 3, 1, 1} {
		if e, _ := messages[i].entry(t); e.Count != want || e.First.IsZero() {
			t.Errorf("%s came %d times, want %d: %s", ids[i], e.Count, want, messages[i].data)
		}
	}
}

func TestTheOldestAreDropped(t *testing.T) {
	t.Parallel()
	r := newRecord(3, 100)
	add := func(id string, bytes int) { r.add(key{"/test", id}, make([]byte, bytes), time.Now()) }
	check := func(dropped uint64, want ...string) {
		t.Helper()
		n := r.since(0)
		var ids []string
		bytes := 0
		for _, e := range n.entries {
			ids = append(ids, e.key.id)
			bytes += len(e.Event)
		}
		if !slices.Equal(ids, want) || n.dropped != dropped || bytes != r.bytes || len(r.byKey) != len(ids) {
			t.Errorf("%v, %d dropped, %d bytes of %d; want %v and %d", ids, n.dropped, bytes, r.bytes, want, dropped)
		}
	}
	check(0)
	for _, id := range []string{"a", "b", "c"} {
		add(id, 10)
	}
	check(0, "a", "b", "c")
	add("d", 10)
	check(1, "b", "c", "d")
	add("b", 10) // is the newest now
	check(1, "c", "d", "b")
	add("e", 85)
	check(3, "b", "e")
	add("e", 20) // is smaller
	check(3, "b", "e")
	add("f", 101)
	check(6)
	add("g", 100)
	check(6, "g")
}

func TestABrowserIsToldWhatIsDropped(t *testing.T) {
	t.Parallel()
	_, url := start(t, func(v *running) { v.record = newRecord(2, maxRecordBytes) })
	for i := range 5 {
		post(t, url, fmt.Sprint(i))
	}
	w := watch(t, url+"/events")
	if ids, _ := w.upTo("4"); !slices.Equal(ids, []string{"3", "4"}) {
		t.Error(ids)
	}
	if m, _ := w.next(); m != (message{event: "dropped", data: "3"}) {
		t.Error(m)
	}
}

func TestNotEverybodyMayWatch(t *testing.T) {
	t.Parallel()
	v, url := start(t)
	post(t, url, "1")
	var watching []*watcher
	for range 4 {
		w := watch(t, url+"/events")
		w.upTo("1")
		watching = append(watching, w)
	}
	if status, said := request(t, http.MethodGet, url+"/events", ""); status != http.StatusServiceUnavailable {
		t.Errorf("%d: %s", status, said)
	}
	post(t, url, "2") // who posts is not affected
	_ = watching[0].response.Body.Close()
	await(t, func() bool { return len(v.clients) < 4 })
}

// Who takes nothing is dropped, and gets no memory meanwhile; others do not wait.
func TestWhoIsSlowIsDropped(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	v, url := start(t, func(v *running) {
		v.Logger = zap.New(core)
		v.timing.write = 100 * time.Millisecond
	})
	slow, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if err := slow.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(slow, "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return len(v.clients) == 1 })
	large := `{"message": "` + strings.Repeat("x", maxEvent/2) + `"}`
	await(t, func() bool {
		if status, said := request(t, http.MethodPost, url, event("large", large), "Content-Type", structuredType); status != http.StatusNoContent {
			t.Fatalf("%d: %s", status, said)
		}
		return logs.FilterMessage("Somebody who watches is too slow").Len() == 1
	})
	await(t, func() bool { return len(v.clients) == 0 })
	post(t, url, "end")
	watch(t, url+"/events").upTo("end")
}

func TestASilentStreamShowsThatItLives(t *testing.T) {
	t.Parallel()
	_, url := start(t, func(v *running) { v.timing.ping = 10 * time.Millisecond })
	w := watch(t, url+"/events")
	for pings := 0; pings < 3; {
		if !w.lines.Scan() {
			t.Fatal("the stream ended")
		}
		if w.lines.Text() == ":" {
			pings++
		}
	}
}
