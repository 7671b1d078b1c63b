// Package strict decodes configuration so that nothing in it is silently
// ignored: an unknown key or a value of the wrong type is an error that names
// its key path, and all errors are reported at once.
package strict
