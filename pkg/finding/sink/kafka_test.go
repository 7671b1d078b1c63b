package sink_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	cekafka "github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

const topic = "findings"

// kafka starts brokers, which speak Kafka's protocol, and gives their addresses.
func kafka(t *testing.T, options ...kfake.Opt) (*kfake.Cluster, string) {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(4, topic)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, strings.Join(cluster.ListenAddrs(), ",")
}

// received reads so many messages of a topic, by partition.
func received(t *testing.T, brokers string, n int) map[int32][]*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumer(strings.Split(brokers, ","), sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = consumer.Close() })
	partitions, err := consumer.Partitions(topic)
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan *sarama.ConsumerMessage)
	for _, partition := range partitions {
		one, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for m := range one.Messages() {
				select {
				case all <- m:
				case <-t.Context().Done():
					return
				}
			}
		}()
	}
	found := map[int32][]*sarama.ConsumerMessage{}
	for range n {
		select {
		case m := <-all:
			found[m.Partition] = append(found[m.Partition], m)
		case <-soon(t).Done():
			t.Fatalf("of %d messages there are only these: %v", n, found)
		}
	}
	return found
}

// events reads messages as a consumer with the SDK does, sorted by ID.
func events(t *testing.T, partitions map[int32][]*sarama.ConsumerMessage) []string {
	t.Helper()
	var all []string
	for _, messages := range partitions {
		for _, m := range messages {
			read := cekafka.NewMessageFromConsumerMessage(m)
			if read.ReadEncoding() != binding.EncodingBinary {
				t.Errorf("the mode is %v", read.ReadEncoding())
			}
			e, err := binding.ToEvent(t.Context(), read)
			if err != nil {
				t.Fatal(err)
			}
			for _, added := range []string{"kafkatopic", "kafkapartition", "kafkaoffset"} {
				e.SetExtension(added, nil) // tell where it was read
			}
			all = append(all, e.String())
		}
	}
	slices.Sort(all)
	return all
}

func texts(all ...cloudevents.Event) []string {
	var found []string
	for _, e := range all {
		found = append(found, e.String())
	}
	slices.Sort(found)
	return found
}

func TestKafkaGetsABatchInOrderForEachSubject(t *testing.T) {
	t.Parallel()
	_, brokers := kafka(t, kfake.NumBrokers(3))
	spec := parse(t, settings{"url": "kafka://" + brokers + "/" + topic}, nil)
	if spec.Batch < 2 {
		t.Errorf("a batch has %d events", spec.Batch)
	}
	s := open(t, settings{"url": "kafka://" + brokers + "/" + topic}, nil)
	var sent []cloudevents.Event
	for i := range spec.Batch {
		sent = append(sent, event(t, fmt.Sprintf("id-%03d", i), fmt.Sprintf("/apis/apps/v1/namespaces/prod/deployments/web-%d", i%5)))
	}
	send(t, s, sent...)
	partitions := received(t, brokers, len(sent))
	if diff := gocmp.Diff(texts(sent...), events(t, partitions)); diff != "" {
		t.Error(diff)
	}
	where := map[string]int32{}
	for partition, messages := range partitions {
		last := map[string]string{}
		for _, m := range messages {
			e, err := binding.ToEvent(t.Context(), cekafka.NewMessageFromConsumerMessage(m))
			if err != nil {
				t.Fatal(err)
			}
			if before, ok := where[e.Subject()]; ok && before != partition {
				t.Errorf("%s is in two partitions", e.Subject())
			}
			where[e.Subject()] = partition
			if string(m.Key) != e.Subject() {
				t.Errorf("the key of %s is %q", e.Subject(), m.Key)
			}
			if e.ID() < last[e.Subject()] {
				t.Errorf("%s comes after %s", e.ID(), last[e.Subject()])
			}
			last[e.Subject()] = e.ID()
		}
	}
	if len(where) != 5 {
		t.Errorf("%d subjects came", len(where))
	}
}

func TestKafkaSaysWhoSends(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	certificate, key := ca.issue(t, "client")
	o := objects{
		"k8s://connaisseur/kafka/user": "webhook\n", "k8s://connaisseur/kafka/password": "p&ss-w:rd\n", "k8s://connaisseur/kafka/wrong": "wr0ng",
		"configmap://kafka-ca/ca.crt": ca.PEM, "k8s://connaisseur/kafka/tls.crt": certificate, "k8s://connaisseur/kafka/tls.key": key,
	}
	for _, mechanism := range []string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		for _, encrypted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s,%t", mechanism, encrypted), func(t *testing.T) {
				t.Parallel()
				options := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(cmp.Or(mechanism, "SCRAM-SHA-512"), "webhook", "p&ss-w:rd")}
				s := settings{"username": "k8s://connaisseur/kafka/user", "password": "k8s://connaisseur/kafka/password"}
				if mechanism != "" {
					s["mechanism"] = mechanism
				}
				scheme := "kafka"
				if encrypted {
					scheme, options = "kafka+tls", append(options, kfake.TLS(ca.server(t)))
					s["cert"], s["clientCert"], s["clientKey"] = "configmap://kafka-ca/ca.crt", "k8s://connaisseur/kafka/tls.crt", "k8s://connaisseur/kafka/tls.key"
				} else {
					s["insecure"] = true
				}
				cluster, brokers := kafka(t, options...)
				s["url"] = scheme + "://" + brokers + "/" + topic
				send(t, open(t, s, o), event(t, "id", "web"))
				if got := written(cluster); got != 1 {
					t.Errorf("there are %d messages", got)
				}

				s["password"] = "k8s://connaisseur/kafka/wrong"
				_, err := parse(t, s, o).Open(soon(t))
				says(t, err, false, "EOF") // kfake says no more
				if strings.Contains(err.Error(), "wr0ng") {
					t.Error("the error has the password in it:", err)
				}
			})
		}
	}
}

func TestKafkaRefusesThePassword(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafka(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "webhook", "right"))
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response, _ := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		response.ErrorCode, response.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr("Invalid username or password")
		return response, nil, true
	})
	s := settings{"url": "kafka://" + brokers + "/" + topic, "username": "webhook", "password": "k8s://connaisseur/kafka/password", "mechanism": "PLAIN", "insecure": true}
	_, err := parse(t, s, objects{"k8s://connaisseur/kafka/password": "wr0ng"}).Open(soon(t))
	says(t, err, false, "Invalid username or password")
	if strings.Contains(err.Error(), "wr0ng") {
		t.Error("the error has the password in it:", err)
	}
}

// written is how many messages a topic has.
func written(cluster *kfake.Cluster) (n int64) {
	for _, p := range cluster.PartitionInfos(topic) {
		n += p.HighWatermark
	}
	return n
}

func TestKafkaAndStrangersCertificates(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	_, brokers := kafka(t, kfake.TLS(ca.server(t)))
	certificate, key := other.issue(t, "client")
	o := objects{"k8s://connaisseur/kafka/ca.crt": ca.PEM, "k8s://connaisseur/kafka/other": other.PEM, "k8s://connaisseur/kafka/tls.crt": certificate, "k8s://connaisseur/kafka/tls.key": key}
	url := "kafka+tls://" + brokers + "/" + topic
	_, err := parse(t, settings{"url": url, "cert": "k8s://connaisseur/kafka/other"}, o).Open(soon(t))
	says(t, err, false, "certificate signed by unknown authority")
	_, err = parse(t, settings{"url": url, "cert": "k8s://connaisseur/kafka/ca.crt"}, o).Open(soon(t))
	says(t, err, false, "") // what the broker says may come after the connection broke
	_, err = parse(t, settings{"url": url, "cert": "k8s://connaisseur/kafka/ca.crt", "clientCert": "k8s://connaisseur/kafka/tls.crt", "clientKey": "k8s://connaisseur/kafka/tls.key"}, o).Open(soon(t))
	says(t, err, false, "")
}

func TestKafkaWithoutTheTopic(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafka(t)
	later := settings{"url": "kafka://" + brokers + "/later"}
	_, err := parse(t, later, nil).Open(soon(t))
	says(t, err, false, `there is no topic "later"`)
	if cluster.TopicInfo("later") != nil {
		t.Error("it was made")
	}
	if err := cluster.CreateTopic("later", 1, nil); err != nil {
		t.Fatal(err)
	}
	s := open(t, later, nil)
	send(t, s, event(t, "id", "web"))
	if err := cluster.DeleteTopic("later"); err != nil {
		t.Fatal(err)
	}
	var many []cloudevents.Event
	for i := range 100 {
		many = append(many, event(t, strconv.Itoa(i), ""))
	}
	says(t, s.Send(soon(t), many), false, `there is no topic "later"`)
	if err := cluster.CreateTopic("later", 1, nil); err != nil {
		t.Fatal(err)
	}
	send(t, s, many...)
	if got := cluster.PartitionInfo("later", 0).HighWatermark; got != 100 {
		t.Errorf("there are %d messages", got)
	}
}

func TestKafkaIsDead(t *testing.T) {
	t.Parallel()
	_, err := parse(t, settings{"url": "kafka://" + dead(t) + "/" + topic}, nil).Open(soon(t))
	says(t, err, false, "connection refused")
	endsWithItsContext(t, settings{"url": "kafka://" + mute(t) + "/" + topic}, nil)
	endsWithItsContext(t, settings{"url": "kafka+tls://" + mute(t) + "," + mute(t) + "/" + topic}, nil)
}

// Attempts end by themselves, even if nothing ended their contexts.
func TestKafkaGivesUpBeforeTheAttemptEnds(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	_, err := parse(t, settings{"url": "kafka://" + mute(t) + "/" + topic}, nil).Open(t.Context())
	says(t, err, false, "timeout")
	if took := time.Since(begin); took > attempt {
		t.Errorf("it took %v", took)
	}
}

func TestOneBrokerOfThreeIsEnough(t *testing.T) {
	t.Parallel()
	cluster, broker := kafka(t)
	s := open(t, settings{"url": "kafka://" + dead(t) + "," + broker + "," + dead(t) + "/" + topic}, nil)
	send(t, s, event(t, "id", "web"))
	if got := written(cluster); got != 1 {
		t.Errorf("there are %d messages", got)
	}
}

func TestKafkaComesBack(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafka(t)
	s := open(t, settings{"url": "kafka://" + brokers + "/" + topic}, nil)
	send(t, s, event(t, "before", "web"))
	cluster.Close()
	begin := time.Now()
	says(t, s.Send(soon(t), []cloudevents.Event{event(t, "after", "web")}), false, "")
	if took := time.Since(begin); took > attempt/2 {
		t.Errorf("it took %v", took)
	}
	_, port, err := net.SplitHostPort(brokers)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := kafka(t, kfake.Ports(number))
	send(t, s, event(t, "after", "web"))
	if got := written(again); got != 1 {
		t.Errorf("there are %d messages", got)
	}
}

// A connection that is closed while nothing is sent, as brokers do after ten minutes.
func TestKafkaBreaksIdleConnections(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafka(t)
	s := open(t, settings{"url": "kafka://" + brokers + "/" + topic}, nil)
	send(t, s, event(t, "before", "web"))
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("the broker closes the connection"), true
	})
	send(t, s, event(t, "after", "web"))
	if diff := gocmp.Diff(texts(event(t, "after", "web"), event(t, "before", "web")), events(t, received(t, brokers, 2))); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaHangs(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafka(t)
	s := open(t, settings{"url": "kafka://" + brokers + "/" + topic}, nil)
	hangs, wake := make(chan struct{}), make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.SleepControl(func() {
			close(hangs)
			<-wake
		})
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hangs
		cancel()
	}()
	if err := s.Send(ctx, []cloudevents.Event{event(t, "id", "web")}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	begin := time.Now()
	s.Close()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("closing took %v", took)
	}
	close(wake)
}

func TestKafkaDoesNotTakeWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafka(t)
	if err := cluster.CreateTopic("small", 1, map[string]string{"max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	for topic, size := range map[string]int{topic: 2 << 20, "small": 3000} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			s := open(t, settings{"url": "kafka://" + brokers + "/" + topic}, nil)
			large := event(t, "large", "web")
			if err := large.SetData("text/plain", bytes.Repeat([]byte("x"), size)); err != nil {
				t.Fatal(err)
			}
			err := s.Send(soon(t), []cloudevents.Event{large})
			if !finding.IsPermanent(err) {
				t.Error(err)
			}
			send(t, s, event(t, "small", "web"))
		})
	}
}

// What cannot be sent at all does not keep others of its batch from being sent, nor
// from being sent again.
func TestKafkaTakesTheRestOfABatch(t *testing.T) {
	t.Parallel()
	cluster, brokers := kafka(t)
	s := open(t, settings{"url": "kafka://" + brokers + "/" + topic}, nil)
	large := event(t, "large", "web")
	if err := large.SetData("text/plain", bytes.Repeat([]byte("x"), 2<<20)); err != nil {
		t.Fatal(err)
	}
	batch := []cloudevents.Event{event(t, "first", "web"), large, event(t, "last", "web")}
	if err := s.Send(soon(t), batch); !finding.IsPermanent(err) {
		t.Error(err)
	}
	if diff := gocmp.Diff(texts(batch[0], batch[2]), events(t, received(t, brokers, 2))); diff != "" {
		t.Error(diff)
	}
	cluster.Close()
	says(t, s.Send(soon(t), batch), false, "")
}

// Not at the same time as others, whose errors might be the next to tell.
func TestKafkaTellsOfThePanicsOfItsLibrary(t *testing.T) {
	spec := parse(t, settings{"url": "kafka://" + dead(t) + "/" + topic}, nil)
	sarama.PanicHandler("index out of range")
	_, err := spec.Open(soon(t))
	says(t, err, false, "panic: index out of range")
	_, err = spec.Open(soon(t))
	if strings.Contains(err.Error(), "panic") {
		t.Error("it is told twice:", err)
	}
}

// Not at the same time as others, whose goroutines would be counted.
func TestKafkaLeavesNothingBehind(t *testing.T) {
	cluster, brokers := kafka(t)
	spec := parse(t, settings{"url": "kafka://" + brokers + "/" + topic}, nil)
	before := 0
	for i := range 30 {
		s, err := spec.Open(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, event(t, "id", "web"))
		if err := cluster.DeleteTopic(topic); err != nil {
			t.Fatal(err)
		}
		says(t, s.Send(soon(t), []cloudevents.Event{event(t, "id", "web")}), false, "there is no topic")
		if err := cluster.CreateTopic(topic, 1, nil); err != nil {
			t.Fatal(err)
		}
		send(t, s, event(t, "id", "web"))
		s.Close()
		if i == 0 {
			before = runtime.NumGoroutine()
		}
	}
	for ctx := soon(t); runtime.NumGoroutine() > before; {
		select {
		case <-ctx.Done():
			var stacks strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Fatalf("there were %d goroutines, and there are %d:\n%s", before, runtime.NumGoroutine(), &stacks)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
