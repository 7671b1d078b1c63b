package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// Elsewhere gives trust material from outside of the cluster, without waiting
// for long; its errors are trust.ErrUnavailable.
type Elsewhere interface {
	Remote(where trust.Remote) ([]byte, error)
}

// Material is an Elsewhere that keeps what it gave up to date.
type Material interface {
	Elsewhere
	// OnChange has fn called whenever something has become available or has
	// changed.
	OnChange(fn func())
	// Retain says what is needed from now on.
	Retain(used []trust.Remote)
	// Good is what was fetched last of that; Restore takes it back after a
	// restart.
	Good() []trust.Fetched
	Restore(all []trust.Fetched)
}

// errNotAsked is why there is nothing from outside of the cluster where nobody
// is to be asked, which says nothing about whether it is there.
var errNotAsked = fmt.Errorf("it %w: nobody is asked", trust.ErrUnavailable)

// Remote implements trust.Source.
func (o Objects) Remote(where trust.Remote) ([]byte, error) {
	if o.Elsewhere == nil {
		return nil, errNotAsked
	}
	return o.Elsewhere.Remote(where)
}

// answer is what was read from outside of the cluster.
type answer struct {
	content []byte
	err     error
}

// Remote gives the same answer each time, so that one configuration never has
// two versions of the same material.
func (r *recorder) Remote(where trust.Remote) ([]byte, error) {
	a, known := r.remotes[where]
	if !known {
		a.content, a.err = r.Source.Remote(where)
		if r.remotes == nil {
			r.remotes = map[trust.Remote]answer{}
		}
		r.remotes[where] = a
		r.note(remoteKey(where), a.content, a.err)
	}
	return slices.Clone(a.content), a.err
}

// unavailable warns of what is not available, and so is not checked with.
func (r *recorder) unavailable() (found strict.Errors) {
	wheres := slices.SortedFunc(maps.Keys(r.remotes), func(a, b trust.Remote) int { return strings.Compare(a.String(), b.String()) })
	for _, where := range wheres {
		if err := r.remotes[where].err; err != nil && !errors.Is(err, errNotAsked) {
			found = append(found, &strict.Error{Source: PolicyName, Path: validatorsKey, Message: fmt.Sprintf("%s: %v; what is signed with it is denied meanwhile", where, err)})
		}
	}
	return found
}

const remotePrefix = "remote/"

// remoteKey names what was read from outside of the cluster; remoteOf reads it
// again.
func remoteKey(where trust.Remote) string {
	text, _ := json.Marshal(where) //nolint:gosec // strings only, and the name of a Secret, not its content
	return remotePrefix + string(text)
}

func remoteOf(key string) (where trust.Remote, ok bool) {
	text, ok := strings.CutPrefix(key, remotePrefix)
	return where, ok && json.Unmarshal([]byte(text), &where) == nil
}

// remotes lists what was read from outside of the cluster.
func remotes(reads ...map[string]string) (all []trust.Remote) {
	for _, some := range reads {
		for key := range some {
			if where, ok := remoteOf(key); ok && !slices.Contains(all, where) {
				all = append(all, where)
			}
		}
	}
	return all
}
