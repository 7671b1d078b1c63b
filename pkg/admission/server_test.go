package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/webhook"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// answering answers as told.
type answering struct {
	webhook.StatelessAdmissionImpl
	path  string
	admit func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse
}

func (c answering) Path() string { return c.path }

func (c answering) Admit(_ context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return c.admit(req)
}

// serve is the server's handler with these controllers, over HTTP.
func serve(t testing.TB, controllers ...webhook.AdmissionController) *httptest.Server {
	t.Helper()
	s, err := NewServer(quiet(t), ServerOptions{}, controllers...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.http.Handler)
	t.Cleanup(server.Close)
	return server
}

func review(t testing.TB, req *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	body, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: req})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// post sends a body and reads the answer, which admits only if wanted.
func post(t testing.TB, method, url, contentType string, body io.Reader) (int, *admissionv1.AdmissionReview) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer admissionv1.AdmissionReview
	text, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(text, &answer)
	return resp.StatusCode, &answer
}

func TestAReviewIsAnsweredWithItsUIDAndVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := serve(t, w.mutating(), w.validating())
	for path, img := range map[string]string{"/mutate": w.signed.String(), "/validate": w.signed.Pinned()} {
		status, got := post(t, http.MethodPost, server.URL+path+"?timeout=10s", "application/json", bytes.NewReader(review(t, create(allKinds["Pod"], podSpec(img)))))
		if status != http.StatusOK || got.Response == nil || !got.Response.Allowed || got.Response.UID != "u-1" || got.APIVersion != "admission.k8s.io/v1" || got.Kind != "AdmissionReview" {
			t.Errorf("%s: %d, %+v", path, status, got.Response)
		}
	}
	status, got := post(t, http.MethodPost, server.URL+"/mutate", "application/json", bytes.NewReader(review(t, create(allKinds["Pod"], podSpec(w.unsigned.String())))))
	if status != http.StatusOK || got.Response == nil || got.Response.Allowed || got.Response.UID != "u-1" {
		t.Errorf("%d, %+v", status, got.Response)
	}
}

// Whatever is sent: what is no review, or cannot be read, is never admitted,
// even by a controller that admits everything.
func TestT30WhatIsNoReviewIsNeverAdmitted(t *testing.T) {
	t.Parallel()
	lenient := answering{path: "/mutate", admit: func(req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		switch req.UID {
		case "panic":
			panic("a secret")
		case "nil":
			return nil
		}
		return &admissionv1.AdmissionResponse{Allowed: true}
	}}
	server := serve(t, lenient)
	good := review(t, &admissionv1.AdmissionRequest{UID: "u-1"})
	huge := bytes.Replace(good, []byte(`"uid":"u-1"`), []byte(`"uid":"u-1","name":"`+strings.Repeat("x", maxReview)+`"`), 1)
	chunked := func(body []byte) io.Reader { return io.MultiReader(bytes.NewReader(body)) } // of unknown length
	for name, c := range map[string]struct {
		method, path, contentType string
		body                      io.Reader
		status                    int
	}{
		"the method is GET":               {http.MethodGet, "/mutate", "application/json", bytes.NewReader(good), http.StatusMethodNotAllowed},
		"the method is PUT":               {http.MethodPut, "/mutate", "application/json", bytes.NewReader(good), http.StatusMethodNotAllowed},
		"the content type is missing":     {http.MethodPost, "/mutate", "", bytes.NewReader(good), http.StatusUnsupportedMediaType},
		"the content type is another":     {http.MethodPost, "/mutate", "text/plain", bytes.NewReader(good), http.StatusUnsupportedMediaType},
		"nobody serves the path":          {http.MethodPost, "/elsewhere", "application/json", bytes.NewReader(good), http.StatusBadRequest},
		"the body is empty":               {http.MethodPost, "/mutate", "application/json", strings.NewReader(""), http.StatusBadRequest},
		"the body is no JSON":             {http.MethodPost, "/mutate", "application/json", strings.NewReader("{"), http.StatusBadRequest},
		"the body is null":                {http.MethodPost, "/mutate", "application/json", strings.NewReader("null"), http.StatusBadRequest},
		"the review has no request":       {http.MethodPost, "/mutate", "application/json", strings.NewReader("{}"), http.StatusBadRequest},
		"the request is null":             {http.MethodPost, "/mutate", "application/json", strings.NewReader(`{"request":null}`), http.StatusBadRequest},
		"the handler panics":              {http.MethodPost, "/mutate", "application/json", bytes.NewReader(review(t, &admissionv1.AdmissionRequest{UID: "panic"})), http.StatusBadRequest},
		"the handler has no answer":       {http.MethodPost, "/mutate", "application/json", bytes.NewReader(review(t, &admissionv1.AdmissionRequest{UID: "nil"})), http.StatusBadRequest},
		"the body is too long, in chunks": {http.MethodPost, "/mutate", "application/json", chunked(huge), http.StatusBadRequest},
		"the body is too long":            {http.MethodPost, "/mutate", "application/json", bytes.NewReader(huge), http.StatusOK},
		"the body is too long, and has no UID near its start": {http.MethodPost, "/mutate", "application/json",
			strings.NewReader(`{"x":"` + strings.Repeat("x", maxReview) + `"}`), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, got := post(t, c.method, server.URL+c.path, c.contentType, c.body)
			if status != c.status || (got.Response != nil && got.Response.Allowed) {
				t.Errorf("want status %d, got %d with %+v", c.status, status, got.Response)
			}
			if status == http.StatusOK && (got.Response == nil || got.Response.UID != "u-1" || got.APIVersion != "admission.k8s.io/v1" ||
				got.Kind != "AdmissionReview" || !strings.Contains(got.Response.Result.Message, string(validator.TooLarge))) {
				t.Errorf("not a denial of this request: %+v", got)
			}
		})
	}
}

func TestTheServerGoesOnAfterAPanic(t *testing.T) {
	t.Parallel()
	var calls int
	server := serve(t, answering{path: "/mutate", admit: func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if calls++; calls == 1 {
			panic(errors.New("boom"))
		}
		return denial("no")
	}})
	body := review(t, &admissionv1.AdmissionRequest{UID: "u-1"})
	first, _ := post(t, http.MethodPost, server.URL+"/mutate", "application/json", bytes.NewReader(body))
	second, got := post(t, http.MethodPost, server.URL+"/mutate", "application/json", bytes.NewReader(body))
	if first != http.StatusBadRequest || second != http.StatusOK || got.Response.Result.Message != "no" {
		t.Errorf("%d, then %d", first, second)
	}
}

// net/http's own way to abort a response must reach net/http.
func TestAnAbortIsPassedOn(t *testing.T) {
	t.Parallel()
	h := newGuard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), zap.NewNop().Sugar())
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // it is the very value
			t.Errorf("got %v", p)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
}

func TestPeekUIDFindsTheRequestsUIDOnly(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][2]string{
		`{"kind":"AdmissionReview","apiVersion":"v","request":{"uid":"u","object":{`:   {"u", "v"},
		`{"apiVersion":"v","request":{"kind":{"group":"","kind":"Pod"},"uid":"u"}}`:    {"u", "v"},
		`{"apiVersion":"v","request":{"object":{"metadata":{"uid":"evil"}}}}`:          {"", "v"},
		`{"apiVersion":"v","request":{"object":{"request":{"uid":"evil"}},"uid":"u"}}`: {"u", "v"},
		`{"uid":"evil","metadata":{"uid":"evil"}}`:                                     {"", ""},
		`{"request":{"uid":"u"},"apiVersion":"v"}`:                                     {"u", "v"},
		`{"request":{"uid":7,"x":null,"y":true,"uid":"u"}}`:                            {"u", ""},
		`{"a":["request",{"uid":"evil"}]}`:                                             {"", ""},
		`["request"]`:                                                                  {"", ""},
		`}`:                                                                            {"", ""},
		``:                                                                             {"", ""},
		`"request"`:                                                                    {"", ""},
	} {
		if uid, version := peekUID(strings.NewReader(body)); uid != want[0] || version != want[1] {
			t.Errorf("%s: got %q, %q", body, uid, version)
		}
	}
}

// Whatever is sent: it ends, does not panic, and makes nothing up.
func FuzzPeekUID(f *testing.F) {
	for _, seed := range []string{`{"apiVersion":"v","request":{"uid":"u"}}`, `{"request":{"uid":"\ud800"}}`, strings.Repeat("[", 1000), strings.Repeat(`{"a":`, 1000), `}}}}`, `{"":"request","x":{"":"uid"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		uid, version := peekUID(bytes.NewReader(body))
		for _, s := range []string{uid, version} {
			if len(s) > 4*len(body) {
				t.Fatalf("%q is in no body of %d bytes", s, len(body))
			}
		}
		recorder := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/mutate", bytes.NewReader(body))
		r.ContentLength = maxReview + 1
		newGuard(http.NotFoundHandler(), zap.NewNop().Sugar()).ServeHTTP(recorder, r)
		var answer admissionv1.AdmissionReview
		if recorder.Code == http.StatusOK && (json.Unmarshal(recorder.Body.Bytes(), &answer) != nil || answer.Response == nil || answer.Response.Allowed || string(answer.Response.UID) != strings.ToValidUTF8(uid, "\ufffd")) {
			t.Fatalf("answered %s", recorder.Body)
		}
		if recorder.Code != http.StatusOK && recorder.Code != http.StatusRequestEntityTooLarge {
			t.Fatal(fmt.Sprint(recorder.Code))
		}
	})
}
