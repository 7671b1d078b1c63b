package notation

import (
	"context"
	"time"

	"github.com/notaryproject/notation-core-go/revocation/result"
)

// patience is what one verification of an image waits for answers: so long in all,
// and once about each chain.
type patience struct {
	left time.Duration
	vain map[string]error // what was waited for in vain, by the chain's key
}

func newPatience() *patience {
	return &patience{left: revocationTimeout, vain: map[string]error{}}
}

// wait waits for an answer for most of the time that is left, so that one who does
// not answer leaves some for others.
func (p *patience) wait(ctx context.Context, key string, ask func(context.Context) ([]*result.CertRevocationResult, error)) ([]*result.CertRevocationResult, error) {
	if err, before := p.vain[key]; before {
		return nil, err
	}
	start := time.Now()
	bounded, cancel := context.WithTimeout(ctx, p.left*3/4)
	defer cancel()
	answers, err := ask(bounded)
	p.left = max(p.left-time.Since(start), 0)
	if err != nil {
		p.vain[key] = err
	}
	return answers, err
}
