package shared

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// setupTimeout bounds the making of a connection, which no request waits for.
	setupTimeout = 5 * time.Second
	// firstWait and maxWait are how long Redis is left alone after a failure, longer
	// each time. After a connection that lasted for settled, it begins anew.
	firstWait = 500 * time.Millisecond
	maxWait   = 15 * time.Second
	settled   = 30 * time.Second
	// probeInterval is how often a connection is tried, so that mostly no request is
	// the first to notice, and nothing on the way takes it for forgotten.
	probeInterval = 5 * time.Second
	// sayInterval is how often the same kind of thing is logged at most.
	sayInterval = time.Minute
)

// link keeps a connection to Redis, in the background.
type link struct {
	settings Settings
	logger   *zap.Logger
	live     atomic.Pointer[conn] // nil while there is none that works
	stop     context.CancelFunc
	done     sync.WaitGroup
	// said is why Redis cannot be used, as far as it was said; begun before anything was.
	said    string
	outages occasionally
}

const begun = "nothing was said yet"

func newLink(settings Settings, logger *zap.Logger) *link {
	ctx, stop := context.WithCancel(context.Background())
	l := &link{settings: settings, logger: logger.With(zap.String("redis", settings.address)), stop: stop, said: begun}
	l.done.Go(func() { l.keep(ctx) })
	return l
}

func (l *link) close() {
	l.stop()
	l.done.Wait()
}

// keep makes a connection whenever there is none.
func (l *link) keep(ctx context.Context) {
	wait := firstWait
	for {
		began := time.Now()
		c, err := l.connect(ctx)
		if err == nil {
			l.up()
			l.live.Store(c)
			err = watch(ctx, c)
			l.live.Store(nil)
			c.close()
		}
		if ctx.Err() != nil {
			return
		}
		l.down(err)
		if time.Since(began) > settled {
			wait = firstWait
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // it need not be unpredictable
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, maxWait)
	}
}

// up says that Redis can be used, unless nobody was told that it cannot.
func (l *link) up() {
	if l.said != "" {
		l.logger.Info("The shared cache is in use")
	}
	l.said = ""
}

// down says why it cannot, once for each reason, and not too often where it comes and
// goes.
func (l *link) down(err error) {
	if why := reason(err); why != l.said && l.outages.now() {
		l.said = why
		l.logger.Warn("The shared cache is out of reach; this replica verifies by itself meanwhile", zap.String("reason", why))
	}
}

// watch waits until a connection is of no more use, and says why.
func watch(ctx context.Context, c *conn) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.gone:
			return c.why
		case <-time.After(probeInterval):
		}
		if err := probe(ctx, c); err != nil {
			return err
		}
	}
}

// connect makes a connection. One whose answers take too long is none: what is asked
// of it would, too.
func (l *link) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	s := l.settings
	n, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	if s.tls != nil {
		secured := tls.Client(n, s.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = n.Close()
			return nil, err
		}
		n = secured
	}
	c := newConn(n)
	if err := l.greet(ctx, c); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (l *link) greet(ctx context.Context, c *conn) error {
	s := l.settings
	var login []string
	if s.password != "" {
		login = []string{"AUTH", s.password}
		if s.username != "" {
			login = []string{"AUTH", s.username, s.password}
		}
	}
	if login != nil {
		if err := ask(ctx, c, setupTimeout, login...); err != nil {
			return err
		}
	}
	if s.database != 0 {
		if err := ask(ctx, c, setupTimeout, "SELECT", strconv.Itoa(s.database)); err != nil {
			return err
		}
	}
	return probe(ctx, c)
}

// probe asks as a request would, so that it is answered in time and may be asked.
func probe(ctx context.Context, c *conn) error {
	return ask(ctx, c, patience, "GETRANGE", Prefix+"probe", "0", "0")
}

// ask asks for something whose answer says only whether it worked.
func ask(ctx context.Context, c *conn, limit time.Duration, args ...string) error {
	a, err := c.ask(ctx, limit, args...)
	if err != nil {
		return err
	}
	return a.failed()
}

// reason is an error without addresses and ports, which differ each time, and not
// longer than is read: a certificate's names are in it, of which there can be many.
func reason(err error) string {
	const most = 300
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		text = op.Op + ": " + op.Err.Error()
	}
	return text[:min(len(text), most)]
}

// occasionally tells when something may be said again.
type occasionally struct {
	mu   sync.Mutex
	last time.Time
}

func (o *occasionally) now() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.last.IsZero() && time.Since(o.last) < sayInterval {
		return false
	}
	o.last = time.Now()
	return true
}
