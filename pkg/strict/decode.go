package strict

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"go.yaml.in/yaml/v3"
)

// Tag is the struct tag that names a field's key.
const Tag = "config"

// Object is a mapping of the configuration and the key path where it stands.
type Object struct {
	Path   string
	Fields map[string]any
}

// Key is the path of one of the object's keys.
func (o Object) Key(name string) string { return join(o.Path, name) }

// unquoted finds the most frequent mistake in a policy: to YAML, "*" begins the
// name of something that was defined before.
var unquoted = regexp.MustCompile(`(?m)^[^#"']*[:\-] +\*`)

// YAML reads a document of a configuration value. A key that stands twice in
// one mapping is an error.
func YAML(path, text string) (any, Errors) {
	var document any
	decoder := yaml.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		var typeError *yaml.TypeError
		if errors.As(err, &typeError) {
			var errs Errors
			for _, message := range typeError.Errors {
				errs.Add(path, "%s", message)
			}
			return nil, errs
		}
		hint := ""
		if unquoted.MatchString(text) {
			hint = `; a value that begins with "*" must be put into quotes`
		}
		return nil, Errors{Errorf(path, "is not valid YAML: %s%s", strings.TrimPrefix(err.Error(), "yaml: "), hint)}
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, Errors{Errorf(path, `has more than one YAML document; remove the line "---"`)}
	}
	return document, nil
}

// Decode puts raw into out, a pointer to a value whose struct fields carry
// Tag. Fields that raw does not set keep their value, the default.
func Decode(path string, raw, out any) Errors {
	if raw == nil {
		return nil
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		TagName:    Tag,
		Result:     out,
		MatchName:  func(key, field string) bool { return key == field },
		DecodeHook: fits,
	})
	if err != nil {
		return Errors{Errorf(path, "%v", err)}
	}
	errs := unknownKeys(path, raw, reflect.TypeOf(out))
	return append(errs, translate(path, decoder.Decode(raw))...)
}

// fits refuses numbers that the library would cut to fit an integer, and what
// it has no words for.
func fits(from, to reflect.Value) (any, error) {
	got := describe(from.Type())
	switch kind := to.Kind(); {
	case kind == reflect.Slice && from.Kind() != reflect.Slice:
		return nil, fmt.Errorf("must be a list, not %s", got)
	case (kind == reflect.Struct || kind == reflect.Map) && from.Kind() != reflect.Map:
		return nil, fmt.Errorf("must be a mapping, not %s", got)
	case (to.CanInt() || to.CanUint()) && from.CanFloat():
		return nil, fmt.Errorf("must be a whole number, not %v", from)
	case overflows(from, to):
		return nil, fmt.Errorf("is %v, which is out of range", from)
	}
	return from.Interface(), nil
}

func overflows(from, to reflect.Value) bool {
	switch {
	case from.CanInt() && to.CanInt():
		return to.OverflowInt(from.Int())
	case from.CanInt() && to.CanUint():
		return from.Int() < 0 || to.OverflowUint(uint64(from.Int()))
	case from.CanUint() && to.CanInt():
		return from.Uint() > math.MaxInt64 || to.OverflowInt(int64(from.Uint()))
	case from.CanUint() && to.CanUint():
		return to.OverflowUint(from.Uint())
	}
	return false
}

// Decode puts the object's fields into out.
func (o Object) Decode(out any) Errors {
	if o.Fields == nil {
		return nil
	}
	return Decode(o.Path, o.Fields, out)
}

// translate turns the library's errors into ours, one for each key.
func translate(path string, err error) Errors {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var errs Errors
		for _, one := range joined.Unwrap() {
			errs = append(errs, translate(path, one)...)
		}
		return errs
	}
	var decodeError *mapstructure.DecodeError
	if !errors.As(err, &decodeError) {
		return Errors{Errorf(path, "%v", err)}
	}
	at := join(path, decodeError.Name())
	var unconvertible *mapstructure.UnconvertibleTypeError
	if errors.As(err, &unconvertible) {
		return Errors{Errorf(at, "must be %s, not %s", describe(unconvertible.Expected.Type()), describe(reflect.TypeOf(unconvertible.Value)))}
	}
	return Errors{Errorf(at, "%v", decodeError.Unwrap())}
}

// describe names a type in YAML's words.
func describe(t reflect.Type) string {
	if t == nil {
		return "nothing"
	}
	if t == reflect.TypeFor[time.Time]() {
		return "a date (quotes make it a string)"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a mapping"
	case reflect.Pointer:
		return describe(t.Elem())
	}
	return t.String()
}

// unknownKeys finds the keys below raw for which the type t has no field. The
// library finds them too, but keeps silent about them beside other errors.
func unknownKeys(path string, raw any, t reflect.Type) (errs Errors) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch value := raw.(type) {
	case []any:
		if t.Kind() == reflect.Slice {
			for i, item := range value {
				errs = append(errs, unknownKeys(fmt.Sprintf("%s[%d]", path, i), item, t.Elem())...)
			}
		}
	case map[string]any:
		if t.Kind() == reflect.Struct {
			fields, open := fieldsOf(t)
			for _, key := range slices.Sorted(maps.Keys(value)) {
				if field, ok := fields[key]; ok {
					errs = append(errs, unknownKeys(join(path, key), value[key], field)...)
				} else if !open {
					errs.Add(join(path, key), "unknown key%s", Suggest(key, slices.Collect(maps.Keys(fields))))
				}
			}
		}
		if t.Kind() == reflect.Map && t.Elem().Kind() != reflect.Interface {
			for _, key := range slices.Sorted(maps.Keys(value)) {
				errs = append(errs, unknownKeys(join(path, key), value[key], t.Elem())...)
			}
		}
	case map[any]any:
		errs.Add(path, "has a key that is not a string; put it into quotes")
	}
	return errs
}

// fieldsOf gives the types of a struct's fields by key, and whether one of the
// fields takes whatever remains.
func fieldsOf(t reflect.Type) (fields map[string]reflect.Type, open bool) {
	fields = map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(t) {
		key, option, _ := strings.Cut(field.Tag.Get(Tag), ",")
		open = open || option == "remain"
		if key != "" {
			fields[key] = field.Type
		}
	}
	return fields, open
}

func join(path, key string) string {
	switch {
	case path == "":
		return key
	case key == "":
		return path
	case strings.HasPrefix(key, "["):
		return path + key
	}
	return path + "." + key
}
