package config

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

const (
	materialKey = "trust-material.json.gz"
	// maxMaterial bounds the material that is kept, packed, in bytes.
	maxMaterial = 256 << 10
	// lag is how far behind the time of the kept material may be, so that not
	// every refresh is written.
	lag = 24 * time.Hour
)

// KeepMaterial writes what was fetched last from outside of the cluster beside
// the configuration that needs it, unless it is there already: then it gives
// nil. Of what two replicas have, the newer is kept.
func KeepMaterial(into *corev1.ConfigMap, used []trust.Remote, good []trust.Fetched) (*corev1.ConfigMap, error) {
	before, err := KeptMaterial(into)
	if err != nil {
		before = nil // it is of no use, and is written anew
	}
	after, same := merge(used, before, good)
	if same {
		return nil, nil
	}
	out := into.DeepCopy()
	delete(out.BinaryData, materialKey)
	if len(after) == 0 {
		return out, nil
	}
	packed, err := pack(after)
	if err != nil {
		return nil, err
	}
	if room := min(maxMaterial, maxConfigMap-len(out.BinaryData[lastGoodKey])); len(packed) > room {
		return nil, fmt.Errorf("the trust material takes %d bytes even compressed; there is room for %d", len(packed), room)
	}
	if out.BinaryData == nil {
		out.BinaryData = map[string][]byte{}
	}
	out.BinaryData[materialKey] = packed
	return out, nil
}

// merge picks the newest of each that is used, and tells whether that is what
// there was before.
func merge(used []trust.Remote, before, good []trust.Fetched) (after []trust.Fetched, same bool) {
	same = true
	find := func(all []trust.Fetched, where trust.Remote) *trust.Fetched {
		if i := slices.IndexFunc(all, func(f trust.Fetched) bool { return f.Where == where }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	for _, where := range used {
		kept, ours := find(before, where), find(good, where)
		switch {
		case kept == nil && ours == nil:
		case kept == nil || ours != nil && ours.At.After(kept.At):
			same = same && kept != nil && bytes.Equal(kept.Content, ours.Content) && kept.RootVersion == ours.RootVersion && ours.At.Sub(kept.At) < lag
			after = append(after, *ours)
		default:
			after = append(after, *kept)
		}
	}
	return after, same && len(after) == len(before)
}

// KeptMaterial reads what KeepMaterial wrote.
func KeptMaterial(from *corev1.ConfigMap) ([]trust.Fetched, error) {
	packed, ok := from.BinaryData[materialKey]
	if !ok {
		return nil, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("the trust material in ConfigMap %s cannot be unpacked: %w", LastGoodName, err)
	}
	var all []trust.Fetched
	if err := json.NewDecoder(io.LimitReader(r, maxLastGood)).Decode(&all); err != nil {
		return nil, fmt.Errorf("the trust material in ConfigMap %s cannot be unpacked: %w", LastGoodName, err)
	}
	return all, nil
}

// pack makes compressed JSON.
func pack(value any) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		return nil, fmt.Errorf("cannot pack it: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot pack it: %w", err)
	}
	return packed.Bytes(), nil
}
