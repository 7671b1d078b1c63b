package config_test

import (
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

func TestSinksOfTheConfiguration(t *testing.T) {
	t.Parallel()
	const one = "- {name: a, url: 'https://a.example'}\n"
	for name, c := range map[string]struct {
		data entries
		want string // the error; empty for none
	}{
		"two sinks":             {entries{"sinks": one + "- {name: b, url: 'https://a.example'}\n", "clusterIdentifier": "prod"}, ""},
		"two of one name":       {entries{"sinks": one + one}, `config-alerting: sinks[1].name: "a" is the name of another sink already`},
		"the name of the bound": {entries{"sinks": "- {name: K_SINK, url: 'https://a.example'}\n"}, `config-alerting: sinks[0].name: "K_SINK" is the name of a SinkBinding's sink already`},
		"an unknown key":        {entries{"sink": one}, `config-alerting: sink: unknown key; did you mean "sinks"?`},
		"no list":               {entries{"sinks": "name: a"}, "config-alerting: sinks: must be a list"},
		"no YAML":               {entries{"sinks": "- {"}, "config-alerting: sinks: is not valid YAML"},
		"a list of clusters":    {entries{"clusterIdentifier": "[a]"}, "config-alerting: clusterIdentifier: must be a string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			built := builder().Build(objects(allowing(), alertingOf(c.data)))
			if c.want == "" {
				if err := built.Errors.Err(); err != nil || len(built.Findings.Sinks) != 2 || built.Findings.Cluster != "prod" {
					t.Errorf("%v, %+v", err, built.Findings)
				}
				return
			}
			if len(built.Errors) != 1 || !strings.HasPrefix(built.Errors[0].Error(), c.want) || built.Snapshot != nil {
				t.Errorf("want %q, got %v", c.want, built.Errors)
			}
		})
	}
}

// A Secret for a sink is not there yet: that is warned of, and keeps no policy from
// coming into force. When it comes, there is another sink.
func TestASecretOfASinkComesLater(t *testing.T) {
	t.Parallel()
	store := config.NewStore(builder())
	var changes []config.Change
	store.OnChange(func(c config.Change) { changes = append(changes, c) })
	data := alertingOf(entries{"sinks": "- {name: a, url: 'https://a.example', token: 'k8s://connaisseur/siem/token'}\n"})
	before := objects(allowing(), data)
	built := builder().Build(before)
	if err := built.Errors.Err(); err != nil || len(built.Warnings) == 0 || !strings.Contains(built.Warnings.Error(), "config-alerting: sinks[0].token: k8s://connaisseur/siem/token") {
		t.Errorf("%v, warnings %v", err, built.Warnings)
	}
	if strings.Contains(built.Warnings.Error(), "signed with it") {
		t.Errorf("a token is taken for a key: %v", built.Warnings)
	}
	store.Offer(before)
	store.Offer(objects(allowing(), data, secret("siem", entries{"token": "hunter2"})))
	if len(changes) != 2 || changes[0].Findings.Sinks[0].Identity == changes[1].Findings.Sinks[0].Identity {
		t.Fatalf("%d changes", len(changes))
	}
	// What is refused leaves the sinks as they were.
	store.Offer(objects(allowing(), alertingOf(entries{"sinks": "- {}"})))
	if last := changes[len(changes)-1]; len(changes) != 3 || len(last.Errors) == 0 || last.Findings.Sinks[0].Identity != changes[1].Findings.Sinks[0].Identity {
		t.Errorf("%d changes, the last with %v", len(changes), last.Errors)
	}
}
