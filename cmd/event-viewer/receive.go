package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"go.uber.org/zap"
)

// What one may post. The webhook sends no event of more than a megabyte, and no
// batch of more than its queue has room for.
const (
	maxBody  = 10 << 20
	maxEvent = 1 << 20
	maxDepth = 64 // of nested JSON, since browsers write it indented
	maxPosts = 2  // at the same time; others wait
)

// receive takes events in any of the modes of CloudEvents' HTTP binding.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
func (v *viewer) receive(w http.ResponseWriter, r *http.Request) {
	token, err := v.Token()
	if err != nil {
		v.Logger.Error("Nobody can post", zap.Error(err))
		http.Error(w, "the token cannot be read", http.StatusServiceUnavailable)
		return
	}
	if token != "" && !bears(r, token) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		v.refuse(w, r, http.StatusUnauthorized, errors.New("the bearer token is not the one that is expected"))
		return
	}
	// Bodies are read one after the other, so that they take no more memory than
	// there is.
	select {
	case v.posts <- struct{}{}:
		defer func() { <-v.posts }()
	case <-r.Context().Done():
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(v.timing.post))
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	events, err := read(r)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large), errors.Is(err, errLarge):
		v.refuse(w, r, http.StatusRequestEntityTooLarge, err)
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		v.refuse(w, r, http.StatusRequestTimeout, errors.New("the request took too long"))
		return
	case errors.Is(err, binding.ErrUnknownEncoding):
		v.refuse(w, r, http.StatusUnsupportedMediaType, errors.New("this is no CloudEvent"))
		return
	case err != nil:
		v.refuse(w, r, http.StatusBadRequest, err)
		return
	}
	for _, e := range events {
		v.record.add(e.key, e.json, time.Now())
		v.Logger.Debug("An event came", zap.String("source", e.key.source), zap.String("id", e.key.id))
	}
	w.WriteHeader(http.StatusNoContent)
}

func (v *viewer) refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	v.Logger.Warn("Events are refused", zap.String("from", r.RemoteAddr), zap.Int("status", status), zap.Error(err))
	http.Error(w, err.Error(), status)
}

var errLarge = fmt.Errorf("an event has more than %d bytes", maxEvent)

// received is an event in JSON.
type received struct {
	key  key
	json []byte
}

// read takes all events of a request, or none.
func read(r *http.Request) ([]received, error) {
	events, err := parse(r)
	if err != nil {
		return nil, err
	}
	list := make([]received, 0, len(events))
	for i := range events {
		e := &events[i]
		if err := e.Validate(); err != nil {
			return nil, err
		}
		if !utf8.Valid(e.Data()) {
			e.DataBase64 = true // the library would replace what is no text
		}
		// This compacts it too, and fails if what claims to be JSON is none, so that
		// there is no line break in it.
		text, err := json.Marshal(e)
		switch {
		case err != nil:
			return nil, err
		case len(text) > maxEvent:
			return nil, errLarge
		case depth(text) > maxDepth:
			return nil, fmt.Errorf("an event is nested more than %d deep", maxDepth)
		}
		list = append(list, received{key{e.Source(), e.ID()}, text})
	}
	return list, nil
}

func parse(r *http.Request) ([]cloudevents.Event, error) {
	if _, ok := r.Header["Ce-"]; ok {
		return nil, errors.New("an attribute has no name") // for which the library is not prepared
	}
	m := cehttp.NewMessageFromHttpRequest(r)
	if m.ReadEncoding() == binding.EncodingBatch {
		return cehttp.NewEventsFromHTTPRequest(r)
	}
	e, err := binding.ToEvent(context.WithoutCancel(r.Context()), m)
	if err != nil {
		return nil, err
	}
	return []cloudevents.Event{*e}, nil
}

// depth is how deep valid JSON is nested.
func depth(text []byte) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			level++
			deepest = max(deepest, level)
		case c == ']' || c == '}':
			level--
		}
	}
	return deepest
}
