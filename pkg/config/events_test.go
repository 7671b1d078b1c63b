package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// Many edits with insecure settings in a row do not keep the next one from being
// told, nor one that is refused.
func TestEventsOfManyEditsAreAllTold(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	client := fake.NewSimpleClientset()
	r.watcher.events = newRecorder(t.Context(), client.CoreV1().Events("connaisseur"))
	about := func(message string) strict.Errors {
		return strict.Errors{{Source: PolicyName, Path: "policy[0].with.verificationLevel", Message: message}}
	}
	for i := range 60 {
		r.event("InsecureConfiguration", about("audit is insecure"), fmt.Sprint("in force with revision ", i))
	}
	r.event("ConfigurationRejected", about("is none"), "revision 59 stays in force")
	for _, want := range []string{"in force with revision 59", "revision 59 stays in force"} {
		deadline := time.Now().Add(10 * time.Second)
		for !told(t, client, want) {
			if time.Now().After(deadline) {
				t.Fatalf("no event says %q", want)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// `kubectl describe` looks for the events of one ConfigMap, and not of its name.
func TestEventsAreAboutOneConfigMap(t *testing.T) {
	t.Parallel()
	r := newReplica(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: PolicyName, UID: "uid-1", ResourceVersion: "7"}})
	client := fake.NewSimpleClientset()
	events := knowing{newRecorder(t.Context(), client.CoreV1().Events("connaisseur")), r.configMaps}
	events.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: "connaisseur", Name: PolicyName}, corev1.EventTypeWarning, "ExceptionUsed", "it is used")
	deadline := time.Now().Add(10 * time.Second)
	for !told(t, client, "it is used") {
		if time.Now().After(deadline) {
			t.Fatal("no event")
		}
		time.Sleep(time.Millisecond)
	}
	list, err := client.CoreV1().Events("connaisseur").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].InvolvedObject.UID != "uid-1" {
		t.Errorf("%v, %v", list, err)
	}
}

// told tells whether an event that was written says this.
func told(t *testing.T, client *fake.Clientset, text string) bool {
	t.Helper()
	for _, action := range client.Actions() {
		var e corev1.Event
		switch a := action.(type) {
		case k8stesting.CreateAction:
			e = *a.GetObject().(*corev1.Event)
		case k8stesting.PatchAction:
			if err := json.Unmarshal(a.GetPatch(), &e); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(e.Message, text) {
			return true
		}
	}
	return false
}

// However much is wrong, an event says what is in force.
func TestALongEventEndsWithWhatIsInForce(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	var many strict.Errors
	for i := range 100 {
		many.Add(fmt.Sprintf("policy[%d].pattern", i), "ä is wrong")
	}
	r.event("ConfigurationRejected", many, "nothing is in force")
	if said := <-r.events.Events; !strings.HasSuffix(said, "…; nothing is in force") || len(said) > 1024 || strings.ToValidUTF8(said, "") != said || !strings.Contains(said, "policy[0].pattern") {
		t.Errorf("%d bytes: %q", len(said), said)
	}
}
