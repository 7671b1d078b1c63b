package alert

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// hostile are texts that somebody could have put where alerts say something of theirs.
var hostile = map[string]string{
	"quotes":          `"`,
	"a JSON object":   `", "channel": "#general", "x": "`,
	"a backslash":     `\`,
	"an escape":       `\u0022,\"a\":1`,
	"lines":           "a\r\nb\n\nX-Header: c",
	"a variable":      "{{ request_id }}{{user}}",
	"another syntax":  "{{ .Env }}${HOME}{% raw %}<%= x %>",
	"a mention":       "<!channel> <!here> <@U123> <#C1> @here @channel <at>all</at>",
	"a link":          "<https://evil.example|Click> [Click](https://evil.example) https://evil.example",
	"markup":          "*bold* _it_ ~no~ `code` ```block``` # head > quote\n- list",
	"HTML":            "<script>alert(1)</script><img src=x onerror=y>&amp;",
	"no UTF-8":        "\xff\xfe\xc3\x28",
	"no text":         "\x00\x1b[2J\u202e\u200b\ufeff",
	"much":            strings.Repeat("<a&`", 100000),
	"many characters": strings.Repeat("ü€😀", 10000),
}

// about is an admission with a text wherever there can be one of strangers.
func about(text string) *finding.Admission {
	return &finding.Admission{
		Request: finding.Request{UID: text, Operation: "CREATE", Webhook: "/validate"},
		User:    text, Namespace: text,
		Workload:   finding.Workload{APIVersion: "v1", Kind: text, Name: text, Owner: text},
		Outcome:    "Denied",
		Reason:     text,
		Message:    text,
		ImageCount: 60,
		Images:     []finding.Image{{Reference: text, Outcome: "Denied"}, {Reference: text + "2"}},
		Time:       time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// shape is a document without its strings.
func shape(document any) any {
	switch document := document.(type) {
	case string:
		return ""
	case []any:
		items := []any{}
		for _, item := range document {
			items = append(items, shape(item))
		}
		return items
	case map[string]any:
		fields := map[string]any{}
		for key, value := range document {
			fields[key] = shape(value)
		}
		return fields
	}
	return document
}

// texts are all strings of a document, by their path.
func texts(document any, path string, into map[string]string) map[string]string {
	switch document := document.(type) {
	case string:
		into[path] = document
	case []any:
		for i, item := range document {
			texts(item, fmt.Sprintf("%s[%d]", path, i), into)
		}
	case map[string]any:
		for key, value := range document {
			texts(value, path+"."+key, into)
		}
	}
	return into
}

func decoded(t *testing.T, payload []byte) any {
	t.Helper()
	var document any
	if err := json.Unmarshal(payload, &document); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	return document
}

// receiver parses one; nothing may be wrong with it.
func receiver(t *testing.T, fields map[string]any, entries objects) Receiver {
	t.Helper()
	fields = maps.Clone(fields)
	if fields["receiverUrl"] == nil {
		fields["receiverUrl"] = "https://alerts.example.com"
	}
	r, _, errs := Parse(strict.Object{Path: "receivers[0]", Fields: fields}, entries)
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	if r.Name == "" {
		r.Name = "people"
	}
	return r
}

// TestNothingBecomesStructure covers row T29.
func TestNothingBecomesStructure(t *testing.T) {
	t.Parallel()
	for _, name := range Templates() {
		r := receiver(t, map[string]any{"template": name}, nil)
		harmless, err := r.Payload("prod", about("web"), "id")
		if err != nil {
			t.Fatal(err)
		}
		want := shape(decoded(t, harmless))
		for what, text := range hostile {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				payload, err := r.Payload(text, about(text), text)
				if err != nil {
					t.Fatal(err)
				}
				document := decoded(t, payload)
				if diff := cmp.Diff(want, shape(document)); diff != "" {
					t.Errorf("the structure (-harmless +hostile):\n%s", diff)
				}
				for path, got := range texts(document, "", map[string]string{}) {
					checkText(t, name, path, got)
				}
				if len(payload) > 28<<10 { // which is what Teams takes
					t.Errorf("it has %d bytes", len(payload))
				}
			})
		}
	}
}

// checkText finds what a receiver would take for something else than text.
func checkText(t *testing.T, template, path, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\x00\x1b\r\u202e\u200b\ufeff") {
		t.Errorf("%s holds what cannot be seen: %q", path, text)
	}
	switch template {
	case "slack":
		if strings.ContainsAny(text, "<>") || strings.Count(text, "`")%2 != 0 || strings.Count(text, "`") > 4 {
			t.Errorf("%s has markup: %q", path, text)
		}
		if len([]rune(text)) > 2000 {
			t.Errorf("%s has %d characters", path, len([]rune(text)))
		}
	case "keybase":
		if outside := textOutsideCode(text); strings.Contains(outside, "channel") || strings.Count(outside, "@") != 1 {
			t.Errorf("%s has a mention: %q", path, outside)
		}
	case "opsgenie":
		if strings.ContainsAny(text, "<>") {
			t.Errorf("%s has HTML: %q", path, text)
		}
		if path == ".message" && len([]rune(text)) > 130 {
			t.Errorf("%s has %d characters", path, len([]rune(text)))
		}
	}
}

// textOutsideCode is what stands outside of backticks.
func textOutsideCode(text string) string {
	var outside strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 0 {
			outside.WriteString(part)
		}
	}
	return outside.String()
}

// Markup means something in TextBlocks and facts of an Adaptive Card, and nothing in
// a TextRun.
func TestTeamsHasValuesWhereMarkupMeansNothing(t *testing.T) {
	t.Parallel()
	template, err := named("msteams")
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	var look func(tree any, kind string)
	look = func(tree any, kind string) {
		switch tree := tree.(type) {
		case string:
			if placeholder.MatchString(tree) {
				if runs++; kind != "TextRun" && kind != "message" { // whose summary is plain text
					t.Errorf("%q is in a %s", tree, kind)
				}
			}
		case []any:
			for _, item := range tree {
				look(item, kind)
			}
		case map[string]any:
			if own, ok := tree["type"].(string); ok {
				kind = own
			}
			for _, value := range tree {
				look(value, kind)
			}
		}
	}
	look(template.tree, "")
	if runs < 9 {
		t.Errorf("only %d values were found", runs)
	}
}

func TestWhatAnAlertSays(t *testing.T) {
	t.Parallel()
	r := receiver(t, map[string]any{"template": "configmap://own/all", "priority": 4}, objects{"configmap://own/all": allVariables()})
	for name, row := range map[string]struct {
		change func(*finding.Admission)
		want   map[string]string
	}{
		"a denial": {func(*finding.Admission) {}, map[string]string{
			"alert_message": "CONNAISSEUR rejected a request: a; b", "summary": "CONNAISSEUR rejected Pod web in prod", "decision": "denied", "priority": "4",
			"namespace": "prod", "cluster": "c", "timestamp": "2026-01-02T03:04:05Z", "request_id": "uid", "images": "a:1, b:1, and 1 more", "alert_id": "id",
			"outcome": "Denied", "reason": "NoSignature", "workload": "Pod web", "kind": "Pod", "name": "web", "user": "eve", "connaisseur_pod_id": none,
		}},
		"an admission": {func(a *finding.Admission) { a.Allowed, a.Outcome, a.Message, a.Reason = true, "Trusted", "", "" }, map[string]string{
			"alert_message": "CONNAISSEUR admitted a request.", "summary": "CONNAISSEUR admitted Pod web in prod", "decision": "allowed", "reason": none,
		}},
		"an exception": {func(a *finding.Admission) { a.Allowed, a.Outcome = true, "Excepted" }, map[string]string{
			"alert_message": "CONNAISSEUR admitted a request: a; b",
		}},
		"detection": {func(a *finding.Admission) { a.Allowed, a.Outcome = true, "Detected" }, map[string]string{
			"alert_message": "CONNAISSEUR admitted a request although something is wrong with it: a; b", "summary": "CONNAISSEUR would have rejected Pod web in prod", "decision": "allowed",
		}},
		"no name yet": {func(a *finding.Admission) {
			a.Workload.Name, a.Workload.Owner, a.Namespace = "", "ReplicaSet web-5d9", ""
		}, map[string]string{
			"workload": "Pod of ReplicaSet web-5d9", "summary": "CONNAISSEUR rejected Pod of ReplicaSet web-5d9", "namespace": none, "name": none,
		}},
		"nothing at all": {func(a *finding.Admission) { *a = finding.Admission{} }, map[string]string{"images": none, "workload": none, "request_id": none}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := about("x")
			a.Request.UID, a.User, a.Namespace, a.Reason, a.Message = "uid", "eve", "prod", "NoSignature", "a\nb"
			a.Workload = finding.Workload{Kind: "Pod", Name: "web"}
			a.ImageCount, a.Images = 4, []finding.Image{{Reference: "a:1"}, {Reference: "b:1"}, {Reference: "a:1"}}
			row.change(a)
			payload, err := r.Payload("c", a, "id")
			if err != nil {
				t.Fatal(err)
			}
			said := map[string]string{}
			if err := json.Unmarshal(payload, &said); err != nil {
				t.Fatal(err)
			}
			for variable, want := range row.want {
				if said[variable] != want {
					t.Errorf("%s is %q, not %q", variable, said[variable], want)
				}
			}
			for _, variable := range Variables {
				if said[variable] == "" {
					t.Errorf("%s is empty", variable)
				}
			}
		})
	}
}

// allVariables is a template with each of them.
func allVariables() string {
	fields := map[string]string{}
	for _, name := range Variables {
		fields[name] = "{{ " + name + " }}"
	}
	text, _ := json.Marshal(fields)
	return string(text)
}

func TestTemplatesOfOnesOwn(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		template string
		want     string // what becomes of it with the cluster `"{{ user }}"`
		err      string
	}{
		"an object": {template: `{"a": "x {{ cluster }} y {{cluster}}", "b": [1.50, true, null, 12345678901234567890]}`, want: `{"a":"x \"{{ user }}\" y \"{{ user }}\"","b":[1.50,true,null,12345678901234567890]}`},
		"a string": {template: `"{{	cluster
			}}"`, err: "is not valid JSON"},
		"a list":                 {template: `["{{cluster}}"]`, want: `["\"{{ user }}\""]`},
		"one bracket":            {template: `{"a": "{ cluster }"}`, want: `{"a":"{ cluster }"}`},
		"three brackets":         {template: `{"a": "{{{ cluster }}}"}`, want: `{"a":"{\"{{ user }}\"}"}`},
		"nothing":                {template: ` `, err: "is not valid JSON"},
		"no JSON":                {template: `allow_no_header`, err: "is not valid JSON"},
		"Go's syntax":            {template: `{"a": "{{ .Error }}"}`, err: "begins no variable"},
		"half a variable":        {template: `{"a": "{{ cluster"}`, err: "begins no variable"},
		"an unknown variable":    {template: `{"a": ["{{ clusters }}"]}`, err: `there is no variable "clusters"; did you mean "cluster"?`},
		"a variable in a key":    {template: `{"{{ cluster }}": 1}`, err: "only values can have them"},
		"a variable as a number": {template: `{"a": {{ priority }}}`, err: "is not valid JSON"},
		"two documents":          {template: `{} {}`, err: "something after its end"},
		"much too long":          {template: `"` + strings.Repeat("a", maxTemplate) + `"`, err: "more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, errs := Parse(strict.Object{Path: "r", Fields: map[string]any{"template": "configmap://own/t", "receiverUrl": "https://a"}}, objects{"configmap://own/t": row.template})
			if row.err != "" {
				if len(errs) != 1 || errs[0].Path != "r.template" || !strings.Contains(errs[0].Message, row.err) {
					t.Errorf("errors: %v", errs)
				}
				return
			}
			if err := errs.Err(); err != nil {
				t.Fatal(err)
			}
			payload, err := r.Payload(`"{{ user }}"`, about("web"), "id")
			if err != nil || string(payload) != row.want {
				t.Errorf("%s, %v", payload, err)
			}
		})
	}
}

func TestMarkupOfTemplatesOfOnesOwn(t *testing.T) {
	t.Parallel()
	for markup, want := range map[string]string{
		"":       "<!channel> [a](b) `c`",
		noMarkup: "<!channel> [a](b) `c`",
		slack:    "&lt;!channel&gt; [a](b) 'c'",
		markdown: "\\<\\!channel\\> \\[a\\]\\(b\\) \\`c\\`",
	} {
		fields := map[string]any{"template": "configmap://own/t"}
		if markup != "" {
			fields["markup"] = markup
		}
		r := receiver(t, fields, objects{"configmap://own/t": `["{{ cluster }}"]`})
		payload, err := r.Payload("<!channel> [a](b) `c`", about("web"), "id")
		if err != nil {
			t.Fatal(err)
		}
		if got := decoded(t, payload); !reflect.DeepEqual(got, []any{want}) {
			t.Errorf("%q: %q", markup, got)
		}
	}
}

// As in Connaisseur 3 a field replaces the template's as a whole.
func TestPayloadFields(t *testing.T) {
	t.Parallel()
	r := receiver(t, map[string]any{"template": "opsgenie", "payloadFields": map[string]any{
		"tags": []any{"a"}, "details": map[string]any{"only": "{{ cluster }}"}, "extra": 1,
	}}, nil)
	for range 2 { // the template itself does not change
		payload, err := r.Payload("c", about("web"), "id")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := decoded(t, payload).(map[string]any)
		if diff := cmp.Diff([]any{[]any{"a"}, map[string]any{"only": "{{ cluster }}"}, 1.0, "P3"}, []any{got["tags"], got["details"], got["extra"], got["priority"]}); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
	}
}

func TestTheShippedTemplatesAreThere(t *testing.T) {
	t.Parallel()
	want := []string{"ecs-1-12-0", "keybase", "msteams", "opsgenie", "slack"}
	if got := Templates(); !slices.Equal(got, want) {
		t.Errorf("templates: %v", got)
	}
}
