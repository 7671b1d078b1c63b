package policy

import "github.com/sse-secure-systems/connaisseur/pkg/image"

// LookedAt counts the entries that matching an image looks at.
func (p *Policy) LookedAt(ref image.Reference) int {
	n := 0
	for range p.lookup(ref) {
		n++
	}
	return n
}

// MatchGlob compiles a glob and matches with it.
func MatchGlob(pattern, s string) (bool, error) {
	g, err := compileGlob(pattern)
	return err == nil && g.match(s), err
}
