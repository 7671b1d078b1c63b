package registry_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

func TestSignaturesAreWhatWasSigned(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	img := reg.Push(t, "team/app:v1")
	for i := range 20 {
		reg.Sign(t, img, registrytest.Key(t), registrytest.Payload(fmt.Append(nil, "payload ", i)), registrytest.Annotation("dev.sigstore.cosign/n", fmt.Sprint(i)), registrytest.Annotation("n", "x"))
	}
	reg.Sign(t, img, registrytest.Key(t), registrytest.MediaType("application/vnd.in-toto+json"))
	reg.Sign(t, img, registrytest.Key(t), registrytest.Signature(""))
	found, err := clientFor(t, reg).As(nil, "").Signatures(t.Context(), parse(t, img.Pinned()))
	if err != nil || len(found) != 20 {
		t.Fatalf("got %d, %v", len(found), err)
	}
	for i, s := range found {
		if string(s.Payload) != fmt.Sprint("payload ", i) || s.Annotations["dev.sigstore.cosign/n"] != fmt.Sprint(i) || len(s.Annotations) != 2 {
			t.Errorf("signature %d has payload %q and annotations %v", i, s.Payload, s.Annotations)
		}
		if raw, err := base64.StdEncoding.DecodeString(s.Base64Signature); err != nil || len(raw) == 0 {
			t.Errorf("signature %d is %q", i, s.Base64Signature)
		}
	}
}

func TestNoSignatures(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	img := reg.Push(t, "team/app:v1")
	access := clientFor(t, reg).As(nil, "")
	if found, err := access.Signatures(t.Context(), parse(t, img.ByDigest())); found != nil || err != nil {
		t.Errorf("an unsigned image: %v, %v", found, err)
	}
	sha512 := fmt.Sprintf("%s@sha512:%x", img.Name(), sha512.Sum512(nil))
	if found, err := access.Signatures(t.Context(), parse(t, sha512)); found != nil || err != nil {
		t.Errorf("a digest that cosign cannot sign: %v, %v", found, err)
	}
	_, err := access.Signatures(t.Context(), parse(t, img.String()))
	wantReason(t, err, validator.InvalidReference)
}

func TestHostileSignatures(t *testing.T) {
	t.Parallel()
	small := registry.Limits{ManifestBytes: 4096, PayloadBytes: 512, Signatures: 3}
	big := strings.Repeat("x", 600)
	for _, c := range []struct {
		name   string
		sign   int // proper signatures
		extra  []registrytest.SignOption
		fault  registrytest.Fault
		want   validator.Reason
		noBlob bool // no payload may have been asked for
	}{
		{name: "T5: another payload than the one asked for", sign: 1, fault: registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Body([]byte("{}"))}, want: validator.DigestMismatch},
		{name: "T18: more signatures than allowed", sign: 4, want: validator.TooLarge, noBlob: true},
		{name: "T18: a payload that is too large", extra: []registrytest.SignOption{registrytest.Payload([]byte(big))}, want: validator.TooLarge, noBlob: true},
		{name: "T18: a payload that says it is small", sign: 1, fault: registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Body([]byte(big))}, want: validator.TooLarge},
		{name: "T18: a payload without an end", sign: 1, fault: registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Endless(http.StatusOK)}, want: validator.TooLarge},
		{name: "T18: a manifest that is too large", extra: []registrytest.SignOption{registrytest.Annotation("a", strings.Repeat(big, 7))}, want: validator.TooLarge, noBlob: true},
		{name: "T18: a manifest without an end", sign: 1, fault: registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Endless(http.StatusOK, "Content-Type", ociManifest)}, want: validator.TooLarge, noBlob: true},
		{name: "T18: a ping without an end", fault: registrytest.Fault{Kind: registrytest.Ping, Answer: registrytest.Endless(http.StatusOK)}, want: validator.TooLarge},
		{name: "T18, T28: an outage that talks without an end", sign: 1, fault: registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Endless(http.StatusInternalServerError)}, want: validator.RegistryUnavailable},
		{name: "T18: headers without an end", sign: 1, fault: registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Status(http.StatusOK, "X", strings.Repeat("x", 1<<20))}, want: validator.RegistryUnavailable},
		{name: "a manifest that is none", sign: 1, fault: registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Body([]byte("<html>"), "Content-Type", ociManifest)}, want: validator.MalformedSignature},
		{name: "a manifest of another type", sign: 1, fault: registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Body([]byte("{}"), "Content-Type", "text/html")}, want: validator.MalformedSignature},
		{name: "T28: throttling is not the absence of signatures", sign: 1, fault: registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Status(http.StatusTooManyRequests)}, want: validator.RegistryThrottled},
		{name: "T28: throttled payloads are not the absence of signatures", sign: 1, fault: registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Status(http.StatusTooManyRequests)}, want: validator.RegistryThrottled},
		{name: "T28: an outage is not the absence of signatures", sign: 1, fault: registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Status(http.StatusServiceUnavailable)}, want: validator.RegistryUnavailable},
		{name: "T28: a refusal is not the absence of signatures", sign: 1, fault: registrytest.Fault{Kind: registrytest.ManifestGet, Answer: registrytest.Status(http.StatusUnauthorized)}, want: validator.RegistryUnauthorized},
		{name: "a payload that is not there", sign: 1, fault: registrytest.Fault{Kind: registrytest.BlobGet, Answer: registrytest.Status(http.StatusNotFound)}, want: validator.MalformedSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "app:v1")
			for i := range c.sign {
				reg.Sign(t, img, registrytest.Key(t), registrytest.Optional("n", i))
			}
			if c.extra != nil {
				reg.Sign(t, img, registrytest.Key(t), c.extra...)
			}
			if c.fault.Answer != nil {
				reg.Inject(c.fault)
			}
			client := newClient(t, registry.Options{Limits: small, Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}})
			_, err := client.As(nil, "").Signatures(t.Context(), parse(t, img.ByDigest()))
			wantReason(t, err, c.want)
			if n := reg.Requests()[registrytest.BlobGet]; c.noBlob && n > 0 {
				t.Errorf("%d payloads were fetched", n)
			}
		})
	}
}

func TestMalformedLayers(t *testing.T) {
	t.Parallel()
	for name, layer := range map[string]map[string]any{
		"no digest":       {"size": 1},
		"a wrong digest":  {"size": 1, "digest": "sha256:../../../secret"},
		"a negative size": {"size": -1, "digest": "sha256:" + strings.Repeat("0", 64)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "app:v1")
			layer["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json"
			layer["annotations"] = map[string]string{"dev.cosignproject.cosign/signature": "x"}
			body, _ := json.Marshal(map[string]any{"layers": []any{layer}})
			reg.PutManifest(t, "app", img.SignatureTag(), ociManifest, body)
			_, err := clientFor(t, reg).As(nil, "").Signatures(t.Context(), parse(t, img.ByDigest()))
			wantReason(t, err, validator.MalformedSignature)
		})
	}
}

// layersOf stores a manifest with these layers as the signatures of an image.
func layersOf(t *testing.T, reg *registrytest.Registry, img registrytest.Image, layers ...map[string]any) {
	t.Helper()
	for _, l := range layers {
		l["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json"
		l["annotations"] = map[string]string{"dev.cosignproject.cosign/signature": "x"}
	}
	body, err := json.Marshal(map[string]any{"layers": layers})
	if err != nil {
		t.Fatal(err)
	}
	reg.PutManifest(t, img.Repository, img.SignatureTag(), ociManifest, body)
}

// T18: a payload is as large as the manifest says, and no more of it is read.
func TestT18PayloadsHaveTheirDeclaredSize(t *testing.T) {
	t.Parallel()
	payload := []byte("twelve bytes")
	for _, c := range []struct {
		name  string
		sizes []int
		want  validator.Reason
	}{
		{"as declared", []int{12}, ""},
		{"as declared twice", []int{12, 12}, ""},
		{"longer", []int{11}, validator.TooLarge},
		{"not empty", []int{0}, validator.TooLarge},
		{"shorter", []int{13}, validator.DigestMismatch},
		{"two sizes", []int{12, 13}, validator.MalformedSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			img := reg.Push(t, "app:v1")
			var layers []map[string]any
			for _, size := range c.sizes {
				layers = append(layers, map[string]any{"digest": reg.PutBlob(t, "app", payload), "size": size})
			}
			layersOf(t, reg, img, layers...)
			found, err := clientFor(t, reg).As(nil, "").Signatures(t.Context(), parse(t, img.ByDigest()))
			if c.want != "" {
				wantReason(t, err, c.want)
			} else if err != nil || len(found) != len(c.sizes) {
				t.Errorf("got %d, %v", len(found), err)
			}
		})
	}
}

// T18: what is too large together is not fetched, though each payload is small
// enough; what many signatures share counts once.
func TestT18PayloadsTogether(t *testing.T) {
	t.Parallel()
	for payloads, want := range map[int]validator.Reason{8: "", 9: validator.TooLarge} {
		reg := registrytest.New(t)
		img := reg.Push(t, "app:v1")
		var layers []map[string]any
		for i := range 3 * payloads {
			blob := []byte(strings.Repeat(fmt.Sprint(i%payloads), 512))
			layers = append(layers, map[string]any{"digest": reg.PutBlob(t, "app", blob), "size": len(blob)})
		}
		layersOf(t, reg, img, layers...)
		client := newClient(t, registry.Options{Limits: registry.Limits{PayloadBytes: 512}, Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}})
		found, err := client.As(nil, "").Signatures(t.Context(), parse(t, img.ByDigest()))
		if want == "" {
			if err != nil || len(found) != len(layers) {
				t.Errorf("%d payloads: got %d, %v", payloads, len(found), err)
			}
			continue
		}
		wantReason(t, err, want)
		if n := reg.Requests()[registrytest.BlobGet]; n > 0 {
			t.Errorf("%d payloads were fetched", n)
		}
	}
}
