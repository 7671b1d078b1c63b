package notaryv1

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// branch is a history of roots: those of another up to a version, and then its own.
type branch struct {
	name string
	from *branch
	at   int64 // the last version that is the other's
}

func (b *branch) hash(version int64) string {
	if b.from != nil && version <= b.at {
		return b.from.hash(version)
	}
	return fmt.Sprint(b.name, version)
}

// down are the hashes from a version to the first.
func (b *branch) down(version int64) (hashes []string) {
	for ; version > 0; version-- {
		hashes = append(hashes, b.hash(version))
	}
	return hashes
}

// seen is what a replica remembers that has verified some versions of a branch.
func (b *branch) seen(random *rand.Rand) Roots {
	var r Roots
	version := int64(0)
	for range 1 + random.IntN(4) {
		version += 1 + random.Int64N(3)
		r = r.followed(Roots{Hashes: map[int64]string{version: b.hash(version)}})
	}
	return r
}

// T27: however replicas tell one another what they have seen, none trusts a history that
// one of them would not trust.
func TestT27WhatIsMergedTrustsNoMoreThanEach(t *testing.T) {
	t.Parallel()
	honest := &branch{name: "honest"}
	histories := []*branch{honest, {"early", honest, 1}, {"later", honest, 4}, {"stranger", nil, 0}}
	histories = append(histories, &branch{"branched", histories[1], 3})
	random := rand.New(rand.NewPCG(1, 2))
	trusted := 0
	for range 20_000 {
		replicas := make([]Roots, 2+random.IntN(3))
		for i := range replicas {
			replicas[i] = histories[max(0, random.IntN(len(histories)+4)-4)].seen(random) // honest ones most of the time
		}
		merged := replicas[0]
		for _, r := range replicas[1:] {
			if !merged.merge(r).same(r.merge(merged)) {
				t.Fatalf("%v and %v: %v or %v", merged, r, merged.merge(r), r.merge(merged))
			}
			merged = merged.merge(r)
		}
		for _, h := range histories {
			version := merged.newest() + random.Int64N(4)
			if merged.precede(version, h.down(version)) != nil {
				continue
			}
			trusted++
			for _, r := range replicas {
				if failure := r.precede(version, h.down(version)); failure != nil {
					t.Fatalf("%v is trusted at version %d after merging %v into %v, but: %v", h.name, version, replicas, merged, failure)
				}
			}
		}
	}
	if trusted < 5_000 {
		t.Errorf("only %d histories were trusted", trusted)
	}
}

// What was verified after the others stands for them, in few bytes.
func TestAChainIsItsNewestRoots(t *testing.T) {
	t.Parallel()
	honest := &branch{name: "honest"}
	one := func(version int64) Roots { return Roots{Hashes: map[int64]string{version: honest.hash(version)}} }
	a, b := one(1).followed(one(2)).followed(one(5)), one(2)
	if got := a.merge(b); !got.same(Roots{Hashes: map[int64]string{2: "honest2", 5: "honest5"}}) {
		t.Errorf("with what it follows: %v", got)
	}
	apart := a.merge(one(3))
	if !apart.Apart || len(apart.Hashes) != 2 || apart.since(7) != 3 || a.since(7) != 5 || a.since(5) != 0 || apart.since(5) != 3 {
		t.Errorf("with another: %v", apart)
	}
	verified := apart.followed(one(7))
	if !verified.same(Roots{Hashes: map[int64]string{3: "honest3", 5: "honest5", 7: "honest7"}}) {
		t.Errorf("once it is verified: %v", verified)
	}
	if got := apart.merge(verified); !got.same(verified) {
		t.Errorf("for those who have not verified it yet: %v", got)
	}
	many := Roots{}
	for version := range int64(20) {
		many = many.merge(Roots{Hashes: map[int64]string{version + 1: "x"}})
	}
	if many.fork() == nil || len(many.Hashes) > maxRoots {
		t.Errorf("too many: %v", many)
	}
}
