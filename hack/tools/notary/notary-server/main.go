// Notary-server is the server of github.com/theupdateframework/notary with all
// in memory, and in one process with the signer of its keys: the server that
// comes with it has the keys it keeps itself of a kind that is in use nowhere
// else, Ed25519. Built by today's Go, that one refuses delegations besides.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/theupdateframework/notary"
	"github.com/theupdateframework/notary/cryptoservice"
	"github.com/theupdateframework/notary/passphrase"
	"github.com/theupdateframework/notary/server"
	"github.com/theupdateframework/notary/server/storage"
	"github.com/theupdateframework/notary/trustmanager"
	"github.com/theupdateframework/notary/tuf/data"
	"github.com/theupdateframework/notary/utils"
)

func main() {
	address := flag.String("address", "localhost:4443", "where to listen")
	certificate := flag.String("certificate", "server.pem", "file of the certificate chain")
	key := flag.String("key", "server.key", "file of the certificate's key")
	flag.Parse()
	s := &http.Server{
		Addr: *address, Handler: handler(), ReadHeaderTimeout: time.Minute,
		// The original does not speak HTTP/2 either.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	log.Fatal(s.ListenAndServeTLS(*certificate, *key))
}

// handler has the settings that are the original's defaults.
func handler() http.Handler {
	keys := cryptoservice.NewCryptoService(trustmanager.NewKeyMemoryStore(passphrase.ConstantRetriever("in memory")))
	store := storage.NewMemStorage()
	ctx := context.WithValue(context.Background(), notary.CtxKeyKeyAlgo, data.ECDSAKey)
	ctx = context.WithValue(ctx, notary.CtxKeyMetaStore, store)
	original := server.RootHandler(ctx, nil, keys,
		utils.NewCacheControlConfig(int(notary.ConsistentMetadataCacheMaxAge.Seconds()), false),
		utils.NewCacheControlConfig(int(notary.CurrentMetadataCacheMaxAge.Seconds()), true), nil)
	updates := utils.RootHandlerFactory(ctx, nil, keys)(updater{keys, store}.update)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && gunOfUpdate(r) != "" {
			updates.ServeHTTP(w, r)
		} else {
			original.ServeHTTP(w, r)
		}
	})
}
