package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// secretInterval is how often a Secret of another namespace is read, which is
// not watched: that would take the right to see all of that namespace.
const secretInterval = time.Minute

// secrets fetches entries of Secrets of other namespaces.
type secrets struct {
	read func(ctx context.Context, namespace, name string) (map[string][]byte, error)
}

func (s secrets) source() source {
	return source{fetch: s.fetch, valid: validEntry, interval: secretInterval}
}

func validEntry(content []byte) error {
	if len(content) == 0 {
		return errors.New("is empty")
	}
	return nil
}

func (s secrets) fetch(ctx context.Context, last trust.Fetched) (trust.Fetched, error) {
	if s.read == nil {
		return last, errors.New("there is no cluster that could be asked")
	}
	parts := strings.SplitN(last.Where.Secret, "/", 3) // which Check has seen
	entries, err := s.read(ctx, parts[0], parts[1])
	if err != nil {
		return last, err
	}
	content, ok := entries[parts[2]]
	if !ok {
		return last, fmt.Errorf("the Secret has no entry %s", parts[2])
	}
	return trust.Fetched{Content: content}, nil
}
