package finding

import (
	"context"
	"errors"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// Sink is where events go. Its methods are not called at the same time.
type Sink interface {
	// Send delivers events, at least one and at most the Spec's Batch. An error
	// that IsPermanent is not tried again, nor is ErrSkipped; any other is: some
	// events may be delivered twice, which their IDs show.
	Send(ctx context.Context, events []cloudevents.Event) error
	// Close ends connections.
	Close()
}

// Spec describes a sink.
type Spec struct {
	// Name is the configuration's, which metrics and log name it by.
	Name   string
	Filter Filter
	// Identity changes when anything about the sink does.
	Identity string
	// Batch is how many events are sent at a time; 0 means one.
	Batch int
	// Extensions are added to each event.
	Extensions map[string]string
	// Open connects. It may be called again when it failed.
	Open func(context.Context) (Sink, error)
}

// Settings are where findings go. The zero value sends nothing anywhere.
type Settings struct {
	// Cluster names the cluster in the events' source.
	Cluster string
	Sinks   []Spec
}

// ErrSkipped says that events were not sent, and need not be.
var ErrSkipped = errors.New("skipped")

// permanent is an error that comes again however often one tries.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error as one that comes again however often one tries.
func Permanent(err error) error { return permanent{err} }

// IsPermanent tells whether an error was marked so.
func IsPermanent(err error) bool { return errors.As(err, new(permanent)) }

// throttled is an error with a time before which there is no use in trying again.
type throttled struct {
	error
	after time.Duration
}

func (t throttled) Unwrap() error { return t.error }

// After marks an error as one that must not be tried again before after has passed.
func After(err error, after time.Duration) error { return throttled{err, after} }

// Wait is how long an error was marked not to be tried again for; zero if it was not.
func Wait(err error) time.Duration {
	var t throttled
	errors.As(err, &t)
	return t.after
}
