package validator_test

import (
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestQuote(t *testing.T) {
	t.Parallel()
	got := validator.Quote("a\nb\x1b[31m\t" + strings.Repeat("é", 10_000) + "\xff")
	if len(got) > 200+len("…") || strings.ContainsAny(got, "\n\x1b\t") || !strings.HasPrefix(got, "a b [31m é") {
		t.Errorf("got %q", got)
	}
}
