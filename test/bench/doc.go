// Package bench measures what an admission costs. Its tests hold the counts of
// requests and verifications; its benchmarks report times, which depend on the
// machine and so are no tests. See README.md.
package bench
