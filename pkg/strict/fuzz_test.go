package strict_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

var sorted = cmpopts.SortSlices(strings.Compare)

// FuzzDecode covers row T25: any text is either decoded in full or refused by
// errors that name a path; it never panics, and nothing in it is ignored.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "~", "{", "a: b", "count: 1", "count: 1.5", "count: 1\ncount: 2", "1: 2", "? [a]\n: b", "items: [{name: a, threshold: 1, required: [b]}]",
		"items: [null]", "byName: {a: {name: b}}", "with: {a: {1: 2}}", "<<: {count: 1}", "&a [*a]", "a: &a [b]\nc: *a", "count: 1\n---\nx: 1",
		"count: 0x7fffffffffffffff", "count: 1e400", "size: -1", "ratio: .nan", "enabled: yes", "!!binary aGk=: 1", "count: !!str 1", "with: 2026-01-02",
		"nested: {text: |\n x\n}", "\xff", "\x00", "- a", "text", "%YAML 9.9\n---\na", "nested: []", "with: [a]", "ratio: 1", "items: {}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw, errs := strict.YAML("doc", text)
		if errs != nil && raw != nil {
			t.Fatalf("errors came with a document: %v", errs)
		}
		checkPaths(t, errs)
		if errs != nil {
			return
		}
		var doc document
		errs = strict.Decode("doc", raw, &doc)
		checkPaths(t, errs)
		if errs == nil {
			checkNothingIgnored(t, raw, doc)
		}
	})
}

func checkPaths(t *testing.T, errs strict.Errors) {
	for _, err := range errs {
		if !strings.HasPrefix(err.Path, "doc") || err.Message == "" {
			t.Errorf("an error names no key or says nothing: %q %q", err.Path, err.Message)
		}
	}
}

// checkNothingIgnored: what was decoded without an error holds every key,
// number and item of the text.
func checkNothingIgnored(t *testing.T, raw any, doc document) {
	fields, ok := raw.(map[string]any)
	if !ok {
		if raw != nil {
			t.Errorf("%T was decoded into a structure", raw)
		}
		return
	}
	value := reflect.ValueOf(doc)
	for key, v := range fields {
		field, ok := fieldOf(value.Type(), key)
		if !ok {
			t.Errorf("the key %q was ignored", key)
			continue
		}
		switch got := value.FieldByIndex(field); v := v.(type) {
		case int, int64, uint64, float64, bool:
			if key != "ratio" && fmt.Sprint(v) != fmt.Sprint(got) {
				t.Errorf("%s: %v became %v", key, v, got)
			}
		case []any, map[string]any:
			if key != "nested" && reflect.ValueOf(v).Len() != got.Len() {
				t.Errorf("%s: %v became %v", key, v, got)
			}
		}
	}
}

func fieldOf(t reflect.Type, key string) ([]int, bool) {
	for _, field := range reflect.VisibleFields(t) {
		if field.Tag.Get(strict.Tag) == key {
			return field.Index, true
		}
	}
	return nil, false
}
