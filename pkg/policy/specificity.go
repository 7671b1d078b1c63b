package policy

import (
	"fmt"
	"strings"
)

// precedence compares two matching rules for one image. It returns a positive
// number if a is the more specific, a negative one if b is, and why.
func precedence(a, b *entry, components []string) (int, string) {
	if d := boolean(a.digest != "") - boolean(b.digest != ""); d != 0 {
		return d, "its pattern names the digest"
	}
	if d := len(a.components) - len(b.components); d != 0 {
		return d, fmt.Sprintf("its pattern has more components (%d against %d)", max(len(a.components), len(b.components)), min(len(a.components), len(b.components)))
	}
	for i := range a.components {
		if i >= len(components) {
			break
		}
		d := commonPrefix(a.components[i], components[i]) - commonPrefix(b.components[i], components[i])
		if d != 0 {
			return d, fmt.Sprintf("its pattern has more characters in common with %q", components[i])
		}
	}
	for i := range a.components {
		if d := len(a.components[i]) - len(b.components[i]); d != 0 {
			return d, fmt.Sprintf("its component %d is longer", i+1)
		}
	}
	if d := boolean(len(a.namespaces) > 0) - boolean(len(b.namespaces) > 0); d != 0 {
		return d, "it is for certain namespaces only"
	}
	return b.index - a.index, "it stands earlier in the policy"
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func splitComponents(canonical string) []string { return strings.Split(canonical, "/") }
