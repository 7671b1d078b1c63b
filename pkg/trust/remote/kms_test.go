package remote

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/option"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// TestMain has the certificate of httptest's servers trusted by this process:
// two of the clients take no other than the system's authorities.
func TestMain(m *testing.M) {
	os.Exit(trusting(m.Run))
}

func trusting(run func() int) int {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	folder, err := os.MkdirTemp("", "authorities")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, err := range []error{os.WriteFile(file, text, 0o600), os.Setenv("SSL_CERT_FILE", file), os.Setenv("SSL_CERT_DIR", folder), os.Setenv("AWS_CA_BUNDLE", file)} {
		if err != nil {
			panic(err)
		}
	}
	return run()
}

// The ways in which a KMS answers.
const (
	fine   = "fine"
	denied = "denied"
	slow   = "slow"
	absurd = "absurd" // what its client does not expect
)

// kmsFake speaks the protocol of a KMS to the KMS's real client.
type kmsFake struct {
	mu     sync.Mutex
	answer string
	public []byte // DER
	end    chan struct{}
}

func (f *kmsFake) is() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.answer
}

func (f *kmsFake) turn(answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *kmsFake) pem() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: f.public})
}

func newFake(t testing.TB) *kmsFake {
	return &kmsFake{answer: fine, public: newPublic(t), end: make(chan struct{})}
}

// serve starts a server of fn that is slow when it is told to be.
func (f *kmsFake) serve(t testing.TB, start func(http.Handler) *httptest.Server, fn http.HandlerFunc) *httptest.Server {
	server := start(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if f.is() == slow {
			_, _ = io.Copy(io.Discard, req.Body) // only then does a server notice that its client has gone
			select {
			case <-req.Context().Done():
			case <-f.end:
			}
			return
		}
		fn(w, req)
	}))
	t.Cleanup(func() { close(f.end); server.CloseClientConnections(); server.Close() })
	return server
}

// providers are the four, each with a fake for its own client, reached through
// kms.Get as in production. stop ends the fake.
var providers = []struct {
	name  string
	start func(t testing.TB, f *kmsFake) (uri string, google []option.ClientOption, stop func())
	// denial is in the error when the KMS refuses.
	denial string
}{
	{"AWS, at an endpoint", startAWS, "AccessDeniedException"},
	{"AWS, at the region's endpoint", startAWSRegion, "AccessDeniedException"},
	{"Azure", startAzure, "keys get permission"},
	{"Google", startGoogle, "PermissionDenied"},
	{"Vault", startVault, "permission denied"},
}

func newKMSRefresher(google []option.ClientOption, timeout time.Duration) *Refresher {
	s := newKeys(google...).source()
	s.interval = 20 * time.Millisecond
	return newRefresher(Options{Wait: 20 * time.Second, Timeout: timeout}, map[string]source{trust.KindKMS: s})
}

func TestEachKMSGivesItsKey(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider.name, func(t *testing.T) {
			f := newFake(t)
			uri, google, stop := provider.start(t, f)
			where := trust.Remote{KMS: uri}
			r := newKMSRefresher(google, 10*time.Second)
			defer r.Close()
			got, err := r.Remote(where)
			if err != nil || strings.TrimSpace(string(got)) != strings.TrimSpace(string(f.pem())) {
				t.Fatalf("Remote = %q, %v; want %q", got, err, f.pem())
			}
			r.Retain([]trust.Remote{where})

			changed := make(chan struct{}, 10)
			r.OnChange(func() { changed <- struct{}{} })
			f.mu.Lock()
			f.public = newPublic(t)
			f.mu.Unlock()
			select {
			case <-changed:
			case <-time.After(10 * time.Second):
				t.Fatal("a rotation of the key was not told")
			}
			rotated, err := r.Remote(where)
			if err != nil || strings.TrimSpace(string(rotated)) != strings.TrimSpace(string(f.pem())) {
				t.Errorf("after a rotation Remote = %q, %v", rotated, err)
			}
			stop()
			time.Sleep(100 * time.Millisecond)
			if kept, err := r.Remote(where); err != nil || string(kept) != string(rotated) {
				t.Errorf("while it is down Remote = %q, %v", kept, err)
			}
			r.Close()
			wantNothingRunning(t)
		})
	}
}

func TestAKMSThatGivesNoKey(t *testing.T) {
	for _, provider := range providers {
		for _, answer := range []string{denied, absurd, slow, "down"} {
			t.Run(provider.name+" is "+answer, func(t *testing.T) {
				f := newFake(t)
				f.turn(answer)
				uri, google, stop := provider.start(t, f)
				want, timeout := "", 10*time.Second
				switch answer {
				case denied:
					want = provider.denial
				case slow:
					want, timeout = "no answer within", 300*time.Millisecond
				case "down":
					stop()
					timeout = 2 * time.Second // some clients try several times
				}
				r := newKMSRefresher(google, timeout)
				start := time.Now()
				got, err := r.Remote(trust.Remote{KMS: uri})
				if !errors.Is(err, trust.ErrUnavailable) || !strings.Contains(err.Error(), want) || got != nil {
					t.Errorf("Remote = %q, %v", got, err)
				}
				if err != nil && (len(err.Error()) > maxError+50 || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), secretToken)) {
					t.Errorf("the error is %q", err)
				}
				if took := time.Since(start); took > timeout+3*time.Second {
					t.Errorf("it took %s", took)
				}
				r.Close()
				if answer != slow { // Vault's goes on until the server ends
					wantNothingRunning(t)
				}
			})
		}
	}
	wantNothingRunning(t)
}

// Vault's client has no timeout: what hangs must not add up without bound.
func TestHangingRequestsAreBounded(t *testing.T) {
	f := newFake(t)
	f.turn(slow)
	uri, _, _ := startVault(t, f)
	k := newKeys()
	for range cap(k.asking) - 1 {
		k.asking <- struct{}{}
	}
	r := newRefresher(Options{Wait: 20 * time.Second, Timeout: 50 * time.Millisecond}, map[string]source{trust.KindKMS: k.source()})
	defer r.Close()
	_, err := r.Remote(trust.Remote{KMS: uri})
	if !errors.Is(err, trust.ErrUnavailable) {
		t.Error(err)
	}
	eventually(t, func() bool {
		_, err = r.Remote(trust.Remote{KMS: uri})
		return strings.Contains(fmt.Sprint(err), "have still not ended")
	})
}

// wantNothingRunning looks for goroutines of ours and of gRPC, whose
// connections nobody else closes.
func wantNothingRunning(t testing.TB) {
	t.Helper()
	var stacks string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text := make([]byte, 4<<20)
		stacks = string(text[:runtime.Stack(text, true)])
		if !strings.Contains(stacks, "remote.keys.") && !strings.Contains(stacks, "remote.(*Refresher).") && !strings.Contains(stacks, "http2Client") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("something still runs:\n%s", stacks)
		}
	}
}
