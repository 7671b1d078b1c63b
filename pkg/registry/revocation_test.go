package registry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/sync/semaphore"
)

// T18: a CRL counts towards what may be held in memory for as long as it is.
func TestT18ARevocationListIsPaidForUntilItIsClosed(t *testing.T) {
	t.Parallel()
	const size, all = 100_000, 1 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 10 { // without a length
			_, _ = w.Write(make([]byte, size/10))
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(server.Close)
	c, err := New(Options{Hosts: []Host{{Name: server.Listener.Addr().String(), Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.budget.left = semaphore.NewWeighted(all)
	resp, err := c.Revocation().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != size || resp.ContentLength != size {
		t.Errorf("%d bytes, a length of %d, %v", len(body), resp.ContentLength, err)
	}
	if c.budget.left.TryAcquire(all - size + 1) {
		t.Error("it is not paid for")
		c.budget.left.Release(all - size + 1)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	wantReturned(t, c, all)
}
