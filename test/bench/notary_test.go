package bench

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

// notarized is a repository with trust data: as many delegations, each with as
// many tags, all for one digest.
func notarized(tb testing.TB, name string, delegations, tags int) (repo *notarytest.Repository, with fields) {
	tb.Helper()
	repo = notarytest.New(tb, name)
	digest := "sha256:" + strings.Repeat("a", 64)
	roles := []string{"targets"}
	var named []any
	for i := range delegations {
		role := fmt.Sprintf("targets/signer-%d", i)
		repo.Delegate(tb, role)
		roles, named = append(roles, role), append(named, role)
	}
	for _, role := range roles {
		for i := range tags {
			repo.Sign(role, fmt.Sprintf("v%d", i), digest)
		}
	}
	if with = (fields{}); len(named) > 0 {
		with["delegations"] = named
	}
	return repo, with
}

// bindNotary gives the validator of a rule, by a server as seen through access.
func bindNotary(tb testing.TB, state *notaryv1.State, access notaryv1.Server, host string, key []byte, with fields) *notaryv1.Bound {
	tb.Helper()
	open := func(string, strict.Object, registry.AccessConfig) (notaryv1.Access, strict.Errors) {
		return func(context.Context, validator.Identity) (notaryv1.Server, error) { return access, nil }, nil
	}
	settings := fields{"host": host, "trustRoots": []any{fields{"name": "default", "key": string(key)}}}
	configured, errs := notaryv1.New(strict.Object{Fields: settings}, notaryv1.Dependencies{Trust: nowhere{}, Open: open, State: state, Now: time.Now})
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	bound, errs := configured.Bind(strict.Object{Fields: with})
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	return bound
}

// verifyTag verifies a tag of the repository.
func verifyTag(tb testing.TB, b *notaryv1.Bound, name, tag string) {
	tb.Helper()
	ref, err := image.Parse(name + ":" + tag)
	if err == nil {
		_, err = b.Validate(context.Background(), validator.Request{Image: ref})
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// files are a server in memory, so that nothing but the verification is measured.
type files map[string][]byte

func (f files) TrustData(_ context.Context, _, _, file string, _ int64, _ bool) ([]byte, error) {
	if raw, ok := f[file]; ok {
		return raw, nil
	}
	return nil, registry.ErrNoTrustData
}

// BenchmarkNotaryVerify is the CPU time, of user and system, that the
// verification of a repository takes of which nothing is known, with as much
// ballast as the webhook has.
func BenchmarkNotaryVerify(b *testing.B) {
	ballast := make([]byte, 24<<20)
	defer runtime.KeepAlive(ballast)
	for name, c := range map[string]struct{ delegations, tags int }{
		"1-tag": {0, 1}, "500-tags-in-50-delegations": {50, 10}, "500-tags": {0, 500}, "25000-tags-in-50-delegations": {50, 500},
	} {
		b.Run(name, func(b *testing.B) {
			repo, with := notarized(b, "example.com/team/app", c.delegations, c.tags)
			served := files(repo.Publish(b))
			before := cpu(b)
			for b.Loop() {
				verifyTag(b, bindNotary(b, notaryv1.NewState(), served, "notary.example.com", repo.RootPEM(), with), repo.Name, "v0")
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
		})
	}
}

// cpu is the CPU time that this process has taken.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
