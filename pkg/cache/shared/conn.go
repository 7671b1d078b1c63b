package shared

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// patience is how long an answer may take that somebody waits for.
	patience = 250 * time.Millisecond
	// maxWaiting bounds the commands that wait to be written, and those that wait
	// for an answer.
	maxWaiting = 1024
)

var (
	errSlow   = errors.New("it does not answer in time")
	errClosed = errors.New("the connection was closed")
)

// call is a command and what its answer is given to, which must not wait.
type call struct {
	args    []string
	settled func(answer)
}

// conn is a connection that all requests share: a command is written without
// waiting for the answers to those before.
type conn struct {
	net  net.Conn
	out  chan call
	owed chan call     // written and not answered
	gone chan struct{} // closed when the connection is of no more use
	once sync.Once
	why  error // of gone
	done sync.WaitGroup
}

func newConn(n net.Conn) *conn {
	c := &conn{net: n, out: make(chan call, maxWaiting), owed: make(chan call, maxWaiting), gone: make(chan struct{})}
	c.done.Go(c.write)
	c.done.Go(c.read)
	return c
}

// fail gives the connection up.
func (c *conn) fail(why error) {
	c.once.Do(func() {
		c.why = why
		close(c.gone)
		_ = c.net.Close() // ends those who read and write
	})
}

// failed tells whether the connection was given up.
func (c *conn) failed() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// close gives the connection up, and waits until nothing uses it any more.
func (c *conn) close() {
	c.fail(errClosed)
	c.done.Wait()
}

func (c *conn) write() {
	w := bufio.NewWriter(c.net)
	for {
		var next call
		select {
		case next = <-c.out:
		case <-c.gone:
			return
		}
		select {
		case c.owed <- next: // before it is written, since the answer may come at once
		case <-c.gone:
			return
		}
		err := command(w, next.args)
		if err == nil && len(c.out) == 0 {
			err = w.Flush()
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *conn) read() {
	r := bufio.NewReader(c.net)
	for {
		a, err := readAnswer(r)
		if err != nil {
			c.fail(err)
			return
		}
		select {
		case first := <-c.owed:
			first.settled(a)
		default:
			c.fail(errProtocol) // nobody has asked
			return
		}
	}
}

// try has a command sent if there is room for it, and tells whether there is.
func (c *conn) try(settled func(answer), args ...string) bool {
	select {
	case c.out <- call{args, settled}:
		return true
	default:
		return false
	}
}

// ask waits for the answer to a command. If it does not come in time, the
// connection is given up: all others would wait as long.
func (c *conn) ask(ctx context.Context, limit time.Duration, args ...string) (answer, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	got := make(chan answer, 1)
	select {
	case c.out <- call{args, func(a answer) { got <- a }}:
	case <-c.gone:
		return answer{}, c.why
	case <-timer.C:
		c.fail(errSlow)
		return answer{}, errSlow
	}
	select {
	case a := <-got:
		return a, nil
	case <-c.gone:
		select {
		case a := <-got: // which tells more
			return a, nil
		default:
			return answer{}, c.why
		}
	case <-timer.C:
		c.fail(errSlow)
		return answer{}, errSlow
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}
