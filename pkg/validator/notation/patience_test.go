package notation

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
)

type answers = []*result.CertRevocationResult

// hang is an inquiry that nobody answers.
func hang(ctx context.Context) (answers, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestPatienceLeavesTimeForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, start := newPatience(), time.Now()
		for i := range 3 {
			if _, err := p.wait(t.Context(), fmt.Sprint(i), hang); err == nil {
				t.Error("there is an answer")
			}
		}
		quick := func(ctx context.Context) (answers, error) {
			select {
			case <-time.After(20 * time.Millisecond):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if _, err := p.wait(t.Context(), "quick", quick); err != nil {
			t.Error(err)
		}
		for i := range 100 {
			_, _ = p.wait(t.Context(), fmt.Sprint("more", i), hang)
		}
		if took := time.Since(start); took < 3*time.Second || took > revocationTimeout {
			t.Errorf("it waited for %s", took)
		}
	})
}

func TestPatienceIsForEachChainOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, start := newPatience(), time.Now()
		for range 5 {
			if _, err := p.wait(t.Context(), "a", hang); err == nil {
				t.Error("there is an answer")
			}
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it waited for %s", took)
		}
	})
}

// Whose certificates name nobody to ask needs no time.
func TestNobodyWaitsWhereNobodyIsAsked(t *testing.T) {
	t.Parallel()
	me := notationtest.New(t, "CA").Signer(t, "me")
	q := &inquiry{state: NewState(), trusted: true, patience: &patience{vain: map[string]error{}}}
	got, err := q.of(signers).ValidateContext(t.Context(), revocation.ValidateContextOptions{CertChain: me.Chain})
	if err != nil || len(got) != 2 || got[0].Result != result.ResultNonRevokable {
		t.Errorf("%v, %v", got, err)
	}
}
