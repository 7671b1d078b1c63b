// Package cloud gets the credentials for a cloud's own registries from the cloud
// that the program runs in. Each cloud is asked only about hosts of its own.
package cloud
