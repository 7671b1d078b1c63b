package strict_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

type embedded struct {
	TrustRoot string `config:"trustRoot"`
	Threshold *int   `config:"threshold"`
}

type item struct {
	Name     string `config:"name"`
	embedded `config:",squash"`
	Required []string `config:"required"`
}

// document has a field of each kind that configurations have.
type document struct {
	Items   []item          `config:"items"`
	ByName  map[string]item `config:"byName"`
	With    map[string]any  `config:"with"`
	Enabled bool            `config:"enabled"`
	Count   int             `config:"count"`
	Size    uint16          `config:"size"`
	Small   int8            `config:"small"`
	Ratio   float64         `config:"ratio"`
	Nested  struct {
		Text string `config:"text"`
	} `config:"nested"`
	internal string //nolint:unused // has no key
}

type open struct {
	Name string         `config:"name"`
	Rest map[string]any `config:",remain"`
}

func decode(t testing.TB, text string, out any) strict.Errors {
	t.Helper()
	raw, errs := strict.YAML("doc", text)
	if errs != nil {
		return errs
	}
	return strict.Decode("doc", raw, out)
}

func TestDecode(t *testing.T) {
	t.Parallel()
	two := 2
	for _, test := range []struct {
		name, text string
		defaults   document
		want       document
	}{
		{"nothing keeps the defaults", "", document{Count: 7}, document{Count: 7}},
		{"a comment keeps the defaults", "# count: 1", document{Count: 7}, document{Count: 7}},
		{"null keeps the defaults", "~", document{Count: 7}, document{Count: 7}},
		{"a key that is null keeps its default", "count:", document{Count: 7}, document{Count: 7}},
		{"other keys keep their defaults", "enabled: true", document{Count: 7}, document{Count: 7, Enabled: true}},
		{"zero is not the default", "count: 0", document{Count: 7}, document{}},
		{"a list", "items: [{name: a, trustRoot: b, threshold: 2, required: [c]}]", document{},
			document{Items: []item{{Name: "a", embedded: embedded{TrustRoot: "b", Threshold: &two}, Required: []string{"c"}}}}},
		{"a mapping of structures", "byName: {a: {name: b}}", document{}, document{ByName: map[string]item{"a": {Name: "b"}}}},
		{"an open mapping", "with: {anything: [1, {a: b}]}", document{}, document{With: map[string]any{"anything": []any{1, map[string]any{"a": "b"}}}}},
		{"numbers", "{count: -3, size: 65535, small: -128, ratio: 1}", document{}, document{Count: -3, Size: 65535, Small: -128, Ratio: 1}},
		{"anchors", "nested: &a {text: x}\nitems: [{name: &n y}, {name: *n}]", document{},
			document{Items: []item{{Name: "y"}, {Name: "y"}}, Nested: struct {
				Text string `config:"text"`
			}{"x"}}},
		{"one document with its marks", "---\ncount: 1\n...\n", document{}, document{Count: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := test.defaults
			if errs := decode(t, test.text, &got); errs != nil {
				t.Fatal(errs)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(document{}, item{})); diff != "" {
				t.Errorf("Decode (-want +got):\n%s", diff)
			}
		})
	}
}

// TestErrors covers row T25 and DESIGN §8: nothing is silently ignored, each
// error names its key path, and all are reported at once.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"an unknown key gets a suggestion", "cuont: 1", []string{`doc.cuont: unknown key; did you mean "count"?`}},
		{"a key in another case is unknown", "Count: 1", []string{`doc.Count: unknown key; did you mean "count"?`}},
		{"a key that resembles none gets the list", "zzzzzz: 1",
			[]string{"doc.zzzzzz: unknown key; there is byName, count, enabled, items, nested, ratio, size, small, with"}},
		{"a field without tag has no key", "internal: x", []string{"doc.internal: unknown key; there is byName, count, enabled, items, nested, ratio, size, small, with"}},
		{"an embedded struct has no key", "items: [{embedded: {}}]", []string{"doc.items[0].embedded: unknown key; there is name, required, threshold, trustRoot"}},
		{"an unknown key in a list has its index", "items: [{name: a}, {trustroot: b}]", []string{`doc.items[1].trustroot: unknown key; did you mean "trustRoot"?`}},
		{"an unknown key in a mapping of structures", "byName: {a: {nmae: b}}", []string{`doc.byName.a.nmae: unknown key; did you mean "name"?`}},
		{"an unknown key in a structure", "nested: {txt: b}", []string{`doc.nested.txt: unknown key; did you mean "text"?`}},
		{"a number for a string", "items: [{name: 1}]", []string{"doc.items[0].name: must be a string, not a number"}},
		{"a date for a string", "items: [{name: 2026-01-02}]", []string{"doc.items[0].name: must be a string, not a date (quotes make it a string)"}},
		{"a string for a number", "count: '1'", []string{"doc.count: must be a number, not a string"}},
		{"a string for true or false", "enabled: 'true'", []string{"doc.enabled: must be true or false, not a string"}},
		{"yes is a string", "enabled: yes", []string{"doc.enabled: must be true or false, not a string"}},
		{"a number for true or false", "enabled: 1", []string{"doc.enabled: must be true or false, not a number"}},
		{"a string for a list", "items: [{required: a}]", []string{"doc.items[0].required: must be a list, not a string"}},
		{"a mapping for a list", "items: {name: a}", []string{"doc.items: must be a list, not a mapping"}},
		{"a fraction for a whole number", "count: 1.9", []string{"doc.count: must be a whole number, not 1.9"}},
		{"a fraction for a threshold", "items: [{threshold: 1.5}]", []string{"doc.items[0].threshold: must be a whole number, not 1.5"}},
		{"infinity", "count: .inf", []string{"doc.count: must be a whole number, not +Inf"}},
		{"no number", "count: .nan", []string{"doc.count: must be a whole number, not NaN"}},
		{"a number that is too large", "count: 18446744073709551615", []string{"doc.count: is 18446744073709551615, which is out of range"}},
		{"a number that is far too large", "count: 18446744073709551617", []string{"doc.count: must be a whole number, not 1.8446744073709552e+19"}},
		{"a number that does not fit", "{size: 65536, small: 128}", []string{"doc.size: is 65536, which is out of range", "doc.small: is 128, which is out of range"}},
		{"a negative number that must not be", "size: -1", []string{"doc.size: is -1, which is out of range"}},
		{"a list for a mapping", "nested: [a]", []string{"doc.nested: must be a mapping, not a list"}},
		{"a string for a mapping of anything", "with: a", []string{"doc.with: must be a mapping, not a string"}},
		{"a date for a mapping", "nested: 2026-01-02", []string{"doc.nested: must be a mapping, not a date (quotes make it a string)"}},
		{"a list for the whole", "[a]", []string{"doc: must be a mapping, not a list"}},
		{"a string for the whole", "text", []string{"doc: must be a mapping, not a string"}},
		{"a key that is no string", "1: a", []string{"doc: has a key that is not a string; put it into quotes"}},
		{"a key that is no string further down", "items: [{true: a}]", []string{"doc.items[0]: has a key that is not a string; put it into quotes"}},
		{"a key that stands twice", "count: 1\ncount: 2", []string{`doc: line 2: mapping key "count" already defined at line 1`}},
		{"a key that stands twice in a list", "items: [{name: a, name: b}]", []string{`doc: line 1: mapping key "name" already defined at line 1`}},
		{"two documents", "count: 1\n---\ncount: 2", []string{`doc: has more than one YAML document; remove the line "---"`}},
		{"a document that is broken behind one that is not", "count: 1\n---\n{", []string{`doc: has more than one YAML document; remove the line "---"`}},
		{"no YAML", "{", []string{"doc: is not valid YAML: line 1: did not find expected node content"}},
		{"a tab", "a:\n\t- b", []string{"doc: is not valid YAML: line 2: found character that cannot start any token"}},
		{"an anchor that is not there", "count: *a", []string{`doc: is not valid YAML: unknown anchor 'a' referenced; a value that begins with "*" must be put into quotes`}},
		{"an anchor within itself", "items: &a [*a]", []string{"doc: is not valid YAML: anchor 'a' value contains itself"}},
		{"everything at once", "cuont: 1\nenabled: 3\nitems: [{nmae: a, threshold: x}, {required: b}]", []string{
			`doc.cuont: unknown key; did you mean "count"?`,
			`doc.enabled: must be true or false, not a number`,
			`doc.items[0].nmae: unknown key; did you mean "name"?`,
			`doc.items[0].threshold: must be a number, not a string`,
			`doc.items[1].required: must be a list, not a string`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, err := range decode(t, test.text, &document{}) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(test.want, got, sorted); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAListIsDecodedByItself: config-policy holds its lists under keys of the
// ConfigMap, whose paths begin the errors'.
func TestAListIsDecodedByItself(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"policy": "policy[1].nmae", "": "[1].nmae"} {
		raw, errs := strict.YAML(path, "[{name: a}, {nmae: b}]")
		if errs != nil {
			t.Fatal(errs)
		}
		var items []item
		if errs = strict.Decode(path, raw, &items); len(errs) != 1 || errs[0].Path != want {
			t.Errorf("Decode = %v, want an error at %s", errs, want)
		}
	}
}

// TestYAMLBombs covers row T18: what expands without end is refused soon.
func TestYAMLBombs(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		alias := "*" + string(c-1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat(alias+",", 8) + alias + "]\n"
	}
	for name, text := range map[string]string{"aliases of aliases": bomb, "nesting": strings.Repeat("[", 100_000)} {
		if _, errs := strict.YAML("doc", text); len(errs) != 1 {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func TestObjectsDecodeBelowTheirPath(t *testing.T) {
	t.Parallel()
	var o open
	if errs := decode(t, "{name: a, trustRoot: b, threshold: x, zzz: 1}", &o); errs != nil {
		t.Fatal(errs)
	}
	object := strict.Object{Path: "validators[3]", Fields: o.Rest}
	if got := object.Key("type"); got != "validators[3].type" {
		t.Errorf("Key = %q", got)
	}
	var got []string
	for _, err := range object.Decode(&item{}) {
		got = append(got, err.Error())
	}
	want := []string{
		"validators[3].threshold: must be a number, not a string",
		"validators[3].zzz: unknown key; there is name, required, threshold, trustRoot",
	}
	if diff := cmp.Diff(want, got, sorted); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if errs := (strict.Object{Path: "x"}).Decode(&item{}); errs != nil {
		t.Errorf("an object without fields: %v", errs)
	}
}

func TestErrorsAsText(t *testing.T) {
	t.Parallel()
	var errs strict.Errors
	if errs.Err() != nil {
		t.Error("nothing wrong is an error")
	}
	errs.Add("policy[3].validator", "no validator named %q%s", "alcie", strict.Suggest("alcie", []string{"bob", "alice"}))
	errs.Add("", "is empty")
	errs = append(errs, &strict.Error{Source: "config-trust-roots", Path: "alice.pub", Message: "is broken"})
	want := "config-policy: policy[3].validator: no validator named \"alcie\"; did you mean \"alice\"?\n" +
		"config-policy: is empty\nconfig-trust-roots: alice.pub: is broken"
	err := errs.From("config-policy").Err()
	if err == nil || err.Error() != want {
		t.Errorf("errors read\n%v\nwant\n%s", err, want)
	}
	var back strict.Errors
	if !errors.As(err, &back) || len(back) != 3 {
		t.Errorf("the errors cannot be taken apart: %v", back)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	many := strings.Split("abcdefghijklm", "")
	for _, test := range []struct {
		name, given string
		known       []string
		want        string
	}{
		{"letters that are swapped", "alcie", []string{"bob", "alice"}, `; did you mean "alice"?`},
		{"a letter too few", "trustRot", []string{"trustRoot"}, `; did you mean "trustRoot"?`},
		{"another case", "TRUSTROOT", []string{"trustRoot"}, `; did you mean "trustRoot"?`},
		{"the nearest of several", "requird", []string{"requires", "required"}, `; did you mean "required"?`},
		{"nothing near lists what there is, in order", "zzz", []string{"bob", "alice"}, "; there is alice, bob"},
		{"too many to list", "zzzzz", many, ""},
		{"nothing there", "zzz", nil, ""},
		{"no name", "", []string{"alice"}, "; there is alice"},
		{"a name that is too long to compare", strings.Repeat("a", 1000), []string{"alice"}, "; there is alice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := strict.Suggest(test.given, test.known); got != test.want {
				t.Errorf("Suggest = %q, want %q", got, test.want)
			}
		})
	}
	known := []string{"b", "a"}
	strict.Suggest("zzz", known)
	if known[0] != "b" {
		t.Error("the names given were sorted")
	}
}
