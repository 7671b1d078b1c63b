package config_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

func alertingOf(data entries) any { return configMap(config.AlertingName, data) }

func TestAlertingIsRead(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		data  entries
		names []string // of receivers
		errs  []string
	}{
		"nothing":          {data: entries{}},
		"no receivers":     {data: entries{"admitRequest": "", "rejectRequest": "receivers: []"}},
		"without names":    {data: entries{"admitRequest": "receivers: [{template: slack, receiverUrl: 'https://a'}, {template: slack, receiverUrl: 'https://a'}]", "rejectRequest": "receivers: [{name: b, template: slack, receiverUrl: 'https://a'}]"}, names: []string{"admitRequest-0", "admitRequest-1", "b"}},
		"a name twice":     {data: entries{"admitRequest": "receivers: [{name: a, template: slack, receiverUrl: 'https://a'}]", "rejectRequest": "receivers: [{name: a, template: slack, receiverUrl: 'https://a'}]"}, errs: []string{`config-alerting: rejectRequest.receivers[0].name: "a" is the name of another receiver already`}},
		"a sink's name":    {data: entries{"rejectRequest": "receivers: [{name: a, template: slack, receiverUrl: 'https://a'}]", "sinks": "[{name: a, url: 'https://a'}]"}, errs: []string{`config-alerting: sinks[0].name: "a" is the name of another receiver already`}},
		"a binding's name": {data: entries{"sinks": "[{name: K_SINK, url: 'https://a'}]"}, errs: []string{`config-alerting: sinks[0].name: "K_SINK" is the name of a SinkBinding's sink already`}},
		"an unknown key":   {data: entries{"admitRequests": "{}"}, errs: []string{`config-alerting: admitRequests: unknown key; did you mean "admitRequest"?`}},
		"one below it":     {data: entries{"admitRequest": "{receiver: []}"}, errs: []string{`config-alerting: admitRequest.receiver: unknown key; did you mean "receivers"?`}},
		"below a receiver": {data: entries{"admitRequest": "receivers: [{template: slack, receiverUrl: 'https://a', headers: []}]"}, errs: []string{"config-alerting: admitRequest.receivers[0].headers: unknown key"}},
		"no list":          {data: entries{"admitRequest": "receivers: {}"}, errs: []string{"config-alerting: admitRequest.receivers: must be a list"}},
		"no mapping":       {data: entries{"admitRequest": "[]"}, errs: []string{"config-alerting: admitRequest: must be a mapping"}},
		"a broken text":    {data: entries{"rejectRequest": "\\\\: ["}, errs: []string{"config-alerting: rejectRequest: is not valid YAML"}},
		"a space too much": {data: entries{"clusterIdentifier": "' a'"}, errs: []string{"config-alerting: clusterIdentifier: begins or ends with a space"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			built := builder().Build(objects(allowing(), alertingOf(row.data)))
			if len(built.Errors) != len(row.errs) {
				t.Fatalf("errors: %v", built.Errors)
			}
			for i, want := range row.errs {
				if !strings.HasPrefix(built.Errors[i].Error(), want) {
					t.Errorf("error %q, not %q", built.Errors[i], want)
				}
			}
			if diff := cmp.Diff(row.names, built.Alerts.Names()); len(row.errs) == 0 && diff != "" {
				t.Errorf("receivers (-want +got):\n%s", diff)
			}
		})
	}
}

// A receiver is another one as soon as its Secret or template is; what is refused
// changes nothing.
func TestSecretsAndTemplatesOfReceiversChange(t *testing.T) {
	t.Parallel()
	said := make(chan string, 10)
	people := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		said <- r.URL.Path + " " + r.Header.Get("X-Key") + " " + string(text)
	}))
	t.Cleanup(people.Close)
	alerts := alert.New(alert.Options{Logger: zap.NewNop()})
	store := config.NewStore(builder())
	store.OnChange(func(c config.Change) { alerts.Apply(c.Alerts) })
	at := time.Now()
	offered := func(path, key, template, receivers string) {
		store.Offer(objects(allowing(), alertingOf(entries{"admitRequest": receivers}), secret("s", entries{"url": people.URL + path, "key": key}), configMap("own", entries{"t": template})))
	}
	const receivers = "receivers: [{template: 'configmap://own/t', receiverUrl: 'k8s://connaisseur/s/url', customHeaders: ['X-Key: k8s://connaisseur/s/key'], failIfAlertSendingFails: true}]"
	for i, row := range []struct{ path, key, template, receivers, want string }{
		{"/a", "1", `["{{ kind }}"]`, receivers, `/a 1 ["Pod"]`},
		{"/b", "1", `["{{ kind }}"]`, receivers, `/b 1 ["Pod"]`},
		{"/b", "2", `["{{ kind }}"]`, receivers, `/b 2 ["Pod"]`},
		{"/b", "2", `["{{ name }}"]`, receivers, `/b 2 ["alert-test"]`},
		{"/c", "3", `["{{ nothing }}"]`, receivers, `/b 2 ["alert-test"]`},
		{"/c", "3", `["{{ name }}"]`, "receivers: 1", `/b 2 ["alert-test"]`},
		{"/c", "3", `["{{ name }}"]`, receivers, `/c 3 ["alert-test"]`},
	} {
		offered(row.path, row.key, row.template, row.receivers)
		sample := alert.Sample(true, at)
		sample.PolicyRevision = strings.Repeat("x", i) // so that it is another alert
		if err := alerts.Send(t.Context(), sample); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-said:
			if got != row.want {
				t.Errorf("%d: %s, not %s", i, got, row.want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%d: nobody was told", i)
		}
	}
}

// A template's ConfigMap is part of the configuration: its change makes a revision.
func TestTemplatesArePartOfTheRevision(t *testing.T) {
	t.Parallel()
	var revisions []string
	for _, template := range []string{`"a"`, `"b"`} {
		built := builder().Build(objects(allowing(), alertingOf(entries{"admitRequest": "receivers: [{template: 'configmap://own/t', receiverUrl: 'https://a'}]"}), configMap("own", entries{"t": template})))
		if built.Snapshot == nil {
			t.Fatal(built.Errors)
		}
		if slices.Contains(revisions, built.Snapshot.Revision) {
			t.Error("another template makes no other revision")
		}
		revisions = append(revisions, built.Snapshot.Revision)
	}
}

// What replicas write for one another is no configuration.
func TestWhatReplicasTellOneAnotherIsNotReviewed(t *testing.T) {
	t.Parallel()
	broken := objects(policyOf("[", ""))
	rejections, warnings := config.Review(builder(), broken, configMap(alert.ToldName, entries{"told.json": "["}))
	if len(rejections) > 0 || len(warnings) > 0 {
		t.Errorf("%v %v", rejections, warnings)
	}
	if _, warnings = config.Review(builder(), broken, configMap("other", entries{})); len(warnings) == 0 {
		t.Error("nothing is said of a broken configuration")
	}
}
