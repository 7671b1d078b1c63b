package config

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LastGoodName is the ConfigMap in which the last good configuration is kept,
// so that a restart survives a broken edit.
const LastGoodName = "connaisseur-last-good"

const (
	lastGoodKey = "configuration.json.gz"
	// RevisionAnnotation names the revision of the configuration that is kept.
	RevisionAnnotation = "connaisseur.sse-secure-systems.github.io/revision"
	// maxLastGood bounds what is unpacked, in bytes: four ConfigMaps of the
	// greatest size, and what trust roots may lie elsewhere.
	maxLastGood = 16 << 20
	// maxConfigMap is Kubernetes' limit, less room for metadata.
	maxConfigMap = 1<<20 - 16<<10
)

// kept is a ConfigMap as it is kept.
type kept struct {
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
}

// Keep writes the ConfigMaps of a good configuration into the one that keeps
// them. Secrets are not kept.
func Keep(into *corev1.ConfigMap, change Change) (*corev1.ConfigMap, error) {
	configMaps := map[string]kept{}
	for _, name := range usedConfigMaps(change) {
		if cm := change.Objects.ConfigMaps[name]; cm != nil {
			configMaps[name] = kept{cm.Data, cm.BinaryData}
		}
	}
	packed, err := pack(configMaps)
	if err != nil {
		return nil, err
	}
	if len(packed) > maxConfigMap {
		return nil, fmt.Errorf("the configuration takes %d bytes even compressed, which is more than a ConfigMap can hold", len(packed))
	}
	out := into.DeepCopy()
	metav1.SetMetaDataAnnotation(&out.ObjectMeta, RevisionAnnotation, change.Snapshot.Revision)
	out.Data = nil
	out.BinaryData = map[string][]byte{lastGoodKey: packed}
	if material, ok := into.BinaryData[materialKey]; ok && len(packed)+len(material) <= maxConfigMap {
		out.BinaryData[materialKey] = material
	}
	return out, nil
}

// usedConfigMaps names the ConfigMaps that a configuration consists of.
func usedConfigMaps(change Change) []string {
	names := slices.Clone(Names)
	for what := range change.reads {
		if parts := strings.Split(what, "/"); parts[0] == "configmap" && parts[1] != TrustRootsName {
			names = append(names, parts[1])
		}
	}
	return names
}

// Kept reads what Keep wrote. Nothing kept is no error, and gives no objects.
func Kept(from *corev1.ConfigMap, namespace string, secrets map[string]*corev1.Secret) (Objects, bool, error) {
	packed, ok := from.BinaryData[lastGoodKey]
	if !ok {
		return Objects{}, false, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return Objects{}, false, fmt.Errorf("ConfigMap %s cannot be unpacked: %w", LastGoodName, err)
	}
	var configMaps map[string]kept
	if err := json.NewDecoder(io.LimitReader(r, maxLastGood)).Decode(&configMaps); err != nil {
		return Objects{}, false, fmt.Errorf("ConfigMap %s cannot be unpacked: %w", LastGoodName, err)
	}
	o := Objects{Namespace: namespace, ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: secrets}
	for name, cm := range configMaps {
		o.ConfigMaps[name] = &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
			Data:       cm.Data, BinaryData: cm.BinaryData,
		}
	}
	return o, true, nil
}
