package workload_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// listing has kinds besides the built-in ones, with one image at the path.
func listing(t *testing.T, path string, gvks ...schema.GroupVersionKind) workload.Kinds {
	t.Helper()
	var customs []workload.Custom
	for _, gvk := range gvks {
		customs = append(customs, workload.Custom{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Paths: []string{path}})
	}
	kinds, errs := workload.Builtin().With("workloads", customs)
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	return kinds
}

func TestKindsSettleForAWhileAfterTheyWereListedOrNoLonger(t *testing.T) {
	t.Parallel()
	const group = "example.org"
	a, a2, b := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "A"}, schema.GroupVersionKind{Group: group, Version: "v2", Kind: "A"}, schema.GroupVersionKind{Group: group, Version: "v1", Kind: "B"}
	type step struct {
		after time.Duration
		kinds workload.Kinds
	}
	none, soon, late := listing(t, "spec.old"), time.Second, time.Hour
	for name, c := range map[string]struct {
		steps []step
		after time.Duration
		want  map[schema.GroupVersionKind]string // the path by which it is read
	}{
		"nothing changed":                 {[]step{{late, listing(t, "spec.old", a)}, {late, listing(t, "spec.new", a)}}, soon, nil},
		"it was listed":                   {[]step{{late, none}, {late, listing(t, "spec.new", a)}}, soon, map[schema.GroupVersionKind]string{a: "new"}},
		"it was listed long ago":          {[]step{{late, none}, {late, listing(t, "spec.new", a)}}, late, nil},
		"it was taken out":                {[]step{{late, listing(t, "spec.old", a, b)}, {late, listing(t, "spec.old", b)}}, soon, map[schema.GroupVersionKind]string{a: "old"}},
		"it was taken out long ago":       {[]step{{late, listing(t, "spec.old", a)}, {late, none}}, late, nil},
		"something else followed":         {[]step{{late, listing(t, "spec.old", a, b)}, {soon, listing(t, "spec.old", b)}, {soon, none}, {soon, none}}, soon, map[schema.GroupVersionKind]string{a: "old", b: "old"}},
		"something else followed, later":  {[]step{{late, listing(t, "spec.old", a, b)}, {soon, listing(t, "spec.old", b)}, {late, none}}, soon, map[schema.GroupVersionKind]string{b: "old"}},
		"it was taken out and came back":  {[]step{{late, listing(t, "spec.old", a)}, {soon, none}, {soon, listing(t, "spec.new", a)}}, soon, map[schema.GroupVersionKind]string{a: "new"}},
		"it came and went":                {[]step{{late, none}, {soon, listing(t, "spec.new", a)}, {soon, none}}, soon, map[schema.GroupVersionKind]string{a: "new"}},
		"it is listed in another version": {[]step{{late, listing(t, "spec.old", a)}, {soon, listing(t, "spec.new", a2)}}, soon, map[schema.GroupVersionKind]string{a: "old", a2: "new"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, before, settling := time.Now(), c.steps[0].kinds, workload.Settling{}
			for _, s := range c.steps[1:] {
				now = now.Add(s.after)
				before, settling = s.kinds, settling.After(before, s.kinds, now)
			}
			now = now.Add(c.after)
			for _, gvk := range []schema.GroupVersionKind{a, a2, b, {Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "other.org", Version: "v1", Kind: "A"}} {
				kinds, found := settling.Find(gvk, now)
				if want := c.want[gvk]; found != (want != "") {
					t.Errorf("%s is settling: %t", gvk, found)
				} else if found {
					w, err := kinds.Extract(gvk, []byte(`{"spec":{"old":"old","new":"new"}}`))
					if err != nil || len(w.Images) != 1 || w.Images[0].Reference != want {
						t.Errorf("%s is read as %+v, want the image %s (%v)", gvk, w, want, err)
					}
				}
			}
		})
	}
}

func TestOnlyListedVersionsAreRead(t *testing.T) {
	t.Parallel()
	kinds := listing(t, "spec", schema.GroupVersionKind{Group: "example.org", Version: "v1", Kind: "A"})
	for gvk, want := range map[schema.GroupVersionKind]bool{
		{Group: "example.org", Version: "v1", Kind: "A"}: true, {Group: "example.org", Version: "v2", Kind: "A"}: false,
		{Group: "example.org", Version: "v1", Kind: "B"}: false, {Group: "batch", Version: "v1beta1", Kind: "CronJob"}: true, {}: false,
	} {
		_, err := kinds.Extract(gvk, []byte(`{}`))
		if got := kinds.Reads(gvk); got != want || got != (err == nil) {
			t.Errorf("%s: %t (%v)", gvk, got, err)
		}
	}
}
