// Package cosign verifies images that were signed with Sigstore's cosign.
//
// So far that is signatures by public key, attached under the tag
// sha256-HEX.sig (the "simple signing" format of
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md),
// without a transparency log.
package cosign
