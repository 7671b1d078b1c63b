package memo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestMemoSharesOneFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, fills := New[int](8, time.Minute), atomic.Int32{}
		fill := func(context.Context) (int, time.Duration, error) {
			time.Sleep(time.Second)
			return int(fills.Add(1)), time.Hour, nil
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if v, err := m.Get(t.Context(), "k", fill); v != 1 || err != nil {
					t.Errorf("got %d, %v", v, err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Hour)
		if v, _ := m.Get(t.Context(), "k", fill); v != 2 {
			t.Errorf("after its lifetime: %d", v)
		}
		m.Forget("k")
		if v, _ := m.Get(t.Context(), "k", fill); v != 3 {
			t.Errorf("after it was forgotten: %d", v)
		}
	})
}

// T24: who gives up first takes nobody along.
func TestMemoOutlivesTheCallerWhoStarted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := New[int](8, time.Minute)
		fill := func(ctx context.Context) (int, time.Duration, error) {
			select {
			case <-time.After(2 * time.Second):
				return 7, time.Hour, nil
			case <-ctx.Done():
				return 0, 0, ctx.Err()
			}
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := m.Get(hasty, "k", fill); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the hasty caller got %v", err)
			}
		})
		synctest.Wait()
		if v, err := m.Get(t.Context(), "k", fill); v != 7 || err != nil {
			t.Errorf("the patient caller got %d, %v", v, err)
		}
		wg.Wait()
	})
}

func TestMemoForgetsFailuresAndSurvivesPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := New[int](8, time.Minute)
		_, err := m.Get(t.Context(), "k", func(ctx context.Context) (int, time.Duration, error) {
			<-ctx.Done() // its own bound
			return 0, 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("want the flight's own bound, got %v", err)
		}
		_, err = m.Get(t.Context(), "k", func(context.Context) (int, time.Duration, error) { panic("boom") })
		if validator.AsError(err).Reason != validator.Internal {
			t.Errorf("want Internal, got %v", err)
		}
		v, err := m.Get(t.Context(), "k", func(context.Context) (int, time.Duration, error) { return 1, time.Hour, nil })
		if v != 1 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
	})
}

func TestMemoBoundsWhatItRemembersByWeight(t *testing.T) {
	t.Parallel()
	m := NewWeighed(8, 10, func(n int) int64 { return int64(n) }, time.Minute)
	known := func(want ...string) {
		t.Helper()
		var got []string
		for _, key := range []string{"a", "b", "c", "heavy"} {
			if _, ok := m.Peek(key); ok {
				got = append(got, key)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	m.Put("a", 4, time.Hour)
	m.Put("b", 4, time.Hour)
	m.Put("b", 6, time.Hour) // in place of 4
	known("a", "b")
	m.Put("c", 1, time.Hour)
	known("b", "c")
	m.Forget("b")
	m.Put("a", 9, time.Hour)
	known("a", "c")
	m.Put("heavy", 11, time.Hour)
	known()
	m.Put("a", 10, time.Hour)
	known("a")
}

// What a panic says is for the log: it may be anything.
func TestMemoKeepsThePanicFromTheMessage(t *testing.T) {
	t.Parallel()
	m := New[int](8, time.Minute)
	_, err := m.Get(t.Context(), "k", func(context.Context) (int, time.Duration, error) { panic("boom") })
	failure := validator.AsError(err)
	if failure == nil || strings.Contains(failure.Message, "boom") || failure.Err == nil || !strings.Contains(failure.Err.Error(), "boom") {
		t.Errorf("got %v, because of %v", err, errors.Unwrap(err))
	}
}
