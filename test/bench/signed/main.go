// Signed runs a registry on loopback with one signed image until it is
// interrupted, and writes what a webhook needs to admit that image to a folder:
// policy.yaml, the configuration; policy-many.yaml, the same with rules for
// other images; and image, the image's reference.
//
//	go run ./test/bench/signed --dir /tmp/bench
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

func run() error {
	dir := flag.String("dir", ".", "where to write to")
	latency := flag.Duration("latency", 0, "how long the registry takes for each answer")
	rules := flag.Int("rules", 0, "how many rules for other images policy-many.yaml has, at most 10000")
	flag.Parse()
	if *latency < 0 || *latency > time.Second || *rules < 0 || *rules > 10_000 {
		return fmt.Errorf("the latency is at most 1s, and the rules at most 10000")
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	registry := registrytest.Start(registrytest.Latency(*latency), registrytest.Bearer("", ""))
	defer registry.Close()
	tb := registrytest.Panics
	key := registrytest.Key(tb)
	img := registry.Push(tb, "bench/app:v1")
	registry.Sign(tb, img, key)
	files := []struct{ name, text string }{
		{"policy.yaml", policy(registry.Host(), string(registrytest.PublicPEM(tb, key)), 0)},
		{"policy-many.yaml", policy(registry.Host(), string(registrytest.PublicPEM(tb, key)), *rules)},
		{"image", img.String() + "\n"}, // last: who waits for it finds the others
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(*dir, file.name), []byte(file.text), 0o600); err != nil {
			return err
		}
	}
	fmt.Println("signed and served:", img)
	<-ended
	return nil
}

// policy is a ConfigMap that demands the key's signature from images of the
// host, with that many rules for others.
func policy(host, pem string, others int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: v1
kind: ConfigMap
metadata:
  name: config-policy
  namespace: connaisseur
data:
  validators: |
    - name: deny
      type: static
      approve: false
    - name: default
      type: cosign
      trustRoots:
        - name: default
          key: |
            %s
  registries: |
    - host: %q
      insecure: true
  policy: |
    - pattern: "*:*"
      validator: deny
    - pattern: "%s/*:*"
      with: {verifyInTransparencyLog: false}
`, strings.ReplaceAll(strings.TrimSpace(pem), "\n", "\n            "), host, host)
	for i := range others {
		fmt.Fprintf(&b, "    - pattern: r.example.com/team/app-%d\n      validator: deny\n", i)
	}
	return b.String()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "signed:", err)
		os.Exit(1)
	}
}
