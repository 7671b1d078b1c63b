package metrics

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	tableRow = regexp.MustCompile("(?m)^\\| (`connaisseur_[^|]+) \\|([^|]*)\\|")
	quoted   = regexp.MustCompile("`([^`]+)`")
)

// The reference has every metric that is served with its labels, and no other.
func TestTheReferenceListsWhatIsServed(t *testing.T) {
	t.Parallel()
	documented, want := map[string][]string{}, map[string][]string{}
	for _, row := range tableRow.FindAllStringSubmatch(read(t, "config/README.md"), -1) {
		var labels []string
		for _, match := range quoted.FindAllStringSubmatch(row[2], -1) {
			labels = append(labels, match[1])
		}
		slices.Sort(labels)
		for _, match := range quoted.FindAllStringSubmatch(row[1], -1) {
			documented[match[1]] = labels
		}
	}
	for _, name := range ours() {
		want[name] = slices.Sorted(maps.Keys(served[name].labels))
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("metrics and their labels (-served +config/README.md):\n%s", diff)
	}
}

// expressions are what a manifest asks Prometheus for.
func expressions(t *testing.T) map[string][]string {
	t.Helper()
	var dashboard struct {
		Templating struct {
			List []struct{ Query any }
		}
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "config/optional/grafana-dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all["dashboard: "+panel.Title] = append(all["dashboard: "+panel.Title], target.Expr)
		}
	}
	for _, rule := range rules(t) {
		all["alert: "+rule.Alert] = append(all["alert: "+rule.Alert], rule.Expr)
	}
	return all
}

type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	for _, document := range strings.Split(read(t, "config/optional/prometheus.yaml"), "\n---\n") {
		var object struct {
			Kind string
			Spec struct {
				Groups []struct {
					Name  string
					Rules []rule
				}
			}
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		for _, group := range object.Spec.Groups {
			all = append(all, group.Rules...)
		}
	}
	return all
}

var (
	literal  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	named    = regexp.MustCompile(`\b(connaisseur_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`\b(?:by|on|group_left|group_right)\s*\(([^)]*)\)`)
)

// scraped are the labels that Prometheus adds.
var scraped = []string{"namespace", "pod", "instance", "le"}

// Every metric that a manifest names is served, and so are the labels that it is
// told apart by.
func TestWhatManifestsNameIsServed(t *testing.T) {
	t.Parallel()
	all := expressions(t)
	if len(all) < 30 {
		t.Errorf("only %d panels and alerts were found", len(all))
	}
	seen := map[string]bool{}
	for where, list := range all {
		for _, expression := range list {
			text := literal.ReplaceAllString(expression, `""`)
			labels := map[string]bool{}
			names := named.FindAllStringSubmatch(text, -1)
			if len(names) == 0 {
				t.Errorf("%s names no metric: %s", where, expression)
			}
			for _, match := range names {
				m, ok := served[match[1]]
				if !ok {
					m = served[suffix.ReplaceAllString(match[1], "")]
					ok = m.kind == "histogram"
				}
				if !ok {
					t.Errorf("%s: %s is not served", where, match[1])
				}
				seen[suffix.ReplaceAllString(match[1], "")] = true
				maps.Copy(labels, m.labels)
				for _, label := range matcher.FindAllStringSubmatch(match[2], -1) {
					if !m.labels[label[1]] && !slices.Contains(scraped, label[1]) {
						t.Errorf("%s: %s has no label %s", where, match[1], label[1])
					}
				}
			}
			for _, group := range grouping.FindAllStringSubmatch(text, -1) {
				for _, label := range strings.FieldsFunc(group[1], func(r rune) bool { return r == ',' || r == ' ' }) {
					if !labels[label] && !slices.Contains(scraped, label) {
						t.Errorf("%s: nothing in it has a label %s: %s", where, label, expression)
					}
				}
			}
		}
	}
	// What nobody would look at needs not be measured.
	for _, name := range ours() {
		if !seen[name] && !strings.HasPrefix(name, "connaisseur_requests") && !strings.HasPrefix(name, "connaisseur_validations") && name != "connaisseur_config_last_reload_timestamp_seconds" {
			t.Errorf("neither the dashboard nor an alert names %s", name)
		}
	}
}

var templated = regexp.MustCompile(`\$labels\.(\w+)`)

func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range rules(t) {
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Connaisseur") {
			t.Errorf("%s: is there already, or not ours", r.Alert)
		}
		seen[r.Alert] = true
		if !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: %v, %v", r.Alert, r.Labels, r.Annotations)
		}
		for _, match := range templated.FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["description"], -1) {
			if !regexp.MustCompile(`by \([^)]*\b` + match[1] + `\b`).MatchString(r.Expr) {
				t.Errorf("%s: its text has the label %s, its expression does not keep it: %s", r.Alert, match[1], r.Expr)
			}
		}
	}
	if len(seen) < 8 {
		t.Errorf("only %d alerts were found", len(seen))
	}
}
