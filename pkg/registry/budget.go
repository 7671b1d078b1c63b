package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// leastBudget bounds what a client holds in memory of all answers
	// together. Honest answers are a few KiB, so it is enough for thousands of
	// images at a time.
	leastBudget = 64 << 20
	// firstBytes is what is paid for the beginning of an answer, so that a
	// registry reserves no more by being slow.
	firstBytes = 512
	// headerOverhead is about what a header field takes beside its text.
	headerOverhead = 200
)

// errExhausted is what a budget that has run out makes of a read.
var errExhausted = errors.New("too much is being read from registries at once; trying again may help")

// budget bounds the bytes of all calls together. Nobody waits for it: those who
// have the bytes may be waiting for a registry that is slow on purpose.
type budget struct{ left *semaphore.Weighted }

// newBudget makes a budget that suffices for at least two images, whatever the
// operator allows each.
func newBudget(l Limits) *budget {
	return &budget{left: semaphore.NewWeighted(max(leastBudget, 2*(l.ManifestBytes+max(l.allPayloads(), l.allAttestations()))))}
}

// open makes the requests of a context pay from one account, until it is
// closed.
func (b *budget) open(ctx context.Context) (paying context.Context, closeAccount func()) {
	a := &account{budget: b}
	return context.WithValue(ctx, accountKey{}, a), a.close
}

// account is what the requests of one call, or of one flight that many calls
// wait for, have taken from the budget.
type account struct {
	budget *budget

	mu     sync.Mutex
	taken  int64
	closed bool
}

type accountKey struct{}

// accountOf is the account that pays for a request; nil pays for nothing.
func accountOf(ctx context.Context) *account {
	a, _ := ctx.Value(accountKey{}).(*account)
	return a
}

// take pays for memory before it is used. There is none for stragglers: a ping
// that lost its race may still be read when the account is closed.
func (a *account) take(n int64) error {
	if a == nil {
		return errExhausted
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || !a.budget.left.TryAcquire(n) {
		return errExhausted
	}
	a.taken += n
	return nil
}

// giveBack is for memory that is no longer used.
func (a *account) giveBack(n int64) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n = min(n, a.taken) // nothing is left of a closed account
	a.taken -= n
	a.budget.left.Release(n)
}

func (a *account) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.budget.left.Release(a.taken)
	a.taken = 0
}

// readAtMost reads that many bytes and one more, which tells that there are
// more. It pays for memory as it grows, whatever length was announced.
func (a *account) readAtMost(limit int64, from io.Reader) ([]byte, error) {
	var read []byte
	for int64(len(read)) <= limit {
		if had := int64(cap(read)); int64(len(read)) == had {
			room := min(max(firstBytes, 2*had), limit+1)
			if err := a.take(room - had); err != nil {
				return read, err
			}
			read = append(make([]byte, 0, room), read...)
		}
		n, err := from.Read(read[len(read):cap(read)])
		read = read[:len(read)+n]
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
	return read, nil
}

// headerBytes is about what headers take in memory.
func headerBytes(h http.Header) int64 {
	var n int
	for name, values := range h {
		n += len(name) + headerOverhead
		for _, v := range values {
			n += len(v) + 16
		}
	}
	return int64(n)
}
