package alert

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// objects are entries of ConfigMaps and Secrets, by their references.
type objects map[string]string

func (o objects) ConfigMapEntry(name, key string) ([]byte, error) {
	return o.entry("configmap://" + name + "/" + key)
}

func (o objects) SecretEntry(namespace, name, key string) ([]byte, error) {
	return o.entry("k8s://" + namespace + "/" + name + "/" + key)
}

func (o objects) Remote(trust.Remote) ([]byte, error) { return nil, trust.ErrUnavailable }

func (o objects) entry(reference string) ([]byte, error) {
	text, ok := o[reference]
	if !ok {
		return nil, trust.ErrNotThere
	}
	return []byte(text), nil
}

func TestReceiversAreRead(t *testing.T) {
	t.Parallel()
	here := objects{"k8s://c/s/url": "https://hooks.slack.com/services/SECRET\n", "k8s://c/s/key": "SECRET", "k8s://c/s/bad": "SE\nCRET", "k8s://c/s/text": "SECRET", "configmap://m/t": "{}", "configmap://m/list": "[]", "configmap://m/no": "no"}
	for name, row := range map[string]struct {
		fields   map[string]any
		errs     []string
		warnings []string
		header   http.Header // beside the usual
		missing  string
	}{
		"the least":              {fields: map[string]any{"name": "a"}},
		"a header of each kind":  {fields: map[string]any{"customHeaders": []any{"X-A: b:c", "X-B:d"}}, header: http.Header{"X-A": {"b:c"}, "X-B": {"d"}}},
		"headers as a mapping":   {fields: map[string]any{"customHeaders": map[string]any{"X-A": "b"}}, header: http.Header{"X-A": {"b"}}},
		"another type":           {fields: map[string]any{"customHeaders": []any{"Content-Type: text/x"}}, header: http.Header{"Content-Type": {"text/x"}}},
		"a header from a Secret": {fields: map[string]any{"customHeaders": []any{"Authorization: GenieKey k8s://c/s/key"}}, header: http.Header{"Authorization": {"GenieKey SECRET"}}},
		"everything in Secrets":  {fields: map[string]any{"receiverUrl": "k8s://c/s/url", "customHeaders": map[string]any{"X-Key": "k8s://c/s/key"}}, header: http.Header{"X-Key": {"SECRET"}}},
		"unknown keys":           {fields: map[string]any{"priorty": 1}, errs: []string{`r.priorty: unknown key; did you mean "priority"?`}},
		"wrong types":            {fields: map[string]any{"priority": "high", "failIfAlertSendingFails": "yes"}, errs: []string{"r.failIfAlertSendingFails: must be true or false", "r.priority: must be a number"}},
		"no template":            {fields: map[string]any{"template": ""}, errs: []string{"r.template: is missing; there are ecs-1-12-0, keybase"}},
		"an unknown template":    {fields: map[string]any{"template": "slak"}, errs: []string{`r.template: "slak" is no template; did you mean "slack"?`}},
		"a path as a template":   {fields: map[string]any{"template": "../templates/slack"}, errs: []string{"r.template: \"../templates/slack\" is no template"}},
		"no URL":                 {fields: map[string]any{"receiverUrl": ""}, errs: []string{"r.receiverUrl: is missing"}},
		"another scheme":         {fields: map[string]any{"receiverUrl": "file:///SECRET"}, errs: []string{"r.receiverUrl: must be a URL that begins with https://"}},
		"no URL at all":          {fields: map[string]any{"receiverUrl": "https://a b/%zz"}, errs: []string{"r.receiverUrl: must be a URL"}},
		"a password":             {fields: map[string]any{"receiverUrl": "https://me:SECRET@a"}, errs: []string{"r.receiverUrl: has a password in it"}},
		"no header":              {fields: map[string]any{"customHeaders": []any{"SECRET", 1}}, errs: []string{`r.customHeaders[0]: must read "Name: value"`, "r.customHeaders[1]: must read"}},
		"headers as a text":      {fields: map[string]any{"customHeaders": "SECRET: a"}, errs: []string{"r.customHeaders: must be a list"}},
		"two headers in one":     {fields: map[string]any{"customHeaders": map[string]any{"X-A": "b\r\nX-B: SECRET", "X B": "SECRET", "X-C": 1}}, errs: []string{"r.customHeaders.X B: has a name that no header can have", "r.customHeaders.X-A: has characters", "r.customHeaders.X-C: must be a string"}},
		"a header of ours":       {fields: map[string]any{"customHeaders": []any{"host: a", "Content-length: 0"}}, errs: []string{"r.customHeaders[0]: host cannot be set", "r.customHeaders[1]: Content-length cannot be set"}},
		"no reference":           {fields: map[string]any{"customHeaders": []any{"X-Key: k8s://c"}}, errs: []string{"r.customHeaders[0]: must be k8s://NAMESPACE/SECRET/KEY"}},
		"fields of no object":    {fields: map[string]any{"template": "configmap://m/list", "payloadFields": map[string]any{"a": 1}}, errs: []string{"r.payloadFields: cannot be added"}},
		"fields that are none":   {fields: map[string]any{"payloadFields": map[string]any{"a": math.NaN()}}, errs: []string{"r.payloadFields: cannot be written as JSON"}},
		"a broken template":      {fields: map[string]any{"template": "configmap://m/no"}, errs: []string{"r.template: configmap://m/no is not valid JSON"}},
		"no ConfigMap":           {fields: map[string]any{"template": "configmap://m"}, errs: []string{`r.template: "configmap://m" must read configmap://NAME/KEY`}},
		"an unknown markup":      {fields: map[string]any{"template": "configmap://m/t", "markup": "html"}, errs: []string{`r.markup: is "html", but must be none, slack, markdown`}},
		"a markup for Slack":     {fields: map[string]any{"markup": "slack"}, errs: []string{"r.markup: is for templates of your own only"}},
		"less than no limit":     {fields: map[string]any{"maxPerMinute": -1}, errs: []string{"r.maxPerMinute: is -1"}},
		"no certificate":         {fields: map[string]any{"cert": "configmap://m/no"}, errs: []string{"r.cert: has no PEM certificate"}},

		"a secret URL":         {fields: map[string]any{"receiverUrl": "https://hooks.slack.com/services/SECRET"}, warnings: []string{"r.receiverUrl: is a secret"}},
		"a secret in a query":  {fields: map[string]any{"receiverUrl": "https://a.logic.azure.com/workflows/x?api-version=1&sig=SECRET"}, warnings: []string{"r.receiverUrl: is a secret"}},
		"a secret header":      {fields: map[string]any{"customHeaders": []any{"Authorization: GenieKey SECRET"}}, warnings: []string{"r.customHeaders[0]: is a secret"}, header: http.Header{"Authorization": {"GenieKey SECRET"}}},
		"in the clear":         {fields: map[string]any{"receiverUrl": "http://a", "customHeaders": []any{"X-A: b"}}, warnings: []string{"r.receiverUrl: begins with http://"}, header: http.Header{"X-A": {"b"}}},
		"Opsgenie's priority":  {fields: map[string]any{"template": "opsgenie", "priority": 69}, warnings: []string{"r.priority: is 69, but Opsgenie knows 1 to 5"}},
		"no template yet":      {fields: map[string]any{"template": "configmap://m/later"}, warnings: []string{"r.template: configmap://m/later: does not exist; nothing can be sent meanwhile"}, missing: "configmap://m/later"},
		"no URL yet":           {fields: map[string]any{"receiverUrl": "k8s://c/later/url"}, warnings: []string{"r.receiverUrl: k8s://c/later/url: does not exist"}, missing: "k8s://c/later/url"},
		"no header yet":        {fields: map[string]any{"customHeaders": []any{"X-Key: k8s://c/later/key"}}, warnings: []string{"r.customHeaders[0]: k8s://c/later/key: does not exist"}, header: http.Header{"X-Key": {""}}, missing: "k8s://c/later/key"},
		"a Secret with no URL": {fields: map[string]any{"receiverUrl": "k8s://c/s/text"}, warnings: []string{"r.receiverUrl: what the Secret holds must be a URL"}, missing: "what the Secret holds must be a URL"},
		"two lines in a Secret": {fields: map[string]any{"customHeaders": []any{"X-Key: k8s://c/s/bad"}}, warnings: []string{"r.customHeaders[0]: what the Secret holds has characters"},
			missing: "has characters that a header cannot have"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields := map[string]any{"template": "slack", "receiverUrl": "https://alerts.example.com"}
			maps.Copy(fields, row.fields)
			r, warnings, errs := Parse(strict.Object{Path: "r", Fields: fields}, here)
			wantErrors(t, "errors", errs, row.errs)
			wantErrors(t, "warnings", warnings, row.warnings)
			if said := fmt.Sprint(errs, warnings, r.missing, r.identity); strings.Contains(strings.ReplaceAll(said, "NAMESPACE/SECRET/KEY", ""), "SECRET") {
				t.Errorf("a secret is shown: %s", said)
			}
			if missing := fmt.Sprint(r.Missing()); row.missing == "" && r.missing != nil || !strings.Contains(missing, row.missing) {
				t.Errorf("missing: %s", missing)
			}
			if len(errs) > 0 {
				return
			}
			want := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"connaisseur"}}
			maps.Copy(want, row.header)
			if diff := cmp.Diff(want, r.header); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func wantErrors(t *testing.T, what string, got strict.Errors, want []string) {
	t.Helper()
	texts := []string{}
	for _, e := range got {
		texts = append(texts, e.Error())
	}
	slices.Sort(texts)
	if len(texts) != len(want) {
		t.Fatalf("%s: %q", what, texts)
	}
	for i, part := range want {
		if !strings.HasPrefix(texts[i], part) {
			t.Errorf("%s: %q, not %q", what, texts[i], part)
		}
	}
}

// A receiver is another one as soon as anything about it changes, a Secret too.
func TestTheIdentityOfAReceiver(t *testing.T) {
	t.Parallel()
	fields := map[string]any{"name": "a", "template": "configmap://m/t", "receiverUrl": "k8s://c/s/url", "customHeaders": []any{"X-Key: k8s://c/s/key"}, "payloadFields": map[string]any{"a": "b", "c": "d"}}
	source := objects{"configmap://m/t": "{}", "k8s://c/s/url": "https://a", "k8s://c/s/key": "k"}
	before := receiver(t, fields, source)
	if again := receiver(t, fields, source); again.identity != before.identity {
		t.Error("the same receiver is another one")
	}
	for reference, text := range map[string]string{"configmap://m/t": `{"a":1}`, "k8s://c/s/url": "https://b", "k8s://c/s/key": "l"} {
		changed := maps.Clone(source)
		changed[reference] = text
		if after := receiver(t, fields, changed); after.identity == before.identity {
			t.Errorf("%s makes no difference", reference)
		}
	}
	for key, value := range map[string]any{"priority": 1, "failIfAlertSendingFails": true, "maxPerMinute": 1, "customHeaders": nil, "payloadFields": map[string]any{"a": "b"}} {
		changed := maps.Clone(fields)
		changed[key] = value
		if after := receiver(t, changed, source); after.identity == before.identity {
			t.Errorf("%s makes no difference", key)
		}
	}
}

func TestReceiversAreFound(t *testing.T) {
	t.Parallel()
	s := Settings{Admit: []Receiver{{Name: "a"}}, Reject: []Receiver{{Name: "b"}}}
	if names := s.Names(); !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("names: %v", names)
	}
	for name, want := range map[string][2]bool{"a": {true, true}, "b": {false, true}, "c": {false, false}} {
		r, admits, ok := s.Find(name)
		if admits != want[0] || ok != want[1] || ok && r.Name != name {
			t.Errorf("%s: %v %t %t", name, r, admits, ok)
		}
	}
}
