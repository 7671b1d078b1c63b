package main

import (
	"container/list"
	"crypto/rand"
	"encoding/json"
	"sync"
	"time"
)

// The newest so many events, and so many bytes of them, are kept.
const (
	maxEntries     = 1000
	maxRecordBytes = 16 << 20
)

// entry is an event and how often it came. It is never changed.
type entry struct {
	// Count is how often an event with the same source and ID came.
	Count int `json:"count"`
	// First is when it came first.
	First time.Time `json:"first"`
	// Event is the one that came last, in the JSON format of CloudEvents.
	Event json.RawMessage `json:"event"`

	key      key
	sequence uint64 // of the last that came
}

// key is what makes two events the same.
type key struct{ source, id string }

// record has the newest events.
type record struct {
	// id tells it from the record before a restart, whose numbers are others'.
	id                   string
	maxEntries, maxBytes int

	mu       sync.Mutex
	entries  *list.List // of *entry, the oldest first
	byKey    map[key]*list.Element
	bytes    int
	sequence uint64        // of the newest
	dropped  uint64        // how many there was no room for
	changed  chan struct{} // closed when there is something new
}

func newRecord(maxEntries, maxBytes int) *record {
	return &record{id: rand.Text(), maxEntries: maxEntries, maxBytes: maxBytes, entries: list.New(), byKey: map[key]*list.Element{}, changed: make(chan struct{})}
}

// add takes an event, which becomes the newest.
func (r *record) add(k key, event []byte, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sequence++
	e := &entry{Count: 1, First: at, Event: event, key: k, sequence: r.sequence}
	if before := r.byKey[k]; before != nil {
		old := r.remove(before)
		e.Count, e.First = old.Count+1, old.First
	}
	r.byKey[k] = r.entries.PushBack(e)
	r.bytes += len(event)
	for r.entries.Len() > r.maxEntries || r.bytes > r.maxBytes {
		r.remove(r.entries.Front())
		r.dropped++
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *record) remove(element *list.Element) *entry {
	e := r.entries.Remove(element).(*entry)
	delete(r.byKey, e.key)
	r.bytes -= len(e.Event)
	return e
}

// news are the entries that came after one.
type news struct {
	entries []*entry // the oldest first
	dropped uint64
	changed <-chan struct{} // closed when there is more
}

// since lists what came after a sequence number; 0 is before the first.
func (r *record) since(sequence uint64) news {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := news{dropped: r.dropped, changed: r.changed}
	first := r.entries.Back()
	for first != nil && first.Value.(*entry).sequence > sequence {
		first = first.Prev()
	}
	if first == nil {
		first = r.entries.Front()
	} else {
		first = first.Next()
	}
	for ; first != nil; first = first.Next() {
		n.entries = append(n.entries, first.Value.(*entry))
	}
	return n
}
