package config

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/configmap"

	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// Review tells what an edit of one ConfigMap would do. Rejections are what is
// wrong with the ConfigMap itself; everything that another object can still
// heal, or has to answer for, is a warning, since the order in which objects
// are applied decides.
func Review(b *Builder, o Objects, edited *corev1.ConfigMap) (rejections, warnings strict.Errors) {
	if edited.Name == LastGoodName || edited.Name == alert.ToldName {
		return nil, nil // the webhook's own, and written at each change
	}
	if err := checkExample(edited); err != nil {
		rejections = append(rejections, err)
	}
	if edited.Name == TrustRootsName {
		rejections = append(rejections, checkTrustRoots(edited)...)
	}
	built := b.Build(o.With(edited))
	for _, e := range built.Errors {
		switch {
		case e.Source != edited.Name || e.Dangling:
			warning := *e
			warning.Message += "; until this is right, the configuration before stays in force"
			warnings = append(warnings, &warning)
		case !contains(rejections, e):
			rejections = append(rejections, e)
		}
	}
	if len(rejections) > 0 {
		return rejections, warnings // others would be about what could not be read
	}
	for _, w := range built.Warnings {
		if w.Source == edited.Name {
			warnings = append(warnings, w)
		}
	}
	return rejections, warnings
}

func contains(errs strict.Errors, e *strict.Error) bool {
	for _, other := range errs {
		if other.Source == e.Source && other.Path == e.Path {
			return true
		}
	}
	return false
}

// checkExample refuses an edit of the documentation within a ConfigMap, which
// is probably meant to be one of the configuration (knative's convention).
func checkExample(cm *corev1.ConfigMap) *strict.Error {
	example, ok := cm.Data[configmap.ExampleKey]
	checksum, checked := cm.Annotations[configmap.ExampleChecksumAnnotation]
	if ok && checked && checksum != configmap.Checksum(example) {
		return &strict.Error{Source: cm.Name, Path: exampleKey, Message: `is documentation and was edited, which changes nothing; copy what you want to set to the top level, directly below "data"`}
	}
	return nil
}

// checkTrustRoots makes sure that each entry is something that can be trust
// material, whether or not anything refers to it yet.
func checkTrustRoots(cm *corev1.ConfigMap) (errs strict.Errors) {
	o := Objects{ConfigMaps: map[string]*corev1.ConfigMap{cm.Name: cm}}
	for _, key := range o.keys(cm.Name) {
		value, err := o.ConfigMapEntry(cm.Name, key)
		if err == nil {
			err = trustMaterial(value)
		}
		if err != nil {
			errs = append(errs, &strict.Error{Source: cm.Name, Path: key, Message: err.Error()})
		}
	}
	return errs
}

// trustMaterial accepts public keys, certificates and JSON documents.
func trustMaterial(value []byte) error {
	if trimmed := bytes.TrimSpace(value); bytes.HasPrefix(trimmed, []byte("{")) {
		if !json.Valid(trimmed) {
			return fmt.Errorf("is not valid JSON")
		}
		return nil
	}
	if block, _ := pem.Decode(value); block != nil && block.Type == "CERTIFICATE" {
		return nil
	}
	_, err := trust.ParseKeys(value)
	return err
}
