package alert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

// The bounds of what is remembered of alerts that are held back.
const (
	maxWorkloads = 1000
	maxNamed     = 10
)

// held are alerts that were held back.
type held struct {
	count      int
	since      time.Time
	workloads  map[string]bool
	namespaces map[string]bool
	images     map[string]bool
	last       finding.Admission
}

func (h *held) add(a *finding.Admission, since time.Time) {
	if h.count == 0 {
		*h = held{since: since, workloads: map[string]bool{}, namespaces: map[string]bool{}, images: map[string]bool{}}
	}
	h.count++
	h.last = *a
	remember(h.workloads, strings.TrimPrefix(a.Namespace+"/", "/")+cmp.Or(a.Workload.Owner, workload(a)))
	remember(h.namespaces, a.Namespace)
	for _, img := range a.Images {
		remember(h.images, img.Reference)
	}
}

// and are these and later ones.
func (h held) and(later held) held {
	if later.count == 0 {
		return h
	}
	h.count += later.count
	h.last = later.last
	for _, sets := range []struct{ to, from map[string]bool }{{h.workloads, later.workloads}, {h.namespaces, later.namespaces}, {h.images, later.images}} {
		for one := range sets.from {
			remember(sets.to, one)
		}
	}
	return h
}

func remember(set map[string]bool, one string) {
	if len(set) < maxWorkloads {
		set[one] = true
	}
}

// values are those of the summary.
func (h *held) values(now time.Time) values {
	seconds := int(now.Sub(h.since).Round(time.Second).Seconds())
	v := valuesOf(&h.last, "")
	v["summary"] = fmt.Sprintf("CONNAISSEUR held %d alerts back in the last %d seconds", h.count, seconds)
	v["alert_message"] = fmt.Sprintf("CONNAISSEUR: %d more alerts were held back in the last %d seconds: %s distinct workloads: %s",
		h.count, seconds, number(h.workloads), some(h.workloads))
	v["alert_id"] = fmt.Sprintf("held-back-%d", now.UnixNano()) // replicas' periods end in the same second
	v["namespace"], v["images"] = some(h.namespaces), some(h.images)
	v["timestamp"] = now.UTC().Format(time.RFC3339)
	for _, name := range []string{"request_id", "workload", "kind", "name", "user", "outcome", "reason"} {
		v[name] = "various"
	}
	return v
}

func number(set map[string]bool) string {
	if len(set) == maxWorkloads {
		return fmt.Sprintf("at least %d", len(set))
	}
	return fmt.Sprint(len(set))
}

// some names a few.
func some(set map[string]bool) string {
	names := slices.Sorted(maps.Keys(set))
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
