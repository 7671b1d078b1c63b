// Package clients runs the programs that people sign images with, cosign 2 and
// cosign 3, and a Sigstore of the real servers for them: Fulcio with its
// certificate transparency log, Rekor in both versions and a timestamp
// authority. All are processes on loopback, and hack/tools.sh builds them.
//
//	s, err := clients.Start(ctx)
//	defer s.Close()
//	err = s.Cosign3.Run(ctx, "sign", "--key", s.Key(…), …)
package clients
