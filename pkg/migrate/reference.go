package migrate

import (
	"cmp"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// maxComparisons bounds, about, how often a reference is held against a pattern; of
// many rules not all is put together with all.
const maxComparisons = 2_000_000

const (
	// stranger is a registry that no rule means, and word a name that none has.
	stranger = "evil.example"
	word     = "anything"
	digest   = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
)

// references are those that the original and ours may decide differently: what
// each pattern is for, and what has more or something else around it, there and
// with the registries and tags of all other rules.
func (m *migration) references() []image.Reference {
	var c cross
	c.suffixes = []string{"@" + digest}
	for _, pattern := range m.patterns() {
		host, path, suffix := place(pattern, word)
		c.hosts, c.suffixes = append(c.hosts, cmp.Or(host, image.DefaultRegistry)), append(c.suffixes, suffix)
		if host == "" && !strings.Contains(path, "/") {
			c.suffixes = append(c.suffixes, ":"+path)
		}
		c.words = append(c.words, path[strings.LastIndexByte(path, '/')+1:])
	}
	c.hosts, c.suffixes, c.words = distinct(c.hosts), distinct(c.suffixes), distinct(c.words)
	var found []image.Reference
	seen := map[string]bool{}
	add := func(text string) {
		ref, err := image.Parse(text)
		if err == nil && !seen[ref.String()] {
			seen[ref.String()] = true
			found = append(found, ref)
		}
	}
	patterns := m.patterns()
	for _, pattern := range patterns {
		for _, text := range samples(pattern) {
			add(text)
		}
	}
	each := maxComparisons / max(len(m.rules)*len(patterns), 1)
	for _, pattern := range patterns {
		most := len(found) + each
		for text := range c.samples(pattern) {
			if len(found) >= most {
				break
			}
			add(text)
		}
	}
	return found
}

// patterns are the rules', without braces.
func (m *migration) patterns() (all []string) {
	for _, r := range m.rules {
		all = append(all, alternatives(r.original)...)
	}
	return all
}

var braces = regexp.MustCompile(`\{([^{}]*)\}`)

// maxAlternatives bounds what the braces of a pattern expand to.
const maxAlternatives = 16

// alternatives are what the braces of a pattern stand for, or some of it.
func alternatives(pattern string) []string {
	all := []string{pattern}
	for i := 0; i < len(all); i++ {
		at := braces.FindStringSubmatchIndex(all[i])
		if at == nil {
			continue
		}
		before, options, after := all[i][:at[0]], all[i][at[2]:at[3]], all[i][at[1]:]
		all[i] = ""
		for _, option := range strings.Split(options, ",") {
			if len(all) < maxAlternatives {
				all = append(all, before+option+after)
			}
		}
	}
	if all = slices.DeleteFunc(all, func(s string) bool { return s == "" }); len(all) == 0 {
		return []string{pattern}
	}
	return all
}

// distinct are the texts that say something, each once.
func distinct(texts []string) []string {
	slices.Sort(texts)
	return slices.DeleteFunc(slices.Compact(texts), func(s string) bool { return s == "" })
}

// samples are references that a pattern is or was for; what it is for in the first
// place is the first.
func samples(pattern string) []string {
	host, path, suffix := place(pattern, word)
	all := names(host, path)
	name := all[0]
	for i := range all {
		all[i] += suffix
	}
	all = append(all, name+":other", name+"@"+digest)
	if strings.HasPrefix(suffix, ":") {
		all = append(all, name+suffix+"-other")
	}
	if host == "" && !strings.Contains(path, "/") {
		all = append(all, stranger+"/other:"+path)
	}
	return all
}

// cross is what the rules have, to be put together in all ways.
type cross struct{ hosts, words, suffixes []string }

// samples are references of a pattern with what others have: with one thing of
// theirs first, and then with all.
func (c cross) samples(pattern string) iter.Seq[string] {
	host, _, suffix := place(pattern, word)
	return func(yield func(string) bool) {
		_ = combine(pattern, []string{host}, []string{word}, c.suffixes, yield) &&
			combine(pattern, c.hosts, []string{word}, []string{suffix}, yield) &&
			combine(pattern, []string{host}, c.words, []string{suffix}, yield) &&
			combine(pattern, c.hosts, c.words, c.suffixes, yield)
	}
}

// combine yields a pattern's references with these hosts, words and suffixes.
func combine(pattern string, hosts, words, suffixes []string, yield func(string) bool) bool {
	own, _, _ := place(pattern, word)
	for _, host := range hosts {
		for _, w := range words {
			_, path, _ := place(pattern, w)
			variants := names(host, path)
			if own != "" && own != host {
				variants = append(variants, names(host, own+"/"+path)...)
			}
			for _, name := range variants {
				for _, suffix := range suffixes {
					if !yield(name+suffix) || !yield(name+suffix+"-other") {
						return false
					}
				}
			}
		}
	}
	return true
}

// names are names of repositories that contain one of a pattern.
func names(host, path string) []string {
	own := host
	if own == "" {
		own = image.DefaultRegistry
	}
	name := own + "/" + path
	all := []string{name}
	if host != "" {
		all = append(all, stranger+"/"+name, "evil"+name)
	}
	if host == "" && !strings.Contains(path, "/") {
		all = append(all, path+".example/other")
	}
	return append(all, stranger+"/"+path, own+"/other/"+path, name+"-other", name+"/other",
		own+"/my-"+path, stranger+"/other/my-"+path+"-other")
}

// place gives the host, path and suffix of a reference that a pattern is for. The
// word stands for wildcards that are a whole component of the path.
func place(pattern, word string) (host, path, suffix string) {
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
	return host, sample(name, word), suffix
}

var class = regexp.MustCompile(`\[[^\]]*\]`)

// sample is a text that a glob matches: a wildcard by itself stands for the word.
func sample(glob, word string) string {
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
