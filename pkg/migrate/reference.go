package migrate

import (
	"regexp"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// maxComparisons bounds how often a reference is held against a pattern.
const maxComparisons = 4_000_000

const (
	// stranger is a registry that no rule means.
	stranger = "evil.example"
	digest   = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
)

// references are those that the original and ours may decide differently: what
// each pattern is for, and what has more or something else around it, there and
// at the registries of all other rules.
func (m *migration) references() []image.Reference {
	var hosts []string
	for _, r := range m.rules {
		if host, _, _ := place(r.original); host != "" {
			hosts = append(hosts, host)
		}
	}
	var found []image.Reference
	seen := map[string]bool{}
	add := func(texts []string) {
		for _, text := range texts {
			ref, err := image.Parse(text)
			if err == nil && !seen[ref.String()] {
				seen[ref.String()] = true
				found = append(found, ref)
			}
		}
	}
	for _, r := range m.rules {
		add(samples(r.original, nil))
	}
	most := maxComparisons / max(len(m.rules), 1)
	for _, r := range m.rules {
		if len(found) > most {
			break
		}
		add(samples(r.original, hosts))
	}
	return found
}

// samples are references that a pattern may be for, and at these hosts besides.
func samples(pattern string, hosts []string) []string {
	host, path, suffix := place(pattern)
	own := host
	if own == "" {
		own = image.DefaultRegistry
	}
	if len(hosts) > 0 {
		var all []string
		for _, other := range hosts {
			all = append(all, other+"/"+path+suffix)
		}
		return all
	}
	name := own + "/" + path
	all := []string{name + suffix}
	if host != "" {
		all = append(all, stranger+"/"+name+suffix, "evil"+name+suffix)
	}
	all = append(all,
		stranger+"/"+path+suffix,
		own+"/other/"+path+suffix,
		name+"-other"+suffix,
		name+"/other"+suffix,
		name+":other",
		name+"@"+digest,
	)
	if strings.HasPrefix(suffix, ":") {
		all = append(all, name+suffix+"-other")
	}
	if host == "" && !strings.Contains(path, "/") {
		all = append(all, "my-"+path+suffix, stranger+"/other/my-"+path+suffix, path+".example/other:1", stranger+"/other:"+path)
	}
	return all
}

// place gives the host, path and suffix of a reference that a pattern is for.
func place(pattern string) (host, path, suffix string) {
	name, suffix := split(pattern)
	first, rest, found := strings.Cut(name, "/")
	if found && (first == "*" || strings.ContainsAny(first, ".:") || first == "localhost") {
		host, name = strings.ToLower(sample(first, "registry.example")), rest
	}
	switch suffix = sample(suffix, "1"); {
	case suffix == "":
		suffix = ":1"
	case suffix[0] == '@' && !compiles("x"+suffix): // the digest has a wildcard
		suffix = "@" + digest
	}
	return host, sample(name, "app"), suffix
}

var (
	options = regexp.MustCompile(`\{([^,{}]*)[^{}]*\}`)
	class   = regexp.MustCompile(`\[[^\]]*\]`)
)

// sample is a text that a glob matches: a wildcard by itself stands for the word.
func sample(glob, word string) string {
	glob = options.ReplaceAllString(glob, "$1")
	glob = class.ReplaceAllStringFunc(glob, func(list string) string {
		if strings.HasPrefix(list, "[!") || strings.HasPrefix(list, "[^") || len(list) < 3 {
			return "x"
		}
		return list[1:2]
	})
	parts := strings.FieldsFunc(glob, func(r rune) bool { return r == '/' })
	for i, part := range parts {
		before, tag, tagged := strings.Cut(part, ":")
		switch {
		case part == "*":
			part = word
		case tagged && before == "" && tag == "*":
			part = ":" + word
		}
		parts[i] = strings.NewReplacer("**", "x", "*", "x", "?", "x", `\`, "").Replace(part)
	}
	return strings.Join(parts, "/")
}
