package sink

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// config is what all sinks have. What the protocol defines is in Settings.
type config struct {
	Name       string         `config:"name"`
	URL        string         `config:"url"`
	Types      []string       `config:"types"`
	Outcomes   []string       `config:"outcomes"`
	Namespaces []string       `config:"namespaces"`
	Settings   map[string]any `config:",remain"`
}

// protocol is how events are sent.
type protocol struct {
	// open makes a sink of a URL. What else it needs it asks the reader for.
	open func(target *url.URL, r *reader) finding.Spec
	// port is the usual one of brokers, of which a URL may name several. Their
	// Host has all of them, with commas between them, each with its port.
	port string
}

// protocols are those that the URL of a sink can begin with.
var protocols = map[string]protocol{
	"http":      {open: newHTTP},
	"https":     {open: newHTTP},
	"nats":      {open: newNATS, port: "4222"},
	"tls":       {open: newNATS, port: "4222"}, // what clients of NATS call it
	"kafka":     {open: newKafka, port: "9092"},
	"kafka+tls": {open: newKafka, port: "9093"},
}

// Parse reads an item of the list of sinks. Secrets come from source; one that is
// not there yet is a warning, and the sink cannot be reached until it is.
func Parse(o strict.Object, source trust.Source) (spec finding.Spec, warnings, errs strict.Errors) {
	var c config
	errs = o.Decode(&c)
	r := &reader{object: strict.Object{Path: o.Path, Fields: c.Settings}, source: source, identity: sha256.New()}
	filter := finding.Filter{Types: c.Types, Outcomes: c.Outcomes, Namespaces: c.Namespaces}
	errs = append(errs, filter.Check(o)...)
	if c.Name == "" {
		errs.Add(o.Key("name"), "is missing; metrics and log name the sink by it")
	}
	target, err := parseURL(c.URL)
	switch {
	case c.URL == "":
		errs.Add(o.Key("url"), "is missing")
	case err != nil, target.Host == "", protocols[target.Scheme].open == nil:
		errs.Add(o.Key("url"), "must be a URL that begins with %s", strings.Join(slices.Sorted(maps.Keys(protocols)), "://, ")+"://")
	case target.User != nil:
		errs.Add(o.Key("url"), "has a password in it, which does not belong into a ConfigMap; put it into a Secret")
	default:
		spec = protocols[target.Scheme].open(target, r)
	}
	if r.missing != nil {
		spec.Open = func(context.Context) (finding.Sink, error) { return nil, r.missing }
	}
	spec.Name, spec.Filter = c.Name, filter
	// What was read of Secrets is in it too; it is a hash.
	fmt.Fprintf(r.identity, "%q %q %v %v", c.URL, filter, c.Settings, r.missing)
	spec.Identity = hex.EncodeToString(r.identity.Sum(nil))
	return spec, r.warnings, append(errs, r.errs...)
}

// parseURL reads the URL of a sink. To url.Parse several brokers would be one with
// too many colons.
func parseURL(text string) (*url.URL, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	port := protocols[strings.ToLower(scheme)].port
	if port == "" {
		return url.Parse(text)
	}
	end := strings.IndexAny(rest+"/", "/?#")
	var target *url.URL
	for _, host := range strings.Split(rest[:end], ",") {
		one, err := url.Parse(scheme + "://" + host + rest[end:])
		if err != nil {
			return nil, err
		}
		if one.Hostname() == "" {
			return nil, errors.New("a broker has no name")
		}
		one.Host = net.JoinHostPort(one.Hostname(), cmp.Or(one.Port(), port))
		if target == nil {
			target = one
			continue
		}
		target.Host, target.User = target.Host+","+one.Host, cmp.Or(target.User, one.User)
	}
	return target, nil
}

// reader reads what a sink's settings are and refer to.
type reader struct {
	object   strict.Object
	source   trust.Source
	identity hash.Hash // of what was read
	missing  error     // what is not there yet
	warnings strict.Errors
	errs     strict.Errors
}

// decode puts the protocol's settings into out.
func (r *reader) decode(out any) { r.errs = append(r.errs, r.object.Decode(out)...) }

// add notes what is wrong with a setting.
func (r *reader) add(key, format string, args ...any) {
	r.errs.Add(r.object.Key(key), format, args...)
}

// secret reads an entry of a Secret; empty if there is no reference.
func (r *reader) secret(key, reference string) string {
	if reference == "" {
		return ""
	}
	ref, err := trust.ParseReference(reference)
	if _, _, ok := ref.Secret(); err != nil || !ok {
		r.add(key, "must be k8s://NAMESPACE/SECRET/KEY, since it is secret") // do not repeat it
		return ""
	}
	text := r.read(key, reference, ref)
	secret := strings.TrimSpace(string(text))
	if text != nil && secret == "" {
		r.add(key, "%s is empty", reference)
	}
	return secret
}

// name reads a setting that is no secret by itself, but may be in one.
func (r *reader) name(key, value string) string {
	if strings.HasPrefix(value, "k8s://") {
		return r.secret(key, value)
	}
	return value
}

// certificates reads PEM certificates; nil if there is no reference.
func (r *reader) certificates(key, reference string) []byte {
	if reference == "" {
		return nil
	}
	ref, err := trust.ParseReference(reference)
	if _, kms := ref.KMS(); err != nil || kms {
		r.add(key, "must be PEM certificates, configmap://NAME/KEY or k8s://NAMESPACE/SECRET/KEY")
		return nil
	}
	return r.read(key, reference, ref)
}

// authorities reads certificates that are trusted besides the system's; nil if
// there is no reference.
func (r *reader) authorities(key, reference string) *x509.CertPool {
	text := r.certificates(key, reference)
	if text == nil {
		return nil
	}
	pool, err := withSystem(text)
	if err != nil {
		r.add(key, "%v", err)
	}
	return pool
}

// withSystem are the system's authorities and these.
func withSystem(text []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("has no PEM certificate")
	}
	return pool, nil
}

func (r *reader) read(key, reference string, ref trust.Reference) []byte {
	text, err := ref.Read(r.source)
	if err != nil {
		r.missing = fmt.Errorf("%s: %w", reference, err)
		r.warnings.Add(r.object.Key(key), "%s: %v; nothing can be sent meanwhile", reference, err)
		return nil
	}
	fmt.Fprintf(r.identity, "%q %q\n", key, text)
	return text
}
