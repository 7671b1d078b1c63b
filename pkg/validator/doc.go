// Package validator defines what it means to verify an image: the request, the
// result, the reasons why an image was not trusted, and the interface that
// every kind of signature implements.
package validator
