package registry

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// validDigest tells whether a digest is one that content can be checked
// against: sha256 or sha512 with lower-case hex. OCI image specification,
// descriptor.md, section "Digests".
func validDigest(d image.Digest) bool {
	algorithm, hexed, _ := strings.Cut(string(d), ":")
	size := map[string]int{"sha256": sha256.Size, "sha512": sha512.Size}[algorithm]
	sum, err := hex.DecodeString(hexed)
	return err == nil && size > 0 && len(sum) == size && hexed == strings.ToLower(hexed)
}

// matches tells whether content has a digest.
func matches(content []byte, d image.Digest) bool {
	if strings.HasPrefix(string(d), "sha512:") {
		sum := sha512.Sum512(content)
		return string(d) == "sha512:"+hex.EncodeToString(sum[:])
	}
	return digestOf(content) == d
}

// digestOf is the sha256 digest of content.
func digestOf(content []byte) image.Digest {
	sum := sha256.Sum256(content)
	return image.Digest("sha256:" + hex.EncodeToString(sum[:]))
}
