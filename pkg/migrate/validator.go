package migrate

import (
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/static"
)

// schema is what the original knows of a type of validator: its keys, those of
// its trust roots and of its host, and what its rules may say that has a meaning.
type schema struct{ keys, roots, host, with []string }

var schemas = map[string]schema{
	static.Type: {keys: []string{"approve"}, with: []string{"mode"}},
	"cosign": {
		keys:  []string{"host", "cert", "auth", "trustRoots"},
		roots: []string{"name", "key", "keyless"},
		host:  []string{"rekor", "rekorPubkey", "fulcioCert", "ctLogPubkey"},
		with:  []string{"trustRoot", "threshold", "required", "verifyInTransparencyLog", "verifySCT", "mode"},
	},
	"notaryv1": {
		keys:  []string{"host", "cert", "auth", "trustRoots", "isAcr"},
		roots: []string{"name", "key"},
		with:  []string{"trustRoot", "delegations", "mode"},
	},
	"notation": {
		keys:  []string{"cert", "auth", "trustRoots"},
		roots: []string{"name", "cert", "tsCert"},
		with:  []string{"trustRoot", "verificationLevel", "verifyTimestamp", "mode"},
	},
}

// validator is one of the file's.
type validator struct {
	path       string
	name, kind string
	settings   map[string]any // but for name, type and trustRoots
	roots      []*root
	// aliases are names of trust roots that are the same as another one.
	aliases map[string]string
	// lost tells that it cannot be carried over: it denies.
	lost bool
	// incomplete tells that one of its trust roots is lost.
	incomplete bool
}

// strength orders what a rule demands of an image.
type strength int

const (
	allows strength = iota
	verifies
	denies
)

func (s strength) String() string { return [...]string{"allows", "verifies", "denies"}[s] }

// meant is what the validator demands in the original; one that does not load
// there keeps everything out.
func (v *validator) meant() strength {
	switch {
	case v == nil:
		return denies
	case v.kind != static.Type:
		return verifies
	case v.settings["approve"] == true:
		return allows
	}
	return denies
}

// takeValidators reads the validators. Of several with one name the first counts.
func (m *migration) takeValidators(f *file) {
	at := f.policy.Key("validators")
	for i, raw := range m.list(at, f.policy.Fields["validators"]) {
		path := fmt.Sprintf("%s[%d]", at, i)
		fields, ok := raw.(map[string]any)
		if !ok {
			m.lost(path, "must be a mapping")
			continue
		}
		v := &validator{path: path, aliases: map[string]string{}}
		if v.name, ok = fields["name"].(string); !ok || v.name == "" {
			m.lost(path+".name", "is missing or no string, so that no rule can name the validator, which is left out")
			continue
		}
		if earlier := m.validator(v.name); earlier != nil {
			m.note(path+".name", "%q is the name of %s too, which is the one that counts; this one is left out", v.name, earlier.path)
			continue
		}
		m.validators = append(m.validators, v)
		m.fill(v, fields)
	}
	m.hasPolicy = f.policy.Fields["validators"] != nil || f.policy.Fields["policy"] != nil
}

// fill reads what a validator says.
func (m *migration) fill(v *validator, fields map[string]any) {
	v.kind, _ = fields["type"].(string)
	known, ok := schemas[v.kind]
	if !ok {
		v.lost = true
		m.lost(v.path+".type", "%q is no type of validator%s", v.kind, strict.Suggest(v.kind, slices.Collect(maps.Keys(schemas))))
		return
	}
	v.settings, ok = m.only(section{Path: v.path, Fields: fields}, append([]string{"name", "type"}, known.keys...))
	v.lost = !ok || !m.placeholders(v.path, v.settings)
	delete(v.settings, "name")
	delete(v.settings, "type")
	if _, given := v.settings["approve"]; v.kind == static.Type && !given {
		m.note(v.path+".approve", "is missing, which means false")
		v.settings["approve"] = false
	}
	if host, ok := v.settings["host"].(map[string]any); ok && known.host != nil {
		at := section{Path: v.path + ".host", Fields: host}
		at.Fields, ok = m.only(at, known.host)
		m.keepFirst(at, "rekorPubkey", "ctLogPubkey")
		v.settings["host"], v.lost = at.Fields, v.lost || !ok
	}
	if auth, ok := v.settings["auth"].(map[string]any); ok {
		m.takeAuth(v, auth)
	}
	if _, ok := v.settings["cert"]; ok && !v.lost {
		m.note(v.path+".cert", "is trusted besides the system's certificates now, and no longer instead of them")
	}
	m.takeRoots(v, known)
}

// lose makes a validator one that denies.
func (v *validator) lose() {
	v.lost, v.roots = true, nil
}

// takeRoots reads the trust roots. Two that are the same are one here, so that
// nobody counts twice.
func (m *migration) takeRoots(v *validator, known schema) {
	at := v.path + ".trustRoots"
	for i, raw := range m.list(at, v.settings["trustRoots"]) {
		r := &root{path: fmt.Sprintf("%s[%d]", at, i)}
		fields, ok := raw.(map[string]any)
		if ok {
			r.fields, ok = m.only(section{Path: r.path, Fields: fields}, known.roots)
		} else {
			m.lost(r.path, "must be a mapping")
		}
		if !ok {
			v.incomplete = true
			continue
		}
		m.takeIdentity(r)
		if r.unreadable(v.kind) {
			m.lost(r.path+".key", "is no key that Connaisseur 3 can read, which is one that begins with -----BEGIN PUBLIC KEY-----: everything that needs this trust root is denied, as it was")
			v.incomplete = true
			continue
		}
		m.keepFirst(section{Path: r.path, Fields: r.fields}, "key", "cert", "tsCert")
		if same := v.same(r); same != nil {
			v.aliases[r.name()] = same.name()
			m.note(r.path, "is the same as the trust root %q, and one signer must not count as two; rules that name it name %q instead", same.name(), same.name())
			continue
		}
		v.roots = append(v.roots, r)
	}
	delete(v.settings, "trustRoots")
}

// same is the root that is the same but for its name.
func (v *validator) same(r *root) *root {
	for _, other := range v.roots {
		if other.name() != r.name() && other.material() == r.material() {
			return other
		}
	}
	return nil
}

// root is a trust root of the file.
type root struct {
	path   string
	fields map[string]any
	broken bool
}

func (r *root) name() string {
	name, _ := r.fields["name"].(string)
	return name
}

// unreadable tells whether there is a key in PEM form that the original cannot
// use, though we could.
func (r *root) unreadable(kind string) bool {
	key, _ := r.fields["key"].(string)
	block, rest := pem.Decode([]byte(key))
	another, _ := pem.Decode(rest)
	return block != nil && (block.Type != "PUBLIC KEY" || another != nil && kind == "notaryv1")
}

// keepFirst leaves the first PEM block of what stands at these keys: the original
// does not look at others, and to us they are alternatives.
func (m *migration) keepFirst(s section, keys ...string) {
	for _, key := range keys {
		text, _ := s.Fields[key].(string)
		block, rest := pem.Decode([]byte(text))
		if another, _ := pem.Decode(rest); block == nil || another == nil {
			continue
		}
		s.Fields[key] = string(pem.EncodeToMemory(block))
		m.note(s.Key(key), "holds more than one PEM block, of which only the first ever counted; the others are left out")
	}
}

// material identifies what is trusted.
func (r *root) material() string {
	if key, ok := r.fields["key"].(string); ok {
		if keys, err := trust.ParseKeys([]byte(key)); err == nil && len(keys) == 1 {
			return keys[0].ID
		}
	}
	rest := maps.Clone(r.fields)
	delete(rest, "name")
	return fmt.Sprintf("%q", rest) // fmt sorts maps
}

// takeIdentity looks at what changes its meaning in the identity of a
// certificate.
func (m *migration) takeIdentity(r *root) {
	fields, ok := r.fields["keyless"].(map[string]any)
	if !ok {
		return
	}
	for _, key := range []string{"issuerRegex", "subjectRegex"} {
		expression, _ := fields[key].(string)
		if expression != "" && !anchored(expression) {
			m.stricter(r.path+".keyless."+key, "was looked for anywhere, and must match from the first to the last character now; .*(%s).* has the old meaning, with which %s", expression, anybody[key])
		}
	}
}

// anybody warns of what an expression that is looked for anywhere lets in.
var anybody = map[string]string{
	"issuerRegex":  "https://evil.example/… with the text in it would do too",
	"subjectRegex": "whoever chooses a name with the text in it would do too",
}

// anchored tells whether an expression is the same looked for anywhere as from
// the first to the last character.
func anchored(expression string) bool {
	begins := strings.HasPrefix(expression, "^") || strings.HasPrefix(expression, ".*") || strings.HasPrefix(expression, `\A`)
	ends := strings.HasSuffix(expression, "$") && !strings.HasSuffix(expression, `\$`) ||
		strings.HasSuffix(expression, ".*") && !strings.HasSuffix(expression, `\.*`) || strings.HasSuffix(expression, `\z`)
	return begins && ends && !strings.Contains(expression, "|")
}

// validator finds one by its name.
func (m *migration) validator(name string) *validator {
	for _, v := range m.validators {
		if v.name == name {
			return v
		}
	}
	return nil
}
