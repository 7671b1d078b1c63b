package workload_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

var widget = schema.GroupVersionKind{Group: "example.org", Version: "v1", Kind: "Widget"}

// widgets has the paths lead through Widgets.
func widgets(paths ...string) workload.Custom {
	return workload.Custom{Group: widget.Group, Version: widget.Version, Kind: widget.Kind, Paths: paths}
}

func with(t testing.TB, customs ...workload.Custom) workload.Kinds {
	t.Helper()
	kinds, errs := workload.Builtin().With("workloads", customs)
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	return kinds
}

func TestAPathIsKubectlsJSONPath(t *testing.T) {
	t.Parallel()
	const object = `{"a": {"b": "x:1", "c.d": {"e/f~g": "x:2"}, "l": [{"i": "x:3"}, {"i": "x:4"}, {"j": 1}], "m": [["x:5"]]}}`
	for _, test := range []struct {
		path, field string
		want        []string
	}{
		{"a.b", "a.b", []string{"a.b /a/b x:1"}},
		{".a.b", "a.b", []string{"a.b /a/b x:1"}},
		{"{.a.b}", "a.b", []string{"a.b /a/b x:1"}},
		{"{$.a.b}", "a.b", []string{"a.b /a/b x:1"}},
		{"$['a']['b']", "a.b", []string{"a.b /a/b x:1"}},
		{`a.c\.d.e/f~g`, `a.c\.d.e/f~g`, []string{`a.c\.d.e/f~g /a/c.d/e~1f~0g x:2`}},
		{`a['c\.d']['e/f~g']`, `a.c\.d.e/f~g`, []string{`a.c\.d.e/f~g /a/c.d/e~1f~0g x:2`}},
		{`a['c\.d'].e/f~g`, `a.c\.d.e/f~g`, []string{`a.c\.d.e/f~g /a/c.d/e~1f~0g x:2`}},
		{"a.l[*].i", "a.l[*].i", []string{"a.l[0].i /a/l/0/i x:3", "a.l[1].i /a/l/1/i x:4"}},
		{"a.m[*][*]", "a.m[*][*]", []string{"a.m[0][0] /a/m/0/0 x:5"}},
		{"a.nothing.here", "a.nothing.here", nil},
		{"A.b", "A.b", nil},
	} {
		t.Run(test.path, func(t *testing.T) {
			t.Parallel()
			w, err := with(t, widgets(test.path)).Extract(widget, []byte(object))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, img := range w.Images {
				got = append(got, img.Field+" "+img.Pointer+" "+img.Reference)
				if string(img.Kind) != test.field {
					t.Errorf("the list is %s, want %s", img.Kind, test.field)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

// What is listed wrongly is said with its key path, and what to do.
func TestWrongKindsAreRefused(t *testing.T) {
	t.Parallel()
	but := func(change func(*workload.Custom)) workload.Custom {
		c := widgets("spec.image")
		change(&c)
		return c
	}
	group := func(group string) workload.Custom { return but(func(c *workload.Custom) { c.Group = group }) }
	for name, test := range map[string]struct {
		customs []workload.Custom
		want    []string
	}{
		"nothing is said": {[]workload.Custom{{}}, []string{
			"workloads[0].group: is missing", "workloads[0].version: is missing", "workloads[0].kind: is missing", "workloads[0].paths: is missing"}},
		"the core group":                        {[]workload.Custom{group("")}, []string{"workloads[0].group: is missing; only custom resources"}},
		"a group of Kubernetes without a dot":   {[]workload.Custom{group("batch")}, []string{`workloads[0].group: "batch" is a group of Kubernetes itself`}},
		"webhook configurations":                {[]workload.Custom{group("admissionregistration.k8s.io")}, []string{"is a group of Kubernetes itself"}},
		"definitions of custom resources":       {[]workload.Custom{group("apiextensions.k8s.io")}, []string{"is a group of Kubernetes itself"}},
		"leases":                                {[]workload.Custom{group("coordination.k8s.io")}, []string{"is a group of Kubernetes itself"}},
		"k8s.io itself":                         {[]workload.Custom{group("k8s.io")}, []string{"is a group of Kubernetes itself"}},
		"every group":                           {[]workload.Custom{group("*")}, []string{`workloads[0].group: "*" is no API group`, "wildcards"}},
		"some groups":                           {[]workload.Custom{group("*.example.org")}, []string{"is no API group"}},
		"a group with a version":                {[]workload.Custom{group("example.org/v1")}, []string{"is no API group"}},
		"every version":                         {[]workload.Custom{but(func(c *workload.Custom) { c.Version = "*" })}, []string{`workloads[0].version: "*" is not the version`}},
		"every kind":                            {[]workload.Custom{but(func(c *workload.Custom) { c.Kind = "*" })}, []string{`workloads[0].kind: "*" is no kind`}},
		"a resource in the place of a kind":     {[]workload.Custom{but(func(c *workload.Custom) { c.Kind = "widgets" })}, []string{`workloads[0].kind: "widgets" is no kind`}},
		"every resource":                        {[]workload.Custom{but(func(c *workload.Custom) { c.Resource = "*" })}, []string{`workloads[0].resource: "*" is not the plural`}},
		"a subresource":                         {[]workload.Custom{but(func(c *workload.Custom) { c.Resource = "widgets/scale" })}, []string{"workloads[0].resource: ", "subresources"}},
		"a kind that is looked at anyway":       {[]workload.Custom{but(func(c *workload.Custom) { c.Group, c.Kind = "serving.knative.dev", "Service" })}, []string{"workloads[0].kind: Service.serving.knative.dev is looked at anyway"}},
		"a kind that is listed twice":           {[]workload.Custom{widgets("a"), widgets("b")}, []string{"workloads[1].kind: Widget.example.org is listed twice"}},
		"a kind that is listed in two versions": {[]workload.Custom{widgets("a"), but(func(c *workload.Custom) { c.Version = "v2" })}, []string{"workloads[1].kind: Widget.example.org is listed twice"}},
		"too many kinds":                        {make([]workload.Custom, 101), []string{"workloads: has 101 kinds, but no more than 100"}},
		"too many paths":                        {[]workload.Custom{widgets(make([]string, 51)...)}, []string{"workloads[0].paths: has 51 paths, but no more than 50"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kinds, errs := workload.Builtin().With("workloads", test.customs)
			if kinds.Rules() != nil {
				t.Error("there are kinds all the same")
			}
			for _, want := range test.want {
				if err := errs.Err(); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestWrongPathsAreRefused(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                                    "is empty",
		"{}":                                  "is empty",
		"$":                                   "is empty",
		".":                                   "a name is missing",
		"a.":                                  "a name is missing",
		"..image":                             "has .., which leads anywhere",
		"spec..image":                         "has .., which leads anywhere",
		"spec.*.image":                        "has .*, which leads to whatever there is",
		"spec.steps[0].image":                 "leads to some items of a list only",
		"spec.steps[-1].image":                "leads to some items of a list only",
		"spec.steps[1:].image":                "leads to some items of a list only",
		"spec.steps[].image":                  "leads to some items of a list only",
		"spec.steps[0,1].image":               "a Union is neither",
		`spec.steps[?(@.name=="a")].image`:    "has a filter",
		"{range .spec.steps[*]}{.image}":      "is more than one path",
		"{.a}{.b}":                            "is more than one path",
		"{range .spec.steps[*]}{.image}{end}": "is more than one path",
		"a b":                                 "a Identifier is neither",
		"a['b.c/d']":                          `must be written \. in quotes too`,
		"[*].image":                           "must begin with a name",
		"spec.steps[*":                        "is no JSONPath",
		"spec.steps[a]":                       "is no JSONPath",
		"{.a":                                 "is no JSONPath",
		strings.Repeat("a.", 300) + "a":       "is longer than 512 bytes",
		strings.Repeat("a.", 32) + "a":        "has more than 32 steps",
	} {
		t.Run(path[:min(len(path), 40)], func(t *testing.T) {
			t.Parallel()
			_, errs := workload.Builtin().With("workloads", []workload.Custom{widgets("spec.image", path)})
			if len(errs) != 1 || errs[0].Path != "workloads[0].paths[1]" || !strings.Contains(errs[0].Message, want) {
				t.Errorf("the error does not say %q: %v", want, errs)
			}
		})
	}
}

// Groups of custom resources are not those of Kubernetes, however they sound.
func TestCustomKindsAreAdded(t *testing.T) {
	t.Parallel()
	jobSet := workload.Custom{Group: "jobset.x-k8s.io", Version: "v1alpha2", Kind: "JobSet", Paths: []string{"spec.replicatedJobs[*].template.spec.template.spec"}}
	policy := workload.Custom{Group: "example.org", Version: "v1", Kind: "Policy", Resource: "policies", Paths: []string{"spec.image"}}
	kinds := with(t, jobSet, widgets("spec.image"), policy)
	got := kinds.Rules()[len(workload.Builtin().Rules()):]
	want := []workload.Resources{
		{GroupVersion: schema.GroupVersion{Group: "jobset.x-k8s.io", Version: "v1alpha2"}, Names: []string{"jobsets"}},
		{GroupVersion: schema.GroupVersion{Group: "example.org", Version: "v1"}, Names: []string{"widgets", "policies"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Rules (-want +got):\n%s", diff)
	}
	if workload.Builtin().Covers(widget.GroupKind()) {
		t.Error("the built-in kinds have changed")
	}
	if _, err := kinds.Extract(schema.GroupVersionKind{Group: "example.org", Version: "v2", Kind: "Widget"}, []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "covered in version v1 only, not in v2") {
		t.Errorf("another version: %v", err)
	}
}

func TestWhatElseMattersOfACustomResourceIsRead(t *testing.T) {
	t.Parallel()
	yes := true
	got, err := with(t, widgets("spec.first", "spec.second", "spec.second.containers[*].image")).Extract(widget, []byte(`{
		"metadata": {"name": "w", "namespace": "prod", "uid": "u", "deletionTimestamp": "2026-01-02T03:04:05Z",
			"ownerReferences": [{"apiVersion": "example.org/v1", "kind": "App", "name": "a", "uid": "o", "controller": true}]},
		"spec": {
			"first": {"serviceAccountName": "robot", "imagePullSecrets": [{"name": "one"}], "containers": [{"name": "a", "image": "x:1"}]},
			"second": {"serviceAccountName": "other", "imagePullSecrets": [{"name": "two"}], "containers": [{"name": "b", "image": "x:2"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &workload.Workload{
		Kind: widget, Namespace: "prod", Name: "w", UID: "u", Deleting: true, ServiceAccount: "robot", PullSecrets: []string{"one"},
		Owners: []metav1.OwnerReference{{APIVersion: "example.org/v1", Kind: "App", Name: "a", UID: "o", Controller: &yes}},
		Images: []workload.Image{ // each of them once, although two paths lead to one
			{Reference: "x:1", Kind: "spec.first.containers", Name: "a", Field: "spec.first.containers[0].image", Pointer: "/spec/first/containers/0/image"},
			{Reference: "x:2", Kind: "spec.second.containers", Name: "b", Field: "spec.second.containers[0].image", Pointer: "/spec/second/containers/0/image"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Extract (-want +got):\n%s", diff)
	}
	if !got.Fixed() {
		t.Error("what a controller has made may be changed")
	}
}

func TestACustomResourceThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	kinds := with(t, widgets("spec.image"))
	for _, raw := range []string{``, `null`, `[]`, `"x"`, `{"spec":`, `{}{}`, `{"metadata":{"name":1}}`, strings.Repeat(`{"spec":`, 100_000)} {
		if w, err := kinds.Extract(widget, []byte(raw)); err == nil || w != nil || !strings.Contains(err.Error(), "the Widget cannot be read") {
			t.Errorf("%.40s: %v, %v", raw, w, err)
		}
	}
}

// T18: what takes next to nothing to send must not fill the memory.
func TestT18ImagesBeyondNumberAreNotListed(t *testing.T) {
	t.Parallel()
	kinds := with(t, widgets("spec.pods[*].spec", "spec.images[*]", "spec.steps[*].image"))
	deployment := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	items := func(item string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	for name, test := range map[string]struct {
		gvk           schema.GroupVersionKind
		before, after string
		item          string
	}{
		"containers":                  {deployment, `{"spec":{"template":{"spec":{"containers":`, `}}}}`, "{}"},
		"volumes":                     {deployment, `{"spec":{"template":{"spec":{"volumes":`, `}}}}`, `{"image":{}}`},
		"containers of a custom kind": {widget, `{"spec":{"pods":[{"spec":{"containers":`, `}}]}}`, "{}"},
		"pod specs":                   {widget, `{"spec":{"pods":`, `}}`, `{"spec":{"containers":[{}]}}`},
		"image fields":                {widget, `{"spec":{"steps":`, `}}`, `{"image":"x"}`},
		"what is no image":            {widget, `{"spec":{"images":`, `}}`, `0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if w, err := kinds.Extract(test.gvk, []byte(test.before+items(test.item, 10_000)+test.after)); err != nil || len(w.Images) != 10_000 {
				t.Errorf("10,000: %v", err)
			}
			if w, err := kinds.Extract(test.gvk, []byte(test.before+items(test.item, 10_001)+test.after)); !errors.Is(err, workload.ErrTooManyImages) || w != nil {
				t.Errorf("10,001: %v", err)
			}
		})
	}
}

// T18: objects that would take more memory than there is wait for others; small
// ones of built-in kinds wait for nobody.
func TestT18LargeObjectsWaitForMemory(t *testing.T) {
	kinds := with(t, widgets("spec.image"))
	pod := schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	read := func(gvk schema.GroupVersionKind, size int) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := kinds.Extract(gvk, []byte(`{"spec":{"image":"x"}}`+strings.Repeat(" ", size)))
			done <- err
		}()
		return done
	}
	if !workload.Reading.TryAcquire(workload.MaxReading) {
		t.Fatal("somebody else reads")
	}
	waiting := []chan error{read(widget, 0), read(widget, workload.MaxReading), read(pod, workload.MaxReading)}
	if err := <-read(pod, 0); err != nil {
		t.Error(err)
	}
	time.Sleep(20 * time.Millisecond)
	for i, done := range waiting {
		if len(done) > 0 {
			t.Errorf("%d did not wait", i)
		}
	}
	workload.Reading.Release(workload.MaxReading)
	for _, done := range waiting {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// T6: an image that moves from one field to another has changed.
func TestAnImageOfACustomResourceIsInItsPathsList(t *testing.T) {
	t.Parallel()
	kinds := with(t, widgets("spec.steps[*].image", "spec.sidecars[*].image", "spec.head.spec", "spec.workers[*].spec"))
	read := func(raw string) *workload.Workload {
		t.Helper()
		w, err := kinds.Extract(widget, []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	old := read(`{"spec": {"steps": [{"image": "x:1"}, {"image": "x:2"}]}}`)
	if !old.ImageSet().HasAll(read(`{"spec": {"steps": [{"image": "x:2"}]}}`)) {
		t.Error("the same image has changed")
	}
	if old.ImageSet().HasAll(read(`{"spec": {"sidecars": [{"image": "x:2"}]}}`)) {
		t.Error("the image of another list is the same")
	}
	const pods = `{"containers": [{"image": "x:2"}]}`
	old = read(`{"spec": {"workers": [{"spec": ` + pods + `}]}}`)
	if !old.ImageSet().HasAll(read(`{"spec": {"workers": [{}, {"spec": ` + pods + `}]}}`)) {
		t.Error("the same image has changed")
	}
	if old.ImageSet().HasAll(read(`{"spec": {"head": {"spec": ` + pods + `}}}`)) {
		t.Error("the image of another pod spec is the same")
	}
}

// FuzzCustom has hostile objects read by hostile paths: nothing panics, whatever
// can be an image is found where it is said to be, and once.
func FuzzCustom(f *testing.F) {
	for _, path := range []string{"spec.template.spec", "spec.steps[*].image", `spec['a\.b/c~d']`, "spec[*][*]", "{.spec}{.x}", "spec..x", "spec[?(@.a)]", "spec[", "a\\", `["`, "[?('", "spec"} {
		for _, object := range []string{
			wrap("spec.template.spec", podSpec), `{"spec":{"steps":[{"image":"a"},{},null,{"image":1}]}}`, `{"spec":{"a.b/c~d":"x"}}`, `{"spec":[["x"],"y"]}`, `{"spec":null}`, `{"spec":{"containers":[{"image":"x"}]}}`,
		} {
			f.Add(path, object)
		}
	}
	f.Fuzz(func(t *testing.T, path, raw string) {
		kinds, errs := workload.Builtin().With("workloads", []workload.Custom{widgets(path)})
		if len(errs) > 0 {
			return
		}
		w, err := kinds.Extract(widget, []byte(raw))
		if err != nil || duplicates(raw) || !json.Valid([]byte(raw)) {
			return
		}
		var pointers []string
		for _, img := range w.Images {
			pointers = append(pointers, img.Pointer)
			if _, err := image.Parse(img.Reference); err != nil {
				continue // denied, whatever stands there
			}
			if at := resolve(t, raw, img.Pointer); at != img.Reference {
				t.Errorf("%s addresses %v, not %q", img.Pointer, at, img.Reference)
			}
		}
		slices.Sort(pointers)
		if unique := slices.Compact(slices.Clone(pointers)); len(unique) < len(pointers) {
			t.Errorf("an image was found twice: %v", pointers)
		}
	})
}
