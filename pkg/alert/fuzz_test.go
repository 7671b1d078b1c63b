package alert

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzPayload covers row T29: whatever an alert is about, its payload has the
// structure of the template.
func FuzzPayload(f *testing.F) {
	for _, text := range hostile {
		f.Add(text[:min(len(text), 10000)])
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range Templates() {
			r := receiver(t, map[string]any{"template": name}, nil)
			var payloads [2]any
			for i, one := range []string{"web", text} {
				payload, err := r.Payload(one, about(one), one)
				if err != nil {
					t.Fatal(err)
				}
				payloads[i] = decoded(t, payload)
			}
			if diff := cmp.Diff(shape(payloads[0]), shape(payloads[1])); diff != "" {
				t.Errorf("%s (-harmless +fuzzed):\n%s", name, diff)
			}
			for path, got := range texts(payloads[1], "", map[string]string{}) {
				checkText(t, name, path, got)
			}
		}
	})
}

// FuzzTemplate: any template is refused, or gives a payload whatever values are.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{"", "{", `{"a": "{{ cluster }}"}`, `["{{{ user }}}", "{{", {"b": null}]`, `"{{ nothing }}"`, `{"{{ user }}": 1}`, `1e999`, `{"a": 1, "a": "{{ name }}"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		template, err := ParseTemplate([]byte(text), escapes[slack])
		if err != nil {
			return
		}
		r := Receiver{template: template}
		payload, err := r.Payload(`"{{ user }}`, about(`"{{ cluster }}`), "id")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(shape(template.tree), shape(template.render(nil))); diff != "" {
			t.Errorf("the structure (-template +payload):\n%s", diff)
		}
		if !json.Valid(payload) {
			t.Errorf("no JSON: %s", payload)
		}
	})
}
