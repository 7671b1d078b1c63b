package notaryv1_test

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

// replica is one that shares what it has seen as the controller has it do: it reads what
// others have written since, and writes all that it knows.
type replica struct {
	*notaryv1.State
	read int
}

type written struct {
	all     map[string]notaryv1.Seen
	version int
}

func (w *written) by(r *replica) {
	if r.read != w.version {
		r.Versions.Merge(w.all)
	}
	w.version++
	w.all, r.read = r.Versions.All(), w.version
}

// The owner rotates keys while replicas are not in step, again and again: what they have
// seen is found to be one chain, and stays small.
func TestReplicasThatWereApartComeTogether(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b, shared := &replica{State: s.state}, &replica{State: notaryv1.NewState()}, &written{}
	trusts := func(r *replica) {
		s.state = r.State
		s.trusts(s.bind(nil), ":v1", digestA)
	}
	s.publish()
	trusts(a)
	shared.by(a)
	shared.by(b)
	s.rotate(timestamp)
	trusts(b)
	s.rotate(timestamp)
	trusts(a) // before it has read b's
	for range 20 {
		for _, r := range []*replica{b, a} {
			trusts(r)
			shared.by(b)
			shared.by(a)
			shared.by(b)
		}
		s.rotate(timestamp)
	}
	for _, seen := range shared.all {
		if seen.Apart || len(seen.Hashes) > 8 {
			t.Errorf("in the end %v", seen)
		}
	}
}

// A replica that begins knows the newest root only, which others find in their chain.
func TestAReplicaThatBeginsComesTogetherWithOthers(t *testing.T) {
	t.Parallel()
	s, others := newScene(t), notaryv1.NewState()
	together := func() {
		s.state.Versions.Merge(others.Versions.All())
		others.Versions.Merge(s.state.Versions.All())
	}
	s.publish()
	s.trusts(s.bind(nil), ":v1", digestA)
	for range 50 {
		s.rotate(timestamp)
	}
	s.trusts(s.bind(nil), ":v1", digestA)
	together()
	for range 20 {
		s.rotate(timestamp)
	}
	s.state = notaryv1.NewState()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	together() // with the root 51, of which that one is a successor, and not with the root 1
	told := 0
	s.state.Versions.OnChange(func() { told++ })
	for range 10 {
		s.trusts(b, ":v1", digestA)
		together()
	}
	if told > 2 {
		t.Errorf("others are told %d times", told)
	}
	for range 20 {
		s.rotate(timestamp)
		s.trusts(b, ":v1", digestA)
		together()
	}
}

// What a replica denies for a fork, it does not take from another either.
func TestT27WhatIsForkedHoldsNowhere(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.rotate(timestamp)
	result := s.trusts(b, ":v1", digestA)
	key := notaryv1.VersionsKey(s.server.Host(), app)
	newest := s.state.Versions.All()[key].Hashes[2]
	s.state.Versions.Merge(map[string]notaryv1.Seen{key: {Root: 2, Roots: notaryv1.Roots{Hashes: map[int64]string{1: "another", 2: newest}}}})
	s.refuses(b, ":v1", validator.RolledBack, "two roots of version 1")
	ref, err := image.Parse(app + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	if validator.Holds(b, validator.Request{Image: ref}, result) {
		t.Error("it holds if another says so")
	}
}
