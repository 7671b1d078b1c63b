package registry

import (
	"context"
	"time"
)

// habit is in which form signatures were found, which is where to look first
// the next time.
type habit int

const (
	unknown    habit = iota
	inTags           // of a repository: under .sig and .att tags
	inBundles        // of a repository: as referrers
	byAPI            // of a registry: it answers which manifests refer to another
	byFallback       // of a registry: a tag stands in for that
)

// habitLifetime is for how long a habit is remembered. It decides about the
// order only: everything is looked for everywhere before it is missed.
const habitLifetime = 24 * time.Hour

// stages are the places to look, those of one stage at the same time. An image
// whose repository's form is known is verified after its first one.
func (s *search) stages() [][]place {
	tags := []place{s.tags(signatureForm)}
	if len(s.want.Attestations) > 0 {
		tags = append(tags, s.tags(attestationForm))
	}
	api := place{look: s.listed, habits: s.habits(inBundles, byAPI)}
	fallback := place{look: s.fallback, habits: s.habits(inBundles, byFallback)}
	first, second := api, fallback
	if h, _ := s.access.client.habits.Peek(s.target.host); h == byFallback {
		first, second = fallback, api
	}
	if s.want.NotaryProject {
		return [][]place{{first}, {second}}
	}
	switch h, _ := s.access.client.habits.Peek(s.repositoryKey()); h {
	case inTags:
		return [][]place{tags, {first}, {second}}
	case inBundles:
		return [][]place{{first}, append(tags, second)}
	}
	return [][]place{append(tags, first), {second}}
}

// tags is the place of a form.
func (s *search) tags(f form) place {
	return place{
		look:   func(ctx context.Context) ([]Candidate, error) { return s.tagged(ctx, f) },
		habits: map[string]habit{s.repositoryKey(): inTags},
	}
}

func (s *search) habits(repository, registry habit) map[string]habit {
	if s.want.NotaryProject {
		return map[string]habit{s.target.host: registry} // the other is about Sigstore's
	}
	return map[string]habit{s.repositoryKey(): repository, s.target.host: registry}
}

// repositoryKey cannot be a host.
func (s *search) repositoryKey() string { return s.target.host + "/" + s.target.repository }

// learn remembers a place that had what was looked for.
func (s *search) learn(p place) {
	for key, h := range p.habits {
		s.access.client.habits.Put(key, h, habitLifetime)
	}
}
