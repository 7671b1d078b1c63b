package remote

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// Another namespace's Secret is read anew every minute, and none of it is kept
// over a restart.
func TestSecretsOfOtherNamespaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		entries, fault := map[string][]byte(nil), errors.New("the webhook may not read it")
		r := New(Options{Secrets: func(_ context.Context, namespace, name string) (map[string][]byte, error) {
			if namespace != "team" || name != "key" {
				t.Errorf("asked for %s/%s", namespace, name)
			}
			mu.Lock()
			defer mu.Unlock()
			return entries, fault
		}})
		defer r.Close()
		where := trust.Remote{Secret: "team/key/cosign.pub"}
		r.Retain([]trust.Remote{where})
		for _, step := range []struct {
			entries map[string][]byte
			fault   error
			want    string
		}{
			{nil, errors.New("the webhook may not read it"), ""},
			{map[string][]byte{"other": []byte("x")}, nil, ""},
			{map[string][]byte{"cosign.pub": nil}, nil, ""},
			{map[string][]byte{"cosign.pub": []byte("first")}, nil, "first"},
			{nil, errors.New("the webhook may not read it"), "first"},
			{map[string][]byte{"cosign.pub": []byte("second")}, nil, "second"},
		} {
			mu.Lock()
			entries, fault = step.entries, step.fault
			mu.Unlock()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			r.Retain([]trust.Remote{where})
			got, err := r.Remote(where)
			if string(got) != step.want || (err != nil) != (step.want == "") || err != nil && !errors.Is(err, trust.ErrUnavailable) {
				t.Errorf("got %q, %v; want %q", got, err, step.want)
			}
		}
		r.Retain([]trust.Remote{where})
		if kept := r.Good(); len(kept) != 0 {
			t.Errorf("%v is kept", kept)
		}
		r.mu.Lock()
		restored := len(r.restored)
		r.mu.Unlock()
		r.Restore([]trust.Fetched{{Where: trust.Remote{Secret: "team/other/x"}, Content: []byte("forged")}})
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.restored) != restored {
			t.Error("it was restored")
		}
	})
}

func TestASecretWhereThereIsNoCluster(t *testing.T) {
	t.Parallel()
	r := New(Options{Wait: time.Second})
	defer r.Close()
	if _, err := r.Remote(trust.Remote{Secret: "team/key/cosign.pub"}); !errors.Is(err, trust.ErrUnavailable) {
		t.Error(err)
	}
	for _, wrong := range []string{"team", "team/key", "team/key/", "../../x/y", "team/key/a/b", "Team/key/x"} {
		if (trust.Remote{Secret: wrong}).Check() == nil {
			t.Errorf("%q may be read", wrong)
		}
	}
}
