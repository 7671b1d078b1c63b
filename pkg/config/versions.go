package config

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/controller"

	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

// VersionsName is the ConfigMap in which replicas tell one another the highest
// versions of Notary's trust data that they have seen, so that none accepts older
// ones.
const VersionsName = "connaisseur-notary-versions"

const (
	versionsKey = "versions.json"
	// maxVersions bounds them, in bytes.
	maxVersions = 900 << 10
	// versionsDelay is how long new versions are collected before they are
	// written.
	versionsDelay = 2 * time.Second
)

// versions is the key for writing them.
var versions = types.NamespacedName{Name: "versions"}

// KeptVersions reads what KeepVersions wrote.
func KeptVersions(from *corev1.ConfigMap) (map[string]notaryv1.Seen, error) {
	text, ok := from.Data[versionsKey]
	if !ok {
		return nil, nil
	}
	var all map[string]notaryv1.Seen
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("entry %s of ConfigMap %s cannot be read: %w", versionsKey, VersionsName, err)
	}
	return all, nil
}

// KeepVersions writes versions into the ConfigMap, a repository in a line; those
// of repositories that were not verified for the longest time are left out if
// there is no room. It gives nil if they stand there already.
func KeepVersions(into *corev1.ConfigMap, all map[string]notaryv1.Seen) (out *corev1.ConfigMap, dropped int, err error) {
	// The newest first, so that what is left out is the oldest.
	keys := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if c := strings.Compare(all[b].Day, all[a].Day); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	var lines []string
	size := 0
	for _, key := range keys {
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(map[string]notaryv1.Seen{key: all[key]}); err != nil {
			return nil, 0, fmt.Errorf("cannot write versions: %w", err)
		}
		text := strings.TrimSuffix(strings.TrimPrefix(line.String(), "{"), "}\n")
		if size += len(text) + 2; size > maxVersions {
			break
		}
		lines = append(lines, text)
	}
	dropped = len(all) - len(lines)
	slices.Sort(lines)
	text := "{\n" + strings.Join(lines, ",\n") + "\n}\n"
	if into.Data[versionsKey] == text || len(lines) == 0 && into.Data[versionsKey] == "" {
		return nil, dropped, nil
	}
	out = into.DeepCopy()
	if out.Data == nil {
		out.Data = map[string]string{}
	}
	out.Data[versionsKey] = text
	return out, dropped, nil
}

// ForgetVersions is the ConfigMap without the versions of a repository at a
// server: the replicas then take whatever versions they see next. It gives nil if
// there are none.
func ForgetVersions(into *corev1.ConfigMap, server, repository string) (*corev1.ConfigMap, error) {
	all, err := KeptVersions(into)
	key := notaryv1.VersionsKey(server, repository)
	before, known := all[key]
	if err != nil || !known || before.Root == 0 {
		return nil, err
	}
	all[key] = notaryv1.Seen{Resets: before.Resets + 1, Day: before.Day}
	out, _, err := KeepVersions(into, all)
	return out, err
}

// Recall has the builder's validators know the versions that replicas have seen.
func (b *Builder) Recall(o Objects) error {
	cm := o.ConfigMaps[VersionsName]
	if cm == nil {
		return nil
	}
	all, err := KeptVersions(cm)
	b.notaries.Versions.Merge(all)
	return err
}

// recall takes over what other replicas have seen, and this one before a restart.
func (w *watcher) recall(o Objects) {
	cm := o.ConfigMaps[VersionsName]
	if cm == nil || cm.ResourceVersion != "" && cm.ResourceVersion == w.recalled {
		return
	}
	w.recalled = cm.ResourceVersion
	if err := w.store.builder.Recall(o); err != nil {
		w.logger.Errorw("The versions of trust data that were seen before cannot be read; they are written anew", zap.Error(err))
	}
}

// keepVersions writes the versions that were seen where other replicas, and a
// restart, find them. That it cannot be written changes nothing about any
// verdict; an error has it tried again.
func (w *watcher) keepVersions(ctx context.Context) error {
	into, err := w.configMaps.Get(VersionsName)
	if apierrors.IsNotFound(err) {
		w.logger.Warnf("ConfigMap %s is missing; that trust data is rolled back is noticed only by the replica that has seen newer ones", VersionsName)
		return nil
	}
	if err != nil {
		return err
	}
	w.recall(Objects{ConfigMaps: map[string]*corev1.ConfigMap{VersionsName: into}})
	out, dropped, err := KeepVersions(into, w.store.builder.notaries.Versions.All())
	if dropped > 0 {
		w.logger.Warnf("ConfigMap %s is full; the versions of the %d repositories are not kept that were not verified for the longest time", VersionsName, dropped)
	}
	if err != nil || out == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	_, err = w.client.CoreV1().ConfigMaps(w.namespace).Update(ctx, out, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return controller.NewRequeueAfter(versionsDelay) // another replica was first
	}
	if err != nil {
		return fmt.Errorf("the versions of trust data that were seen could not be kept: %w", err)
	}
	return nil
}
