package admission

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// maxLogged bounds the images of one log line.
const maxLogged = 50

// maxSigners bounds the signers of an image that are logged.
const maxSigners = 8

// imageLog writes images into the log line of a decision.
type imageLog []verify.ImageVerdict

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (l imageLog) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	for i := range l[:min(len(l), maxLogged)] {
		if err := enc.AppendObject((*imageEntry)(&l[i])); err != nil {
			return err
		}
	}
	return nil
}

type imageEntry verify.ImageVerdict

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (e *imageEntry) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("field", e.Image.Field)
	enc.AddString("reference", e.Image.Reference)
	enc.AddString("outcome", e.Outcome.String())
	if e.Digest != "" {
		enc.AddString("digest", string(e.Digest))
	}
	if e.Rule != nil {
		enc.AddInt("rule", e.Rule.Index)
		enc.AddString("validator", e.Rule.ValidatorName)
	}
	if e.Reason != "" {
		enc.AddString("reason", string(e.Reason))
	}
	if len(e.Signers) > 0 {
		zap.Strings("signers", e.Signers[:min(len(e.Signers), maxSigners)]).AddTo(enc)
	}
	if len(e.Warnings) > 0 {
		zap.Strings("warnings", e.Warnings[:min(len(e.Warnings), maxSigners)]).AddTo(enc)
	}
	if e.Reason == validator.Internal && e.Err != nil {
		if cause := (*verify.ImageVerdict)(e).Cause(); cause != "" {
			enc.AddString("error", cause)
		}
	}
	enc.AddBool("cached", e.Cached)
	return nil
}
