package cache

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// stuck is a validator that never answers, and shows what it was given.
type stuck struct{ given chan context.Context }

func (stuck) Fingerprint() string { return "stuck" }

func (s stuck) Validate(ctx context.Context, _ validator.Request) (validator.Result, error) {
	s.given <- ctx
	<-ctx.Done()
	return validator.Result{}, ctx.Err()
}

type contextKey struct{}

// T18: verifications that nobody waits for any more are bounded in number, and
// hold on to nothing of the request that started them.
func TestT18FlightsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := stuck{make(chan context.Context, maxFlights+1)}
		v, _ := New(Options{}).Wrap(s, nil, Retention{})
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), contextKey{}, "a large review"), time.Second)
		defer cancel()
		validate := func(i int) error {
			ref, err := image.Parse(fmt.Sprintf("registry-%d.example.org/x:%d", i/maxFlightsOfOne, i))
			if err != nil {
				return err
			}
			_, err = v.Validate(ctx, validator.Request{Image: ref})
			return err
		}
		for i := range maxFlights {
			go func() { _ = validate(i) }()
		}
		synctest.Wait()
		start := time.Now()
		if err := validate(maxFlights); validator.AsError(err).Reason != validator.Timeout || time.Since(start) > 0 {
			t.Errorf("one too many: %v after %v", err, time.Since(start))
		}
		if len(s.given) != maxFlights {
			t.Errorf("%d were started", len(s.given))
		}
		if (<-s.given).Value(contextKey{}) != nil {
			t.Error("a flight holds on to the request")
		}
		time.Sleep(time.Minute) // they end by themselves
	})
}

// A registry that does not answer, and of which many images are asked for, leaves
// room for those of others.
func TestT18OneRegistryDoesNotTakeAllFlights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := stuck{make(chan context.Context, maxFlights+1)}
		v, _ := New(Options{}).Wrap(s, nil, Retention{})
		validate := func(name string) {
			ref, err := image.Parse(name)
			if err != nil {
				panic(err)
			}
			_, _ = v.Validate(t.Context(), validator.Request{Image: ref}) // it is stuck
		}
		for i := range maxFlightsOfOne + 10 {
			go validate(fmt.Sprintf("slow.example.org/x:%d", i))
		}
		synctest.Wait()
		if len(s.given) != maxFlightsOfOne {
			t.Errorf("%d of one registry were started", len(s.given))
		}
		go validate("other.example.org/x:1")
		synctest.Wait()
		if len(s.given) != maxFlightsOfOne+1 {
			t.Error("there is no room for another registry")
		}
		time.Sleep(time.Minute) // they end by themselves
		go validate("slow.example.org/x:again")
		synctest.Wait()
		if len(s.given) != maxFlightsOfOne+2 {
			t.Error("what has ended takes room")
		}
		time.Sleep(time.Minute)
	})
}
