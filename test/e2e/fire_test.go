//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// decision is a line of the log.
type decision struct {
	Webhook   string
	Namespace string
	Name      string
	Outcome   string
	Revision  string
	Allowed   bool
}

// decisions are those that all replicas logged for a namespace.
func decisions(t *testing.T, namespace string, since time.Time) (found []decision) {
	t.Helper()
	for _, pod := range webhooks(t) {
		out := kubectl(t, "-n", ownNamespace, "logs", pod.Name, "--since-time", since.UTC().Format(time.RFC3339))
		for line := range strings.Lines(out) {
			var d decision
			if json.Unmarshal([]byte(line), &d) == nil && d.Outcome != "" && d.Namespace == namespace {
				found = append(found, d)
			}
		}
	}
	return found
}

// fire is a policy of the fire test. Even ones allow only left, odd ones only right,
// and each is unlike all others.
func fire(i int) string {
	left, right := "allow", "deny"
	if i%2 == 1 {
		left, right = right, left
	}
	return baseRules() + fmt.Sprintf(`- {pattern: "example.com/left:*", validator: %s}
- {pattern: "example.com/right:*", validator: %s}
- {pattern: "example.com/edit-%d:*", validator: deny}
`, left, right, i)
}

// A hundred edits in a minute, good and broken, of policy and trust roots: broken
// ones are refused, and each decision of each replica is that of one revision.
func TestConfigurationUnderFire(t *testing.T) {
	const (
		edits = 100
		pace  = 600 * time.Millisecond
	)
	clustertest.Within(t, patience, settled)
	restore(t)
	if err := set(t.Context(), "config-policy", map[string]string{"policy": fire(0)}); err != nil {
		t.Fatal(err)
	}
	namespace, since := newNamespace(t), time.Now()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		if _, err := try(ctx, namespace, "first", "example.com/left:v1"); err != nil {
			return err
		}
		_, err := try(ctx, namespace, "first", "example.com/right:v1")
		return clustertest.Denied(err)
	})
	time.Sleep(promised) // on the other replica, too
	images := map[string]string{"left": "example.com/left:v1", "right": "example.com/right:v1", "signed": signed.String(), "foreign": foreign.String()}
	asked := newQuestions(t, namespace, images)

	good := 0
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for i := range edits {
		broken, err := edit(t.Context(), i)
		if err != nil {
			t.Errorf("edit %d: %v", i, err)
		}
		if !broken {
			good++
		}
		<-ticker.C
	}
	answers := asked.stop()
	time.Sleep(time.Second) // logs are written a moment later

	byRevision, byName := map[string]map[string]bool{}, map[string]bool{}
	lines := decisions(t, namespace, since)
	for _, d := range lines {
		image, _, _ := strings.Cut(d.Name, "-")
		if images[image] == "" {
			continue // of the wait above
		}
		if d.Revision == "" {
			t.Errorf("a decision has no revision: %+v", d)
		}
		if byRevision[d.Revision] == nil {
			byRevision[d.Revision] = map[string]bool{}
		}
		if before, ok := byRevision[d.Revision][image]; ok && before != d.Allowed {
			t.Errorf("revision %s has allowed %s and denied it", d.Revision, image)
		}
		byRevision[d.Revision][image] = d.Allowed
		before, ok := byName[d.Name]
		byName[d.Name] = d.Allowed && (before || !ok)
	}
	for revision, by := range byRevision {
		if len(by) == 4 && (by["left"] == by["right"] || by["signed"] == by["foreign"]) {
			t.Errorf("revision %s decided %v, which no configuration says", revision, by)
		}
	}
	if !maps.Equal(answers, byName) {
		t.Errorf("%d answers and %d decisions are not the same", len(answers), len(byName))
	}
	t.Logf("%d answers, %d decisions by %d revisions of %d good edits", len(answers), len(lines), len(byRevision), good)
	if len(byRevision) < good/2 || len(byRevision) > good {
		t.Errorf("want about %d revisions, got %d", good, len(byRevision))
	}
}

// promised is how long an edit takes to be in force.
const promised = time.Second

// edit makes one, and complains if it is not accepted, or not refused, as it should be.
func edit(ctx context.Context, i int) (broken bool, err error) {
	name, data := "config-policy", map[string]string{"policy": fire(i)}
	switch i % 4 {
	case 2:
		name, data = "config-trust-roots", map[string]string{"ours.pub": [...]string{publicKey, "no key", strangersKey, "no key"}[i/4%4]}
		broken = i/4%2 == 1
	case 3:
		data["policy"] = strings.ReplaceAll(fire(i), "validator: deny}", "validator: dney}")
		broken = true
	}
	err = set(ctx, name, data)
	switch {
	case !broken:
		return false, err
	case err == nil:
		return true, errors.New("it is broken and was accepted")
	case !strings.Contains(err.Error(), `config.connaisseur.sse-secure-systems.github.io" denied the request`):
		return true, fmt.Errorf("it is broken, and not refused as such: %w", err)
	}
	return true, nil
}

// questions are asked all the time.
type questions struct {
	cancel  context.CancelFunc
	group   sync.WaitGroup
	mu      sync.Mutex
	answers map[string]bool
}

func newQuestions(t *testing.T, namespace string, images map[string]string) *questions {
	ctx, cancel := context.WithCancel(t.Context())
	q := &questions{cancel: cancel, answers: map[string]bool{}}
	for image, reference := range images {
		q.group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("%s-%d", image, i)
				_, err := try(t.Context(), namespace, name, reference)
				if err != nil && (!apierrors.IsForbidden(err) || clustertest.Denied(err) != nil) {
					t.Errorf("no verdict: %v", err)
					continue
				}
				q.mu.Lock()
				q.answers[name] = err == nil
				q.mu.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	t.Cleanup(func() { q.stop() })
	return q
}

// stop ends them and gives, by the Pods' names, what was admitted.
func (q *questions) stop() map[string]bool {
	q.cancel()
	q.group.Wait()
	return q.answers
}
