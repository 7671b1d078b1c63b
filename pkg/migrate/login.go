package migrate

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// login is a Secret for what stood in the file.
type login struct {
	name string
	text []byte // of its entry secret.yaml
}

// secretEntry is the entry of a Secret with a login of Connaisseur's.
const secretEntry = "secret.yaml"

// takeAuth reads where a validator's credentials are. A user and a password go
// into the Secret that the chart makes of them.
func (m *migration) takeAuth(v *validator, fields map[string]any) {
	at := section{Path: v.path + ".auth", Fields: maps.Clone(fields)}
	if fields["secretName"] != nil || fields["useKeychain"] != nil {
		m.dropUnknown(at)
	}
	kept, ok := m.only(at, authKeys)
	v.lost = v.lost || !ok
	_, user := kept["username"]
	_, password := kept["password"]
	auth := map[string]any{}
	switch {
	case user && password:
		auth["secretName"] = m.login(v, kept)
	case user || password:
		m.lost(at.Path, "has a username without a password, or the reverse")
		v.lost = true
	case kept["secretName"] != nil:
		auth["secretName"] = m.secretName(at.Key("secretName"), kept["secretName"])
		if kept["useKeychain"] != nil {
			m.note(at.Key("useKeychain"), "has no effect beside secretName, and is left out")
		}
	case kept["useKeychain"] != nil:
		auth["useKeychain"] = kept["useKeychain"]
	}
	if v.settings["auth"] = auth; len(auth) == 0 {
		delete(v.settings, "auth")
	}
}

var authKeys = []string{"secretName", "useKeychain", "username", "password", "registry"}

// dropUnknown leaves out what the original does not look at beside what it knows.
func (m *migration) dropUnknown(auth section) {
	for _, key := range slices.Sorted(maps.Keys(auth.Fields)) {
		if !slices.Contains(authKeys, key) {
			m.note(auth.Key(key), "never had a meaning, and is left out%s", strict.Suggest(key, authKeys))
			delete(auth.Fields, key)
		}
	}
}

// login keeps a user's name and password, and gives the name of their Secret.
func (m *migration) login(v *validator, auth map[string]any) string {
	l := login{name: objectName(v.name) + "-auth"}
	for _, other := range m.logins {
		if other.name == l.name {
			l.name += "-" + objectName(v.kind)
		}
	}
	if auth["registry"] == nil && v.kind != "notaryv1" {
		m.lost(v.path+".auth.registry", "is missing, and a password is not for every registry; put %q into the Secret %s with the keys registry, username and password", secretEntry, l.name)
		return l.name
	}
	text, err := yaml.Marshal(auth)
	if err != nil {
		m.lost(v.path+".auth", "cannot be written as YAML")
		return l.name
	}
	l.text = bytes.TrimSuffix(text, []byte("\n")) // which is just what the chart has written
	m.logins = append(m.logins, l)
	m.note(v.path+".auth", "the password is in the Secret %s now, and no longer needs to be in a file", l.name)
	return l.name
}

// secretName makes sure that there can be a Secret of that name.
func (m *migration) secretName(path string, value any) any {
	name, ok := value.(string)
	if !ok || len(validation.IsDNS1123Subdomain(name)) == 0 {
		return value
	}
	m.stricter(path, "no Secret can be called %q; what needs it cannot be checked until there is one called %q with the same entries", name, objectName(name))
	return objectName(name)
}

var notInNames = regexp.MustCompile(`[^a-z0-9-]+`)

// maxName leaves room for what is appended to a name of at most 253 characters.
const maxName = 200

// objectName makes a name that Kubernetes takes.
func objectName(name string) string {
	name = notInNames.ReplaceAllString(strings.ToLower(name), "-")
	name = strings.Trim(name[:min(len(name), maxName)], "-")
	if name == "" {
		return "validator"
	}
	return name
}
