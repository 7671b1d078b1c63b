package alert

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// The defaults of a receiver.
const (
	defaultPriority  = 3
	defaultPerMinute = 30
)

// config is a receiver as it is configured.
type config struct {
	Name          string         `config:"name"`
	Template      string         `config:"template"`
	ReceiverURL   string         `config:"receiverUrl"`
	Priority      int            `config:"priority"`
	CustomHeaders any            `config:"customHeaders"`
	PayloadFields map[string]any `config:"payloadFields"`
	Required      bool           `config:"failIfAlertSendingFails"`
	Cert          string         `config:"cert"`
	Markup        string         `config:"markup"`
	MaxPerMinute  int            `config:"maxPerMinute"`
}

// Receiver is whom alerts are sent to.
type Receiver struct {
	// Name is the configuration's, which metrics and log name it by.
	Name string

	priority  int
	required  bool // failIfAlertSendingFails
	perMinute int  // 0 for any number
	template  *Template
	fields    map[string]any
	url       string
	header    http.Header
	client    *sink.Client
	identity  string // changes when anything about it does
	missing   error  // why nothing can be sent
}

// Settings are whom alerts go to. The zero value sends none.
type Settings struct {
	// Cluster names the cluster.
	Cluster string
	// Admit are told of what is let in, Reject of what is not, or would not be
	// without detection mode.
	Admit, Reject []Receiver
}

// Names are those of all receivers.
func (s Settings) Names() (names []string) {
	for _, r := range slices.Concat(s.Admit, s.Reject) {
		names = append(names, r.Name)
	}
	return names
}

// Find finds a receiver by its name, and tells whether it is told of what is let in.
func (s Settings) Find(name string) (r *Receiver, admits, ok bool) {
	for i := range s.Admit {
		if s.Admit[i].Name == name {
			return &s.Admit[i], true, true
		}
	}
	for i := range s.Reject {
		if s.Reject[i].Name == name {
			return &s.Reject[i], false, true
		}
	}
	return nil, false, false
}

// Parse reads a receiver. Secrets and templates come from source; one that is not
// there yet is a warning, and nothing is sent until it is. The receiver has a name
// only if the configuration gives one.
func Parse(o strict.Object, source trust.Source) (r Receiver, warnings, errs strict.Errors) {
	c := config{Priority: defaultPriority, MaxPerMinute: defaultPerMinute}
	p := &parser{Object: o, reader: sink.NewReader(o, source)}
	p.errs = o.Decode(&c)
	r = Receiver{Name: c.Name, priority: c.Priority, required: c.Required, perMinute: c.MaxPerMinute, fields: c.PayloadFields}
	r.template = p.template(c)
	r.url = p.url(c)
	r.header = p.header(c)
	r.client = sink.NewClient(p.reader.Authorities("cert", c.Cert))
	if c.MaxPerMinute < 0 {
		p.errs.Add(o.Key("maxPerMinute"), "is %d, but must be at least 0, which sets no limit", c.MaxPerMinute)
	}
	if c.Template == "opsgenie" && (c.Priority < 1 || c.Priority > 5) {
		p.warnings.Add(o.Key("priority"), "is %d, but Opsgenie knows 1 to 5 only, and refuses others", c.Priority)
	}
	r.identity = p.reader.Identity(fmt.Sprintf("%#v", c)) // fmt sorts maps
	r.missing = cmp.Or(p.reader.Missing(), p.unusable)
	warned, bad := p.reader.Problems()
	p.warnings, p.errs = append(p.warnings, warned...), append(p.errs, bad...)
	if r.template != nil {
		p.check(&r)
	}
	return r, p.warnings, p.errs
}

// parser collects what is wrong with a receiver.
type parser struct {
	strict.Object
	reader         *sink.Reader
	unusable       error // what a Secret holds
	warnings, errs strict.Errors
}

// wrong notes what is wrong with a setting. If that is in a Secret it is no matter of
// the configuration, and nothing can be sent until it is right.
func (p *parser) wrong(key string, referred bool, message string) {
	if !referred {
		p.errs.Add(p.Key(key), "%s", message)
		return
	}
	p.warnings.Add(p.Key(key), "what the Secret holds %s; nothing can be sent meanwhile", message)
	p.unusable = fmt.Errorf("%s: what the Secret holds %s", key, message)
}

// template is nil if there is none to be had.
func (p *parser) template(c config) *Template {
	own := strings.HasPrefix(c.Template, "configmap://")
	if c.Markup != "" && !own {
		p.errs.Add(p.Key("markup"), "is for templates of your own only")
	}
	if !own {
		if c.Template == "" {
			p.errs.Add(p.Key("template"), "is missing; there are %s, or configmap://NAME/KEY", strings.Join(Templates(), ", "))
			return nil
		}
		t, err := named(c.Template)
		if err != nil {
			p.errs.Add(p.Key("template"), "%v", err)
		}
		return t
	}
	markups := []string{noMarkup, slack, markdown}
	if c.Markup != "" && !slices.Contains(markups, c.Markup) {
		p.errs.Add(p.Key("markup"), "is %q, but must be %s", c.Markup, strings.Join(markups, ", "))
	}
	text := p.reader.ConfigMap("template", c.Template)
	if text == nil {
		return nil
	}
	t, err := ParseTemplate(text, escapes[c.Markup])
	if err != nil {
		p.errs.Add(p.Key("template"), "%s %v", c.Template, err)
		return nil
	}
	return t
}

// secretURL are parts of URLs that whoever knows can post there.
var secretURL = regexp.MustCompile(`(?i)hooks\.slack\.com/services/|bots\.keybase\.io/webhookbot/|webhook\.office\.com/|[?&](sig|token|key|api_?key|secret|code|access_token)=`)

func (p *parser) url(c config) string {
	const key = "receiverUrl"
	text := c.ReceiverURL
	if text == "" {
		p.errs.Add(p.Key(key), "is missing")
		return ""
	}
	referred := strings.HasPrefix(text, "k8s://")
	if referred {
		if text = p.reader.Secret(key, c.ReceiverURL); text == "" {
			return ""
		}
	}
	target, err := url.Parse(text) // its error has the text in it
	switch {
	case err != nil, target.Host == "", target.Scheme != "https" && target.Scheme != "http":
		p.wrong(key, referred, "must be a URL that begins with https:// or http://, or k8s://NAMESPACE/SECRET/KEY that holds one")
		return ""
	case target.User != nil && !referred:
		p.errs.Add(p.Key(key), "has a password in it, which does not belong into a ConfigMap; put the URL into a Secret")
	case !referred && secretURL.MatchString(text):
		p.warnings.Add(p.Key(key), "is a secret, since whoever knows it can post there; put it into a Secret and write k8s://NAMESPACE/SECRET/KEY")
	}
	if target.Scheme == "http" && c.CustomHeaders != nil {
		p.warnings.Add(p.Key(key), "begins with http://, so that headers are sent in the clear")
	}
	return text
}

var (
	headerName   = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	headerValue  = regexp.MustCompile(`^[\t\x20-\x7e\x80-\xff]*$`)
	secretHeader = regexp.MustCompile(`(?i)auth|key|token|secret|password|cookie`)
	// reserved are headers that are the connection's.
	reserved = []string{"Connection", "Content-Length", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}
)

// header reads customHeaders: a list of "Name: value", or a mapping.
func (p *parser) header(c config) http.Header {
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"connaisseur"}}
	key := "customHeaders"
	switch list := c.CustomHeaders.(type) {
	case nil:
	case []any:
		for i, item := range list {
			at := fmt.Sprintf("%s[%d]", key, i)
			line, _ := item.(string)
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				p.errs.Add(p.Key(at), `must read "Name: value", in quotes`) // without the text, which may be secret
				continue
			}
			p.set(header, at, strings.TrimSpace(name), strings.TrimSpace(value))
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(list)) {
			value, ok := list[name].(string)
			if !ok {
				p.errs.Add(p.Key(key)+"."+name, "must be a string")
				continue
			}
			p.set(header, key+"."+name, name, strings.TrimSpace(value))
		}
	default:
		p.errs.Add(p.Key(key), `must be a list of "Name: value", or a mapping`)
	}
	return header
}

// set sets a header. Its value, or what follows the first word, may be in a Secret.
func (p *parser) set(header http.Header, key, name, value string) {
	switch {
	case !headerName.MatchString(name):
		p.errs.Add(p.Key(key), "has a name that no header can have") // which may be secret
		return
	case slices.Contains(reserved, http.CanonicalHeaderKey(name)):
		p.errs.Add(p.Key(key), "%s cannot be set", name)
		return
	}
	begin := strings.Index(value, "k8s://")
	switch {
	case begin >= 0:
		value = value[:begin] + p.reader.Secret(key, value[begin:])
	case secretHeader.MatchString(name):
		p.warnings.Add(p.Key(key), "is a secret; put it, or its last word, into a Secret and write k8s://NAMESPACE/SECRET/KEY instead")
	}
	if !headerValue.MatchString(value) {
		p.wrong(key, begin >= 0, "has characters that a header cannot have")
		return
	}
	header.Set(name, value)
}

// check makes sure that a payload can be made.
func (p *parser) check(r *Receiver) {
	if _, ok := r.template.tree.(map[string]any); !ok && len(r.fields) > 0 {
		p.errs.Add(p.Key("payloadFields"), "cannot be added, since the template is no JSON object")
		return
	}
	if _, err := r.Payload("", &finding.Admission{}, ""); err != nil {
		p.errs.Add(p.Key("payloadFields"), "cannot be written as JSON: %v", err)
	}
}

// Payload is what the receiver is sent about an admission.
func (r *Receiver) Payload(cluster string, a *finding.Admission, id string) ([]byte, error) {
	return r.payload(cluster, valuesOf(a, id))
}

func (r *Receiver) payload(cluster string, v values) ([]byte, error) {
	if r.template == nil {
		return nil, r.missing
	}
	document := r.template.render(v.with(r, cluster, os.Getenv("POD_NAME")))
	if fields, ok := document.(map[string]any); ok {
		maps.Copy(fields, r.fields) // those of the template give way as a whole
	}
	return json.Marshal(document)
}

// Missing says why nothing can be sent, if a Secret or ConfigMap is not there or holds
// something wrong.
func (r *Receiver) Missing() error { return r.missing }

// Post sends a payload, and gives what is answered. Neither the URL nor headers are
// in the error, which is as a finding.Sink's.
func (r *Receiver) Post(ctx context.Context, payload []byte) (answer []byte, err error) {
	if r.missing != nil {
		return nil, r.missing
	}
	return r.client.Post(ctx, r.url, r.header.Clone(), payload)
}
