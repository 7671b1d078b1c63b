package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// indexKeys are the keys that decide what a runtime makes of an index; some of
// them no index has.
var indexKeys = []string{
	"schemaVersion", "mediaType", "artifactType", "manifests", "digest", "size", "platform", "os", "architecture", "variant", "annotations",
	"config", "layers", "fsLayers", "history", "signatures",
}

// maxDepth bounds how deep objects and lists may be nested: an index has four
// levels.
const maxDepth = 16

// unambiguous makes sure that all parsers read the same in an index: no object
// has a key twice, and none a known key in other letters, which some parsers
// take for it and others do not.
func unambiguous(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	return unambiguousValue(d, 0)
}

func unambiguousValue(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("it is nested too deeply")
	}
	token, err := d.Token()
	if err != nil {
		return errors.New("it cannot be parsed")
	}
	object := token == json.Delim('{')
	if !object && token != json.Delim('[') {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if object {
			if err := unambiguousKey(d, seen); err != nil {
				return err
			}
		}
		if err := unambiguousValue(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("it cannot be parsed")
	}
	return nil
}

func unambiguousKey(d *json.Decoder, seen map[string]bool) error {
	token, err := d.Token()
	key, ok := token.(string)
	if err != nil || !ok {
		return errors.New("it cannot be parsed")
	}
	folded := strings.ToLower(key)
	if seen[folded] {
		return fmt.Errorf("it has a key twice: %.40q", key)
	}
	seen[folded] = true
	for _, known := range indexKeys {
		if key != known && strings.EqualFold(key, known) {
			return fmt.Errorf("it has the key %.40q, which is %q in other letters", key, known)
		}
	}
	return nil
}
