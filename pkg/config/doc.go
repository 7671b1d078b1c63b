// Package config turns ConfigMaps and Secrets into the immutable snapshot that
// the engine decides by, and keeps the newest good one.
package config
