// Package clients runs the programs that people sign images with, cosign 2 and
// cosign 3, and a Sigstore of the real servers for them: Fulcio with its
// certificate transparency log, Rekor in both versions and a timestamp
// authority. All are processes on loopback, and hack/tools.sh builds them.
//
//	s, err := clients.Start(ctx)
//	defer s.Close()
//	key, public, err := s.NewKey(ctx, "ours")
//	err = s.Cosign3.Sign(ctx, clients.RekorTiles, image, "sign", "--key", key)
package clients
