package admission

import (
	"context"
	"fmt"

	"go.uber.org/zap"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"knative.dev/pkg/webhook"
)

// maxWarnings bounds the warnings that one edit gets.
const maxWarnings = 10

// Reviewer tells what an edit of one of our ConfigMaps would do: what is wrong
// with it, and what else is worth knowing.
type Reviewer func(edited *corev1.ConfigMap) (warnings []string, rejections error)

// ConfigHandler refuses edits of our ConfigMaps that are wrong.
type ConfigHandler struct {
	// Whoever repairs a configuration must not wait for informers.
	webhook.StatelessAdmissionImpl

	review Reviewer
	logger *zap.Logger
}

var _ webhook.AdmissionController = (*ConfigHandler)(nil)

// NewConfig makes the handler.
func NewConfig(review Reviewer, logger *zap.Logger) *ConfigHandler {
	return &ConfigHandler{review: review, logger: logger}
}

// Path is where the handler is served.
func (h *ConfigHandler) Path() string { return ConfigPath }

// Admit answers a request.
func (h *ConfigHandler) Admit(_ context.Context, req *admissionv1.AdmissionRequest) (response *admissionv1.AdmissionResponse) {
	defer func() {
		if p := recover(); p != nil {
			h.logger.Error("A ConfigMap could not be checked", zap.String("name", req.Name), zap.Any("panic", p), zap.Stack("stack"))
			response = denial("the ConfigMap could not be checked; Connaisseur's log has the details")
		}
	}()
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return &admissionv1.AdmissionResponse{Allowed: true}
	}
	var edited corev1.ConfigMap
	if err := kjson.UnmarshalCaseSensitivePreserveInts(req.Object.Raw, &edited); err != nil {
		return denial(fmt.Sprintf("the ConfigMap cannot be read: %v", err))
	}
	warnings, rejections := h.review(&edited)
	if len(warnings) > maxWarnings {
		warnings = append(warnings[:maxWarnings], fmt.Sprintf("and %d more; `connaisseur lint` shows all", len(warnings)-maxWarnings))
	}
	if rejections != nil {
		response = denial("the configuration is not valid:\n" + rejections.Error())
	} else {
		response = &admissionv1.AdmissionResponse{Allowed: true}
	}
	response.Warnings = warnings
	return response
}
