//go:build browser

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

// newTab opens a tab of the one Chromium.
var newTab func() (context.Context, context.CancelFunc)

// TestMain starts one Chromium for all tests.
func TestMain(m *testing.M) {
	flags := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath("chromium"), chromedp.WindowSize(1280, 860))
	if os.Geteuid() == 0 {
		flags = append(flags, chromedp.NoSandbox) // there is none for root
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	browser, end := chromedp.NewContext(allocator)
	newTab = func() (context.Context, context.CancelFunc) { return chromedp.NewContext(browser) }
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintln(os.Stderr, "Chromium does not start:", err)
		os.Exit(1)
	}
	status := m.Run()
	end()
	stop()
	os.Exit(status)
}

// tab is a page in the browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the console says
}

// open opens a page. At the end of the test, the console must have had nothing to
// complain of but what is expected.
func open(t *testing.T, url string, expected ...string) *tab {
	t.Helper()
	ctx, done := newTab()
	p := &tab{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for m, err := range messages {
			if err != nil {
				return // the page is closed
			}
			p.mu.Lock()
			p.problems = append(p.problems, m.Text)
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		p.screenshot()
		done()
		<-heard
		for _, problem := range p.problems {
			if !slices.ContainsFunc(expected, func(s string) bool { return strings.Contains(problem, s) }) {
				t.Error("the console says:", problem)
			}
		}
	})
	p.run(chromedp.Navigate(url))
	return p
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// screenshot is for people who want to see what is tested: it is written into the
// folder VIEWER_SCREENSHOTS.
func (p *tab) screenshot() {
	folder := os.Getenv("VIEWER_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(folder, strings.ReplaceAll(p.t.Name(), "/", "-")+".png"), picture, 0o600); err != nil {
		p.t.Error(err)
	}
}

// value is that of an expression.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// becomes waits until an expression has a value.
func becomes(p *tab, expression string, want any) {
	p.t.Helper()
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // as JavaScript writes it
	if err := encoder.Encode(want); err != nil {
		p.t.Fatal(err)
	}
	var got string
	deadline := time.Now().Add(20 * time.Second)
	for got != strings.TrimSpace(text.String()) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s\nis   %s\nwant %s", expression, got, text.String())
		}
		got = value[string](p, "JSON.stringify("+expression+")")
	}
}

// Expressions that say what is shown.
const (
	names  = `[...document.querySelectorAll('.finding:not([hidden]) strong')].map((e) => e.textContent)`
	state  = `document.getElementById('status').textContent`
	shown  = `document.getElementById('shown').textContent`
	query  = `location.search`
	paused = `document.getElementById('pause').textContent`
	counts = `Object.fromEntries([...document.querySelectorAll('.chip')].map((e) => [e.dataset.outcome, Number(e.querySelector('.number').textContent)]).filter(([, n]) => n).sort())`
)

func choose(id, value string) chromedp.Action[chromedp.Void] {
	return evaluate(fmt.Sprintf(`{ const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event('input', { bubbles: true })); }`, id, value))
}

func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

func focus(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Focus(chromedp.CSS(selector))
}

func evaluate(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](script)
}

func admission(namespace, name, outcome string, images ...finding.Image) finding.Admission {
	return finding.Admission{
		Request: finding.Request{UID: "1", Operation: "CREATE", Webhook: "/validate"}, User: "alice@example.com", Namespace: namespace,
		Workload:       finding.Workload{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
		PolicyRevision: "7f3a9c", Allowed: outcome != "Denied", Outcome: outcome, Images: images, ImageCount: len(images),
	}
}

var unsigned = finding.Image{
	Field: "spec.template.spec.containers[0].image", Reference: "registry.example.com/team/web:v2", Pattern: "registry.example.com/team/*:*", Rule: new(int),
	Validator: "team", Outcome: "Denied", Reason: "NoSignature", Message: "no signature is attached to sha256:5e1f…",
}

var trusted = finding.Image{
	Field: "spec.template.spec.containers[1].image", Reference: "registry.example.com/team/proxy:v1", Digest: "sha256:" + strings.Repeat("5e1f", 16),
	Validator: "team", TrustRoots: []string{"default"}, Signers: []string{"release@example.com"}, Outcome: "Trusted",
}

// send sends findings, each with its data's type.
func send(t *testing.T, url string, kind finding.Type, data any) {
	t.Helper()
	e := cloudevents.New()
	e.SetType(string(kind))
	e.SetSource("/clusters/production/namespaces/connaisseur/services/connaisseur-webhook")
	e.SetTime(time.Now())
	if err := e.SetData(cloudevents.ApplicationJSON, data); err != nil {
		t.Fatal(err)
	}
	e.SetID(fmt.Sprintf("%x", e.Data()))
	if a, ok := data.(finding.Admission); ok {
		e.SetID(a.Namespace + a.Workload.Name + a.Outcome)
		e.SetSubject("/apis/apps/v1/namespaces/" + a.Namespace + "/deployments/" + a.Workload.Name)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if status, said := request(t, http.MethodPost, url, string(text), "Content-Type", structuredType); status != http.StatusNoContent {
		t.Fatalf("%d: %s", status, said)
	}
}

// rollout sends what one may see when one watches a rollout.
func rollout(t *testing.T, url string) {
	t.Helper()
	send(t, url, finding.ConfigApplied, finding.Config{PolicyRevision: "7f3a9c", Rules: 4})
	send(t, url, finding.Admitted, admission("prod", "proxy", "Trusted", trusted))
	web := admission("prod", "web", "Detected", unsigned, trusted)
	web.Message = "1 of 2 images would not be let in"
	send(t, url, finding.Detected, web)
	send(t, url, finding.Denied, admission("prod-eu", "shop", "Denied", unsigned))
	unknown := unsigned
	unknown.Outcome, unknown.Reason, unknown.Message = "Inconclusive", "RegistryUnavailable", "the registry does not answer"
	send(t, url, finding.Inconclusive, admission("stage", "worker", "Inconclusive", unknown))
	legacy := admission("stage", "legacy", "Excepted", unsigned)
	legacy.User = "system:serviceaccount:kube-system:replicaset-controller"
	send(t, url, finding.ExceptionUsed, legacy)
	send(t, url, finding.ConfigRejected, finding.Config{Errors: []string{"policy[3].validator: no validator named \"alcie\""}})
	send(t, url, finding.Detected, web)
}

var rolledOut = []string{"web", "connaisseur-webhook", "legacy", "worker", "shop", "proxy", "connaisseur-webhook"}

func TestFindingsAppearAsTheyCome(t *testing.T) {
	_, url := start(t)
	p := open(t, url)
	becomes(p, state, "live")
	if got := value[bool](p, `document.getElementById('empty').checkVisibility()`); !got {
		t.Error("it is not said that there is nothing")
	}
	rollout(t, url)
	becomes(p, names, rolledOut)
	becomes(p, shown, "7 of 7 findings")
	becomes(p, counts, map[string]int{"Denied": 1, "Detected": 1, "Inconclusive": 1, "Excepted": 1, "Trusted": 1, "Other": 2})
	becomes(p, `[...document.querySelectorAll('.count > [aria-hidden]')].map((e) => e.textContent)`, []string{"×2"})
	for _, want := range []string{"admission.detected", "prod · Deployment", "alice@example.com", "registry.example.com/team/web:v2 and 1 more", "NoSignature no signature is attached"} {
		if got := value[string](p, `document.querySelector('.finding').innerText`); !strings.Contains(got, want) {
			t.Errorf("there is no %q in %q", want, got)
		}
	}
	if got := value[string](p, `document.querySelectorAll('.finding')[1].innerText`); !strings.Contains(got, "config.rejected") || !strings.Contains(got, `no validator named "alcie"`) {
		t.Error(got)
	}

	if got := value[string](p, `document.querySelectorAll('.finding')[2].querySelector('.user').innerText`); got != "replicaset-controller\nkube-system · ServiceAccount" {
		t.Error(got)
	}

	// With the keyboard.
	p.run(focus(".toggle"), chromedp.KeyEvent(kb.Enter))
	becomes(p, `document.querySelector('.details').checkVisibility()`, true)
	for _, want := range []string{"no signature is attached to sha256:5e1f…", "registry.example.com/team/proxy:v1", trusted.Digest, "release@example.com", "policy[0] registry.example.com/team/*:*", "CREATE by /validate", "useralice@example.com", "7f3a9c", "2 times, first at"} {
		if got := value[string](p, `document.querySelector('.details').textContent.toLowerCase()`); !strings.Contains(got, strings.ToLower(want)) {
			t.Errorf("there is no %q in %q", want, got)
		}
	}
	// What is open and has the focus stays so when it comes again, or something else does.
	send(t, url, finding.Denied, admission("prod", "late", "Denied", unsigned))
	becomes(p, names, append([]string{"late"}, rolledOut...))
	send(t, url, finding.Detected, admission("prod", "web", "Detected", unsigned, trusted))
	becomes(p, names, append([]string{"web", "late"}, rolledOut[1:]...))
	becomes(p, `document.activeElement === document.querySelector('.toggle')`, true)
	becomes(p, `[...document.querySelectorAll('.details')].map((e) => e.checkVisibility())`, []bool{true, false, false, false, false, false, false, false})
	p.run(chromedp.KeyEvent(kb.Enter))
	becomes(p, `document.querySelector('.details').checkVisibility()`, false)
	p.run(click(".finding td:nth-child(2)"))
	becomes(p, `document.querySelector('.details').checkVisibility()`, true)
}

func TestFiltersAreInTheAddress(t *testing.T) {
	_, url := start(t)
	rollout(t, url)
	p := open(t, url)
	becomes(p, names, rolledOut)

	p.run(click(`[data-outcome="Denied"]`))
	becomes(p, names, []string{"shop"})
	p.run(click(`[data-outcome="Detected"]`))
	becomes(p, names, []string{"web", "shop"})
	becomes(p, query, "?outcome=Denied&outcome=Detected")
	p.run(choose("namespace", "prod"))
	becomes(p, names, []string{"web"})
	becomes(p, counts, map[string]int{"Detected": 1, "Trusted": 1}) // of the namespace
	becomes(p, query, "?namespace=prod&outcome=Denied&outcome=Detected")
	p.run(click(`[data-outcome="Denied"]`), click(`[data-outcome="Detected"]`))
	becomes(p, names, []string{"web", "proxy"})
	p.run(choose("type", "admission.admitted"))
	becomes(p, names, []string{"proxy"})
	becomes(p, query, "?type=admission.admitted&namespace=prod")

	p.run(click("#clear"))
	becomes(p, names, rolledOut)
	becomes(p, query, "")
	becomes(p, `document.activeElement.id`, "text")
	p.run(chromedp.KeyEvent("ALCIE validator"))
	becomes(p, names, []string{"connaisseur-webhook"})
	becomes(p, query, "?text=ALCIE+validator")
	p.run(chromedp.KeyEvent(" nowhere"))
	becomes(p, shown, "0 of 7 findings")
	becomes(p, `document.getElementById('empty').innerText`, "The filters let no finding through.")

	shared := open(t, url+"/?namespace=prod-eu&namespace=other&text=NoSig&outcome=Denied&outcome=Detected&outcome=%3Cb%3E")
	becomes(shared, names, []string{"shop"})
	becomes(shared, `[document.getElementById('namespace').value, document.getElementById('text').value]`, []string{"prod-eu", "NoSig"})
	becomes(shared, `[...document.querySelectorAll('.chip[aria-pressed="true"]')].map((e) => e.dataset.outcome)`, []string{"Denied", "Detected"})
	send(t, url, finding.Denied, admission("prod-eu", "late", "Denied", unsigned))
	send(t, url, finding.Denied, admission("prod", "hidden", "Denied", unsigned))
	becomes(shared, names, []string{"late", "shop"})
	shared.run(click("header"))
	if _, err := chromedp.Call(shared.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "/", Text: "/"}); err != nil {
		t.Fatal(err)
	}
	becomes(shared, `[document.activeElement.id, document.getElementById('text').value]`, []string{"text", "NoSig"})
}

// Whoever may create a workload chooses names, and must not choose what the page does.
func TestMarkupStaysText(t *testing.T) {
	_, url := start(t)
	p := open(t, url)
	becomes(p, state, "live")
	const markup = `<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>"'><svg onload=hacked=3>&lt;`
	evil := admission(markup, markup, markup, finding.Image{
		Field: markup, Reference: markup, Digest: markup, Pattern: markup, Validator: markup, TrustRoots: []string{markup}, Signers: []string{markup},
		Outcome: markup, Reason: markup, Message: markup, Tolerated: markup, Warnings: []string{markup},
	})
	evil.User, evil.Message, evil.Reason, evil.Workload.Kind, evil.Workload.Owner, evil.Request.Operation = markup, markup, markup, markup, markup, markup
	send(t, url, markup, evil)
	hidden := admission("prod", "hidden", "Denied", finding.Image{Reference: "evil.example/\u202egro.elpmaxe.yrtsiger\u202c/a\u200bb\x00"})
	send(t, url, finding.Denied, hidden)
	becomes(p, names, []string{"hidden", markup})
	p.run(click(".finding:nth-last-child(2) .toggle"), click(".details:last-child summary"))
	becomes(p, `document.querySelector('.details:last-child .image code').textContent`, markup)
	becomes(p, `document.querySelector('.finding code').textContent`, "evil.example/⟨U+202E⟩gro.elpmaxe.yrtsiger⟨U+202C⟩/a⟨U+200B⟩b⟨U+0000⟩")
	for _, id := range []string{"type", "namespace"} {
		p.run(choose(id, markup))
		becomes(p, names, []string{markup})
	}
	becomes(p, `document.querySelectorAll('main img, main script, main svg').length`, 0)
	becomes(p, `[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames()).filter((name) => name.startsWith('on')).length`, 0)
	becomes(p, `typeof window.hacked`, "undefined")
	// What it says of a finding, no data is too strange for.
	p.run(click("#clear"))
	for i, data := range []string{`null`, `[]`, `"text"`, `7`, `{"images": 1, "workload": null, "request": null, "message": {"a": 1}}`, `{"images": [null, 1, {"trustRoots": 1, "reference": ["a"]}], "outcome": ["Denied"], "imageCount": "x"}`, `{"images": [{"rule": null, "reason": null}], "__proto__": {"x": 1}, "request": 1, "workload": [], "errors": [[]]}`} {
		id := fmt.Sprint("strange", i)
		if status, said := request(t, http.MethodPost, url, `{"specversion": "1.0", "type": "t", "source": "/s", "subject": "`+id+`", "id": "`+id+`", "time": "0001-01-01T00:00:00Z", "datacontenttype": "application/json", "data": `+data+`}`, "Content-Type", structuredType); status != http.StatusNoContent {
			t.Fatalf("%d: %s", status, said)
		}
		becomes(p, `document.querySelector('.finding strong').textContent`, id)
		p.run(click(".toggle"))
		becomes(p, `document.querySelector('.details').checkVisibility()`, true)
	}
}

// Should the page ever make markup of text, the browser refuses.
func TestTheBrowserMakesNoMarkupOfText(t *testing.T) {
	_, url := start(t)
	p := open(t, url, "requires 'Trusted", "violates the following directive", "Content Security Policy")
	becomes(p, state, "live")
	for what, attempt := range map[string]string{
		"innerHTML":  `document.body.innerHTML = '<img src=x>'`,
		"a script":   `{ const e = document.createElement('script'); e.textContent = 'window.hacked = 1'; document.body.append(e); }`,
		"an image":   `{ const e = new Image(); e.src = 'https://evil.example/'; document.body.append(e); }`,
		"a request":  `fetch('https://evil.example/').catch(() => {})`,
		"a handler":  `{ const e = document.createElement('b'); e.setAttribute('onclick', 'window.hacked = 1'); document.body.append(e); e.click(); }`,
		"a document": `{ const e = document.createElement('iframe'); e.src = 'https://evil.example/'; document.body.append(e); }`,
	} {
		before := value[int](p, `(window.violations ??= (addEventListener('securitypolicyviolation', () => window.violations++), 0), window.violations)`)
		p.run(evaluate(`try { ` + attempt + ` } catch { }; 0`))
		deadline := time.Now().Add(20 * time.Second)
		for value[int](p, `window.violations`) == before {
			if time.Now().After(deadline) {
				t.Fatal(what, "is not refused")
			}
		}
	}
	becomes(p, `typeof window.hacked`, "undefined")
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.problems) == 0 {
		t.Error("violations are not seen by the tests")
	}
}

func TestThePauseButton(t *testing.T) {
	_, url := start(t)
	p := open(t, url)
	becomes(p, state, "live")
	send(t, url, finding.Denied, admission("prod", "first", "Denied", unsigned))
	becomes(p, names, []string{"first"})
	p.run(click("#pause"))
	becomes(p, paused, "Resume")
	for _, name := range []string{"second", "third", "second", "first"} {
		send(t, url, finding.Denied, admission("prod", name, "Denied", unsigned))
	}
	becomes(p, paused, "Resume (3 new)")
	becomes(p, names, []string{"first"})
	p.run(click("#pause"))
	becomes(p, paused, "Pause")
	becomes(p, names, []string{"first", "second", "third"})
}

func TestThePageConnectsAgain(t *testing.T) {
	first, url := start(t)
	send(t, url, finding.Denied, admission("prod", "before", "Denied", unsigned))
	p := open(t, url, "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "503 (Service Unavailable)")
	becomes(p, names, []string{"before"})
	first.stop()
	becomes(p, state, "connecting again…")
	// Full at first, so that the browser gives up.
	full := make(chan struct{}, 1)
	full <- struct{}{}
	_, url = start(t, func(v *running) { v.clients, v.address = full, strings.TrimPrefix(url, "http://") })
	send(t, url, finding.Denied, admission("prod", "meanwhile", "Denied", unsigned))
	deadline := time.Now().Add(20 * time.Second)
	for refused := false; !refused; {
		if time.Now().After(deadline) {
			t.Fatal("the page does not connect again")
		}
		p.mu.Lock()
		refused = slices.ContainsFunc(p.problems, func(s string) bool { return strings.Contains(s, "503 (Service Unavailable)") })
		p.mu.Unlock()
	}
	<-full
	becomes(p, state, "live")
	becomes(p, names, []string{"meanwhile", "before"})
	send(t, url, finding.Denied, admission("prod", "after", "Denied", unsigned))
	becomes(p, names, []string{"after", "meanwhile", "before"})
}

func TestThePageKeepsNoMoreThanTheServer(t *testing.T) {
	_, url := start(t)
	batch := func(from, to int) {
		t.Helper()
		var events []string
		for i := from; i < to; i++ {
			events = append(events, event(fmt.Sprint(i), "{}"))
		}
		if status, said := request(t, http.MethodPost, url, "["+strings.Join(events, ",")+"]", "Content-Type", "application/cloudevents-batch+json"); status != http.StatusNoContent {
			t.Fatalf("%d: %s", status, said)
		}
	}
	p := open(t, url)
	batch(0, 900)
	becomes(p, shown, "900 of 900 findings")
	batch(900, 1100)
	becomes(p, shown, "1000 of 1000 findings; 100 older ones are kept no more")
	becomes(p, `document.querySelectorAll('#rows > tr').length`, 2000)
	fresh := open(t, url)
	becomes(fresh, shown, "1000 of 1000 findings; 100 older ones are kept no more")
}

func TestThePageIsAccessible(t *testing.T) {
	_, url := start(t)
	rollout(t, url)
	p := open(t, url)
	becomes(p, names, rolledOut)
	p.run(click(".toggle"))
	becomes(p, `document.querySelector('.details').checkVisibility()`, true)
	named := map[string]int{}
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role := strings.Trim(string(node.Role.Value), `"`)
		switch role {
		case "button", "combobox", "searchbox", "table", "columnheader", "search", "group":
			if node.Name == nil || string(node.Name.Value) == `""` {
				t.Errorf("a %s has no name", role)
			}
			named[role]++
		}
	}
	if named["button"] < 10 || named["combobox"] != 2 || named["searchbox"] != 1 || named["table"] != 1 || named["columnheader"] != 6 {
		t.Error(named)
	}
	// Whoever has no mouse reaches all of it.
	p.run(evaluate(`document.activeElement.blur(); window.reached = []; addEventListener('focusin', (e) => reached.push(e.target.id || e.target.dataset.outcome || e.target.className || e.target.localName)); 0`))
	p.run(focus("#pause"))
	for range 14 {
		p.run(chromedp.KeyEvent(kb.Tab))
	}
	becomes(p, `reached`, []string{"pause", "Denied", "Detected", "Inconclusive", "Excepted", "LastKnownGood", "Allowed", "Skipped", "Trusted", "Other", "type", "namespace", "text", "toggle", "summary"})
}

// Every text has a contrast of 4.5 at least (WCAG 2.2, AA), in the light and in the dark.
func TestThePageCanBeRead(t *testing.T) {
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			_, url := start(t)
			rollout(t, url)
			p := open(t, url)
			features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
			if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
				t.Fatal(err)
			}
			becomes(p, names, rolledOut)
			p.run(click(".toggle"), click(`[data-outcome="Detected"]`), click("#pause"))
			becomes(p, names, []string{"web"})
			becomes(p, `getComputedStyle(document.body).backgroundColor`, map[string]string{"light": "rgb(245, 246, 248)", "dark": "rgb(20, 22, 26)"}[scheme])
			p.run(click(`[data-outcome="Detected"]`))
			becomes(p, names, rolledOut)
			checked := value[[]string](p, contrasts)
			if len(checked) < 50 {
				t.Errorf("only %d texts were found", len(checked))
			}
			for _, text := range checked {
				if strings.HasPrefix(text, "low ") {
					t.Error(text)
				}
			}
		})
	}
}

// contrasts lists the texts of the page, and the contrast of those with too low a one.
const contrasts = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('.hidden')) continue;
    const backs = [];
    for (let e = element; e; e = e.parentElement) backs.unshift(getComputedStyle(e).backgroundColor);
    const [a, b] = [paint(backs), paint([...backs, getComputedStyle(element).color])];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push((ratio < 4.5 ? 'low ' + ratio.toFixed(2) + ' ' : '') + walker.currentNode.data);
  }
  return found;
})()`
