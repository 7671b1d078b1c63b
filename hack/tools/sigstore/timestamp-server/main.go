// Timestamp-server is the server of github.com/sigstore/timestamp-authority
// with a signer from files. The one that comes with it also listens on a fixed
// port of all addresses, for metrics, and ends where that port is taken.
package main

import (
	"flag"
	"log"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

const timeout = 30 * time.Second

// policy is the timestamps' one, as the original has it.
const policy = "1.3.6.1.4.1.57264.2"

func main() {
	port := flag.Int("port", 3004, "where to listen on 127.0.0.1")
	key := flag.String("key", "", "file with the private key in PEM form")
	chain := flag.String("certificate-chain", "", "file with the certificates in PEM form, the root last")
	flag.Parse()
	for setting, value := range map[string]any{
		"timestamp-signer":         "file",
		"timestamp-signer-hash":    "sha256",
		"file-signer-key-path":     *key,
		"certificate-chain-path":   *chain,
		"enforce-intermediate-eku": true,
		"default-policy-oid":       policy,
		"accepted-policy-oids":     []string{policy},
		"max-request-body-size":    1 << 20,
	} {
		viper.Set(setting, value)
	}
	if err := server.NewRestAPIServer("127.0.0.1", *port, []string{"http"}, false, timeout, timeout).Serve(); err != nil {
		log.Fatal(err)
	}
}
