package workload

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// The bounds of a path. Real ones are far below.
const (
	maxPathBytes = 512
	maxSteps     = 32
)

// path leads from an object to its images, or to pod specs.
type path struct {
	text  string // in one spelling
	steps []step
}

// step leads on: to a field, or to each item of a list.
type step struct {
	key  string
	each bool
}

// quoted is a name in quotes, whose dots part names there too.
var quoted = regexp.MustCompile(`\['(?:[^'\\]|\\.)*?\.[^']*'\]`)

// parsePath reads a path in kubectl's JSONPath syntax, of which it takes names and
// [*]: with more it would not be clear which images an object has. The braces,
// and what stands for the object itself, may be left out.
func parsePath(text string) (path, error) {
	inner := text
	if strings.HasPrefix(inner, "{") && strings.HasSuffix(inner, "}") {
		inner = inner[1 : len(inner)-1]
	}
	inner = strings.TrimPrefix(inner, "$")
	switch {
	case inner == "":
		return path{}, errors.New("is empty")
	case len(text) > maxPathBytes:
		return path{}, fmt.Errorf("is longer than %d bytes", maxPathBytes)
	case quoted.MatchString(inner): // kubectl would find nothing, and say nothing
		return path{}, fmt.Errorf(`%q: a dot within a name must be written \. in quotes too`, text)
	case inner[0] != '.' && inner[0] != '[':
		inner = "." + inner
	}
	parsed, err := jsonpath.Parse("path", "{"+inner+"}")
	if err != nil {
		return path{}, fmt.Errorf("%q is no JSONPath: %w", text, err)
	}
	p := path{}
	if err := p.add(parsed.Root); err != nil {
		return path{}, fmt.Errorf("%q: %w", text, err)
	}
	return p, nil
}

// add appends the steps of a parsed path.
func (p *path) add(root *jsonpath.ListNode) error {
	action, ok := only(root)
	if !ok {
		return errors.New("is more than one path")
	}
	at := place{}
	for _, node := range action.Nodes {
		next, err := stepOf(node)
		if err != nil {
			return err
		}
		p.steps = append(p.steps, next)
		if next.each {
			at.field += "[*]"
		} else {
			at = at.key(next.key)
		}
	}
	switch {
	case len(p.steps) > maxSteps:
		return fmt.Errorf("has more than %d steps", maxSteps)
	case len(p.steps) == 0 || p.steps[0].each:
		return errors.New("must begin with a name, since an object is no list")
	}
	p.text = at.field
	return nil
}

// only is the one list of nodes that there must be.
func only(root *jsonpath.ListNode) (*jsonpath.ListNode, bool) {
	if len(root.Nodes) != 1 {
		return nil, false
	}
	list, ok := root.Nodes[0].(*jsonpath.ListNode)
	return list, ok
}

func stepOf(node jsonpath.Node) (step, error) {
	switch node := node.(type) {
	case *jsonpath.FieldNode:
		if node.Value == "" {
			return step{}, errors.New("a name is missing")
		}
		return step{key: node.Value}, nil
	case *jsonpath.ArrayNode:
		if node.Params == [3]jsonpath.ParamsEntry{} {
			return step{each: true}, nil
		}
		return step{}, errors.New("leads to some items of a list only; [*] leads to all of them")
	case *jsonpath.WildcardNode:
		return step{}, errors.New("has .*, which leads to whatever there is; name the fields")
	case *jsonpath.RecursiveNode:
		return step{}, errors.New("has .., which leads anywhere; write the whole path")
	case *jsonpath.FilterNode:
		return step{}, errors.New("has a filter, by which an image could escape; [*] leads to all items")
	}
	return step{}, fmt.Errorf("only names and [*] can be used, and a %s is neither", strings.TrimPrefix(fmt.Sprint(node.Type()), "Node"))
}

// finding is called with what a path leads to. Its error ends the search.
type finding func(at place, value any) error

// follow calls found for each value that the path leads to. Where it leads
// nowhere it calls nothing; where it cannot be followed, although there is
// something, it calls found with what stands in the way.
func follow(value any, at place, steps []step, found finding) error {
	if value == nil {
		return nil
	}
	if len(steps) == 0 {
		return found(at, value)
	}
	next, rest := steps[0], steps[1:]
	switch value := value.(type) {
	case map[string]any:
		if !next.each {
			return follow(value[next.key], at.key(next.key), rest, found)
		}
	case []any:
		if next.each {
			for i, item := range value {
				if err := follow(item, at.item(i), rest, found); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return found(at, obstacle{value, next})
}

// obstacle is what stands where a path cannot be followed any further.
type obstacle struct {
	value any
	next  step
}
