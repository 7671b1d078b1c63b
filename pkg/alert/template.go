package alert

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

//go:embed templates/*.json
var shipped embed.FS

// maxTemplate bounds a template, in bytes.
const maxTemplate = 64 << 10

// Templates are the names of those that are shipped.
func Templates() (names []string) {
	files, err := shipped.ReadDir("templates")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(file.Name(), ".json"))
	}
	return names
}

// Template is what payloads are made of.
type Template struct {
	tree   any
	escape escape
}

// named is the shipped template of that name.
func named(name string) (*Template, error) {
	if !slices.Contains(Templates(), name) {
		return nil, fmt.Errorf("%q is no template%s; one of your own is configmap://NAME/KEY", name, strict.Suggest(name, Templates()))
	}
	text, err := shipped.ReadFile("templates/" + name + ".json")
	if err != nil {
		return nil, err
	}
	return ParseTemplate(text, escapes[name])
}

// ParseTemplate reads a template; the error says what is wrong with it. Nil escapes
// nothing.
func ParseTemplate(text []byte, escape func(rune) string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("has more than %d bytes", maxTemplate)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	t := &Template{escape: escape}
	if err := decoder.Decode(&t.tree); err != nil {
		return nil, fmt.Errorf("is not valid JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something after its end")
	}
	return t, check(t.tree)
}

// placeholder is how a template names a variable.
var placeholder = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// check finds placeholders that stand for nothing.
func check(tree any) error {
	switch tree := tree.(type) {
	case string:
		for _, match := range placeholder.FindAllStringSubmatch(tree, -1) {
			if !slices.Contains(Variables, match[1]) {
				return fmt.Errorf("there is no variable %q%s", match[1], strict.Suggest(match[1], Variables))
			}
		}
		if rest := placeholder.ReplaceAllLiteralString(tree, ""); strings.Contains(rest, "{{") {
			return fmt.Errorf("%.100q has {{ that begins no variable; they read {{ name }}, and there is nothing else", tree)
		}
	case []any:
		for _, item := range tree {
			if err := check(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			if strings.Contains(key, "{{") {
				return fmt.Errorf("the key %.100q has a variable in it; only values can have them", key)
			}
			if err := check(tree[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// render gives the document with what the variables stand for.
func (t *Template) render(values map[string]string) any { return t.fill(t.tree, values) }

func (t *Template) fill(tree any, values map[string]string) any {
	switch tree := tree.(type) {
	case string:
		return placeholder.ReplaceAllStringFunc(tree, func(match string) string {
			name := placeholder.FindStringSubmatch(match)[1]
			return t.escape.apply(values[name], limit(name))
		})
	case []any:
		filled := make([]any, len(tree))
		for i, item := range tree {
			filled[i] = t.fill(item, values)
		}
		return filled
	case map[string]any:
		filled := make(map[string]any, len(tree))
		for key, value := range tree {
			filled[key] = t.fill(value, values)
		}
		return filled
	}
	return tree
}
