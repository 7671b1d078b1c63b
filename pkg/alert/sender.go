package alert

import (
	"context"
	"fmt"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

// period is what a receiver's limit is about, and when a summary is sent.
const period = time.Minute

// closing bounds the last summary.
const closing = 2 * time.Second

// attempt bounds the sending of one alert.
const attempt = 10 * time.Second

// sender sends alerts to one receiver, one after the other. What exceeds the limit
// of a period is held back, and summed up when it ends.
type sender struct {
	receiver Receiver
	list     string // of the configuration
	cluster  string
	ledger   *ledger
	logger   *zap.Logger
	period   time.Duration
	current  string // the id of the alert that is tried

	mu     sync.Mutex
	begin  time.Time // of the period
	sent   int       // since then
	held   held
	timer  *time.Timer // for the summary; nil if none is due
	closed bool
}

var _ finding.Sink = (*sender)(nil)

// Send implements finding.Sink.
func (s *sender) Send(ctx context.Context, events []cloudevents.Event) error {
	event := &events[0] // there is one at a time
	var a finding.Admission
	if err := event.DataAs(&a); err != nil {
		return finding.Permanent(fmt.Errorf("the finding cannot be read: %w", err))
	}
	a.Type, a.Time = finding.Type(event.Type()), event.Time()
	if s.current != event.ID() { // or else it is another attempt
		if !s.admit(&a) {
			return finding.ErrSkipped
		}
		if !s.receiver.required && !s.ledger.first(ctx, s.list+" "+s.receiver.identity, event.ID()) {
			s.giveBack()
			return finding.ErrSkipped
		}
		s.current = event.ID()
	}
	return s.post(ctx, valuesOf(&a, event.ID()))
}

func (s *sender) post(ctx context.Context, v values) error {
	payload, err := s.receiver.payload(s.cluster, v)
	if err == nil {
		_, err = s.receiver.Post(ctx, payload)
	}
	return err
}

// admit tells whether there may be another alert in this period; otherwise it is
// held back.
func (s *sender) admit(a *finding.Admission) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.begin) >= s.period && s.held.count == 0 {
		s.begin, s.sent = now, 0
	}
	if s.receiver.perMinute == 0 || s.sent < s.receiver.perMinute {
		s.sent++
		return true
	}
	s.held.add(a, s.begin)
	s.wait()
	return false
}

// giveBack undoes admit, since another replica sends it.
func (s *sender) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent--
}

// sumUp tells of what was held back. If that fails it is tried again when the next
// period ends, with what is held back until then.
func (s *sender) sumUp(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	now := time.Now()
	s.mu.Lock()
	summed := s.held
	s.held, s.timer = held{}, nil
	s.begin, s.sent = now, 1
	s.mu.Unlock()
	if summed.count == 0 {
		return
	}
	err := s.post(ctx, summed.values(now))
	if err == nil {
		return
	}
	s.logger.Warn("A summary of alerts that were held back could not be sent", zap.Int("alerts", summed.count), zap.Error(err))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !finding.IsPermanent(err) && !s.closed {
		s.held = summed.and(s.held)
		s.wait()
	}
}

// wait has what is held back summed up when the period ends.
func (s *sender) wait() {
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(s.begin.Add(s.period)), func() { s.sumUp(attempt) })
	}
}

// Close implements finding.Sink.
func (s *sender) Close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.sumUp(closing)
	s.receiver.client.Close()
}
