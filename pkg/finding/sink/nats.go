package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	cenats "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

// natsConfig are the settings of a sink that is a stream of NATS.
type natsConfig struct {
	Subject     string `config:"subject"`
	Username    string `config:"username"`
	Password    string `config:"password"`
	Token       string `config:"token"`
	Credentials string `config:"credentials"`
	NKey        string `config:"nkey"`
	security    `config:",squash"`
}

// natsSubject is one that can be published to: there is nothing in it that stands
// for others.
var natsSubject = regexp.MustCompile(`^[^\s.*>$][^\s.*>]*(\.[^\s.*>]+)*$`)

func newNATS(target *url.URL, r *reader) finding.Spec {
	c := natsConfig{Subject: "connaisseur.findings"}
	r.decode(&c)
	if !natsSubject.MatchString(c.Subject) {
		r.add("subject", "is %q, but must be words with dots between them, such as connaisseur.findings", c.Subject)
	}
	if strings.Trim(target.Path, "/") != "" || target.RawQuery != "" || target.Fragment != "" {
		r.add("url", "must end with the server's port; what is sent goes to subject")
	}
	var servers []string
	for server := range strings.SplitSeq(target.Host, ",") {
		servers = append(servers, target.Scheme+"://"+server)
	}
	s := natsSink{servers: servers, subject: c.Subject, options: c.identify(target, r)}
	if config := c.encryption(target, r); config != nil {
		s.options = append(s.options, nats.Secure(config))
	}
	return finding.Spec{Open: func(ctx context.Context) (finding.Sink, error) {
		opened := s
		opened.complaint = &complaint{}
		return &opened, opened.connect(ctx)
	}}
}

// identify says to the server who we are, in one of the ways that there are.
func (c natsConfig) identify(target *url.URL, r *reader) (options []nats.Option) {
	used := ""
	for _, way := range []struct {
		key, value string
		option     func() nats.Option
	}{
		{"username", c.Username, func() nats.Option { return c.login(r) }},
		{"token", c.Token, func() nats.Option { return nats.Token(r.secret("token", c.Token)) }},
		{"credentials", c.Credentials, func() nats.Option { return credentials(r, r.secret("credentials", c.Credentials)) }},
		{"nkey", c.NKey, func() nats.Option { return nkey(r, r.secret("nkey", c.NKey)) }},
	} {
		switch {
		case way.value == "":
		case used != "":
			r.add(way.key, "cannot be used besides %s; remove one of them", used)
		default:
			used = way.key
			c.protect(target, r, way.key)
			options = append(options, way.option())
		}
	}
	if c.Password != "" && c.Username == "" {
		r.add("username", "is missing; password is its password")
	}
	return options
}

func (c natsConfig) login(r *reader) nats.Option {
	if c.Password == "" {
		r.add("password", "is missing")
	}
	return nats.UserInfo(r.name("username", c.Username), r.secret("password", c.Password))
}

// credentials are the content of a .creds file: what an operator signed, and a seed.
func credentials(r *reader, text string) nats.Option {
	_, err := nkeys.ParseDecoratedJWT([]byte(text))
	if err == nil {
		_, err = nkeys.ParseDecoratedUserNKey([]byte(text))
	}
	if err != nil && text != "" {
		r.add("credentials", "is not the content of a .creds file, as nsc writes it") // do not repeat it
	}
	return nats.UserCredentialBytes([]byte(text))
}

// nkey is made of the seed of a user's.
func nkey(r *reader, seed string) nats.Option {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		if seed != "" {
			r.add("nkey", "is not the seed of a user's nkey, which begins with SU") // do not repeat it
		}
		return nats.Name(client)
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		r.add("nkey", "is not the seed of a user's nkey, which begins with SU")
	}
	return nats.Nkey(public, pair.Sign)
}

// natsSink is a stream of JetStream.
//
// The SDK writes the messages. Its Sender is of no use here: it makes streams, waits
// for an answer beyond the end of its context, and sets no Nats-Msg-Id.
type natsSink struct {
	servers   []string
	subject   string
	options   []nats.Option
	complaint *complaint

	conn   *nats.Conn
	stream jetstream.JetStream
}

// connect connects to one of the servers. When the connection ends, it is Send that
// connects anew: then that is when somebody waits for it, and knows how it ended.
func (s *natsSink) connect(ctx context.Context) error {
	options := append([]nats.Option{
		nats.Name(client),
		nats.NoReconnect(),
		nats.NoCallbacksAfterClientClose(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.complaint.make(err) }),
		nats.Timeout(share(ctx, len(s.servers))),
	}, s.options...)
	conn, err := within(ctx, func() (*nats.Conn, error) { return nats.Connect(strings.Join(s.servers, ","), options...) }, (*nats.Conn).Close)
	if err != nil {
		return err
	}
	stream, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return err
	}
	s.conn, s.stream = conn, stream
	return nil
}

// share is the time that each of so many servers has, if all of them are tried.
func share(ctx context.Context, servers int) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Until(end)/time.Duration(servers), time.Millisecond)
	}
	return nats.DefaultTimeout
}

// Send implements finding.Sink.
func (s *natsSink) Send(ctx context.Context, events []cloudevents.Event) error {
	if s.conn == nil || s.conn.IsClosed() {
		if err := s.connect(ctx); err != nil {
			return fmt.Errorf("cannot connect: %w", err)
		}
	}
	for i := range events {
		message, err := natsMessage(ctx, s.subject, &events[i])
		if err != nil {
			return finding.Permanent(err)
		}
		if err := s.publish(ctx, message); err != nil {
			return err
		}
	}
	return nil
}

// natsMessage writes an event in the binary mode. Streams do not take a message again
// whose Nats-Msg-Id they know; it is the source and the id, since it takes both to say
// that an event is the same: the same may be wrong in two clusters.
func natsMessage(ctx context.Context, subject string, e *cloudevents.Event) (*nats.Msg, error) {
	var data bytes.Buffer
	header, err := cenats.WriteMsg(binding.WithForceBinary(ctx), (*binding.EventMessage)(e), &data)
	if err != nil {
		return nil, err
	}
	header.Set("content-type", e.DataContentType()) // the SDK reads it, but does not write it
	header.Set(nats.MsgIdHdr, e.Source()+" "+e.ID())
	return &nats.Msg{Subject: subject, Header: header, Data: data.Bytes()}, nil
}

// publish waits until the stream has the message.
func (s *natsSink) publish(ctx context.Context, message *nats.Msg) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer s.complaint.to(cancel)()
	_, err := s.stream.PublishMsg(ctx, message)
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no stream takes the subject %q; create one, for instance with: nats stream add --subjects %s", s.subject, s.subject)
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &refused) && refused.ErrorCode == messageTooLarge:
		return finding.Permanent(err)
	}
	return err
}

// messageTooLarge is what a stream says whose messages must not be so large.
const messageTooLarge jetstream.ErrorCode = 10054

// Close implements finding.Sink.
func (s *natsSink) Close() {
	if s.conn != nil {
		s.conn.Close()
	}
}

// complaint ends what waits for an answer that will not come: a server that refuses
// says so, but not as an answer.
type complaint struct {
	mu     sync.Mutex
	cancel context.CancelCauseFunc
}

// to has complaints end something, until that is over.
func (c *complaint) to(cancel context.CancelCauseFunc) (over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	return func() { c.to(nil) }
}

func (c *complaint) make(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel(err)
	}
}
