package finding_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// names are the subjects of Deployments.
func names(names ...string) (subjects []string) {
	for _, name := range names {
		subjects = append(subjects, "/apis/apps/v1/namespaces/prod/deployments/"+name)
	}
	return subjects
}

func wantSubjects(t *testing.T, r *receiver, want ...string) {
	t.Helper()
	if diff := cmp.Diff(names(want...), r.subjects()); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestFindingsReachEverySinkThatWantsThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all, configs, staging := &receiver{}, &receiver{}, &receiver{}
		filtered := configs.spec("configs")
		filtered.Filter = finding.Filter{Types: []string{"config.*"}}
		elsewhere := staging.spec("staging")
		elsewhere.Filter = finding.Filter{Namespaces: []string{"staging-*"}}
		b := newBench(t, all.spec("all"), filtered, elsewhere)
		b.Decided(denied("web"))
		b.Tell(finding.ConfigApplied, "config-policy", "abc", finding.Config{PolicyRevision: "abc"})
		b.end(t)
		if diff := cmp.Diff(append(names("web"), "config-policy"), all.subjects()); diff != "" {
			t.Error(diff)
		}
		for name, r := range map[string]*receiver{"configs": configs, "staging": staging} {
			if len(r.got) != 1 || r.got[0].Type() != string(finding.ConfigApplied) {
				t.Errorf("%s got %v", name, r.got)
			}
		}
		if got := b.count(t, "all", observability.SinkDelivered); got != 2 {
			t.Errorf("counted %d", got)
		}
	})
}

func TestTheSameFindingIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		b := newBench(t, r.spec("r"))
		b.Decided(denied("web"))
		again := denied("web")
		again.Request.UID = "another"
		b.Decided(again)
		b.Decided(denied("api"))
		time.Sleep(11 * time.Minute)
		b.Decided(denied("web"))
		b.end(t)
		wantSubjects(t, r, "web", "api", "web")
		if r.got[0].ID() != r.got[2].ID() {
			t.Error("the same finding has two IDs")
		}
	})
}

// A sink that has no room for a finding, and one that is new, change nothing for others.
func TestEachSinkIsSentAFindingOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full, alive, fresh := &receiver{answer: hang}, &receiver{}, &receiver{}
		b := newBench(t, full.spec("full"))
		for i := range 5000 {
			b.Decided(denied(fmt.Sprint(i)))
		}
		sinks := []finding.Spec{full.spec("full"), alive.spec("alive")}
		b.Apply(finding.Settings{Sinks: sinks})
		for range 3 {
			b.Decided(denied("web"))
		}
		b.Apply(finding.Settings{Sinks: append(sinks, fresh.spec("fresh"))})
		b.Decided(denied("web"))
		synctest.Wait()
		wantSubjects(t, alive, "web")
		wantSubjects(t, fresh, "web")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b.Close(ctx)
	})
}

func TestWhatIsNotTakenIsSentAgainInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := &receiver{answer: func(_ context.Context, attempt int, _ []cloudevents.Event) error {
			if attempt < 5 {
				return errors.New("not now")
			}
			return nil
		}}
		b := newBench(t, r.spec("r"))
		b.Decided(denied("a"))
		b.Decided(denied("b"))
		b.end(t)
		wantSubjects(t, r, "a", "b")
		if got := b.count(t, "r", observability.SinkRetried); got != 4 {
			t.Errorf("%d attempts failed", got)
		}
		// 0.5 + 1 + 2 + 4 seconds, of each at least half.
		if took := time.Since(begin); took < 3750*time.Millisecond || took > 7500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if warned := b.log.FilterMessageSnippet("tried again").Len(); warned != 1 {
			t.Errorf("%d lines about it", warned)
		}
	})
}

func TestAThrottlingSinkIsAskedWhenItWants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := &receiver{answer: func(_ context.Context, attempt int, _ []cloudevents.Event) error {
			switch attempt {
			case 1:
				return finding.After(errors.New("later"), 20*time.Second)
			case 2:
				return finding.After(errors.New("much later"), 300*time.Hour)
			}
			return nil
		}}
		b := newBench(t, r.spec("r"))
		b.Decided(denied("web"))
		b.end(t)
		wantSubjects(t, r, "web")
		if took := time.Since(begin); took != 80*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAHopelessFindingHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ context.Context, _ int, events []cloudevents.Event) error {
			switch name := events[0].Subject(); {
			case strings.HasSuffix(name, "/bad"):
				return finding.Permanent(errors.New("400"))
			case strings.HasSuffix(name, "/panics"):
				panic("what a sink")
			}
			return nil
		}}
		b := newBench(t, r.spec("r"))
		begin := time.Now()
		for _, name := range []string{"bad", "panics", "good"} {
			b.Decided(denied(name))
		}
		b.end(t)
		wantSubjects(t, r, "good")
		if got := b.count(t, "r", observability.SinkFailed); got != 2 || time.Since(begin) > 0 {
			t.Errorf("%d given up in %v", got, time.Since(begin))
		}
	})
}

func TestAnUnreachableSinkIsGivenUpForEachFindingInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opened := 0
		spec := finding.Spec{Name: "r", Identity: "r", Open: func(context.Context) (finding.Sink, error) {
			opened++
			return nil, errors.New("nobody is there")
		}}
		b := newBench(t, spec)
		b.Decided(denied("web"))
		begin := time.Now()
		b.end(t)
		if took := time.Since(begin); took < 13*time.Minute || took > 15*time.Minute {
			t.Errorf("given up after %v", took)
		}
		if got := b.count(t, "r", observability.SinkFailed); got != 1 || opened < 10 {
			t.Errorf("%d given up, %d attempts", got, opened)
		}
	})
}

func TestBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(context.Context, int, []cloudevents.Event) error {
			time.Sleep(time.Second) // meanwhile more come
			return nil
		}}
		spec := r.spec("r")
		spec.Batch, spec.Extensions = 4, map[string]string{"team": "blue"}
		b := newBench(t, spec)
		b.Decided(denied("0"))
		synctest.Wait()
		for i := range 6 {
			b.Decided(denied(fmt.Sprint(i + 1)))
		}
		b.end(t)
		wantSubjects(t, r, "0", "1", "2", "3", "4", "5", "6")
		if !slices.Equal(r.batches, []int{1, 4, 2}) {
			t.Errorf("batches of %v", r.batches)
		}
		if got := r.got[3].Extensions()["team"]; got != "blue" {
			t.Errorf("extension %v", got)
		}
	})
}

func TestOneOfABatchIsHopeless(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ context.Context, _ int, events []cloudevents.Event) error {
			if slices.ContainsFunc(events, func(e cloudevents.Event) bool { return strings.HasSuffix(e.Subject(), "/bad") }) {
				return finding.Permanent(errors.New("413"))
			}
			return nil
		}}
		spec := r.spec("r")
		spec.Batch = 10
		b := newBench(t, spec)
		for _, name := range []string{"first", "a", "bad", "b"} {
			b.Decided(denied(name))
		}
		b.end(t)
		wantSubjects(t, r, "first", "a", "b")
		if got := b.count(t, "r", observability.SinkFailed); got != 1 {
			t.Errorf("%d are given up", got)
		}
	})
}

func TestReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context, int, []cloudevents.Event) error {
			time.Sleep(time.Second)
			return nil
		}
		kept, gone, stuck, fresh := &receiver{answer: slow}, &receiver{answer: slow}, &receiver{answer: hang}, &receiver{}
		b := newBench(t, kept.spec("kept"), gone.spec("gone"), stuck.spec("stuck"))
		b.Decided(denied("a"))
		b.Decided(denied("b"))
		b.Apply(finding.Settings{Cluster: "new/name", Sinks: []finding.Spec{kept.spec("kept"), fresh.spec("fresh")}})
		b.Decided(denied("c"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if !gone.closed || !stuck.closed || kept.closed {
			t.Errorf("closed: gone %v, stuck %v, kept %v", gone.closed, stuck.closed, kept.closed)
		}
		b.end(t)
		wantSubjects(t, kept, "a", "b", "c")
		wantSubjects(t, gone, "a", "b") // what waited was delivered
		wantSubjects(t, fresh, "c")
		if got := fresh.got[0].Source(); got != "/clusters/new%2Fname/namespaces/connaisseur/services/connaisseur-webhook" {
			t.Errorf("source %s", got)
		}
		b.Apply(finding.Settings{Sinks: []finding.Spec{fresh.spec("late")}})
		b.Decided(denied("d"))
		wantSubjects(t, fresh, "c") // after the end nothing is sent
	})
}

// What waits for a sink whose settings do not work is sent when they do.
func TestASinkWithOtherSettingsTakesWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		missing := finding.Spec{Name: "r", Identity: "missing", Batch: 10, Open: func(context.Context) (finding.Sink, error) { return nil, errors.New("there is no Secret") }}
		wrong := (&receiver{answer: func(context.Context, int, []cloudevents.Event) error { return errors.New("401") }}).spec("r")
		wrong.Identity = "wrong"
		b := newBench(t, missing)
		for _, name := range []string{"a", "b", "c"} {
			b.Decided(denied(name))
		}
		time.Sleep(time.Minute)
		b.Apply(finding.Settings{Sinks: []finding.Spec{wrong}})
		time.Sleep(time.Second)
		fixed := r.spec("r")
		fixed.Filter = finding.Filter{Types: []string{"admission.*"}}
		b.Tell(finding.ConfigApplied, "config-policy", "abc", finding.Config{})
		b.Apply(finding.Settings{Sinks: []finding.Spec{fixed}})
		time.Sleep(time.Minute)
		wantSubjects(t, r, "a", "b", "c")
		b.end(t)
		delivered, skipped := b.count(t, "r", observability.SinkDelivered), b.count(t, "r", observability.SinkSkipped)
		if lost := b.count(t, "r", observability.SinkDropped) + b.count(t, "r", observability.SinkFailed); delivered != 3 || skipped != 1 || lost > 0 {
			t.Errorf("%d delivered, %d skipped, %d lost", delivered, skipped, lost)
		}
	})
}

func TestTheEndWaitsForSinksThatWereReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := &receiver{answer: func(context.Context, int, []cloudevents.Event) error {
			time.Sleep(time.Second)
			return nil
		}}
		b := newBench(t, gone.spec("gone"))
		b.Decided(denied("a"))
		b.Decided(denied("b"))
		b.Apply(finding.Settings{})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		b.Close(ctx)
		wantSubjects(t, gone, "a", "b")
	})
}

func TestTheEndIsNotDelayedByADeadSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dead, alive := &receiver{answer: hang}, &receiver{}
		b := newBench(t, dead.spec("dead"), alive.spec("alive"))
		for i := range 10 {
			b.Decided(denied(fmt.Sprint(i)))
		}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		b.Close(ctx)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if got := len(alive.got); got != 10 {
			t.Errorf("%d were delivered beside it", got)
		}
		if got := b.count(t, "dead", observability.SinkFailed) + b.count(t, "dead", observability.SinkDropped); got != 10 {
			t.Errorf("%d of 10 lost ones are counted", got)
		}
	})
}

func TestADeadSinkCostsBoundedMemory(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	dead := &receiver{answer: hang}
	b := newBench(t, dead.spec("dead"))
	large := strings.Repeat("x", 1<<10)
	before := heap()
	begin := time.Now()
	const findings = 10_000
	for i := range findings {
		a := denied(fmt.Sprint(i))
		for range 5 {
			a.Images = append(a.Images, finding.Image{Message: large})
		}
		b.Decided(a)
	}
	took := time.Since(begin)
	if grown := int64(heap()) - int64(before); grown > 32<<20 {
		t.Errorf("%d findings hold %d MiB", findings, grown>>20)
	}
	dropped := b.count(t, "dead", observability.SinkDropped)
	if dropped == 0 || dropped >= findings {
		t.Errorf("%d were dropped", dropped)
	}
	if lines := b.log.FilterMessageSnippet("dropped").Len(); lines != 1 {
		t.Errorf("%d lines about it", lines)
	}
	t.Logf("%v for each", took/findings)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.Close(ctx)
	if got := b.count(t, "dead", observability.SinkDropped) + b.count(t, "dead", observability.SinkFailed); got != findings {
		t.Errorf("%d of %d are accounted for", got, findings)
	}
}

func TestNobodyToTell(t *testing.T) {
	t.Parallel()
	var none *finding.Emitter
	none.Apply(finding.Settings{})
	none.Decided(denied("web"))
	none.Tell(finding.ConfigApplied, "", "", nil)
	none.Close(t.Context())
	b := newBench(t)
	b.Decided(denied("web"))
	b.Close(t.Context())
	if b.log.Len() > 0 {
		t.Error(b.log.All())
	}
}
