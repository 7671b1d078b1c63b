// Package sigstoretest is a virtual Sigstore for tests and benchmarks, with
// real cryptography: a certificate authority, a certificate transparency log,
// two transparency logs (Rekor's first and second version) and a timestamp
// authority, and what cosign 2 and cosign 3 attach to images with them.
//
//	s := sigstoretest.New(t)
//	reg := registrytest.New(t, registrytest.Referrers())
//	img := reg.Push(t, "team/app:v1")
//	me := s.Certificate(t, "me@example.com", "https://issuer.example.com")
//	s.Sign(t, reg, img, me) // as cosign 3 does
//	s.SignLegacy(t, reg, img, me) // as cosign 2 does
//	… // verify with s.TrustedRoot(t)
//
// Options make what is wrong in one respect and right in all others. Everything
// is made when it is asked for, so that nothing expires.
package sigstoretest
