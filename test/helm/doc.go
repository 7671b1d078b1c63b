// Package helm tests release.yaml and the chart with the real helm: what they
// hold, and what becomes of them in a cluster. hack/test.sh helm runs it.
package helm
