package sink

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	cekafka "github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/xdg-go/scram"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

// kafkaConfig are the settings of a sink that is a topic of Kafka.
type kafkaConfig struct {
	Mechanism string `config:"mechanism"`
	Username  string `config:"username"`
	Password  string `config:"password"`
	security  `config:",squash"`
}

// kafkaTopic is what Kafka lets a topic be called.
var kafkaTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func newKafka(target *url.URL, r *reader) finding.Spec {
	c := kafkaConfig{Mechanism: sarama.SASLTypeSCRAMSHA512}
	r.decode(&c)
	topic := strings.Trim(target.Path, "/")
	if !kafkaTopic.MatchString(topic) || target.RawQuery != "" || target.Fragment != "" {
		r.add("url", "must end with the name of a topic: %s://HOST:PORT/TOPIC", target.Scheme)
	}
	config := kafkaDefaults()
	config.Net.TLS.Config = c.encryption(target, r)
	config.Net.TLS.Enable = config.Net.TLS.Config != nil
	c.login(target, r, config)
	s := kafkaSink{brokers: strings.Split(target.Host, ","), topic: topic, config: config}
	return finding.Spec{Batch: maxBatch, Open: func(ctx context.Context) (finding.Sink, error) {
		opened := s
		return &opened, opened.connect(ctx)
	}}
}

// kafkaDefaults are settings of the library. What is sent must be on all replicas
// that are in sync, once and in its order. To try again and to wait is the queue's;
// once is for connections that ended unnoticed and partitions with a new leader. It
// does so for each message, so that more would take longer than an attempt may.
func kafkaDefaults() *sarama.Config {
	onPanic()
	c := sarama.NewConfig()
	c.ClientID = client
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = timeout, timeout, timeout
	c.Net.MaxOpenRequests = 1 // Idempotent wants it
	c.Metadata.Full, c.Metadata.AllowAutoTopicCreation = false, false
	c.Metadata.Timeout, c.Metadata.Retry.Max = 2*timeout, 0
	c.Producer.RequiredAcks, c.Producer.Idempotent = sarama.WaitForAll, true
	c.Producer.Timeout = timeout - 500*time.Millisecond // the broker's, which is to say so
	c.Producer.Retry.Max, c.Producer.Retry.Backoff = 1, 10*time.Millisecond
	c.Producer.Transaction.Retry.Max = 1 // is Idempotent's too
	c.Producer.Return.Successes = true   // SyncProducer wants it
	return c
}

// timeout is that of a step, of which it takes up to three to find out that a broker
// does not answer.
const timeout = 3 * time.Second

// login says to the brokers who we are.
func (c kafkaConfig) login(target *url.URL, r *reader, config *sarama.Config) {
	hash, ok := map[string]scram.HashGeneratorFcn{
		sarama.SASLTypePlaintext: nil, sarama.SASLTypeSCRAMSHA256: scram.SHA256, sarama.SASLTypeSCRAMSHA512: scram.SHA512,
	}[c.Mechanism]
	if !ok {
		r.add("mechanism", "is %q, but must be %s, %s or %s", c.Mechanism, sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512)
	}
	switch {
	case c.Username == "" && c.Password == "":
		if r.object.Fields["mechanism"] != nil {
			r.add("username", "is missing; mechanism says how it is proven")
		}
		return
	case c.Username == "":
		r.add("username", "is missing; password is its password")
	case c.Password == "":
		r.add("password", "is missing")
	}
	c.protect(target, r, "password")
	sasl := &config.Net.SASL
	sasl.Enable, sasl.Mechanism = true, sarama.SASLMechanism(c.Mechanism)
	sasl.User, sasl.Password = r.name("username", c.Username), r.secret("password", c.Password)
	sasl.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: hash} }
}

// scramClient proves a password without saying it (RFC 5802).
type scramClient struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

// Begin implements sarama.SCRAMClient.
func (s *scramClient) Begin(username, password, authorization string) error {
	c, err := s.hash.NewClient(username, password, authorization)
	if err == nil {
		s.ClientConversation = c.NewConversation()
	}
	return err
}

// panicked holds what the library's goroutines ended by.
var panicked = make(chan string, 1)

// onPanic keeps a panic of the library from ending the webhook. What waits for the
// goroutine then waits until its time is over.
var onPanic = sync.OnceFunc(func() {
	sarama.PanicHandler = func(v any) {
		select {
		case panicked <- fmt.Sprint(v):
		default:
		}
	}
})

// kafkaSink is a topic of Kafka.
//
// The SDK writes the messages. Its Sender is of no use here: it sends one at a time,
// and says that what it could not send since it was closed was sent.
type kafkaSink struct {
	brokers []string
	topic   string
	config  *sarama.Config

	producer *producer // nil while there is no connection
}

// producer is a connection to brokers.
type producer struct {
	sarama.SyncProducer
	client sarama.Client
}

// produce connects. To ask for the topic finds brokers that live, and tells early
// that there is no such topic.
func (s *kafkaSink) produce() (*producer, error) {
	c, err := sarama.NewClient(s.brokers, s.config)
	if err != nil {
		return nil, err
	}
	p := &producer{client: c}
	if err = c.RefreshMetadata(s.topic); err == nil {
		p.SyncProducer, err = sarama.NewSyncProducerFromClient(c)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return p, nil
}

// close ends the connection. It may wait for a broker.
func (p *producer) close() {
	_ = p.Close() // there is nothing in it any more
	_ = p.client.Close()
}

func (s *kafkaSink) connect(ctx context.Context) (err error) {
	if s.producer, err = within(ctx, s.produce, (*producer).close); err != nil {
		return s.explain(err)
	}
	return nil
}

// Send implements finding.Sink.
func (s *kafkaSink) Send(ctx context.Context, events []cloudevents.Event) error {
	if s.producer == nil {
		if err := s.connect(ctx); err != nil {
			return fmt.Errorf("cannot connect: %w", err)
		}
	}
	messages := make([]*sarama.ProducerMessage, len(events))
	for i := range events {
		var err error
		if messages[i], err = kafkaMessage(ctx, s.topic, &events[i]); err != nil {
			return finding.Permanent(err)
		}
	}
	producer, done := s.producer, make(chan struct{})
	_, err := within(ctx, func() (any, error) {
		defer close(done)
		return nil, producer.SendMessages(messages)
	}, nil)
	if err == nil {
		return nil
	}
	// It may be in a state from which it does not recover, such as a gap in its
	// numbers; the next attempt begins anew. It must not be closed before it is done.
	s.producer = nil
	go func() {
		<-done
		producer.close()
	}()
	return s.explain(err)
}

// kafkaMessage writes an event in the binary mode. What is about the same workload is
// in the same partition, and so in its order.
func kafkaMessage(ctx context.Context, topic string, e *cloudevents.Event) (*sarama.ProducerMessage, error) {
	m := &sarama.ProducerMessage{Topic: topic}
	ctx = cekafka.WithSkipKeyMapping(binding.WithForceBinary(ctx))
	if err := cekafka.WriteProducerMessage(ctx, (*binding.EventMessage)(e), m); err != nil {
		return nil, err
	}
	if e.Subject() != "" {
		m.Key = sarama.StringEncoder(e.Subject())
	}
	return m, nil
}

// explain says of an error what it means, and whether there is use in trying again:
// there is if there is for any message.
func (s *kafkaSink) explain(err error) error {
	var failed sarama.ProducerErrors
	if errors.As(err, &failed) && len(failed) > 0 {
		err = failed[0].Err
		if i := slices.IndexFunc(failed, func(f *sarama.ProducerError) bool { return !atFault(f.Err) }); i >= 0 {
			err = failed[i].Err
		}
	}
	select {
	case p := <-panicked:
		err = fmt.Errorf("%w (panic: %s)", err, p)
	default:
	}
	switch {
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return fmt.Errorf("there is no topic %q, or this user must not know of it; create it, for instance with: kafka-topics.sh --create --topic %s", s.topic, s.topic)
	case atFault(err):
		return finding.Permanent(err)
	}
	return err
}

// atFault tells whether an error is about the message.
func atFault(err error) bool {
	var local sarama.ConfigurationError // is too large for Producer.MaxMessageBytes
	return errors.As(err, &local) || errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrMessageSetSizeTooLarge) ||
		errors.Is(err, sarama.ErrInvalidRecord)
}

// Close implements finding.Sink.
func (s *kafkaSink) Close() {
	if s.producer != nil {
		go s.producer.close()
	}
}
