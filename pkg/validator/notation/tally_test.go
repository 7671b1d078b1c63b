package notation

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
)

func TestASignatureThatIsAttachedTwiceIsConsideredOnce(t *testing.T) {
	t.Parallel()
	v := &tally{bound: &bound{}, seen: map[[32]byte]bool{}}
	same := registry.Candidate{Kind: registry.JWS, Payload: []byte("{}")}
	for i, c := range []struct {
		found registry.Candidate
		want  bool
	}{{same, true}, {same, false}, {registry.Candidate{Kind: registry.JWS, Payload: []byte("[]")}, true}} {
		v.nearest = nil
		if v.consider(t.Context(), c.found); (v.nearest != nil) != c.want {
			t.Errorf("%d: got %v", i, v.nearest)
		}
	}
}
