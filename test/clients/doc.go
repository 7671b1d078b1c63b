// Package clients runs the programs that people sign images with, cosign 2 and
// cosign 3, and a Sigstore of the real servers for them: Fulcio with its
// certificate transparency log, Rekor in both versions and a timestamp
// authority. So it does with notary, the client of Notary V1 (Docker Content
// Trust), and its server, and with notation, the client of the Notary Project,
// which needs no server. All are processes on loopback, and hack/tools.sh builds
// them.
//
//	s, err := clients.Start(ctx)
//	defer s.Close()
//	key, public, err := s.NewKey(ctx, "ours")
//	err = s.Cosign3.Sign(ctx, clients.RekorTiles, image, "sign", "--key", key)
//
//	n, err := clients.StartNotary(ctx)
//	defer n.Close()
//	owner, err := n.Client("owner")
//	err = owner.Init(ctx, gun)
//	err = owner.Sign(ctx, gun, "v1", digest, size)
//
//	n, err := clients.FindNotation(ctx)
//	defer n.Close()
//	me, err := n.Signer(authority.Signer(t, "me")) // of pkg/testing/notationtest
//	err = me.Sign(ctx, image, "--signature-format", "cose")
package clients
