package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

func TestParseManifest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, contentType, body string
		layers                  int
		over, fails             bool
	}{
		{name: "a manifest is read", contentType: ociManifest, body: `{"mediaType":"` + ociManifest + `","layers":[{"size":1},{}]}`, layers: 2},
		{name: "the media type need not be repeated", contentType: ociManifest, body: `{"layers":[]}`},
		{name: "parameters of the content type do not matter", contentType: ociManifest + "; charset=utf-8", body: `{}`},
		{name: "no layers are none", contentType: ociManifest, body: `{"layers":null}`},
		{name: "as many layers as allowed are fine", contentType: ociManifest, body: `{"layers":[{},{},{}]}`, layers: 3},
		{name: "T18: more are noticed", contentType: ociManifest, body: `{"layers":[{},{},{},{}]}`, layers: 3, over: true},
		{name: "T18: very many are not kept", contentType: ociManifest, body: `{"layers":[` + strings.Repeat("{},", 100_000) + `{}]}`, layers: 3, over: true},
		{name: "the last layers win", contentType: ociManifest, body: `{"layers":[{},{},{},{}],"layers":[{}]}`, layers: 1},
		{name: "layers must be a list", contentType: ociManifest, body: `{"layers":{}}`, fails: true},
		{name: "a layer must be an object", contentType: ociManifest, body: `{"layers":[1]}`, fails: true},
		{name: "a contradictory media type fails", contentType: ociManifest, body: `{"mediaType":"application/json"}`, fails: true},
		{name: "an index is no manifest", contentType: "application/vnd.oci.image.index.v1+json", body: `{}`, fails: true},
		{name: "a content type is needed", body: `{}`, fails: true},
		{name: "a truncated manifest fails", contentType: ociManifest, body: `{"layers":[`, fails: true},
		{name: "what follows the manifest fails", contentType: ociManifest, body: `{}{}`, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, err := parseManifest(c.contentType, []byte(c.body), 3)
			if (err != nil) != c.fails {
				t.Fatalf("got %v", err)
			}
			if err == nil && (len(m.Layers.list) != c.layers || m.Layers.over != c.over) {
				t.Errorf("got %d layers, over %t", len(m.Layers.list), m.Layers.over)
			}
		})
	}
}

// T18: annotations that nobody looks at are not kept.
func TestT18OnlyCosignsAnnotationsAreKept(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, `"%d":"",`, i)
	}
	for _, c := range []struct {
		annotations string
		kept        int
		fails       bool
	}{
		{annotations: `{` + many.String() + `"dev.cosignproject.cosign/signature":"s","dev.sigstore.cosign/bundle":"b"}`, kept: 2},
		{annotations: `{"dev.sigstore.cosign/bundle":"a","dev.sigstore.cosign/bundle":"b","dev.cosignproject.cosign/signature":"s"}`, kept: 2},
		{annotations: `{"dev.sigstore.cosign":"a"}`},
		{annotations: `{}`},
		{annotations: `null`},
		{annotations: `[]`, fails: true},
		{annotations: `"x"`, fails: true},
		{annotations: `{"x":1}`, fails: true},
	} {
		m, err := parseManifest(ociManifest, []byte(`{"layers":[{"annotations":`+c.annotations+`}]}`), 3)
		if (err != nil) != c.fails {
			t.Errorf("%.100s: %v", c.annotations, err)
			continue
		}
		if c.fails {
			continue
		}
		got := m.Layers.list[0].Annotations
		if len(got) != c.kept || c.kept > 0 && (got["dev.sigstore.cosign/bundle"] != "b" || got[signatureAnnotation] != "s") {
			t.Errorf("%.100s: kept %d", c.annotations, len(got))
		}
	}
}

// T18, T19: nothing that a registry sends makes the parser panic or keep more
// than allowed.
func FuzzParseManifest(f *testing.F) {
	f.Add(ociManifest, []byte(`{"mediaType":"`+ociManifest+`","layers":[{"mediaType":"a","digest":"b","size":1,"annotations":{"c":"d"}}]}`))
	f.Add(ociManifest, []byte(`{"layers":[{},{},{},{}]}`))
	f.Add(";", []byte(`{"layers":[[[`))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := parseManifest(contentType, body, 3)
		if err == nil && len(m.Layers.list) > 3 {
			t.Errorf("%d layers", len(m.Layers.list))
		}
		got := &answer{body: body, header: map[string][]string{"Content-Type": {contentType}}}
		s := &search{limits: DefaultLimits(), want: Wanted{Attestations: []string{"a"}}}
		for _, form := range []form{signatureForm, attestationForm} {
			if _, err := s.layersIn("x", got, form); err != nil && err.Error() == "" {
				t.Error("an error without words")
			}
		}
		if found, err := s.descriptors(got); len(found) > maxReferrers || err != nil && err.Error() == "" {
			t.Errorf("%d descriptors, %v", len(found), err)
		}
	})
}

func TestDigests(t *testing.T) {
	t.Parallel()
	sha256 := "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	sha512 := "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"
	for d, valid := range map[string]bool{
		sha256: true, sha512: true, "": false, "sha256:": false, "sha256:zz": false, strings.ToUpper(sha256): false,
		"sha256:" + strings.ToUpper(sha256[7:]): false, sha256 + "00": false, "md5:5d41402abc4b2a76b9719d911017c592": false, sha256[7:]: false,
	} {
		if got := validDigest(image.Digest(d)); got != valid {
			t.Errorf("%q: %t", d, got)
		}
	}
	for _, d := range []string{sha256, sha512} {
		if !matches([]byte("hello"), image.Digest(d)) || matches([]byte("hallo"), image.Digest(d)) {
			t.Errorf("%s is not compared", d)
		}
	}
}
