package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// stream tells a browser what came, and what comes.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func (v *viewer) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case v.clients <- struct{}{}:
		defer func() { <-v.clients }()
	default:
		v.Logger.Warn("Somebody cannot watch, since too many do", zap.Int("clients", v.MaxClients))
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many are watching", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	// A browser that makes a new connection by hand cannot set the header.
	c := client{w: w, timing: v.timing, sequence: v.record.sequenceOf(cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("last")))}
	if err := c.follow(r.Context(), v.closing, v.record); errors.Is(err, os.ErrDeadlineExceeded) {
		v.Logger.Info("Somebody who watches is too slow", zap.String("from", r.RemoteAddr), zap.Error(err))
	}
}

// sequenceOf is the sequence number in the ID of a message; 0 if it is not about this
// record.
func (r *record) sequenceOf(id string) uint64 {
	text, ours := strings.CutPrefix(id, r.id+"-")
	if !ours {
		return 0
	}
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// client is somebody who watches. Nothing is kept for it but how far it is: one that
// is slow misses what the record has no more, and one that takes nothing is dropped.
type client struct {
	w        http.ResponseWriter
	timing   timing
	sequence uint64
}

// follow sends what comes until the client goes, is too slow, or closing ends.
func (c *client) follow(ctx, closing context.Context, from *record) error {
	ping := time.NewTicker(c.timing.ping)
	defer ping.Stop()
	if err := c.write("retry: 2000\n\n"); err != nil {
		return err
	}
	for {
		n := from.since(c.sequence)
		if err := c.send(from.id, n); err != nil {
			return err
		}
		for quiet := true; quiet; {
			select {
			case <-n.changed:
				quiet = false
			case <-ping.C:
				if err := c.write(":\n\n"); err != nil {
					return err
				}
			case <-closing.Done():
				return nil
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// send sends entries of a record, and then how many are kept no more.
func (c *client) send(record string, n news) error {
	for _, e := range n.entries {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := c.write(fmt.Sprintf("id: %s-%d\ndata: %s\n\n", record, e.sequence, text)); err != nil {
			return err
		}
		c.sequence = e.sequence
	}
	return c.write(fmt.Sprintf("event: dropped\ndata: %d\n\n", n.dropped))
}

// write writes and flushes, within the time that a client has.
func (c *client) write(text string) error {
	control := http.NewResponseController(c.w)
	if err := control.SetWriteDeadline(time.Now().Add(c.timing.write)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.w, text); err != nil {
		return err
	}
	return control.Flush()
}
