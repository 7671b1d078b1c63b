// Package image parses container image references into one canonical form, so
// that no spelling of a name escapes the rule that was written for it.
//
// The grammar is that of github.com/distribution/reference, which the kubelet
// and containerd use too: what is verified here is what they will pull.
package image
