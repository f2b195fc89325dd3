package documents

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const packagesPage = "../../docs/packages.md"

var drawn = regexp.MustCompile("(?s)```mermaid\n.*?```\n")

var draw = flag.Bool("draw", false, "draws the packages of docs/packages.md anew")

// packages are those of a module by their folder, with what they import of this repository outside of tests.
func packages(t *testing.T, module string) map[string][]string {
	command := exec.Command("go", "list", "-f", `{{if .GoFiles}}{{.ImportPath}} {{join .Imports " "}}{{end}}`, "./...")
	command.Dir = filepath.Join(project, module)
	out, err := command.Output()
	require.NoError(t, err)
	prefix := strings.TrimSuffix("expense/"+module, "/") + "/"
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name, imports := strings.TrimPrefix(words[0], prefix), []string{}
		for _, path := range words[1:] {
			if strings.HasPrefix(path, "expense/") {
				imports = append(imports, strings.TrimPrefix(path, prefix))
			}
		}
		all[name] = imports
	}
	require.NotEmpty(t, all)
	return all
}

// reached are all packages below one.
func reached(all map[string][]string, from string) map[string]bool {
	found := map[string]bool{}
	for _, next := range all[from] {
		found[next] = true
		maps.Copy(found, reached(all, next))
	}
	return found
}

// drawing has an arrow for each import, except where a third package leads to the same.
func drawing(all map[string][]string) string {
	var out strings.Builder
	out.WriteString("```mermaid\nflowchart TD\n")
	for _, from := range slices.Sorted(maps.Keys(all)) {
		for _, to := range all[from] {
			by := slices.ContainsFunc(all[from], func(other string) bool { return reached(all, other)[to] })
			if _, ours := all[to]; ours && !by {
				fmt.Fprintf(&out, "    %s --> %s\n", from, to)
			}
		}
	}
	return out.String() + "```\n"
}

func TestThePackagesAreDrawnAsTheyAre(t *testing.T) {
	data, err := os.ReadFile(packagesPage)
	require.NoError(t, err)
	modules := []string{"", "rehearsal"}
	want := drawn.ReplaceAllStringFunc(string(data), func(string) string {
		module := modules[0]
		modules = modules[1:]
		return drawing(packages(t, module))
	})
	require.Empty(t, modules, "a drawing for each module")
	if *draw {
		require.NoError(t, os.WriteFile(packagesPage, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(data), "draw it anew: cd rehearsal && go test ./documents -run TestThePackages -args -draw")
}

// What docs/packages.md says of the rehearsal's floors.
func TestNoFloorStandsOnOneAboveIt(t *testing.T) {
	all := packages(t, "rehearsal")
	for from, above := range map[string][]string{
		"internal/stage":  {"internal/play", "internal/faults", "internal/preview", "internal/change", "internal/estimate"},
		"internal/play":   {"internal/faults", "internal/preview"},
		"internal/change": {"internal/stage"},
		"ops/doctor":      {"internal/stage", "internal/awsmodel"},
		"ops/image":       {"internal/stage", "internal/awsmodel"},
		"ops/leftovers":   {"internal/stage", "internal/awsmodel"},
		"ops/verify":      {"internal/stage", "internal/play"},
		"ops/record":      {"internal/stage", "internal/play"},
	} {
		require.Contains(t, all, from)
		for _, room := range above {
			require.Contains(t, all, room)
			assert.NotContains(t, reached(all, from), room, from)
		}
	}
	checks := append(slices.Collect(maps.Keys(reached(all, "ops/verify"))), "ops/verify")
	for from := range all {
		played := from == "internal/play" || reached(all, from)["internal/play"]
		for to := range reached(all, from) {
			if played && slices.Contains(checks, to) {
				continue
			}
			assert.False(t, strings.HasPrefix(from, "internal/") && (strings.HasPrefix(to, "ops/") || to == "cmd"), "%s stands on %s", from, to)
		}
	}
}
