// Package review makes AdmissionReviews of a chosen size, as an API server
// sends them, for load generators and benchmarks.
package review

import (
	"encoding/json"
	"fmt"
	"strings"
)

// UID is the request's UID in every body; it has the length of any other.
const UID = "00000000-0000-4000-8000-000000000000"

// MaxBytes is the largest review that is made.
const MaxBytes = 1 << 20

type object = map[string]any

// Pod is the body of a review of the creation of a Pod that runs these images,
// of exactly that many bytes, or of as many as it takes if size is 0.
func Pod(size int, images ...string) ([]byte, error) {
	if size > MaxBytes {
		return nil, fmt.Errorf("a review of %d bytes is larger than %d", size, MaxBytes)
	}
	small, err := pod(images, 0, 0)
	if err != nil || size == 0 {
		return small, err
	}
	padding := size - len(small)
	if padding < 0 {
		return nil, fmt.Errorf("a review of these images takes %d bytes, more than %d", len(small), size)
	}
	// Two thirds of what there is to fill become environment variables and
	// their managed fields, so that a large review is not just one long
	// string.
	const frame, variable = 240, 110 // bytes
	variables := max(padding-frame, 0) * 2 / 3 / variable
	filled, err := pod(images, variables, 0)
	if err != nil {
		return nil, err
	}
	if len(filled) > size {
		return nil, fmt.Errorf("a review of %d bytes cannot be filled", size)
	}
	return pod(images, variables, size-len(filled))
}

// pod is the review with so many environment variables in the first container,
// their managed fields, and an annotation of padding bytes.
func pod(images []string, variables, padding int) ([]byte, error) {
	containers := make([]object, len(images))
	for i, image := range images {
		containers[i] = object{"name": fmt.Sprintf("c%d", i), "image": image}
	}
	fields := object{}
	if variables > 0 {
		env := make([]object, variables)
		for i := range env {
			name := fmt.Sprintf("SETTING_%03d", i)
			env[i] = object{"name": name, "value": fmt.Sprintf("value-%d", i)}
			fields[fmt.Sprintf(`k:{"name":%q}`, name)] = object{".": object{}, "f:name": object{}, "f:value": object{}}
		}
		containers[0]["env"] = env
	}
	metadata := object{"name": "web", "namespace": "bench", "annotations": object{"a": strings.Repeat("x", padding)}}
	if len(fields) > 0 {
		metadata["managedFields"] = []object{{
			"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
			"fieldsV1": object{"f:spec": object{"f:containers": object{`k:{"name":"c0"}`: object{"f:env": fields}}}},
		}}
	}
	kind := object{"group": "", "version": "v1", "kind": "Pod"}
	resource := object{"group": "", "version": "v1", "resource": "pods"}
	return json.Marshal(object{
		"apiVersion": "admission.k8s.io/v1",
		"kind":       "AdmissionReview",
		"request": object{
			"uid": UID, "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
			"name": "web", "namespace": "bench", "operation": "CREATE",
			"userInfo": object{"username": "admin", "groups": []string{"system:masters", "system:authenticated"}},
			"object":   object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": object{"containers": containers}},
			"dryRun":   false,
			"options":  object{"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
		},
	})
}
