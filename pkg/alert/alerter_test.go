package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// people receive alerts, and remember their messages.
type people struct {
	*httptest.Server
	mu       sync.Mutex
	messages []string
	requests []*http.Request
	answer   func(http.ResponseWriter, *http.Request) // nil takes all
}

func newPeople(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *people {
	t.Helper()
	p := &people{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		var said struct {
			Message string `json:"msg"`
		}
		if err := json.Unmarshal(text, &said); err != nil {
			said.Message = err.Error()
		}
		p.mu.Lock()
		p.messages, p.requests = append(p.messages, said.Message), append(p.requests, r)
		p.mu.Unlock()
		if p.answer != nil {
			p.answer(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *people) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// status answers with these, one after the other, and with 200 from then on.
func status(codes ...int) func(http.ResponseWriter, *http.Request) {
	var mu sync.Mutex
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(codes) > 0 {
			w.WriteHeader(codes[0])
			codes = codes[1:]
		}
	}
}

// short is a template that says what an alert is about.
var short = objects{"configmap://own/short": `{"msg": "{{ namespace }}/{{ name }} {{ decision }}"}`, "configmap://own/long": `{"msg": "{{ alert_message }}"}`}

func (p *people) receiver(t *testing.T, more map[string]any) Receiver {
	t.Helper()
	fields := map[string]any{"template": "configmap://own/short", "receiverUrl": p.URL + "/?token=SECRET", "customHeaders": []any{"X-Key: SECRET"}}
	for key, value := range more {
		fields[key] = value
	}
	return receiver(t, fields, short)
}

// decided is an admission of a Pod.
func decided(name string, outcome verify.Outcome, allowed bool) *finding.Admission {
	a := finding.NewAdmission("/validate", &admissionv1.AdmissionRequest{
		UID: types.UID(name), Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Namespace: "prod", Name: name, Operation: admissionv1.Create,
	}, nil)
	a.Outcome, a.Allowed, a.Time, a.Type = outcome.String(), allowed, time.Now(), finding.Denied
	return a
}

func denied(name string) *finding.Admission { return decided(name, verify.Denied, false) }

func admitted(name string) *finding.Admission { return decided(name, verify.Trusted, true) }

func detectedIn(name string) *finding.Admission {
	a := admitted(name)
	a.Outcome = detected
	return a
}

// alerting makes an Alerter with receivers, and gives its log.
func alerting(t *testing.T, o Options, s Settings) (*Alerter, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	o.Logger = zap.New(core)
	a := New(o)
	a.Apply(s)
	t.Cleanup(func() {
		a.Close(t.Context())
		for _, entry := range logs.All() {
			if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, "SECRET") {
				t.Errorf("a secret is logged: %s", text)
			}
		}
	})
	return a, logs
}

// drain has what waits delivered.
func drain(a *Alerter) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a.Close(ctx)
}

func wantTold(t *testing.T, p *people, want ...string) {
	t.Helper()
	got := p.told()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("told: %q, not %q", got, want)
	}
}

func TestWhoIsTold(t *testing.T) {
	t.Parallel()
	for _, required := range []bool{false, true} {
		admits, rejects := newPeople(t, nil), newPeople(t, nil)
		more := map[string]any{"failIfAlertSendingFails": required}
		a, _ := alerting(t, Options{}, Settings{Admit: []Receiver{admits.receiver(t, more)}, Reject: []Receiver{rejects.receiver(t, more)}})
		unchanged := decided("unchanged", verify.Inconclusive, true)
		for _, one := range []*finding.Admission{admitted("good"), denied("bad"), detectedIn("tolerated"), unchanged, decided("unclear", verify.Inconclusive, false), admitted("good"), denied("bad")} {
			if err := a.Send(t.Context(), one); err != nil {
				t.Error(err)
			}
		}
		drain(a)
		wantTold(t, admits, "prod/good allowed", "prod/unchanged allowed")
		wantTold(t, rejects, "prod/bad denied", "prod/tolerated allowed", "prod/unclear denied")
		for _, r := range rejects.requests {
			if r.Method != http.MethodPost || r.Header.Get("X-Key") != "SECRET" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %v", r.Method, r.Header)
			}
		}
	}
}

func TestNobodyIsTold(t *testing.T) {
	t.Parallel()
	var none *Alerter
	none.Apply(Settings{})
	none.Close(t.Context())
	empty, _ := alerting(t, Options{}, Settings{})
	for _, a := range []*Alerter{none, empty} {
		if err := a.Send(t.Context(), admitted("good")); err != nil {
			t.Error(err)
		}
	}
}

// What receivers do that do not take an alert, and what is said of it.
func misbehaving(t *testing.T) map[string]struct {
	answer func(http.ResponseWriter, *http.Request)
	said   string
} {
	elsewhere := newPeople(t, nil)
	t.Cleanup(func() {
		if told := elsewhere.told(); len(told) > 0 {
			t.Errorf("a redirect was followed: %q", told)
		}
	})
	return map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		said   string
	}{
		"fails":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "it answers 500 Internal Server Error"},
		"refuses": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusBadRequest) }, "it answers 400 Bad Request"},
		"hangs":   {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "context deadline exceeded"},
		"throttles": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "it answers 429 Too Many Requests"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "redirects and is not followed"},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"sends garbage": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "\x00\xff not HTTP\r\n\r\n")
				_ = conn.Close()
			}
		}, "malformed HTTP"},
	}
}

func TestWhoMustBeToldAndIsNot(t *testing.T) {
	t.Parallel()
	for name, row := range misbehaving(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, good, after := newPeople(t, row.answer), newPeople(t, nil), newPeople(t, nil)
			must := map[string]any{"failIfAlertSendingFails": true}
			dead := bad.receiver(t, must)
			dead.Name = "dead"
			a, logs := alerting(t, Options{}, Settings{Admit: []Receiver{dead, good.receiver(t, must), after.receiver(t, nil)}, Reject: []Receiver{dead}})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := a.Send(ctx, admitted("good"))
			if err == nil || ctx.Err() != nil || !strings.HasPrefix(err.Error(), "receiver dead: ") || !strings.Contains(err.Error(), row.said) {
				t.Errorf("%v (%v)", err, ctx.Err())
			}
			if strings.Contains(fmt.Sprint(err), "SECRET") || strings.Contains(fmt.Sprint(err), bad.URL) {
				t.Errorf("the error shows the URL: %v", err)
			}
			if logs.FilterMessageSnippet("is denied").Len() != 1 {
				t.Errorf("the log: %v", logs.All())
			}
			// In detection mode, too.
			if err := a.Send(ctx, detectedIn("tolerated")); err == nil {
				t.Error("what is detected is let in although nobody knows")
			}
			// A denial stays one.
			if err := a.Send(t.Context(), denied("bad")); err != nil {
				t.Error(err)
			}
			wantTold(t, good, "prod/good allowed")
			wantTold(t, after)
			shutdown, stop := context.WithTimeout(t.Context(), time.Millisecond)
			defer stop()
			a.Close(shutdown)
		})
	}
}

// Nobody waits for receivers that need not be told, whatever they do.
func TestNobodyWaits(t *testing.T) {
	t.Parallel()
	for name, row := range misbehaving(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := newPeople(t, row.answer)
			a, _ := alerting(t, Options{}, Settings{Reject: []Receiver{bad.receiver(t, nil)}})
			begin := time.Now()
			for i := range 5000 { // more than wait at a time
				if err := a.Send(t.Context(), denied(fmt.Sprint("bad-", i))); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(begin); took > 4*time.Second {
				t.Errorf("it took %s", took)
			}
			shutdown, stop := context.WithTimeout(t.Context(), time.Millisecond)
			defer stop()
			a.Close(shutdown)
		})
	}
}

func TestItIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPeople(t, status(503, 429))
	a, _ := alerting(t, Options{}, Settings{Reject: []Receiver{p.receiver(t, nil)}})
	_ = a.Send(t.Context(), denied("bad"))
	drain(a)
	wantTold(t, p, "prod/bad denied", "prod/bad denied", "prod/bad denied")

	p = newPeople(t, status(503, 429))
	a, _ = alerting(t, Options{}, Settings{Admit: []Receiver{p.receiver(t, map[string]any{"failIfAlertSendingFails": true})}})
	for range 2 { // the second time it is known to have been sent
		if err := a.Send(t.Context(), admitted("good")); err != nil {
			t.Error(err)
		}
	}
	wantTold(t, p, "prod/good allowed", "prod/good allowed", "prod/good allowed")
}

func TestASecretThatIsMissingFailsAtOnce(t *testing.T) {
	t.Parallel()
	r := receiver(t, map[string]any{"template": "slack", "receiverUrl": "k8s://c/later/url", "failIfAlertSendingFails": true}, nil)
	a, _ := alerting(t, Options{}, Settings{Admit: []Receiver{r}})
	if err := a.Send(t.Context(), admitted("good")); err == nil || !strings.Contains(err.Error(), "k8s://c/later/url") {
		t.Error(err)
	}
}

func TestALimitAndTheSummary(t *testing.T) {
	t.Parallel()
	// The first attempt to sum up fails.
	p := newPeople(t, status(200, 200, 503))
	a := New(Options{Logger: zap.NewNop()})
	a.period = 500 * time.Millisecond
	a.Apply(Settings{Reject: []Receiver{p.receiver(t, map[string]any{"template": "configmap://own/long", "maxPerMinute": 2})}})
	for i := range 14 {
		_ = a.Send(t.Context(), denied(fmt.Sprintf("bad-%02d", i)))
	}
	deadline := time.Now().Add(5 * time.Second)
	for len(p.told()) < 4 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	told := p.told()
	if len(told) != 4 {
		t.Fatalf("told: %q", told)
	}
	const want = "CONNAISSEUR: 12 more alerts were held back in the last 1 seconds: 12 distinct workloads: prod/Pod bad-02, prod/Pod bad-03, "
	if !strings.HasPrefix(told[3], want) || !strings.HasSuffix(told[3], "prod/Pod bad-11, and 2 more") {
		t.Errorf("the summary: %q", told[3])
	}
	// What is held back when it ends is summed up, too.
	for i := range 5 {
		_ = a.Send(t.Context(), denied(fmt.Sprint("worse-", i)))
	}
	drain(a)
	if told = p.told(); len(told) != 6 || !strings.Contains(told[5], " 4 more alerts") {
		t.Errorf("told: %q", told[4:])
	}
}

// Opsgenie takes two alerts with the same ID for one.
func TestSummariesOfReplicasAreTwo(t *testing.T) {
	t.Parallel()
	var one, other held
	now := time.Now().Truncate(time.Second)
	one.add(denied("a"), now)
	other.add(denied("b"), now)
	if a, b := one.values(now)["alert_id"], other.values(now.Add(time.Millisecond))["alert_id"]; a == b {
		t.Errorf("both are %s", a)
	}
}

func TestAReload(t *testing.T) {
	t.Parallel()
	before, after := newPeople(t, nil), newPeople(t, nil)
	a, _ := alerting(t, Options{}, Settings{Reject: []Receiver{before.receiver(t, nil)}})
	_ = a.Send(t.Context(), denied("first"))
	a.Apply(Settings{Reject: []Receiver{after.receiver(t, nil)}})
	_ = a.Send(t.Context(), denied("second"))
	a.Apply(Settings{})
	_ = a.Send(t.Context(), denied("third"))
	drain(a)
	deadline := time.Now().Add(5 * time.Second)
	for (len(before.told()) < 1 || len(after.told()) < 1) && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	wantTold(t, before, "prod/first denied")
	wantTold(t, after, "prod/second denied")
}

// apiServer has the ConfigMap, and refuses an update of what somebody else has
// updated.
func apiServer(t *testing.T, data map[string]string) *fake.Clientset {
	t.Helper()
	client := fake.NewSimpleClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: ToldName, Namespace: "connaisseur", ResourceVersion: "1"}, Data: data})
	var mu sync.Mutex
	version := 1
	client.PrependReactor("update", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		cm, ok := action.(clienttesting.UpdateAction).GetObject().(*corev1.ConfigMap)
		mu.Lock()
		defer mu.Unlock()
		if !ok || cm.ResourceVersion != fmt.Sprint(version) {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, ToldName, errors.New("it was changed"))
		}
		version++
		cm = cm.DeepCopy()
		cm.ResourceVersion = fmt.Sprint(version)
		return true, cm, client.Tracker().Update(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, cm, "connaisseur")
	})
	return client
}

func TestTwoReplicasTellOnce(t *testing.T) {
	t.Parallel()
	const alerts = 20
	p, must := newPeople(t, nil), newPeople(t, nil)
	client := apiServer(t, nil)
	settings := Settings{Reject: []Receiver{p.receiver(t, nil), must.receiver(t, map[string]any{"name": "must", "failIfAlertSendingFails": true})}}
	var replicas sync.WaitGroup
	for range 2 {
		a, _ := alerting(t, Options{ConfigMaps: client.CoreV1().ConfigMaps("connaisseur")}, settings)
		replicas.Go(func() {
			for i := range alerts {
				_ = a.Send(t.Context(), denied(fmt.Sprint("bad-", i)))
			}
			drain(a)
		})
	}
	replicas.Wait()
	var once, twice []string
	for i := range alerts {
		text := fmt.Sprintf("prod/bad-%d denied", i)
		once, twice = append(once, text), append(twice, text, text)
	}
	wantTold(t, p, once...)
	wantTold(t, must, twice...) // which others tell does not count for those who must be told
}

// What a receiver did not take is sent to it by other settings that work.
func TestAChangedReceiverIsToldWhatItDidNotTake(t *testing.T) {
	t.Parallel()
	dead, alive := newPeople(t, status(401)), newPeople(t, nil)
	l := &ledger{apiServer(t, nil).CoreV1().ConfigMaps("connaisseur"), zap.NewNop(), time.Now}
	e := cloudevents.New()
	e.SetID("1")
	if err := e.SetData(cloudevents.ApplicationJSON, denied("bad")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*people{dead, alive} {
		s := &sender{receiver: p.receiver(t, nil), list: "reject", ledger: l, logger: zap.NewNop(), period: period}
		if err := s.Send(t.Context(), []cloudevents.Event{e}); (err == nil) != (p == alive) {
			t.Error(err)
		}
		s.Close()
	}
	wantTold(t, alive, "prod/bad denied")
}

// If other replicas cannot be asked or told, an alert is sent.
func TestTwiceIsBetterThanNever(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fake.Clientset){
		"no such ConfigMap": func(c *fake.Clientset) {
			_ = c.Tracker().Delete(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, "connaisseur", ToldName)
		},
		"no right": func(c *fake.Clientset) {
			c.PrependReactor("update", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, ToldName, errors.New("no"))
			})
		},
		"conflicts without end": func(c *fake.Clientset) {
			c.PrependReactor("update", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, ToldName, errors.New("no"))
			})
		},
		"nothing wrong": func(*fake.Clientset) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeople(t, nil)
			client := apiServer(t, map[string]string{toldKey: "garbage"})
			change(client)
			a, _ := alerting(t, Options{ConfigMaps: client.CoreV1().ConfigMaps("connaisseur")}, Settings{Reject: []Receiver{p.receiver(t, nil)}})
			_ = a.Send(t.Context(), denied("bad"))
			drain(a)
			wantTold(t, p, "prod/bad denied")
		})
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	client := apiServer(t, nil)
	now := time.Now()
	l := &ledger{client.CoreV1().ConfigMaps("connaisseur"), zap.NewNop(), func() time.Time { return now }}
	for i := range maxTold + 20 {
		if !l.first(t.Context(), "a", fmt.Sprint(i)) {
			t.Fatalf("%d is taken for one that was sent", i)
		}
	}
	cm, err := client.CoreV1().ConfigMaps("connaisseur").Get(t.Context(), ToldName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if kept := recent(cm, now); len(kept) != maxTold || len(cm.Data[toldKey]) > 64<<10 {
		t.Errorf("%d are kept, in %d bytes", len(kept), len(cm.Data[toldKey]))
	}
	last := fmt.Sprint(maxTold + 19)
	if l.first(t.Context(), "a", last) || !l.first(t.Context(), "b", last) || !l.first(t.Context(), "a", "0") {
		t.Error("what was sent to one receiver is not what was sent to another, or what was dropped is known")
	}
	now = now.Add(again)
	if !l.first(t.Context(), "a", last) {
		t.Error("it is not sent again after a while")
	}
}
