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
	host       string   // as in text
	path       string
	hostGlob   glob
	pathGlob   glob
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
	p := pattern{host: host, path: path, tag: tag, digest: digest}
	if p.hostGlob, err = compileGlob(host); err != nil {
		return pattern{}, err
	}
	if p.pathGlob, err = compileGlob(path); err != nil {
		return pattern{}, err
	}
	if p.tagGlob, err = compileGlob(tag); err != nil {
		return pattern{}, err
	}
	p.text = host + "/" + path
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
	case !found && strings.ContainsAny(name[:1], wildcards):
		return "*", name, nil
	case !found:
		return image.DefaultRegistry, "library/" + name, nil
	case rest == "" || strings.HasPrefix(rest, "/") || strings.HasSuffix(rest, "/") || first == "":
		return "", "", errors.New(`has an empty component between, before or behind "/"`)
	case isHost(first):
		return canonicalPath(image.CanonicalHost(first), rest)
	case !isLiteral(first):
		return "", "", fmt.Errorf("is ambiguous: %q may be a host or a part of Docker Hub; write %q for Docker Hub, or a host with a dot or a port such as %q",
			first, "docker.io/"+name, first+".example.com/"+rest)
	}
	return canonicalPath(image.DefaultRegistry, name)
}

// isHost tells whether the first of several components is a registry's host.
func isHost(component string) bool {
	return component == "*" || component == "localhost" || strings.ContainsAny(component, ".:") ||
		component != strings.ToLower(component)
}

// canonicalPath gives one-component names of Docker Hub their "library/". A
// path that starts with "*" stands for all of the host's.
func canonicalPath(host, path string) (string, string, error) {
	if host == image.DefaultRegistry && !strings.Contains(path, "/") && path[0] != '*' {
		path = "library/" + path
	}
	return host, path, nil
}

// matchName tells whether registry and repository match.
func (p *pattern) matchName(ref image.Reference) bool {
	return p.hostGlob.match(ref.Registry()) && p.pathGlob.match(ref.Repository())
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
