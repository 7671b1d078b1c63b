package validator

import (
	"context"
	"errors"
	"fmt"
)

// Error says why an image is not trusted: the reason, and a message for the
// person who wanted to run it.
type Error struct {
	Reason  Reason
	Message string
	// Lasting tells that trying again does not help: somebody must change what the
	// message names.
	Lasting bool
	// Cached is set by a cache that remembered it.
	Cached bool
	// Err is the cause, if there is one. It is part of the text.
	Err error
}

// Errorf makes an Error. A %w verb's argument becomes its cause.
func Errorf(reason Reason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: reason, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Advice says what somebody whose image is refused for it can do; empty where the
// message itself says it.
func (e *Error) Advice() string {
	if e.Lasting {
		return "trying again does not help; if the image has the right name, tell those who run the cluster"
	}
	return e.Reason.Advice()
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError classifies any error: an *Error is itself, the end of a context is
// Timeout, and everything else is Internal, a nil *Error in an error too.
func AsError(err error) *Error {
	var classified *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &classified):
		if classified == nil {
			return &Error{Reason: Internal, Message: "an error without a text"}
		}
		return classified
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Reason: Timeout, Message: "not verified in time", Err: err}
	}
	return &Error{Reason: Internal, Message: err.Error(), Err: err}
}

// Worse is the one of two errors about an image's signatures that says more. Nil
// says nothing.
func Worse(a, b *Error) *Error {
	if severity(b) > severity(a) {
		return b
	}
	return a
}

// severity orders what can be wrong with a signature by how much it says: one by
// the right signer more than one by a stranger, and that more than one that
// cannot be read.
func severity(err *Error) int {
	switch {
	case err == nil:
		return -1
	case err.Reason.Inconclusive():
		return 5
	}
	switch err.Reason {
	case PolicyDenied, Revoked:
		return 4
	case DigestMismatch:
		return 3
	case Expired, InvalidTrustData:
		return 2
	case UntrustedSigner:
		return 1
	}
	return 0
}
