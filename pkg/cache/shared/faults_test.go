package shared_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
)

// pretender is what answers in the place of a Redis: to a probe as a Redis would,
// and to everything else with that.
func pretender(t testing.TB, answer func(net.Conn)) (address string, connections *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	connections = &atomic.Int64{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go pretend(conn, answer)
		}
	}()
	return listener.Addr().String(), connections
}

func pretend(conn net.Conn, answer func(net.Conn)) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		var n int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
			return
		}
		var args []string
		for range n {
			var size int
			if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
				return
			}
			text := make([]byte, size+2)
			if _, err := io.ReadFull(r, text); err != nil {
				return
			}
			args = append(args, string(text[:size]))
		}
		if args[0] == "GETRANGE" && strings.HasSuffix(args[1], "probe") {
			_, _ = io.WriteString(conn, "$0\r\n\r\n")
		} else {
			answer(conn)
		}
	}
}

func says(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

var entries = map[string][]byte{"key": []byte("0123456789abcdef0123456789abcdef")}

// Whatever answers in the place of a Redis, requests are decided rightly and soon.
func TestWhateverAnswersDecisionsAreRightAndSoon(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(net.Conn){
		"nothing":                     func(net.Conn) {},
		"it hangs up":                 func(conn net.Conn) { _ = conn.Close() },
		"an entry":                    says("$70\r\n" + strings.Repeat("x", 70) + "\r\n"),
		"half an entry":               says("$70\r\nxxx"),
		"two gigabytes are announced": says("$2147483647\r\nxxx"),
		"an error":                    says("-ERR no\r\n"),
		"another protocol":            says("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"two answers to one":          says("$-1\r\n$-1\r\n"),
		"a line without an end": func(conn net.Conn) {
			for range 1000 {
				if _, err := io.WriteString(conn, strings.Repeat("x", 10_000)); err != nil {
					return
				}
			}
		},
		"a byte now and then": func(conn net.Conn) {
			for range 100 {
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, connections := pretender(t, answer)
			r := newReplica(t, settings(t, "redis://"+address, entries), options{}).use(t, true)
			for i := range 50 {
				r.trusts(t, fmt.Sprintf("example.org/app:v%d", i))
			}
			r.wantVerified(t, 50)
			if use := r.shared.Use(); use.Hits > 0 || use.Failed > 10 {
				t.Errorf("%+v", use)
			}
			if n := connections.Load(); n > 3 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// A Redis that fails whenever it is asked is asked less and less.
func TestWhatFailsIsLeftAlone(t *testing.T) {
	t.Parallel()
	address, connections := pretender(t, func(net.Conn) {})
	r := newReplica(t, settings(t, "redis://"+address, entries), options{}).use(t, true)
	began, n := time.Now(), 0
	for ; time.Since(began) < 4*time.Second; n++ {
		r.trusts(t, fmt.Sprintf("example.org/app:v%d", n))
		time.Sleep(time.Millisecond)
	}
	if use := r.shared.Use(); connections.Load() > 5 || use.Failed > 5 || use.Skipped < int64(n)-6 {
		t.Errorf("%d connections, %d requests, %+v", connections.Load(), n, use)
	}
	if said := r.said(); strings.Count(said, "out of reach") != 1 {
		t.Error(said)
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	address, _ := pretender(t, func(net.Conn) {})
	hung, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and that is all
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hung.Close() }()
	for _, url := range []string{"redis://" + address, "redis://" + hung.Addr().String(), "rediss://" + hung.Addr().String(), "rediss://127.0.0.1:1"} {
		r := newReplica(t, settings(t, url, entries), options{})
		time.Sleep(50 * time.Millisecond)
		r.trusts(t, "example.org/app:v1")
		r.shared.Close()
	}
	for end := time.Now().Add(long); runtime.NumGoroutine() > before+1; time.Sleep(10 * time.Millisecond) { // the pretender's
		if time.Now().After(end) {
			buffer := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, before %d\n%s", runtime.NumGoroutine(), before, buffer[:runtime.Stack(buffer, true)])
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"rediss://redis.connaisseur":      "",
		"rediss://redis:6380/2":           "",
		"redis://[::1]:6379":              "",
		"rediss://":                       "must be rediss://HOST",
		"http://redis":                    "must be rediss://HOST",
		"redis":                           "must be rediss://HOST",
		"rediss://redis?x=y":              "must be rediss://HOST",
		"rediss://redis:port":             "must be rediss://HOST",
		"rediss://:hunter2@redis":         "has a username or a password in it; these belong into the Secret",
		"rediss://hunter2:hunter2@redis/": "has a username or a password in it",
		"rediss://redis/zero":             "which must be a number",
		"rediss://redis/-1":               "which must be a number",
	} {
		_, err := shared.ParseURL(text)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	target, err := shared.ParseURL("rediss://redis")
	if err != nil {
		t.Fatal(err)
	}
	key := entries["key"]
	for name, c := range map[string]struct {
		entries map[string][]byte
		want    string
	}{
		"the key alone":                 {map[string][]byte{"key": key}, ""},
		"no key":                        {map[string][]byte{"password": []byte("hunter2")}, "its entry key, by which entries of the cache are authenticated, has 0 bytes, but must have at least 32; make one with: openssl rand -base64 32"},
		"a short key":                   {map[string][]byte{"key": key[1:]}, "has 31 bytes"},
		"a user without a password":     {map[string][]byte{"key": key, "username": []byte("hunter2")}, "it has an entry username, but no password"},
		"an authority that is none":     {map[string][]byte{"key": key, "ca.crt": []byte("hunter2")}, "its entry ca.crt has no PEM certificate"},
		"a certificate without key":     {map[string][]byte{"key": key, "tls.crt": []byte("hunter2")}, "its entries tls.crt and tls.key are no certificate with its key"},
		"a key without its certificate": {map[string][]byte{"key": key, "tls.key": []byte("hunter2")}, "its entries tls.crt and tls.key"},
	} {
		_, err := shared.New(target, c.entries)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A cache that is configured and cannot be used is seen to be.
func TestACacheWithoutItsSecretIsOffAndSaysSo(t *testing.T) {
	t.Parallel()
	target, err := shared.ParseURL("rediss://redis")
	if err != nil {
		t.Fatal(err)
	}
	off, err := shared.New(target, nil)
	if err == nil {
		t.Fatal("there is no key")
	}
	r := newReplica(t, off, options{})
	r.trusts(t, "example.org/app:v1")
	if use := r.shared.Use(); !use.Configured || use.Up || use.Skipped != 1 || !strings.Contains(r.said(), "switched off; each replica verifies by itself reason=its entry key") {
		t.Errorf("%+v, %s", use, r.said())
	}
}
