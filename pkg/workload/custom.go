package workload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	kjson "sigs.k8s.io/json"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// The bounds of what can be configured, so that every object can be read in the
// time there is.
const (
	maxCustom = 100
	maxPaths  = 50
)

// Custom is a kind of custom resource, as it is configured.
type Custom struct {
	Group   string `config:"group"`
	Version string `config:"version"`
	Kind    string `config:"kind"`
	// Resource is the plural in URLs; the kind in lower case and an "s" if it is
	// empty.
	Resource string `config:"resource"`
	// Paths are in kubectl's JSONPath syntax and lead to pod specs or to image
	// fields.
	Paths []string `config:"paths"`
}

// With is these kinds and more. Errors have key paths below at, a list.
func (k Kinds) With(at string, customs []Custom) (Kinds, strict.Errors) {
	var errs strict.Errors
	if len(customs) > maxCustom {
		errs.Add(at, "has %d kinds, but no more than %d are possible", len(customs), maxCustom)
		return Kinds{}, errs
	}
	out := Kinds{slices.Clip(k.all)}
	for i, c := range customs {
		path := fmt.Sprintf("%s[%d]", at, i)
		more, bad := c.kind(path)
		errs = append(errs, bad...)
		switch {
		case k.Covers(more.GroupKind):
			errs.Add(path+".kind", "%s is looked at anyway", more.GroupKind)
		case out.Covers(more.GroupKind):
			errs.Add(path+".kind", "%s is listed twice; list all of its paths at one place", more.GroupKind)
		}
		out.all = append(out.all, more)
	}
	if len(errs) > 0 {
		return Kinds{}, errs
	}
	return out, nil
}

// kind checks everything about a kind but that it is the only one of its name.
func (c Custom) kind(at string) (kind, strict.Errors) {
	var errs strict.Errors
	checkGroup(&errs, at+".group", c.Group)
	checkLabel(&errs, at+".version", c.Version, "the version of an API, such as v1")
	checkKind(&errs, at+".kind", c.Kind)
	if c.Resource == "" {
		c.Resource = strings.ToLower(c.Kind) + "s"
	} else {
		checkLabel(&errs, at+".resource", c.Resource, "the plural of a kind as it stands in URLs, such as rollouts")
	}
	k := kind{schema.GroupKind{Group: c.Group, Kind: c.Kind}, c.Version, []string{c.Resource}, nil}
	read := custom{version: c.Version}
	switch {
	case len(c.Paths) == 0:
		errs.Add(at+".paths", "is missing; without one, no image would be looked at")
	case len(c.Paths) > maxPaths:
		errs.Add(at+".paths", "has %d paths, but no more than %d are possible", len(c.Paths), maxPaths)
		return k, errs
	}
	for i, text := range c.Paths {
		p, err := parsePath(text)
		if err != nil {
			errs.Add(fmt.Sprintf("%s.paths[%d]", at, i), "%v", err)
		}
		read.paths = append(read.paths, p)
	}
	k.reader = read
	return k, errs
}

// Listable tells whether the kind may be one that somebody lists.
func Listable(gk schema.GroupKind) bool {
	var errs strict.Errors
	checkGroup(&errs, "", gk.Group)
	return len(errs) == 0
}

// checkGroup lets only groups of custom resources pass. Kubernetes' own must not
// depend on a webhook: without webhook configurations, leases or tokens, a cluster
// could not be repaired.
func checkGroup(errs *strict.Errors, at, group string) {
	switch {
	case group == "":
		errs.Add(at, "is missing; only custom resources can be listed, whose group has a name such as argoproj.io")
	case len(validation.IsDNS1123Subdomain(group)) > 0:
		errs.Add(at, "%q is no API group, such as argoproj.io; wildcards are not possible", group)
	case !strings.Contains(group, "."), group == "k8s.io", strings.HasSuffix(group, ".k8s.io"):
		errs.Add(at, "%q is a group of Kubernetes itself; only custom resources can be listed, such as those of argoproj.io", group)
	}
}

func checkKind(errs *strict.Errors, at, kind string) {
	if kind == "" {
		errs.Add(at, "is missing")
	} else if kind[0] < 'A' || kind[0] > 'Z' || len(validation.IsDNS1035Label(strings.ToLower(kind))) > 0 {
		errs.Add(at, "%q is no kind, such as Rollout; wildcards are not possible", kind)
	}
}

func checkLabel(errs *strict.Errors, at, value, what string) {
	if value == "" {
		errs.Add(at, "is missing")
	} else if len(validation.IsDNS1035Label(value)) > 0 {
		errs.Add(at, "%q is not %s; wildcards and subresources are not possible", value, what)
	}
}

// custom reads custom resources of one version.
type custom struct {
	version string
	paths   []path
}

// read follows the paths. What they lead to and is no image is an image whose
// reference is not valid, so that it is denied like one.
func (c custom) read(gvk schema.GroupVersionKind, raw []byte) (*Workload, error) {
	if gvk.Version != c.version {
		return nil, fmt.Errorf("objects of kind %s are covered in version %s only, not in %s: it is not known where their images stand", gvk.GroupKind(), c.version, gvk.Version)
	}
	var head struct {
		Metadata metadata `json:"metadata"`
	}
	if err := decode(gvk, raw, &head); err != nil {
		return nil, err
	}
	defer room(raw)()
	var tree map[string]any
	if err := decode(gvk, raw, &tree); err != nil {
		return nil, err
	}
	w := newWorkload(gvk, &head.Metadata)
	w.Images = []Image{}
	seen := map[string]bool{}
	for _, p := range c.paths {
		if err := follow(tree, place{}, p.steps, func(at place, value any) error {
			images, err := w.found(p, at, value)
			if err != nil {
				return err
			}
			for _, img := range images {
				if !seen[img.Pointer] { // another path may lead there too
					seen[img.Pointer] = true
					w.Images = append(w.Images, img)
				}
			}
			if len(w.Images) > maxImages {
				return ErrTooManyImages
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// found lists the images of what a path leads to.
func (w *Workload) found(p path, at place, value any) ([]Image, error) {
	image := func(reference string) ([]Image, error) {
		return []Image{{Reference: reference, Kind: ContainerKind(p.text), Field: at.field, Pointer: at.pointer}}, nil
	}
	switch value := value.(type) {
	case string:
		if value == "" {
			return nil, nil // names no image
		}
		return image(value)
	case map[string]any:
		switch {
		case len(value) == 0:
			return nil, nil
		case listed(value) > maxImages:
			return nil, ErrTooManyImages // before they are read once more
		}
		spec, wrong := podSpecOf(value)
		if wrong != "" {
			return image(wrong)
		}
		if w.ServiceAccount == "" && w.PullSecrets == nil {
			w.identify(spec)
		}
		return spec.images(at, p.text+".")
	case obstacle:
		return image(value.String())
	}
	return image("(" + describe(value) + ", where an image or a pod spec must be)")
}

// listed counts the items of a pod spec's lists.
func listed(spec map[string]any) (n int) {
	for _, kind := range []ContainerKind{Container, InitContainer, EphemeralContainer, ImageVolume} {
		list, _ := spec[string(kind)].([]any)
		n += len(list)
	}
	return n
}

// podSpecOf takes an object for a pod spec if it can be one; otherwise it says in
// parentheses what is wrong. A path to a mere container must not pass for one that
// leads to no image.
func podSpecOf(value map[string]any) (spec *podSpec, wrong string) {
	if !slices.ContainsFunc([]ContainerKind{Container, InitContainer, EphemeralContainer}, func(list ContainerKind) bool {
		_, ok := value[string(list)]
		return ok
	}) {
		return nil, "(an object without containers; a path must lead to a pod spec or to an image field)"
	}
	const malformed = "(an object that has containers and is no pod spec)"
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, malformed
	}
	spec = &podSpec{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, spec); err != nil {
		return nil, malformed
	}
	return spec, ""
}

// String says in parentheses what is in the way.
func (o obstacle) String() string {
	if o.next.each {
		return "(" + describe(o.value) + ", where a list must be)"
	}
	if _, ok := o.value.([]any); ok {
		return "(a list, where the path must go on with [*])"
	}
	return fmt.Sprintf("(%s, where an object with %q must be)", describe(o.value), o.next.key)
}

// describe names a JSON value in words.
func describe(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}
