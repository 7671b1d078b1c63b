// Package docs holds the documentation to what is there: its examples parse,
// its commands run, its links lead somewhere.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

const root = "../.."

var pages = []string{"README.md", "config/README.md", "config/cosign.md", "config/notaryv1.md", "config/notation.md", "config/migrate.md", "config/trust-material.md", "config/shared-cache.md", "config/modes.md", "config/findings.md", "config/alerts.md", "hack/README.md", "test/bench/README.md"}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block of a page.
type block struct{ page, info, text string }

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

func blocks(t *testing.T) []block {
	t.Helper()
	var found []block
	for _, page := range pages {
		for _, match := range fence.FindAllStringSubmatch(read(t, page), -1) {
			found = append(found, block{page, match[1], match[2]})
		}
	}
	return found
}

// commands lists the lines of console blocks that are commands.
func commands(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, b := range blocks(t) {
		if b.info == "console" {
			found = append(found, strings.Split(strings.TrimSpace(b.text), "\n")...)
		}
	}
	return found
}

func TestExamplesOfTheConfigurationParse(t *testing.T) {
	t.Parallel()
	tested := 0
	for _, b := range blocks(t) {
		name, ok := strings.CutPrefix(b.info, "yaml ")
		if !ok || !strings.HasPrefix(name, "config-") {
			continue
		}
		tested++
		cm := &corev1.ConfigMap{}
		cm.Name, cm.Namespace = name, config.DefaultNamespace
		if err := yaml.UnmarshalStrict([]byte(b.text), &cm.Data); err != nil {
			t.Errorf("%s: %v in\n%s", b.page, err, b.text)
			continue
		}
		o := config.Objects{Namespace: config.DefaultNamespace, ConfigMaps: map[string]*corev1.ConfigMap{
			config.PolicyName: {Data: map[string]string{}},
		}}
		rejections, _ := config.Review(config.NewBuilder(cache.New(cache.Options{})), o, cm)
		if err := rejections.Err(); err != nil {
			t.Errorf("%s: %v in\n%s", b.page, err, b.text)
		}
	}
	if tested < 5 {
		t.Errorf("only %d examples were found", tested)
	}
}

// command builds cmd/connaisseur.
func command(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "connaisseur")
	if out, err := exec.Command("go", "build", "-o", name, root+"/cmd/connaisseur").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

func TestCommandsOfTheReadmeRun(t *testing.T) {
	t.Parallel()
	name := command(t)
	ran := 0
	for _, line := range commands(t) {
		args, ok := strings.CutPrefix(line, "connaisseur ")
		if !ok {
			continue
		}
		ran++
		cmd := exec.Command(name, strings.Fields(args)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	if ran < 3 {
		t.Errorf("only %d commands were found", ran)
	}
}

// The README migrates the chart's default values; what it shows is what happens.
func TestTheMigrationOfTheReadmeIsWhatHappens(t *testing.T) {
	t.Parallel()
	shown := map[string]string{}
	for _, b := range blocks(t) {
		shown[b.info] = b.text
	}
	cmd := exec.Command(command(t), "migrate", "-")
	cmd.Stdin = strings.NewReader(shown["yaml values.yaml"])
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
	if diff := cmp.Diff(shown["yaml migrated.yaml"], out.String()); diff != "" {
		t.Errorf("migrated.yaml (-README +command):\n%s", diff)
	}
	if diff := cmp.Diff(shown["text migrate"], said.String()); diff != "" {
		t.Errorf("what is said of it (-README +command):\n%s", diff)
	}
}

var script = regexp.MustCompile(`(?:^|\s|\()(?:\./)?((?:hack|test)/[a-z/]+\.sh|\.ci/run)\b`)

func TestScriptsThatAreNamedCanBeRun(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		for _, match := range script.FindAllStringSubmatch(read(t, page), -1) {
			info, err := os.Stat(filepath.Join(root, match[1]))
			if err != nil {
				t.Errorf("%s: %v", page, err)
			} else if info.Mode()&0o111 == 0 {
				t.Errorf("%s: %s cannot be executed", page, match[1])
			}
		}
	}
}

var (
	testName = regexp.MustCompile(`-(?:run|fuzz) ((?:Test|Fuzz)\w+)`)
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)`)
)

func TestTestsThatAreNamedExist(t *testing.T) {
	t.Parallel()
	var names []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
				names = append(names, match[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range commands(t) {
		for _, match := range testName.FindAllStringSubmatch(line, -1) {
			if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, match[1]) }) {
				t.Errorf("%s: there is no %s", line, match[1])
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)]*)?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
			target := filepath.Join(filepath.Dir(page), match[1])
			if match[1] == "" {
				target = page
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if match[2] != "" && !hasHeading(read(t, target), match[2]) {
				t.Errorf("%s: %s has no heading %s", page, target, match[2])
			}
		}
	}
}

func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		if title := strings.TrimLeft(line, "#"); title != line {
			slug := strings.NewReplacer(" ", "-", "'", "", "`", "", ",", "").Replace(strings.ToLower(strings.TrimSpace(title)))
			if "#"+slug == anchor {
				return true
			}
		}
	}
	return false
}

var reason = regexp.MustCompile(`Reason = "(\w+)"`)

func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	reference := read(t, "config/README.md")
	reasons := reason.FindAllStringSubmatch(read(t, "pkg/validator/reason.go"), -1)
	if len(reasons) < 20 {
		t.Errorf("only %d reasons were found", len(reasons))
	}
	for _, match := range reasons {
		if !strings.Contains(reference, "`"+match[1]+"`") {
			t.Errorf("config/README.md does not explain %s", match[1])
		}
	}
}
