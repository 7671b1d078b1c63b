package trust

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// KeylessConfig is an identity as the configuration has it.
type KeylessConfig struct {
	Issuer       string            `config:"issuer"`
	IssuerRegex  string            `config:"issuerRegex"`
	Subject      string            `config:"subject"`
	SubjectRegex string            `config:"subjectRegex"`
	Extensions   map[string]string `config:"extensions"`
}

// Identity is who a certificate was issued to, and who vouched for that: an
// OpenID Connect issuer and the subject that it knows, such as an e-mail
// address or a workflow.
// https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
type Identity struct {
	matcher verify.CertificateIdentity
	text    string
}

// Matches tells whether the certificate is the identity's. The error says in
// what it differs.
func (i *Identity) Matches(c certificate.Summary) error { return i.matcher.Verify(c) }

// String describes the identity; equal identities have equal descriptions.
func (i *Identity) String() string { return i.text }

// parseIdentity reads an identity. Expressions are matched from the first to
// the last character (RE2 syntax), and extensions exactly.
//
// Only Fulcio writes the issuer into certificates, so that it may be left out
// for those of another authority.
func parseIdentity(path string, c KeylessConfig, fulcio bool) (*Identity, strict.Errors) {
	var errs strict.Errors
	if !fulcio && c.Issuer == "" && c.IssuerRegex == "" {
		c.IssuerRegex = ".*"
	}
	issuer := oneOf(path, "issuer", c.Issuer, c.IssuerRegex, &errs)
	subject := oneOf(path, "subject", c.Subject, c.SubjectRegex, &errs)
	extensions := parseExtensions(path+".extensions", c.Extensions, &errs)
	if len(errs) > 0 {
		return nil, errs
	}
	matcher, err := verify.NewCertificateIdentity(
		verify.SubjectAlternativeNameMatcher{SubjectAlternativeName: c.Subject, Regexp: *subject},
		verify.IssuerMatcher{Issuer: c.Issuer, Regexp: *issuer}, extensions)
	if err != nil {
		return nil, strict.Errors{strict.Errorf(path, "%v", err)}
	}
	text := fmt.Sprintf("issuer %q %q, subject %q %q", c.Issuer, c.IssuerRegex, c.Subject, c.SubjectRegex)
	for _, name := range slices.Sorted(maps.Keys(c.Extensions)) {
		text += fmt.Sprintf(", %s %q", name, c.Extensions[name])
	}
	return &Identity{matcher: matcher, text: text}, nil
}

// oneOf makes sure that there is a value or an expression, and compiles the
// expression; the empty one matches nothing that is looked at.
func oneOf(path, key, value, expression string, errs *strict.Errors) *regexp.Regexp {
	switch {
	case value != "" && expression != "":
		errs.Add(path+"."+key, "stands beside %sRegex; one of them must go", key)
	case value == "" && expression == "":
		errs.Add(path+"."+key, "is missing, and so is %sRegex, so that anybody's certificate would do; if that is meant, write %sRegex: \".+\"", key, key)
	}
	// By itself first: "a)|(b" would become valid between parentheses.
	if _, err := regexp.Compile(expression); err != nil {
		errs.Add(path+"."+key+"Regex", "is no valid regular expression (RE2 syntax): %v", err)
		return regexp.MustCompile("")
	}
	if expression == "" {
		return regexp.MustCompile("")
	}
	anchored, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil {
		errs.Add(path+"."+key+"Regex", "is no valid regular expression (RE2 syntax): %v", err)
		return regexp.MustCompile("")
	}
	return anchored
}

// parseExtensions reads the certificate extensions that must have exactly
// these values.
func parseExtensions(path string, values map[string]string, errs *strict.Errors) certificate.Extensions {
	known := extensionNames()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !slices.Contains(known, name):
			errs.Add(path+"."+name, "is no extension of a certificate%s", strict.Suggest(name, known))
		case values[name] == "":
			errs.Add(path+"."+name, "is empty, which would match any value")
		}
	}
	var extensions certificate.Extensions
	text, err := json.Marshal(values)
	if err == nil {
		err = json.Unmarshal(text, &extensions)
	}
	if err != nil {
		errs.Add(path, "%v", err)
	}
	return extensions
}

// extensionNames are the names that sigstore-go gives the extensions: its
// fields' JSON keys, but for the issuer, which has a key of its own.
func extensionNames() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[certificate.Extensions]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "issuer" {
			names = append(names, name)
		}
	}
	return names
}
