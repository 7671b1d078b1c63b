// Package cache remembers what was established about images, and lets
// concurrent requests for the same thing share one verification.
//
// It keeps results, never decisions: which rule applies is decided anew each
// time, and the key holds everything that a result depends on.
package cache
