package config

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// keepTimeout bounds the writing of what is kept, behind which the next change
// waits.
const keepTimeout = 500 * time.Millisecond

// kept is the last good configuration of before a restart.
func (w *watcher) kept(o Objects) (Objects, bool) {
	cm := o.ConfigMaps[LastGoodName]
	if cm == nil {
		return Objects{}, false
	}
	before, found, err := Kept(cm, w.namespace, o.Secrets)
	if err != nil {
		w.logger.Errorw("The last good configuration cannot be read", zap.Error(err))
	}
	before.Elsewhere = o.Elsewhere
	return before, found && err == nil
}

// restoreMaterial has what was fetched before a restart stay good until it can
// be fetched again.
func (w *watcher) restoreMaterial(o Objects) {
	cm := o.ConfigMaps[LastGoodName]
	if cm == nil || w.material == nil {
		return
	}
	all, err := KeptMaterial(cm)
	if err != nil {
		w.logger.Errorw("What was fetched before the restart cannot be read", zap.Error(err))
	}
	w.material.Restore(all)
}

// keep writes the newest good configuration, and what was fetched for it, where
// a restart finds it. That it cannot be written changes nothing about it; an
// error has it tried again.
func (w *watcher) keep(ctx context.Context) error {
	newest := w.good.Load()
	into, err := w.configMaps.Get(LastGoodName)
	switch {
	case apierrors.IsNotFound(err):
		if newest != nil {
			w.logger.Warnf("ConfigMap %s is missing; a restart would not survive a broken edit", LastGoodName)
		}
		return nil
	case err != nil:
		return err
	}
	out := w.keepMaterial(w.keepConfiguration(into, newest))
	if out != into {
		ctx, cancel := context.WithTimeout(ctx, keepTimeout)
		defer cancel()
		if _, err = w.client.CoreV1().ConfigMaps(w.namespace).Update(ctx, out, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("the configuration could not be kept for a restart: %w", err)
		}
	}
	w.good.CompareAndSwap(newest, nil)
	return nil
}

// keepConfiguration is into itself if there is nothing to keep: replicas that
// disagree must not write in turns.
func (w *watcher) keepConfiguration(into *corev1.ConfigMap, newest *Change) *corev1.ConfigMap {
	if newest == nil || into.Annotations[RevisionAnnotation] == newest.Snapshot.Revision {
		return into
	}
	out, err := Keep(into, *newest)
	if err != nil {
		w.logger.Warnw("The configuration cannot be kept for a restart", zap.Error(err))
		return into
	}
	return out
}

func (w *watcher) keepMaterial(into *corev1.ConfigMap) *corev1.ConfigMap {
	if _, err := w.store.Snapshot(); err != nil || w.material == nil {
		return into
	}
	out, err := KeepMaterial(into, w.store.Remotes(), w.material.Good())
	if err != nil {
		w.logger.Warnw("What was fetched for the configuration cannot be kept for a restart", zap.Error(err))
	}
	if out == nil {
		return into
	}
	return out
}
