//go:build integration

package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// script builds tools and prints where they are.
const script = "../../hack/tools.sh"

// find gives the paths of tools by name, and has them built where needed.
func find(ctx context.Context, names ...string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, script, names...)
	cmd.Stderr = os.Stderr // says what is being built
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", script, err)
	}
	paths := strings.Fields(string(out))
	if len(paths) != len(names) {
		return nil, fmt.Errorf("%s printed %q for %q", script, paths, names)
	}
	found := map[string]string{}
	for i, name := range names {
		found[name] = paths[i]
	}
	return found, nil
}
