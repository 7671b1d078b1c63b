package config_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

func fetched(uri, content string, days int) trust.Fetched {
	at := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(days) * 24 * time.Hour)
	return trust.Fetched{Where: trust.Remote{KMS: uri}, Content: []byte(content), At: at}
}

func keep(t testing.TB, into *corev1.ConfigMap, used []trust.Remote, good ...trust.Fetched) *corev1.ConfigMap {
	t.Helper()
	out, err := config.KeepMaterial(into, used, good)
	if err != nil || out == nil {
		t.Fatalf("it is not kept: %v", err)
	}
	return out
}

func wantKept(t testing.TB, from *corev1.ConfigMap, want ...trust.Fetched) {
	t.Helper()
	got, err := config.KeptMaterial(from)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
}

// noise cannot be compressed.
func noise(n int) string {
	source := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(source.Uint32())
	}
	return string(text)
}
