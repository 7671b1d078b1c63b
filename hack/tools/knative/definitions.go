// Package knative keeps Knative's definitions of its resources in go.mod: tests read
// them from the module cache.
package knative

import _ "knative.dev/serving/config/core/300-resources"
