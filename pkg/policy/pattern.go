package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// pattern is one compiled pattern, braces expanded.
type pattern struct {
	text       string   // canonical
	components []string // text, split at "/"
	name       string   // text without tag and digest
	hostGlob   glob
	pathGlob   glob
	portShown  bool   // the host has a wildcard and a port, maybe the default one
	tag        string // "" for none
	tagGlob    glob
	digest     image.Digest
}

var digestSyntax = regexp.MustCompile(`\A(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\z`)

// compilePattern compiles one pattern into its alternatives.
func compilePattern(text string) ([]pattern, error) {
	if text == "" {
		return nil, errors.New(`is empty; "*:*" matches every image`)
	}
	if len(text) > image.MaxLength {
		return nil, fmt.Errorf("is longer than %d bytes", image.MaxLength)
	}
	alternatives, err := expandBraces(text)
	if err != nil {
		return nil, err
	}
	patterns := make([]pattern, 0, len(alternatives))
	for _, alternative := range alternatives {
		p, err := compileAlternative(alternative)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

func compileAlternative(text string) (pattern, error) {
	name, tag, digest, err := splitSuffix(text)
	if err != nil {
		return pattern{}, err
	}
	host, path, err := splitHost(name)
	if err != nil {
		return pattern{}, err
	}
	if err := checkSyntax(host, path, tag); err != nil {
		return pattern{}, err
	}
	p := pattern{name: host + "/" + path, portShown: !isLiteral(host) && strings.Contains(bracketed.ReplaceAllString(host, ""), ":"), tag: tag, digest: digest}
	if p.hostGlob, err = compileGlob(host); err != nil {
		return pattern{}, err
	}
	if p.pathGlob, err = compileGlob(path); err != nil {
		return pattern{}, err
	}
	if p.tagGlob, err = compileGlob(tag); err != nil {
		return pattern{}, err
	}
	p.text = p.name
	if tag != "" {
		p.text += ":" + tag
	}
	if digest != "" {
		p.text += "@" + string(digest)
	}
	p.components = strings.Split(p.text, "/")
	return p, nil
}

// splitSuffix takes the tag and the digest off a pattern.
func splitSuffix(text string) (name, tag string, digest image.Digest, err error) {
	name, after, found := strings.Cut(text, "@")
	if found {
		if !digestSyntax.MatchString(after) {
			return "", "", "", fmt.Errorf("%q is not a digest; it must be sha256: and 64, or sha512: and 128, lower-case hexadecimal digits", after)
		}
		digest = image.Digest(after)
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
		if tag == "" {
			return "", "", "", errors.New(`has nothing behind ":"; write ":*" for any tag`)
		}
	}
	if name == "" {
		return "", "", "", errors.New(`names no image; "*" stands for any`)
	}
	return name, tag, digest, nil
}

// splitHost gives the canonical host and path of a pattern, as image.Parse
// does for a reference.
func splitHost(name string) (host, path string, err error) {
	first, rest, found := strings.Cut(name, "/")
	switch {
	case !found && strings.ContainsAny(name[:1], "*?["):
		return "*", name, nil
	case !found:
		return image.DefaultRegistry, "library/" + name, nil
	case first == "" || strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return "", "", errors.New(`has an empty component between, before or behind "/"`)
	case isAddress(first):
		return "", "", fmt.Errorf("has brackets that must be escaped, or they list characters: %q", escapeBrackets.Replace(image.CanonicalHost(first)))
	case !isHost(first) && !isLiteral(first):
		return "", "", fmt.Errorf("is ambiguous: %q may be a host or a part of Docker Hub; write %q for Docker Hub, or a host with a dot or a port such as %q",
			first, "docker.io/"+name, first+".example.com/"+rest)
	case !isHost(first):
		host, path = image.DefaultRegistry, name
	case isLiteral(first):
		host, path = image.CanonicalHost(first), rest
	default:
		host, path = strings.ToLower(first), rest
	}
	// A path of Docker Hub that starts with "*" stands for all of it.
	if host == image.DefaultRegistry && !strings.Contains(path, "/") && path[0] != '*' {
		path = "library/" + path
	}
	return host, path, nil
}

// isHost tells whether the first of several components is a registry's host.
func isHost(component string) bool {
	return component == "*" || strings.ToLower(component) == "localhost" || strings.ContainsAny(component, ".:") ||
		isLiteral(component) && component != strings.ToLower(component)
}

// isAddress tells whether a component is an IPv6 address, whose brackets would
// be taken for a character class.
func isAddress(component string) bool {
	_, err := image.Parse(component + "/x")
	return component[0] == '[' && err == nil
}

var escapeBrackets = strings.NewReplacer("[", `\[`, "]", `\]`)

// bracketed is an address or a character class, whose colons begin no port.
var bracketed = regexp.MustCompile(`\\?\[[^\]]*\]`)

// What may stand in a part of a pattern that has a wildcard.
var (
	hostSyntax      = regexp.MustCompile(`\A[a-z0-9.:*?\[\]^\\-]+\z`)
	pathSyntax      = regexp.MustCompile(`\A[a-z0-9._/*?\[\]^\\-]+\z`)
	tagSyntax       = regexp.MustCompile(`\A[A-Za-z0-9._*?\[\]^\\-]*\z`)
	namespaceSyntax = regexp.MustCompile(`\A[a-z0-9*?\[\]^\\-]+\z`)
)

// checkSyntax refuses what can match no reference: the rule would never apply,
// and nobody would know.
func checkSyntax(host, path, tag string) error {
	switch {
	case isLiteral(host + path):
		if _, err := image.Parse(host + "/" + path); err != nil {
			return fmt.Errorf("can match no image: %w", err)
		}
	case !hostSyntax.MatchString(host):
		return fmt.Errorf("can match no image: no host is like %q", host)
	case !pathSyntax.MatchString(path):
		return fmt.Errorf("can match no image: no repository is like %q", path)
	}
	if !tagSyntax.MatchString(tag) {
		return fmt.Errorf("can match no image: no tag is like %q", tag)
	}
	return nil
}

// literalPrefix is the part of the name that ends before the first component
// with a wildcard.
func (p *pattern) literalPrefix() string {
	wild := strings.IndexAny(p.name, wildcards)
	if wild < 0 {
		return p.name
	}
	return p.name[:max(strings.LastIndexByte(p.name[:wild], '/'), 0)]
}

// matchName tells whether registry and repository match.
func (p *pattern) matchName(ref image.Reference) bool {
	host := ref.Registry()
	if p.portShown && strings.LastIndexByte(host, ':') <= strings.LastIndexByte(host, ']') {
		host += ":443"
	}
	return p.hostGlob.match(host) && p.pathGlob.match(ref.Repository())
}

// matchSuffix tells whether tag and digest match.
func (p *pattern) matchSuffix(ref image.Reference) bool {
	if p.digest != "" && p.digest != ref.Digest() {
		return false
	}
	switch {
	case p.tag == "" || p.tag == "*":
		return true
	case ref.Tag() == "":
		return false
	}
	return p.tagGlob.match(ref.Tag())
}

// byTag tells whether the pattern matches by a tag, which beside a digest is
// no more than a claim.
func (p *pattern) byTag() bool { return p.tag != "" && p.tag != "*" }
