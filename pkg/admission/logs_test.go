package admission

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/logging"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// secrets are what nobody but the registry must get to know.
type secrets struct {
	reg   *registrytest.Registry
	words []string
}

// absent makes sure that a text has none of them, nor any token that was used.
func (s secrets) absent(t *testing.T, text string) {
	t.Helper()
	words := s.words
	for _, request := range s.reg.Log() {
		if _, credential, ok := strings.Cut(request.Authorization, " "); ok {
			words = append(words, credential)
		}
	}
	for _, word := range words {
		if strings.Contains(text, word) {
			t.Errorf("%q is in %s", word, text)
		}
	}
}

// newGuardedWorld is one whose registry gives tokens to those with a password.
func newGuardedWorld(t *testing.T) (*world, secrets) {
	t.Helper()
	const user, password = "robot-user", "s3cret-passw0rd"
	login := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	reg := registrytest.New(t, registrytest.Bearer(user, password))
	w := &world{reg: reg, key: registrytest.Key(t), signed: reg.Push(t, "team/signed:v1"), unsigned: reg.Push(t, "team/unsigned:v1")}
	reg.Sign(t, w.signed, w.key)
	w.auth = "  auth: {secretName: login}\n"
	w.secrets = map[string]*corev1.Secret{"login": {
		Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, reg.Host(), login)},
	}}
	w.snapshot = w.with(t)
	return w, secrets{reg, []string{password, login}}
}

// logged serves the world's webhook with loggers that write everything from a
// level on, and gives what is written when this is posted.
func logged(t *testing.T, w *world, level zapcore.Level, bodies ...[]byte) string {
	t.Helper()
	var text bytes.Buffer
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(zapcore.AddSync(&text)), level))
	s, err := NewServer(logging.WithLogger(t.Context(), logger.Sugar()), ServerOptions{},
		NewMutating(verify.Engine{}, w.snapshots, nil, logger), NewValidating(verify.Engine{}, w.snapshots, nil, logger))
	if err != nil {
		t.Fatal(err)
	}
	text.Reset() // what is written once
	for _, body := range bodies {
		for _, path := range []string{MutatePath, ValidatePath} {
			req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer of-the-api-server")
			answer := httptest.NewRecorder()
			s.http.Handler.ServeHTTP(answer, req)
			if answer.Code != http.StatusOK {
				t.Fatalf("%d: %s", answer.Code, answer.Body)
			}
		}
	}
	return text.String()
}

// knative's handler has a line for the request with all its headers, and another
// for the answer, at Info.
func TestADecisionIsOneLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, level := range []zapcore.Level{zapcore.InfoLevel, zapcore.DebugLevel} {
		text := logged(t, w, level, review(t, create(allKinds["Pod"], podSpec(w.signed.Pinned()))), review(t, create(allKinds["Pod"], podSpec(w.unsigned.String()))))
		if lines := strings.Count(text, "\n"); lines != 4 || strings.Count(text, `"msg":"decided"`) != 4 {
			t.Errorf("%d lines for 4 requests at the level %s:\n%s", lines, level, text)
		}
	}
}

func TestLogsHoldNoCredentials(t *testing.T) {
	t.Parallel()
	pod := allKinds["Pod"]
	for name, fault := range map[string]registrytest.Fault{
		"all is well": {Path: "/nowhere"},
		"the registry repeats what it was told": {Kind: registrytest.ManifestHead, Answer: func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Echo", req.Header.Get("Authorization"))
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"errors":[{"code":"UNKNOWN","message":%q}]}`, req.Header.Get("Authorization"))
		}},
		"the token service repeats it": {Kind: registrytest.Token, Answer: func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q}]}`, req.Header.Get("Authorization"))
		}},
		"it redirects to a signed URL that does not work": {Kind: registrytest.ManifestHead, Answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://storage.invalid/blob?X-Amz-Signature=s3cret-passw0rd")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}},
		"it says what is no HTTP": {Kind: registrytest.ManifestHead, Answer: func(w http.ResponseWriter, req *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = fmt.Fprintf(conn, "Authorization: %s\r\n\r\n", req.Header.Get("Authorization"))
				_ = conn.Close()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, secrets := newGuardedWorld(t)
			if fault.Answer != nil {
				w.reg.Inject(fault)
			}
			text := logged(t, w, zapcore.DebugLevel, review(t, create(pod, podSpec(w.signed.String(), w.unsigned.String()))))
			if strings.Count(text, `"msg":"decided"`) != 2 || len(secrets.reg.Log()) == 0 {
				t.Errorf("not what was to be logged: %s", text)
			}
			secrets.absent(t, text)
			if strings.Contains(text, "of-the-api-server") || strings.Contains(text, "X-Amz-Signature") {
				t.Errorf("a credential is in %s", text)
			}
		})
	}
}

// The words are looked for rightly.
func TestASecretThatIsLoggedIsFound(t *testing.T) {
	t.Parallel()
	w, secrets := newGuardedWorld(t)
	wantAllowed(t, w.mutating().Admit(t.Context(), create(allKinds["Pod"], podSpec(w.signed.String()))))
	tokens := 0
	for _, request := range w.reg.Log() {
		if strings.HasPrefix(request.Authorization, "Bearer ") {
			tokens++
		}
	}
	if tokens == 0 || len(secrets.words) != 2 {
		t.Errorf("%d requests with a token, %q", tokens, secrets.words)
	}
}
