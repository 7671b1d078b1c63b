package cosign

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

var example = regexp.MustCompile("(?ms)^```yaml config-policy\n(.*?)^```$")

// Each key that the validator knows is explained in its reference, and stands in
// one of the examples, which test/docs parses.
func TestEveryKeyIsExplainedWithAnExample(t *testing.T) {
	t.Parallel()
	var text []byte
	for _, page := range []string{"cosign.md", "README.md"} {
		part, err := os.ReadFile("../../../config/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, part...)
	}
	var examples strings.Builder
	for _, match := range example.FindAllSubmatch(text, -1) {
		examples.Write(match[1])
	}
	count := 0
	for _, settings := range []reflect.Type{
		reflect.TypeFor[trust.RootConfig](), reflect.TypeFor[trust.KeylessConfig](), reflect.TypeFor[hostConfig](), reflect.TypeFor[tufConfig](),
		reflect.TypeFor[ruleConfig](), reflect.TypeFor[attestationConfig](), reflect.TypeFor[registry.AccessConfig](), reflect.TypeFor[registry.AuthConfig](),
	} {
		for _, field := range reflect.VisibleFields(settings) {
			key, _, _ := strings.Cut(field.Tag.Get(strict.Tag), ",")
			if key == "" {
				continue
			}
			count++
			if !strings.Contains(string(text), "`"+key+"`") {
				t.Errorf("the reference does not explain %s", key)
			}
			if !regexp.MustCompile(`(^|[\s{])` + key + `:`).MatchString(examples.String()) {
				t.Errorf("no example in the reference has %s", key)
			}
		}
	}
	if count < 25 {
		t.Errorf("only %d keys were found", count)
	}
}
