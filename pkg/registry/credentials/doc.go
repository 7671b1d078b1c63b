// Package credentials holds what registries are logged in to with: it reads
// Secrets in the formats of Kubernetes, Docker and Connaisseur, and gives each
// login to the host and path that it is for, and to nobody else.
package credentials
