package admission

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
)

// Readiness tells whether requests can be answered, and otherwise why not:
// there must be a certificate and a configuration. A configuration that was
// refused does not end readiness, since the last good one is in force, but is
// told too.
func Readiness(ctx context.Context, certificate func() (*tls.Certificate, error), snapshots Snapshots, problem func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if ctx.Err() != nil {
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
			return
		}
		if _, err := certificate(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		snapshot, err := snapshots()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "ready, policy revision %s\n", snapshot.Revision)
		if err := problem(); err != nil {
			fmt.Fprintf(w, "but the newest configuration is refused:\n%v\n", err)
		}
	}
}

// Liveness answers as long as the process does.
func Liveness(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
