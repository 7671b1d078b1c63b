package trust

import (
	"bytes"
	"encoding/pem"
	"errors"
)

var (
	errOutside = errors.New("there is text outside of the PEM blocks")
	errBroken  = errors.New("the block is broken (is a line missing or indented wrongly?)")
)

// eachBlock calls fn with each PEM block of the text. Unlike pem.Decode, it
// passes over nothing: neither text between the blocks nor a broken one.
func eachBlock(text []byte, fn func(*pem.Block) error) error {
	for rest := bytes.TrimSpace(text); len(rest) > 0; {
		if !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return errOutside
		}
		block, after := pem.Decode(rest)
		if block == nil || bytes.Count(rest[:len(rest)-len(after)], []byte("-----BEGIN ")) != 1 {
			return errBroken
		}
		if err := fn(block); err != nil {
			return err
		}
		rest = bytes.TrimSpace(after)
	}
	return nil
}
