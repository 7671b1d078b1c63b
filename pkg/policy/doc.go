// Package policy decides which rule applies to an image: patterns are compiled
// once, matched anchored, and of all that match the most specific one wins.
//
// It knows nothing of what a rule demands; callers keep that beside the rule's
// index.
package policy
