package migrate

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
)

// YAML writes the objects as a stream of documents, for kubectl and for people.
func (r Result) YAML() []byte {
	var b bytes.Buffer
	document := func(of any) {
		if b.Len() > 0 {
			b.WriteString("---\n")
		}
		b.WriteString(text(of))
	}
	for _, cm := range r.ConfigMaps {
		document(head(cm.APIVersion, cm.Kind, cm.Name, cm.Namespace, cm.Labels, map[string]any{"data": cm.Data}))
	}
	for _, s := range r.Secrets {
		document(head(s.APIVersion, s.Kind, s.Name, s.Namespace, s.Labels, map[string]any{"type": string(s.Type), "data": base64s(s)}))
	}
	return b.Bytes()
}

// head is an object with what each has.
func head(version, kind, name, namespace string, labels map[string]string, rest map[string]any) map[string]any {
	rest["apiVersion"], rest["kind"] = version, kind
	rest["metadata"] = map[string]any{"name": name, "namespace": namespace, "labels": labels}
	return rest
}

// base64s are the entries of a Secret as YAML has them.
func base64s(s *corev1.Secret) map[string]any {
	data := map[string]any{}
	for key, value := range s.Data {
		data[key] = base64.StdEncoding.EncodeToString(value)
	}
	return data
}

// order is that of keys for readers; those that are not listed follow.
var order = []string{
	"apiVersion", "kind", "metadata", "name", "namespace", "labels", "type", "data", "validators", "policy",
	"pattern", "validator", "with", "approve", "host", "auth", "cert", "trustRoots", "trustRoot",
}

// text writes YAML with the keys in that order, and literal blocks for what has
// several lines.
func text(value any) string {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(node(value)); err != nil {
		panic(err) // a buffer takes everything, and what was decoded can be encoded
	}
	return b.String()
}

func node(value any) *yaml.Node {
	n := &yaml.Node{}
	switch v := value.(type) {
	case map[string]any:
		n.Kind = yaml.MappingNode
		for _, key := range slices.SortedFunc(maps.Keys(v), byOrder) {
			n.Content = append(n.Content, node(key), node(v[key]))
		}
	case map[string]string:
		whole := map[string]any{}
		for key, one := range v {
			whole[key] = one
		}
		return node(whole)
	case []any:
		n.Kind = yaml.SequenceNode
		if len(v) == 0 {
			n.Style = yaml.FlowStyle
		}
		for _, item := range v {
			n.Content = append(n.Content, node(item))
		}
	default:
		if err := n.Encode(value); err != nil {
			panic(err) // what was decoded can be encoded
		}
		if s, ok := value.(string); ok && strings.IndexAny(s, "*[") == 0 && !strings.Contains(s, "\n") {
			n.Style = yaml.DoubleQuotedStyle // as in the documentation
		}
	}
	return n
}

func byOrder(a, b string) int {
	rank := func(key string) int {
		if i := slices.Index(order, key); i >= 0 {
			return i
		}
		return len(order)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}
