package finding

import (
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// The extension attributes of events about admissions, for filters of brokers that
// see attributes only, as Knative's Triggers.
const (
	OutcomeExtension   = "outcome"
	NamespaceExtension = "namespace"
)

// Event is a CloudEvent and what filters look at.
type Event struct {
	cloudevents.Event
	// Outcome and Namespace are empty for what is about no admission.
	Outcome   string
	Namespace string
}

// newEvent makes an event of data; at is when it happened.
func newEvent(t Type, source, subject, id string, at time.Time, data any) (Event, error) {
	e := Event{Event: cloudevents.New()}
	e.SetType(string(t))
	e.SetSource(source)
	if subject != "" {
		e.SetSubject(subject)
	}
	e.SetID(id)
	e.SetTime(at)
	e.SetDataSchema(t.dataSchema())
	return e, e.SetData(cloudevents.ApplicationJSON, data)
}

// maxData bounds the data of an event about an admission that has several images, in
// bytes: intermediaries forward 64 KiB, brokers take a megabyte at most.
const maxData = 64 << 10

// event is the CloudEvent about the admission. Of images that have no room it leaves
// the last away.
func (a *Admission) event(source string) (Event, error) {
	e, err := newEvent(a.Type, source, a.Subject(), a.ID(), a.Time, a)
	for data := *a; err == nil && len(e.DataEncoded) > maxData && len(data.Images) > 1; {
		data.Images = data.Images[:len(data.Images)/2]
		err = e.SetData(cloudevents.ApplicationJSON, &data)
	}
	e.Outcome, e.Namespace = a.Outcome, a.Namespace
	e.SetExtension(OutcomeExtension, strings.ToLower(a.Outcome))
	if a.Namespace != "" {
		e.SetExtension(NamespaceExtension, a.Namespace)
	}
	return e, err
}

// size is about how many bytes the event takes.
func (e Event) size() int { return len(e.DataEncoded) + 512 }
