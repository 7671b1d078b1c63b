// Package notationtest signs images as the client notation of the Notary Project
// does, for tests and benchmarks, with real cryptography: certification
// authorities with OCSP responders and CRLs, timestamp authorities, and envelopes
// in both forms.
//
//	ca := notationtest.New(t, "Example CA")
//	me := ca.Signer(t, "me")
//	reg := registrytest.New(t, registrytest.Referrers())
//	img := reg.Push(t, "team/app:v1")
//	me.Sign(t, reg, img) // as notation sign does
//	… // verify with ca.PEM()
//
// Options make what is wrong in one respect and right in all others. Everything
// is made when it is asked for, so that nothing expires.
package notationtest

import "github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"

// TB is what is needed of a test or a benchmark.
type TB = registrytest.TB
